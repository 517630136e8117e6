"""A worker that cannot be seen from here: noted in the session's folder, so that nobody works beside it.

A worker on this machine ends with its input, or holds a lock. One in another place may go on when the process that
started it was killed or lost the network; it stops by itself after it has heard nothing for a stated time. Until then
a later process of the same session must wait, or end it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from osiris.core.cancellation import Cancellation
from osiris.core.errors import ExecutionError
from osiris.core.privacy import write_private

__all__ = ["Elsewhere"]

_FILE = "elsewhere.json"

_MARGIN = 15.0
"""Seconds that a worker gets to stop once it has noticed that nobody is there, and some for the way there."""


class Elsewhere:
    """The note of a worker in another place. It is as fresh as the last sign that the worker was given.

    Args:
        session_dir: The session's folder.
    """

    def __init__(self, session_dir: Path) -> None:
        self._path = session_dir / _FILE

    def begin(self, place: str, patience: float, facts: Mapping[str, Any] | None = None) -> None:
        """A worker is about to run.

        Args:
            place: Where, for people.
            patience: Seconds without a sign after which it stops by itself.
            facts: What the place's adapter needs to find it again.

        Raises:
            ExecutionError: ``session.unwritable``: it cannot be noted.
        """
        draft = self._path.with_name(f"{_FILE}.part")
        told = {"place": place, "seconds": patience + _MARGIN, "facts": dict(facts or {})}
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            write_private(draft, json.dumps(told))
            draft.replace(self._path)
        except OSError as error:
            raise ExecutionError(
                f"it cannot be noted where the run goes on: {self._path}: {error.strerror or error}",
                hint="check permissions and free space of the session folder",
                code="session.unwritable",
                path=str(self._path),
            ) from error

    def renew(self) -> None:
        """The worker is about to be given a sign."""
        with suppress(OSError):
            os.utime(self._path)

    def end(self) -> None:
        """The worker has ended, or does nothing any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def facts(self) -> Mapping[str, Any] | None:
        """What was noted of a worker that may still be at work; None where there is none."""
        told = self._read()
        return None if told is None else told["facts"]

    def seconds_left(self) -> float:
        """How long it may still be at work; 0 where there is none."""
        told = self._read()
        if told is None:
            return 0.0
        try:
            age = time.time() - self._path.stat().st_mtime
        except OSError:
            return 0.0
        # A clock that was set back must not make anybody wait longer than the worker does.
        seconds: float = told["seconds"]
        return max(0.0, seconds - max(0.0, age))

    def wait(self, cancellation: Cancellation, tell: Callable[[str, dict[str, Any]], object]) -> None:
        """Wait until it is sure that no worker elsewhere is at work, and forget it.

        Raises:
            RunCancelledError: Somebody asked to stop.
        """
        told, left = self._read(), self.seconds_left()
        if told is not None and left > 0:
            tell("worker_awaited", {"place": told["place"], "seconds": round(left, 1)})
            while (left := self.seconds_left()) > 0 and not cancellation.wait(min(left, 1.0)):
                pass
            cancellation.raise_if_requested()
        self.end()

    def _read(self) -> dict[str, Any] | None:
        try:
            told = json.loads(self._path.read_bytes())
            return {"place": str(told["place"]), "seconds": float(told["seconds"]), "facts": dict(told["facts"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None
