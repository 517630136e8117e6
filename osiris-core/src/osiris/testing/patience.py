"""Waiting for something that should end soon, and going on where it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["finish_within"]

_HEAD_START = 1.0  # seconds


def finish_within(
    seconds: float, work: Callable[[], object], stop: Callable[[], object] | None = None
) -> BaseException | None:
    """Do ``work`` in a thread; what it raised.

    Args:
        seconds: How long it may take; with ``stop``, from when that was called.
        work: What to do.
        stop: Called when ``work`` has been at it for a second; None: it ends by itself.

    Raises:
        AssertionError: It has not ended in time; its thread is left to itself.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # handed to who waits
            raised.append(error)

    thread = threading.Thread(target=run, name="osiris-testing", daemon=True)
    thread.start()
    if stop is not None:
        thread.join(_HEAD_START)
        stop()
    thread.join(seconds)
    assert not thread.is_alive(), f"it was still busy {seconds:g} seconds after it was asked to stop"
    return raised[0] if raised else None
