"""How a run is asked to stop: one flag, and the callbacks that make a blocked call return."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
        self._event = threading.Event()
        # Re-entrant: request() may be called by a signal handler that interrupts on_cancel() in this thread.
        self._lock = threading.RLock()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._next = 0
        self.reason: str | None = None
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self._event.is_set()

    def request(self, reason: str = "cancelled", *, signal: int | None = None) -> None:
        """Ask to stop: sets the flag, then calls every registered callback once.

        A callback that raises does not keep the others from being called.
        """
        with self._lock:
            if self._event.is_set():
                return
            self.reason, self.signal = reason, signal
            self._event.set()
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            with suppress(Exception):
                callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until asked to stop, at most ``timeout`` seconds; True if asked."""
        return self._event.wait(timeout)

    def raise_if_requested(self) -> None:
        """Raise :class:`RunCancelledError` if somebody asked to stop."""
        if self._event.is_set():
            raise self.error()

    def error(self) -> RunCancelledError:
        """The error that says the run was asked to stop, and by what."""
        facts: dict[str, Any] = {} if self.signal is None else {"signal": self.signal}
        return RunCancelledError(f"the run was {self.reason or 'cancelled'}", **facts)

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """While the block runs, ``callback`` is called (from another thread) when a stop is asked for.

        Called at once when it already was.
        """
        with self._lock:
            key, self._next = self._next, self._next + 1
            self._callbacks[key] = callback
            already = self._event.is_set()
        if already:
            with suppress(Exception):
                callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)
