"""When each step ran, and what of a run's time lies in no step."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

__all__ = ["Span", "share_of_steps", "step_spans"]

Span = tuple[float, float]
"""Begin and end, seconds."""


def step_spans(events: Iterable[Mapping[str, Any]], metrics: Iterable[Mapping[str, Any]]) -> dict[str, Span]:
    """When each step ran: from its start, as long as it says it took."""
    begun: dict[str, float] = {}
    spans: dict[str, Span] = {}
    for event in events:
        step_id = str(event.get("step_id", ""))
        if event["event"] == "step_start":
            begun[step_id] = _seconds(event["ts"])
        elif event["event"] == "step_complete":
            end = _seconds(event["ts"])
            duration = event.get("duration_ms")
            start = begun.get(step_id, end - (duration or 0.0) / 1000)
            # The end of a step of a stream may be told later than it was, together with its neighbours'.
            spans[step_id] = (start, end if duration is None else start + duration / 1000)
    for metric in metrics:
        step_id = str(metric.get("step_id", ""))
        if metric["metric"] == "step_duration_ms" and step_id not in spans:
            end = _seconds(metric["ts"])
            spans[step_id] = (end - metric["value"] / 1000, end)
    return spans


def share_of_steps(duration_ms: float, spans: Mapping[str, Span]) -> dict[str, Any]:
    """``steps``, ``time_per_step_ms``, ``overhead_ms`` and ``overhead_per_step_ms``; None without steps."""
    if not spans:
        return {"steps": {}, "time_per_step_ms": None, "overhead_ms": None, "overhead_per_step_ms": None}
    durations = {step_id: (end - start) * 1000 for step_id, (start, end) in spans.items()}
    overhead = max(0.0, duration_ms - _covered(spans.values()) * 1000)
    return {
        "steps": durations,
        "time_per_step_ms": statistics.fmean(durations.values()),
        "overhead_ms": overhead,
        "overhead_per_step_ms": overhead / len(spans),
    }


def _covered(spans: Iterable[Span]) -> float:
    """Seconds in which at least one step ran: steps of one stream run at the same time."""
    covered, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def _seconds(ts: str) -> float:
    return datetime.fromisoformat(ts).timestamp()
