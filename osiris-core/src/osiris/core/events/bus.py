"""The event bus: the one place that numbers, dates and signs events and metrics.

Standard library only, because the contract modules stand on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol, TypedDict

from osiris.core.errors import UsageError
from osiris.core.events.jsonable import jsonable
from osiris.core.wording import text_of

__all__ = [
    "OWN_EVENTS",
    "OWN_METRICS",
    "SCHEMA_VERSION",
    "Event",
    "EventBus",
    "EventType",
    "Metric",
    "Sink",
    "event_type",
]

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

    A sink that raises is closed and dropped, once, loudly; it never stops a run. What a sink tells the bus itself
    is heard by all sinks after the record they are being told.
    """

    def on_event(self, event: Event) -> None:
        """Take one event."""

    def on_metric(self, metric: Metric) -> None:
        """Take one metric."""

    def close(self) -> None:
        """No record comes after this."""


OWN_EVENTS = frozenset(
    {f"{phase}_{end}" for phase in ("run", "prepare", "execute", "collect") for end in ("start", "complete", "failed")}
    | {f"step_{what}" for what in ("start", "progress", "complete", "failed", "skipped", "retry", "restored")}
    | {"circuit_opened", "circuit_half_open", "circuit_reopened", "circuit_closed", "memory_short"}
    | {"adapter_fallback", "run_resumed", "worker_awaited", "checkpoint_saved", "checkpoint_damaged", "warning"}
    | {"run_cancelled", "secret_resolved", "connection_resolved", "output_written", "artifact_created"}
    | {"execution_interrupted", "cleanup_complete", "sink_dropped"}
)
"""The events that the shipped schema describes. Programs look for them, so that their names are never redacted."""

OWN_METRICS = frozenset(
    {"rows_read", "rows_written", "bytes_read", "bytes_written", "step_duration_ms", "execution_time_ms"}
    | {"overhead_ms", "memory_usage_mb", "memory_peak_mb", "cpu_percent", "open_files", "disk_usage_mb"}
)
"""The metrics that the shipped schema describes."""

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


_second: tuple[int, str] = (-1, "")


