"""The tables of events and metrics, from the JSON Schemas that are shipped."""

from __future__ import annotations

from typing import Any

from docs.generator.tables import code, table
from osiris.core.events.schema import KNOWN_EVENTS, KNOWN_METRICS, load_schema

__all__ = ["describe"]


def describe() -> dict[str, str]:
    """The regions of the page: ``events`` and ``metrics``."""
    events, metrics = load_schema("events")["$defs"], load_schema("metrics")["$defs"]
    return {
        "events": table(["event", "type", "its keys", "when"], [_event(name, events[name]) for name in KNOWN_EVENTS]),
        "metrics": table(
            ["metric", "unit", "of a step", "what"], [_metric(name, metrics[name]) for name in KNOWN_METRICS]
        ),
    }


def _event(name: str, rules: dict[str, Any]) -> list[str]:
    required = rules.get("required", [])
    optional = [key for key in rules["properties"] if key not in required and key != "type"]
    keys = ", ".join(map(code, required))
    if optional:
        keys = "; ".join(filter(None, [keys, "also " + ", ".join(map(code, optional))]))
    return [code(name), rules["properties"]["type"]["const"], keys, rules["description"].removesuffix(".")]


def _metric(name: str, rules: dict[str, Any]) -> list[str]:
    of_a_step = "yes" if "step_id" in rules.get("required", []) else ""
    return [code(name), rules["properties"]["unit"]["const"], of_a_step, rules["description"].removesuffix(".")]
