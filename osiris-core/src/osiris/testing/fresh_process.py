"""Looking at code from a process of its own: what importing it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

__all__ = ["PATIENCE", "fresh_environment", "modules_after_import", "run_fresh"]

PATIENCE = 300  # seconds; a guard against hanging, not a measure

_LOOK = """
import sys
import osiris.core.driver, osiris.core.execution_adapter, osiris.core.hookspecs
before = set(sys.modules)
import importlib, json
importlib.import_module(sys.argv[1])
new = {name.partition(".")[0] for name in set(sys.modules) - before}
own = {"osiris", "__main__", "__mp_main__", *sys.stdlib_module_names}
rooms = {".".join(name.split(".")[:3]) for name in set(sys.modules) - before if name.startswith("osiris.core.")}
light = {"driver", "execution_adapter", "adapter_factory", "hookspecs", "errors", "cancellation", "process", "events"}
print(json.dumps(sorted((new - own) | {room for room in rooms if room.split(".")[2] not in light})))
"""


def modules_after_import(module: str) -> set[str]:
    """What a fresh process has imported after importing ``module``, beyond the standard library and the contract.

    Returns:
        Top-level names, and rooms of the core (``osiris.core.engine``) that a plugin module does not need.

    Raises:
        AssertionError: It cannot be imported there.
    """
    return set(json.loads(run_fresh("-c", _LOOK, module)))


def run_fresh(*arguments: str) -> str:
    """Run this Python with ``arguments`` and this process's import path; its output.

    Raises:
        AssertionError: It failed; with what it wrote to stderr.
    """
    done = subprocess.run(  # noqa: S603  # this Python, and arguments of the kit
        [sys.executable, *arguments],
        env=fresh_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fresh_environment() -> dict[str, str]:
    """The environment of a fresh process that finds the same modules as this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
