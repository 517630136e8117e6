"""What is lawful in the events and metrics of one run; pure functions over what was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from osiris.core.events.schema import load_schema

__all__ = ["form_breaches", "number_breaches", "order_breaches", "pair_breaches"]

Record = Mapping[str, Any]

_ENDS = ("complete", "failed", "cancelled")


def form_breaches(events: Sequence[Record], metrics: Sequence[Record]) -> list[str]:
    """Records that do not fit the JSON Schemas shipped with osiris-core, each with what is wrong."""
    return [*_misshapen("events", events), *_misshapen("metrics", metrics)]


def number_breaches(events: Sequence[Record], metrics: Sequence[Record], session_id: str) -> list[str]:
    """Where ``seq`` does not grow, a number is used twice, or a record belongs to another run."""
    found = []
    for records, kind in ((events, "event"), (metrics, "metric")):
        for before, after in pairwise(records):
            if after["seq"] <= before["seq"]:
                found.append(
                    f"{kind} {_name(after)} has seq {after['seq']}, after {_name(before)} with {before['seq']}"
                )
    told = Counter(record["seq"] for record in (*events, *metrics))
    found += [f"seq {number} is used {count} times" for number, count in told.items() if count > 1]
    found += [
        f"{_name(record)} belongs to session {record['session_id']!r}, not {session_id!r}"
        for record in (*events, *metrics)
        if record["session_id"] != session_id
    ]
    return found


def pair_breaches(events: Sequence[Record]) -> list[str]:
    """Starts that have no end, several, or one without a start: per name and step, in the order told."""
    found = []
    open_since: dict[tuple[str, Any], int] = {}
    stems = {_stem(event) for event in events if event["type"] == "start"}
    for event in events:
        stem, what = str(event["event"]).rpartition("_")[::2]
        key = (stem, event.get("step_id"))
        if event["type"] == "start":
            if key in open_since:
                found.append(f"{_name(event)} is told again, before the one with seq {open_since[key]} ended")
            open_since[key] = event["seq"]
        elif stem in stems and what in _ENDS and open_since.pop(key, None) is None:
            found.append(f"{_name(event)} ends what was not begun, or had ended")
    found += [f"{stem}_start{_of(step)} with seq {seq} has no end" for (stem, step), seq in open_since.items()]
    return found


def order_breaches(events: Sequence[Record]) -> list[str]:
    """Events outside of what they belong to: of steps outside of execute, any before run_start or after the end."""
    found = []
    open_now: set[str] = set()
    for event in events:
        stem, what = str(event["event"]).rpartition("_")[::2]
        phase = "prepare" if event["event"] == "secret_resolved" else "execute"
        if event.get("step_id") is not None and phase not in open_now:
            found.append(f"{_name(event)} is told outside of {phase}")
        if stem in ("run", "prepare", "execute", "collect"):
            if what == "start":
                open_now.add(stem)
            elif what in _ENDS:
                open_now.discard(stem)
    names = [event["event"] for event in events]
    if names and names[0] != "run_start":
        found.append(f"the first event is {names[0]}, not run_start")
    if names and names[-1] not in ("run_complete", "run_failed", "run_cancelled"):
        found.append(f"the last event is {names[-1]}, not the end of the run")
    return found


def _misshapen(kind: Literal["events", "metrics"], records: Sequence[Record]) -> Iterator[str]:
    validator = _validator(kind)
    for record in records:
        for error in validator.iter_errors(dict(record)):
            place = ".".join(str(part) for part in error.absolute_path)
            yield f"{_name(record)}{': ' + place if place else ''}: {error.message}"


@cache
def _validator(kind: Literal["events", "metrics"]) -> Any:
    from jsonschema import Draft202012Validator  # of the extra `testing`

    return Draft202012Validator(load_schema(kind))


def _stem(event: Record) -> str:
    return str(event["event"]).rpartition("_")[0]


def _name(record: Record) -> str:
    return f"{record.get('event', record.get('metric'))}{_of(record.get('step_id'))}"


def _of(step: Any) -> str:
    return "" if step is None else f" of step {step!r}"
