"""docs/events.md says what the shipped schemas say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osiris.core.events.schema import KNOWN_EVENTS, KNOWN_METRICS, load_schema

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("| ").split("|")]]
}


@pytest.mark.parametrize("name", sorted(KNOWN_EVENTS))
def test_an_event_is_described_as_in_the_schema(name):
    rules = load_schema("events")["$defs"][name]
    _, kind, keys, when = ROWS[name]
    assert kind == rules["properties"]["type"]["const"]
    required, _, optional = keys.partition("also ")
    assert re.findall(r"`(\w+)`", required) == rules.get("required", [])
    assert set(re.findall(r"`(\w+)`", optional)) == set(rules["properties"]) - set(rules.get("required", [])) - {"type"}
    assert f"{when}." == rules["description"]


@pytest.mark.parametrize("name", sorted(KNOWN_METRICS))
def test_a_metric_is_described_as_in_the_schema(name):
    rules = load_schema("metrics")["$defs"][name]
    _, unit, of_a_step, what = ROWS[name]
    assert unit == rules["properties"]["unit"]["const"]
    assert (of_a_step == "yes") == ("step_id" in rules.get("required", []))
    assert f"{what}." == rules["description"]


def test_nothing_else_is_called_an_event_or_a_metric():
    stamped = {"schema", "seq", "ts", "session_id", "event", "type", "value", "step_id"}
    assert {name.split("`")[0] for name in ROWS} - stamped == set(KNOWN_EVENTS) | set(KNOWN_METRICS)
