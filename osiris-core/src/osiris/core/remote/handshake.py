"""What both ends of the pipe have to be: of the same versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from osiris.core.errors import PrepareError
from osiris.core.remote.protocol import PROTOCOL_VERSION

__all__ = ["refuse_other_versions"]


def refuse_other_versions(told: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Compare what a worker says of itself with this process: protocol, Python (``3.11``), distributions.

    Args:
        told: The worker's answer to ``hello``.
        wanted: Versions by distribution, osiris-core among them.

    Raises:
        PrepareError: They differ (code ``worker.mismatch``): wanted and found side by side.
    """
    found = {**told.get("drivers", {}), "osiris-core": told.get("osiris_core"), "protocol": told.get("protocol")}
    found["python"] = _minor(str(told.get("python")))
    needed = {**wanted, "protocol": PROTOCOL_VERSION, "python": _minor(platform.python_version())}
    differ = [
        f"{name}: wanted {version}, found {found.get(name) or 'none'}"
        for name, version in sorted(needed.items())
        if found.get(name) != version
    ]
    if differ:
        raise PrepareError(
            f"the worker is not of the same versions: {'; '.join(differ)}",
            hint="install the same distributions where the worker runs",
            code="worker.mismatch",
            wanted=needed,
            found=found,
        )


def _minor(version: str) -> str:
    """``3.11`` of ``3.11.2``: the others run the same programs."""
    return ".".join(version.split(".")[:2])
