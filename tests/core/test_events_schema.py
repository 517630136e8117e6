"""The shipped schemas: valid, complete, and in agreement with the bus."""

from __future__ import annotations

import jsonschema
import pytest

from osiris.core.errors import UsageError
from osiris.core.events import EventBus
from osiris.core.events.bus import OWN_EVENTS, OWN_METRICS, event_type
from osiris.core.events.schema import KNOWN_EVENTS, KNOWN_METRICS, load_schema


def validator(name):
    return jsonschema.Draft202012Validator(load_schema(name))


@pytest.mark.parametrize("name", ["events", "metrics"])
def test_it_is_a_schema(name):
    jsonschema.Draft202012Validator.check_schema(load_schema(name))


def test_an_unknown_one_is_told():
    with pytest.raises(UsageError, match="no schema 'logs'"):
        load_schema("logs")


def test_the_bus_and_the_schema_know_the_same_names():
    assert set(KNOWN_EVENTS) == OWN_EVENTS
    assert set(KNOWN_METRICS) == OWN_METRICS


def test_every_event_is_described_in_a_sentence_and_its_type_is_what_its_name_says():
    schema = load_schema("events")
    for name, sentence in KNOWN_EVENTS.items():
        assert sentence.endswith("."), name
        assert schema["$defs"][name]["properties"]["type"]["const"] == event_type(name)
        for key, rule in schema["$defs"][name]["properties"].items():
            assert key == "type" or {"description", "$ref", "const"} & set(rule), f"{name}.{key} is not described"


def test_every_start_has_its_ends():
    for start in (name for name in KNOWN_EVENTS if name.endswith("_start")):
        what = start.removesuffix("_start")
        assert {f"{what}_complete", f"{what}_failed"} <= set(KNOWN_EVENTS)


@pytest.mark.parametrize("name", sorted(KNOWN_EVENTS))
def test_a_known_event_without_its_own_keys_is_refused(name):
    event = EventBus("run_1").log_event(name)
    wanted = load_schema("events")["$defs"][name].get("required", [])
    errors = list(validator("events").iter_errors(event))
    assert len(errors) == len(wanted)
    for key, error in zip(wanted, sorted(errors, key=lambda e: wanted.index(e.message.split("'")[1])), strict=True):
        assert repr(key) in error.message


def test_events_of_others_may_have_what_they_like():
    validator("events").validate(EventBus("x").log_event("sandbox_created", {"region": "eu", "size": 3}))
    validator("metrics").validate(EventBus("x").log_metric("queue_depth", 3, "messages", queue="q"))


@pytest.mark.parametrize("key", ["schema", "seq", "ts", "session_id", "event", "type"])
def test_an_event_that_was_not_stamped_is_refused(key):
    event = dict(EventBus("x").log_event("e"))
    del event[key]
    assert not validator("events").is_valid(event)


@pytest.mark.parametrize(("key", "bad"), [("seq", 0), ("ts", "2026-01-01"), ("type", "big"), ("schema", "2")])
def test_a_wrong_stamp_is_refused(key, bad):
    event = {**EventBus("x").log_event("e"), key: bad}
    assert not validator("events").is_valid(event)


@pytest.mark.parametrize(
    ("metric", "ok"),
    [
        ({"metric": "rows_read", "value": 3, "unit": "rows", "step_id": "a"}, True),
        ({"metric": "rows_read", "value": 3, "unit": "rows"}, False),
        ({"metric": "rows_read", "value": 3, "unit": "kilorows", "step_id": "a"}, False),
        ({"metric": "rows_read", "value": -3, "step_id": "a"}, False),
        ({"metric": "rows_read", "value": 1.5, "step_id": "a"}, False),
        ({"metric": "execution_time_ms", "value": 1.5, "unit": "ms"}, True),
        ({"metric": "m", "value": "x"}, False),
        ({"metric": "m", "value": None}, True),
    ],
)
def test_metrics(metric, ok):
    stamp = {"schema": "1", "seq": 1, "ts": "2026-01-01T00:00:00.000000Z", "session_id": "x"}
    assert validator("metrics").is_valid({**stamp, **metric}) is ok