def _now() -> str:
    # datetime's own isoformat costs five times as much, in every record: only the microseconds are new.
    global _second
    seconds, microseconds = divmod(time.time_ns() // 1_000, 1_000_000)
    known, text = _second
    if seconds != known:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (seconds, text)
    return f"{text}.{microseconds:06d}Z"


_RESERVED = frozenset({"schema", "seq", "ts", "session_id", "event", "metric", "value", "unit"})


class EventBus:
    """Stamps every record and hands it to every sink. Thread-safe.

    Args:
        session_id: Goes into every record.
        redact: Applied to the data of every record before anybody sees it (secret values become ``***``).
            It gets plain JSON values only, so that no secret hides in an object whose text is made later.
        after: The last ``seq`` that was given before: a resumed session goes on counting.
    """

    def __init__(
        self,
        session_id: str,
        *,
        redact: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
        after: int = 0,
    ) -> None:
        self.session_id = session_id
        # Not `redact or dict`: a redactor that has nothing to replace yet may well be false.
        self._redact: Callable[[Mapping[str, Any]], dict[str, Any]] = dict if redact is None else redact
        self._sinks: tuple[tuple[Sink, bool], ...] = ()
        self._events: list[Event] = []
        self._metrics: list[Metric] = []
        self._seq = after
        self._untold: deque[tuple[Literal["on_event", "on_metric"], Any]] = deque()
        self._telling = False
        # Re-entrant: a sink may tell something itself.
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
        """Let ``sink`` hear everything from now on. One that is not ours gets records of its own."""
        ours = type(sink).__module__.startswith("osiris.")
        with self._lock:
            self._sinks = (*self._sinks, (sink, ours))

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> Event:
        """Tell an event. ``type`` in ``data`` overrides what the name says.

        ``data`` is copied as plain JSON values (see :func:`~osiris.core.events.jsonable.jsonable`). Keys that the
        bus stamps itself (``seq``, ``ts``, ...) are kept under ``data_<key>``.
        """
        body = _unreserved(self._redact(_plain(data)))
        kind = body.pop("type", None)
        if kind not in ("start", "complete", "error", "info"):
            if kind is not None:
                body["data_type"] = kind
            kind = event_type(event)
        if event not in OWN_EVENTS:
            event = self._redacted_name(event)
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
        """Tell a number. ``step_id`` among the tags attributes it to a step.

        Raises:
            UsageError: ``value`` is not a number.
        """
        number = _number(metric, value)
        body = _unreserved(self._redact(_plain(tags)))
        if metric not in OWN_METRICS:
            metric = self._redacted_name(metric)
        with self._lock:
            record: Metric = {
                "schema": SCHEMA_VERSION,
                "seq": self._next(),
                "ts": _now(),
                "session_id": self.session_id,
                "metric": metric,
                "value": number,
            }
            if unit is not None:
                record["unit"] = self._redacted_name(unit)
            record.update(body)  # type: ignore[typeddict-item]  # open-ended by design
            self._metrics.append(record)
            self._tell("on_metric", record)
        return record

    def close(self) -> None:
        """Close every sink, once; further records are kept in memory only."""
        with self._lock:
            sinks, self._sinks = self._sinks, ()
            for sink, _ in sinks:
                try:
                    sink.close()
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # SystemExit too: no sink decides how a run ends
                    said = text_of(error)
                    _log.error("event sink %s could not be closed: %s", _name(sink), said, exc_info=_defect(error))

    def _redacted_name(self, name: str) -> str:
        return str(self._redact({"name": str(name)})["name"])

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _tell(self, method: Literal["on_event", "on_metric"], record: Any) -> None:
        if self._telling:  # from inside a sink: after the record that is being told, so that order is kept
            self._untold.append((method, record))
            return
        self._telling = True
        try:
            self._tell_all(method, record)
            while self._untold:
                self._tell_all(*self._untold.popleft())
        finally:
            self._telling = False

    def _tell_all(self, method: Literal["on_event", "on_metric"], record: Any) -> None:
        for sink, ours in self._sinks:
            try:
                getattr(sink, method)(record if ours else jsonable(record))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit too: no sink decides how a run ends
                self._drop(sink, error)

    def _drop(self, sink: Sink, error: BaseException) -> None:
        self._sinks = tuple(other for other in self._sinks if other[0] is not sink)
        said = text_of(error)
        _log.error("event sink %s raised and is dropped: %s", _name(sink), said, exc_info=_defect(error))
        self.log_event("sink_dropped", {"sink": _name(sink), "error": said})
        with suppress(Exception, SystemExit):
            sink.close()


def _name(sink: Sink) -> str:
    return type(sink).__name__


def _defect(error: BaseException) -> BaseException | None:
    """The error, where its traceback says where to look; a full disk is nowhere in the code."""
    return None if isinstance(error, OSError) else error


def _number(metric: str, value: Any) -> int | float:
    plain = value if type(value) is int or type(value) is float else _unwrapped(value)
    if plain is None:
        raise UsageError(
            f"metric {metric!r} needs a number and got a {type(value).__name__}",
            hint="text and other facts belong into log_event, or into the metric's tags",
            code="metric.not_a_number",
        )
    return plain


def _unwrapped(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str | bytes):  # float() would take them
        return None
    try:
        plain = value.as_py() if hasattr(value, "as_py") else value.item() if hasattr(value, "item") else float(value)
    except (TypeError, ValueError):
        return None
    return plain if isinstance(plain, int | float) else None


def _plain(data: Mapping[str, Any] | None) -> dict[str, Any]:
    if not data:
        return {}
    plain = jsonable(data)
    return plain if isinstance(plain, dict) else {"data": plain}


def _unreserved(body: dict[str, Any]) -> dict[str, Any]:
    if _RESERVED.isdisjoint(body):
        return body
    return {f"data_{key}" if key in _RESERVED else key: value for key, value in body.items()}
