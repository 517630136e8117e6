"""Circuit breakers: a connection that keeps failing is left alone for a while, instead of being tried by every step."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

from osiris.core.engine.settings import EventDoor
from osiris.core.errors import StepError
from osiris.core.planning import BreakerPolicy

__all__ = ["Breakers"]


class Breakers:
    """The breakers of one run, one for each connection. Thread-safe.

    A breaker opens after a number of failures in a row that say of themselves that they may pass. While it is open,
    steps on the connection fail at once. After a pause one step is let through: its success closes the breaker, its
    failure opens it again. An error that is no passing one shows that the other side answers, and counts as success.
    """

    def __init__(self, policy: BreakerPolicy | None, door: EventDoor) -> None:
        self._policy = policy
        self._door = door
        self._breakers: dict[str, _Breaker] = {}
        self._lock = threading.Lock()

    def enter(self, connection: Mapping[str, Any] | None, name: str | None) -> None:
        """A step is about to use the connection (secrets as references) called ``name``.

        Raises:
            StepError: ``connection.circuit_open``: it must not; ``retry_after`` says for how many seconds.
        """
        breaker = self._of(connection, name)
        if breaker is not None:
            breaker.enter()

    def leave(
        self, connection: Mapping[str, Any] | None, name: str | None, error: BaseException | None, *, decided: bool
    ) -> None:
        """A step that was let through has ended; not ``decided``: it was stopped before it could tell."""
        breaker = self._of(connection, name)
        if breaker is None:
            return
        if decided:
            breaker.leave(error)
        else:
            breaker.give_up_trying()

    def _of(self, connection: Mapping[str, Any] | None, name: str | None) -> _Breaker | None:
        if self._policy is None or connection is None:
            return None
        # By content: `@mysql` and `@mysql.main` may be one connection.
        key = json.dumps(connection, sort_keys=True, default=str)
        with self._lock:
            if key not in self._breakers:
                self._breakers[key] = _Breaker(name or "written in the step", self._policy, self._door)
            return self._breakers[key]


class _Breaker:
    def __init__(self, name: str, policy: BreakerPolicy, door: EventDoor) -> None:
        self._name = name
        self._policy = policy
        self._door = door
        self._failures = 0
        self._opened: float | None = None
        self._trying = False
        self._last = ""
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            if self._opened is None:
                return
            left = self._opened + self._policy.pause - monotonic()
            if left <= 0 and not self._trying:
                self._trying = True
                self._tell("circuit_half_open")
                return
            raise StepError(
                f"connection {self._name} failed {self._failures} times in a row, the last time with: {self._last}",
                hint=f"it is tried again {self._policy.pause:g} s after a failure; is the other side up?",
                code="connection.circuit_open",
                retryable=True,
                retry_after=max(0.0, round(left, 3)),
                connection=self._name,
            )

    def give_up_trying(self) -> None:
        with self._lock:
            self._trying = False  # the next step may try instead

    def leave(self, error: BaseException | None) -> None:
        with self._lock:
            if error is None or not getattr(error, "retryable", False):
                self._close()
                return
            self._failures += 1
            self._last = str(error)
            if self._trying or self._failures >= self._policy.failures:
                was_open, self._opened, self._trying = self._opened is not None, monotonic(), False
                self._tell("circuit_reopened" if was_open else "circuit_opened")

    def _close(self) -> None:
        was_open = self._opened is not None
        self._failures, self._opened, self._trying = 0, None, False
        if was_open:
            self._tell("circuit_closed")

    def _tell(self, event: str) -> None:
        told = {"connection": self._name, "failures": self._failures, "pause_ms": round(self._policy.pause * 1000, 3)}
        self._door.log_event(event, told)
