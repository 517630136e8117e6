"""A template that has what a plan needs, named by what is in it: built once, found ever after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from osiris.remote.e2b.options import E2BOptions
from osiris.remote.e2b.requirements import Needs, python_version
from osiris.remote.e2b.sdk import Cloud

__all__ = ["need_template", "template_name"]

Tell = Callable[[str, Mapping[str, Any]], object]


def template_name(needs: Needs, options: E2BOptions) -> str:
    """``osiris-<hash>`` of Python, packages, processors and memory."""
    content = {
        "python": python_version(),
        "packages": sorted(needs.pins.values()),
        "cpu": options.cpu,
        "memory_gb": options.memory_gb,
    }
    return f"osiris-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]}"


async def need_template(cloud: Cloud, needs: Needs, options: E2BOptions, tell: Tell) -> str:
    """The name of a template that has all of it; it is built, which takes minutes, where there is none yet.

    Raises:
        PrepareError: It cannot be built.
    """
    name = template_name(needs, options)
    if await cloud.has_template(name):
        return name
    packages = sorted(needs.pins.values())
    tell("template_build_begun", {"template": name, "python": python_version(), "packages": packages})
    begun = monotonic()
    memory_mb = None if options.memory_gb is None else round(options.memory_gb * 1024)
    await cloud.build_template(name, python=python_version(), packages=packages, cpu=options.cpu, memory_mb=memory_mb)
    tell("template_built", {"template": name, "duration_ms": round((monotonic() - begun) * 1000, 3)})
    return name
