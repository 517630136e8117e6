"""How often a process that is the command's alone looks for garbage.

Starting up makes some hundred thousand objects that stay to the end. Looking at them again and again while they are
made is a tenth of a run with nothing to do.
"""

from __future__ import annotations

import gc

__all__ = ["look_while_running", "look_while_starting"]

_STARTING = 100_000
_RUNNING = 10_000


def look_while_starting() -> None:
    """Hardly at all: next to nothing of what is made becomes garbage."""
    gc.set_threshold(_STARTING)


def look_while_running() -> None:
    """Often enough that what rows hang on goes away; nothing where this process is somebody else's.

    What there is by now is not looked at any more: the first look alone would take a twentieth of such a run.
    """
    if gc.get_threshold()[0] == _STARTING:
        gc.freeze()
        gc.set_threshold(_RUNNING)
