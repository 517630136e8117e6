"""Is a plugin's module light? Asked of a fresh process, as this one has imported too much already."""

from __future__ import annotations

import json
import subprocess
import sys

from osiris.core.errors import PluginBrokenError

__all__ = ["heavy_imports"]

_PATIENCE = 120.0

_PROGRAM = """
import importlib, json, os, sys
sys.path[:] = json.loads(sys.argv[2])
import osiris.core.driver, osiris.core.errors, osiris.core.execution_adapter, osiris.core.hookspecs
before = set(sys.modules)
kept, sys.stdout = sys.stdout, sys.stderr
importlib.import_module(sys.argv[1])
json.dump(sorted(set(sys.modules) - before), kept)
kept.flush()
os._exit(0)  # a thread that the module began is not waited for
"""


def heavy_imports(module: str) -> list[str]:
    """What importing ``module`` brings along beside the standard library, the contract and its own package.

    Args:
        module: As an entry point names it: ``acme.plugin``.

    Returns:
        Top-level names (``pandas``), and rooms of osiris that are not the contract (``osiris.core.engine``); sorted.

    Raises:
        PluginBrokenError: It cannot be imported in a process of its own.
    """
    name = module.partition(":")[0]
    command = [sys.executable, "-c", _PROGRAM, name, json.dumps(sys.path)]
    try:
        done = subprocess.run(  # noqa: S603  # this Python
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise _unimportable(name, f"it was not done after {_PATIENCE:.0f} seconds") from error
    if done.returncode != 0 or not done.stdout:  # a module may well leave with 0
        raise _unimportable(name, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    package = name.partition(".")[0] if not name.startswith("osiris.") else name.rpartition(".")[0]
    brought = [found for found in json.loads(done.stdout) if found != package and not found.startswith(package + ".")]
    return sorted({found for found in map(_room, brought) if found})


def _room(module: str) -> str:
    top, *rest = module.split(".")
    if top == "osiris":  # a namespace, or osiris.core itself, is no room
        return ".".join([top, *rest[:2]]) if len(rest) > 1 else ""
    return "" if top in sys.stdlib_module_names or top.startswith("__") else top


def _unimportable(module: str, reason: str) -> PluginBrokenError:
    return PluginBrokenError(
        f"module {module} cannot be imported in a new process: {reason}",
        hint="a plugin's module must not need what another module did before it",
        module=module,
    )
