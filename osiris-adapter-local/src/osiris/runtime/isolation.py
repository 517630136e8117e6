"""A worker process on this machine: what it inherits, and what it must not."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from osiris.core.execution_adapter import PreparedRun
from osiris.core.remote import Echo, SubprocessTransport
from osiris.core.remote.transport import worker_command
from osiris.core.remote.worker import PYTHON_PATH_VARIABLE

__all__ = ["start_worker", "worker_environment"]

_NEEDED = frozenset({"HOME", "LD_LIBRARY_PATH", "LANG", "PATH", "PWD", "TMPDIR", "VIRTUAL_ENV"})
_TELLING = 8
"""Characters from which a secret inside another value says something."""


def start_worker(prepared: PreparedRun) -> SubprocessTransport:
    """Start a worker with this process's Python, packages, folder and environment, the run's secrets left out.

    What it and its drivers print appears on this process's standard error.

    Raises:
        PrepareError: It cannot be started.
    """
    return SubprocessTransport(
        worker_command(),
        environment=worker_environment(os.environ, sys.path, prepared.environment),
        on_stderr=Echo(),
    )


def worker_environment(own: Mapping[str, str], path: list[str], secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment of the worker: everybody on the machine who is the user can read it in ``/proc``.

    Args:
        own: This process's.
        path: Where this process finds its modules.
        secrets: Values by reference, as in :attr:`PreparedRun.environment`.
    """
    kept = {name: value for name, value in own.items() if name in _NEEDED or not _tells(name, value, secrets)}
    kept[PYTHON_PATH_VARIABLE] = own.get("PYTHONPATH", "")
    kept["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in path))
    return kept


def _tells(name: str, value: str, secrets: Mapping[str, str]) -> bool:
    """Whether a variable is, or holds, a value that the pipeline refers to."""
    if name in secrets or any(reference.startswith((f"{name}:-", f"{name}-")) for reference in secrets):
        return True
    return any(value == secret or (len(secret) >= _TELLING and secret in value) for secret in secrets.values())
