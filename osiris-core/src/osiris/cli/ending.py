"""The end of a process that is the command's alone."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import threading
from contextlib import suppress

__all__ = ["end_process"]

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def end_process(code: int) -> None:
    """End the process with ``code``, without taking its modules and libraries apart first.

    That alone is a tenth of a run with nothing to do, and nobody sees the result. All that is seen happens: what was
    registered with :mod:`atexit`, and the rest of files that somebody (a function of the user's) left open is written.
    Returns where the interpreter has to end it: other threads are not done, or somebody profiles or debugs.
    """
    if _has_threads() or _is_watched():
        return
    atexit._run_exitfuncs()
    for thing in gc.get_objects():
        if type(thing) in _WRITERS:
            with suppress(OSError, ValueError):  # closed, or its reader is gone
                thing.flush()
    os._exit(code)


def _has_threads() -> bool:
    own = threading.current_thread()
    return any(thread is not own and not thread.daemon for thread in threading.enumerate())


def _is_watched() -> bool:
    if sys.getprofile() or sys.gettrace() or sys.flags.inspect:
        return True
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12
    return monitoring is not None and any(monitoring.get_tool(number) for number in range(6))
