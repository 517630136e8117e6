"""Ctrl-C, SIGTERM and a closed terminal while something runs: the first asks it to stop, the second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from osiris.cli.terminal import tell
from osiris.core.cancellation import Cancellation
from osiris.core.errors import RunCancelledError

__all__ = ["interruptible"]

_REASONS = {
    signal.SIGINT: "interrupted by Ctrl-C",
    signal.SIGTERM: "terminated by SIGTERM",
    signal.SIGHUP: "interrupted: the terminal was closed",
}


@contextmanager
def interruptible(
    cancellation: Cancellation,
    *,
    restore: Callable[[], object] = lambda: None,
    report: Callable[[RunCancelledError], object] = lambda error: None,
) -> Iterator[None]:
    """While the block runs, the first signal requests ``cancellation`` and the second ends the process.

    Args:
        cancellation: What is told.
        restore: Called before the process ends at once: gives the terminal back.
        report: Called then, with the error that it ends with.
    """
    # Python runs signal handlers in the main thread only, which may sit in a database call that does not return:
    # the C handler writes the signal's number to this pipe, and a thread of ours acts on it.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # A signal that the parent made us ignore (nohup, a shell's background job) stays ignored.
    caught = [number for number in _REASONS if signal.getsignal(number) is not signal.SIG_IGN]
    previous_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, _do_nothing) for number in caught}
    watcher = threading.Thread(
        target=_watch, args=(reading, cancellation, restore, report), name="osiris-signals", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(writing)  # ends the watcher: it reads end of file
        watcher.join(timeout=1)
        os.close(reading)


def _do_nothing(number: int, frame: object) -> None:
    """The watcher acts; a handler must exist for the pipe to be written."""


def _watch(
    reading: int,
    cancellation: Cancellation,
    restore: Callable[[], object],
    report: Callable[[RunCancelledError], object],
) -> None:
    asked = False
    while True:
        try:
            numbers = os.read(reading, 1)
        except OSError:
            return
        if not numbers:
            return
        if numbers[0] not in _REASONS:
            continue  # another signal that somebody else handles
        number = signal.Signals(numbers[0])
        if asked:
            with suppress(Exception):
                restore()  # first: what draws there would draw over what comes
            tell("stopped at once")
            with suppress(Exception):
                report(RunCancelledError(f"the run was {_REASONS[number]}, stopped at once", signal=int(number)))
            os._exit(128 + number)
        asked = True
        again = "; once more to stop at once" if number == signal.SIGINT else ""
        tell(f"{_REASONS[number]}: stopping{again}")
        # In a thread of its own: a callback that blocks must not keep us from hearing the second signal.
        threading.Thread(
            target=cancellation.request, args=(_REASONS[number],), kwargs={"signal": int(number)}, daemon=True
        ).start()
