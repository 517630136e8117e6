"""How a run is asked to stop: one flag, and the callbacks that make a blocked call return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from osiris.core.errors import RunCancelledError

__all__ = ["Cancellation"]


class Cancellation:
    """Set once, seen by everybody. Thread-safe; setting it again changes nothing.

    A driver inside a call that does not return by itself (a database query, a socket read) registers
    what interrupts it::

        with ctx.on_cancel(connection.interrupt):
            connection.execute(query)
    """

    def __init__(self) -> None:
        self._requested = False
        self._event: threading.Event | None = None  # made for who waits: there is one of us for every step
        # Re-entrant: request() may be called by a signal handler that interrupts on_cancel() in this thread.
        self._lock = threading.RLock()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._next = 0
        self.reason: str | None = None
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self._requested

    def request(self, reason: str = "cancelled", *, signal: int | None = None) -> None:
        """Ask to stop: sets the flag, then calls every registered callback once.

        A callback that raises does not keep the others from being called.
        """
        with self._lock:
            if self._requested:
                return
            self.reason, self.signal = reason, signal
            self._requested = True
            if self._event is not None:
                self._event.set()
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            with suppress(Exception):
                callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until asked to stop, at most ``timeout`` seconds; True if asked."""
        with self._lock:
            if self._requested:
                return True
            if self._event is None:
                self._event = threading.Event()
        return self._event.wait(timeout)

    def pause(self, seconds: float) -> None:
        """Let ``seconds`` pass; raises :class:`RunCancelledError` as soon as somebody asks to stop."""
        self.wait(seconds)
        self.raise_if_requested()

    def raise_if_requested(self) -> None:
        """Raise :class:`RunCancelledError` if somebody asked to stop."""
        if self._requested:
            raise self.error()

    def error(self) -> RunCancelledError:
        """The error that says the run was asked to stop, and by what."""
        facts: dict[str, Any] = {} if self.signal is None else {"signal": self.signal}
        return RunCancelledError(f"the run was {self.reason or 'cancelled'}", **facts)

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """While the block runs, ``callback`` is called (from another thread) when a stop is asked for.

        Called at once when it already was.
        """
        return _Registration(self, callback)


class _Registration:
    """A callback that is registered while a block runs. Not a generator: every step has one, and that costs thrice."""

    def __init__(self, owner: Cancellation, callback: Callable[[], object]) -> None:
        self._owner = owner
        self._callback = callback
        self._key = -1

    def __enter__(self) -> None:
        owner = self._owner
        with owner._lock:
            self._key, owner._next = owner._next, owner._next + 1
            owner._callbacks[self._key] = self._callback
            already = owner._requested
        if already:
            with suppress(Exception):
                self._callback()

    def __exit__(self, *raised: object) -> None:
        with self._owner._lock:
            self._owner._callbacks.pop(self._key, None)
