"""The end of a process that is the command's alone."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["await_threads", "end_process"]

_not_awaited: frozenset[threading.Thread] | None = None
_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def await_threads() -> None:
    """From here on the user's own code works: the end of the process waits for the threads that it begins.

    Not for those that there are already: a plugin that begins one when it is only looked at would keep the command,
    whose work is done, from ever ending.
    """
    global _not_awaited
    _not_awaited = frozenset(threading.enumerate())


def end_process(code: int) -> None:
    """End the process with ``code``, without taking its modules and libraries apart first.

    That alone is a tenth of a run with nothing to do, and nobody sees the result. All that is seen happens: what was
    registered with :mod:`atexit`, and the rest of files that somebody (a function of the user's) left open is written.
    Returns where the interpreter has to end it: threads are not done (see :func:`await_threads`), or somebody profiles
    or debugs.
    """
    if _has_threads() or _is_watched():
        return
    atexit._run_exitfuncs()
    for stream in _left_open():
        with suppress(OSError, ValueError):  # closed, or its reader is gone
            stream.flush()
    os._exit(code)


def _left_open() -> Iterator[Any]:
    yield from (stream for stream in (sys.stdout, sys.stderr) if stream is not None)
    if _writes_to_files():  # looking at every object that there is takes longer than all else that is done here
        gc.unfreeze()  # see osiris.cli.garbage
        yield from (thing for thing in gc.get_objects() if type(thing) in _WRITERS)


def _writes_to_files() -> bool:
    """Whether a file that this process opened may be open for writing, as far as the system tells."""
    opened = _descriptors()
    return not opened or bool(opened - _INHERITED)


def _descriptors() -> set[int]:
    """Those that can be written to; empty where the system does not tell."""
    try:
        from fcntl import F_GETFL, fcntl

        listed = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except (ImportError, OSError, ValueError):
        return set()
    found = set()
    for descriptor in listed:
        with suppress(OSError):  # that of the listing itself, closed by now
            if fcntl(descriptor, F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                found.add(descriptor)
    return found


_INHERITED = _descriptors()  # by whoever imports this first thing, as the command does


def _has_threads() -> bool:
    if _not_awaited is None:
        return False
    return any(thread not in _not_awaited and not thread.daemon for thread in threading.enumerate())


def _is_watched() -> bool:
    if sys.getprofile() or sys.gettrace() or sys.flags.inspect:
        return True
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12
    return monitoring is not None and any(monitoring.get_tool(number) for number in range(6))
