"""The worker's mouth: whole lines, numbered events, a journal to say them again, nothing too long."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from osiris.core.events.bus import Event, Metric
from osiris.core.events.jsonable import jsonable
from osiris.core.remote.journal import Journal
from osiris.core.remote.protocol import (
    INTERNAL_ERROR,
    MAX_EVENT_BYTES,
    encode,
    make_error,
    make_notification,
)

__all__ = ["Outlet"]

_STAMPED = frozenset({"schema", "seq", "ts", "session_id"})
_KEPT_TEXT, _KEPT_ITEMS, _KEPT_DEPTH = 2000, 50, 4


class Outlet:
    """Writes messages to a file descriptor. Thread-safe; a listener that is gone is no error here.

    As a sink of the worker's event bus it numbers what it hears: each message has a ``seq`` of its own, without gaps.

    Args:
        file: Where to write.
        max_event_bytes: What a numbered message may take; longer ones are told shortened, with ``truncated_bytes``.
    """

    def __init__(self, file: int, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._file = file
        self._limit = max_event_bytes
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._broken = False
        self.seq = 0
        """The number of the last numbered message."""

    def keep_journal(self, journal: Journal) -> None:
        """Write numbered messages there, too, from now on: before they are sent."""
        self._journal = journal

    def answer(self, message: Mapping[str, Any]) -> None:
        """Send a response; one that is too long becomes an error."""
        try:
            line = encode(message)
        except ValueError as error:
            line = encode(make_error(message.get("id"), INTERNAL_ERROR, f"the answer cannot be sent: {error}"))
        with self._lock:
            self._write(line)

    def beat(self) -> None:
        """Say that the worker lives, and how far it got."""
        with self._lock:
            self._write(encode(make_notification("heartbeat", {"seq": self.seq})))

    def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a numbered notification."""
        with self._lock:
            self.seq += 1
            line = self._line(method, {"seq": self.seq, **params})
            if self._journal is not None:
                self._keep(self._journal, line)
            self._write(line)

    def replay(self, since: int) -> int:
        """Send what was sent after number ``since`` again; gives the last number.

        Nothing else is said in between, so that the listener finds everything in order.
        """
        with self._lock:
            if self._journal is not None:
                for block in self._journal.since(since):
                    self._write(block)
            return self.seq

    def on_event(self, event: Event) -> None:
        """Send an event of the bus."""
        data = {key: value for key, value in event.items() if key not in _STAMPED and key not in ("event", "type")}
        self.tell("event", {"ts": event["ts"], "event": event["event"], "type": event["type"], "data": data})

    def on_metric(self, metric: Metric) -> None:
        """Send a metric of the bus."""
        own = ("metric", "value", "unit")
        tags = {key: value for key, value in metric.items() if key not in _STAMPED and key not in own}
        params = {"ts": metric["ts"], "metric": metric["metric"], "value": metric["value"], "tags": tags}
        if "unit" in metric:
            params["unit"] = metric["unit"]
        self.tell("metric", params)

    def close(self) -> None:
        """Nothing to give back: the worker closes its files when it ends."""

    def _line(self, method: str, params: dict[str, Any]) -> bytes:
        try:
            return encode(make_notification(method, params), self._limit)
        except ValueError as error:
            reason = str(error)
        for text, items in ((_KEPT_TEXT, _KEPT_ITEMS), (200, 10), (60, 0)):
            short = {key: _shortened(value, text, items, _KEPT_DEPTH) for key, value in jsonable(params).items()}
            held = "data" if "data" in short else "tags"
            short[held] = {**short.get(held, {}), "truncated": reason}
            try:
                return encode(make_notification(method, short), self._limit)
            except ValueError:
                continue
        return encode(make_notification(method, {"seq": params["seq"], "event": "event_lost", "data": {"why": reason}}))

    def _keep(self, journal: Journal, line: bytes) -> None:
        try:
            journal.append(line)
        except OSError as error:  # a full disk must not end the run: it only can no longer be told again
            self._journal = None
            os.write(2, f"the journal cannot be written any more: {error}\n".encode())

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and not self._broken:
                view = view[os.write(self._file, view) :]
        except OSError:  # nobody listens any more
            self._broken = True


def _shortened(value: Any, text: int, items: int, depth: int) -> Any:
    """``value`` with long texts and collections cut."""
    if isinstance(value, str) and len(value) > text:
        return f"{value[:text]}... ({len(value):,} characters)"
    if isinstance(value, dict):
        if depth == 0:
            return f"({len(value):,} items)"
        # Whose it is and the plain facts go before the rest.
        ranked = sorted(value.items(), key=lambda item: (item[0] != "step_id", isinstance(item[1], dict | list)))
        kept = ranked[: max(items, 8)]
        return {key[:text]: _shortened(item, text, items, depth - 1) for key, item in kept}
    if isinstance(value, list):
        if depth == 0:
            return f"({len(value):,} items)"
        return [_shortened(item, text, items, depth - 1) for item in value[:items]]
    return value
