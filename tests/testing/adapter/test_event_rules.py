"""What is lawful in events, on events made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from osiris.core.events.bus import EventBus
from osiris.testing.event_rules import form_breaches, number_breaches, order_breaches, pair_breaches

GOOD: list[Any] = [
    ("run_start", {"pipeline": "p", "adapter": "a"}),
    "prepare_start",
    ("prepare_complete", {"duration_ms": 1}),
    "execute_start",
    ("step_start", {"step_id": "s", "driver": "d", "inputs": []}),
    (
        "step_complete",
        {"step_id": "s", "driver": "d", "rows_in": 0, "rows_out": 0, "bytes_out": 0, "duration_ms": 1},
    ),
    ("execute_complete", {"duration_ms": 1}),
    "cleanup_complete",
    ("run_complete", {"status": "success", "steps_completed": 1, "steps_total": 1, "total_rows": 0, "duration_ms": 1}),
]


def told(*events: Any) -> Any:
    bus = EventBus("run")
    for event in events:
        bus.log_event(*([event] if isinstance(event, str) else event))
    return bus.events


def test_a_good_run() -> None:
    events = told(*GOOD)
    assert form_breaches(events, []) == []
    assert number_breaches(events, [], "run") == []
    assert pair_breaches(events) == []
    assert order_breaches(events) == []


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"event": "run_start"}, "run_start: 'pipeline' is a required property"),
        ({"event": "x_seen", "step_id": ""}, "x_seen of step '': step_id: '' should be non-empty"),
        ({"event": "x_seen", "type": "odd"}, "x_seen: type: 'odd' is not one of"),
    ],
)
def test_form(event: dict[str, Any], says: str) -> None:
    whole = {"schema": "1", "seq": 1, "ts": "2026-11-22T08:00:00.000000Z", "session_id": "run", "type": "start"}
    (breach,) = [line for line in form_breaches([{**whole, **event}], []) if says in line]
    assert breach


def test_metrics_have_a_form_too() -> None:
    whole = {"schema": "1", "seq": 1, "ts": "2026-11-22T08:00:00.000000Z", "session_id": "run", "metric": "x"}
    assert form_breaches([], [{**whole, "value": 1}]) == []
    assert form_breaches([], [{**whole, "value": "1"}]) != []


def test_numbers() -> None:
    first, second = told("a_seen", "b_seen")
    assert number_breaches([second, first], [], "run") == ["event a_seen has seq 1, after b_seen with 2"]
    assert number_breaches([first], [{**first, "metric": "m"}], "run") == ["seq 1 is used 2 times"]
    assert number_breaches([first], [], "other") == ["a_seen belongs to session 'run', not 'other'"]


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (["x_start"], "x_start with seq 1 has no end"),
        (["x_start", "x_complete", "x_failed"], "x_failed ends what was not begun, or had ended"),
        (["x_start", "x_start", "x_complete"], "x_start is told again, before the one with seq 1 ended"),
        (["x_complete", "x_start", "x_complete"], "x_complete ends what was not begun, or had ended"),
        (
            [("x_start", {"step_id": "s"}), ("x_complete", {"step_id": "t"})],
            "x_complete of step 't' ends what was not begun, or had ended",
        ),
    ],
)
def test_pairs(events: list[Any], says: str) -> None:
    assert says in pair_breaches(told(*events))


def test_what_has_no_start_anywhere_is_no_end() -> None:
    assert pair_breaches(told("cleanup_complete", "sink_failed")) == []


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([GOOD[4]], "step_start of step 's' is told outside of execute"),
        ([*GOOD[:7], ("swept", {"step_id": "s"}), *GOOD[7:]], "swept of step 's' is told outside of execute"),
        (GOOD[1:], "the first event is prepare_start, not run_start"),
        ([*GOOD, "late"], "the last event is late, not the end of the run"),
    ],
)
def test_order(events: list[Any], says: str) -> None:
    assert says in order_breaches(told(*events))
