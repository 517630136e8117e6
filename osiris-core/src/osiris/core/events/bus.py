"""The event bus: the one place that numbers, dates and signs events and metrics.

Standard library only, because the contract modules stand on it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypedDict

__all__ = ["SCHEMA_VERSION", "Event", "EventBus", "EventType", "Metric", "Sink", "event_type"]

SCHEMA_VERSION = "1"
"""Version of the form of events and metrics; in every record as ``schema``."""

EventType = Literal["start", "complete", "error", "info"]

_log = logging.getLogger(__name__)


class Event(TypedDict, total=False):
    """One line of ``events.jsonl``; further keys are the event's own data."""

    schema: str
    seq: int
    ts: str
    session_id: str
    event: str
    type: EventType
    step_id: str


class Metric(TypedDict, total=False):
    """One line of ``metrics.jsonl``; further keys are the metric's tags."""

    schema: str
    seq: int
    ts: str
    session_id: str
    metric: str
    value: float
    unit: str
    step_id: str


class Sink(Protocol):
    """Someone who listens. Called in order, one record at a time, never concurrently.

    A sink that raises is dropped, once, loudly; it never stops a run.
    """

    def on_event(self, event: Event) -> None:
        """Take one event; it must not be changed."""

    def on_metric(self, metric: Metric) -> None:
        """Take one metric; it must not be changed."""

    def close(self) -> None:
        """No record comes after this."""


_ERROR_ENDINGS = ("_failed", "_error", "_cancelled", "_interrupted")


def event_type(name: str) -> EventType:
    """Which of the four types an event's name says: ``step_start`` is a ``start``."""
    if name.endswith("_start"):
        return "start"
    if name.endswith("_complete"):
        return "complete"
    if name.endswith(_ERROR_ENDINGS):
        return "error"
    return "info"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_RESERVED = frozenset({"schema", "seq", "ts", "session_id", "event", "metric", "value", "unit"})


class EventBus:
    """Stamps every record and hands it to every sink. Thread-safe.

    Args:
        session_id: Goes into every record.
        redact: Applied to the data of every record before anybody sees it (secret values become ``***``).
    """

    def __init__(self, session_id: str, *, redact: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None) -> None:
        self.session_id = session_id
        self._redact: Callable[[Mapping[str, Any]], dict[str, Any]] = redact or dict
        self._sinks: list[Sink] = []
        self._events: list[Event] = []
        self._metrics: list[Metric] = []
        self._seq = 0
        # Re-entrant: a sink may tell something itself (that another one was dropped).
        self._lock = threading.RLock()

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, in order."""
        return tuple(self._events)

    @property
    def metrics(self) -> Sequence[Metric]:
        """All metrics so far, in order."""
        return tuple(self._metrics)

    def subscribe(self, sink: Sink) -> None:
        """Let ``sink`` hear everything from now on."""
        with self._lock:
            self._sinks.append(sink)

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> Event:
        """Tell an event. ``data`` must be JSON-able; ``type`` in it overrides what the name says.

        Keys that the bus stamps itself (``seq``, ``ts``, ...) are kept under ``data_<key>``.
        """
        body = _unreserved(self._redact(data or {}))
        kind = body.pop("type", None)
        if kind not in ("start", "complete", "error", "info"):
            if kind is not None:
                body["data_type"] = kind
            kind = event_type(event)
        with self._lock:
            record: Event = {
                "schema": SCHEMA_VERSION,
                "seq": self._next(),
                "ts": _now(),
                "session_id": self.session_id,
                "event": event,
                "type": kind,
            }
            record.update(body)  # type: ignore[typeddict-item]  # open-ended by design
            self._events.append(record)
            self._tell("on_event", record)
        return record

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> Metric:
        """Tell a number. ``step_id`` among the tags attributes it to a step."""
        body = _unreserved(self._redact(tags))
        with self._lock:
            record: Metric = {
                "schema": SCHEMA_VERSION,
                "seq": self._next(),
                "ts": _now(),
                "session_id": self.session_id,
                "metric": metric,
                "value": value,
            }
            if unit is not None:
                record["unit"] = unit
            record.update(body)  # type: ignore[typeddict-item]  # open-ended by design
            self._metrics.append(record)
            self._tell("on_metric", record)
        return record

    def close(self) -> None:
        """Close every sink, once; further records are kept in memory only."""
        with self._lock:
            sinks, self._sinks = self._sinks, []
            for sink in sinks:
                try:
                    sink.close()
                except Exception:
                    _log.exception("event sink %r could not be closed", sink)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _tell(self, method: Literal["on_event", "on_metric"], record: Any) -> None:
        for sink in tuple(self._sinks):
            try:
                getattr(sink, method)(record)
            except Exception as error:
                if sink in self._sinks:
                    self._sinks.remove(sink)
                    _log.exception("event sink %r raised and is dropped", sink)
                    self.log_event("sink_dropped", {"sink": type(sink).__name__, "error": str(error)})


def _unreserved(body: dict[str, Any]) -> dict[str, Any]:
    if _RESERVED.isdisjoint(body):
        return body
    return {f"data_{key}" if key in _RESERVED else key: value for key, value in body.items()}
