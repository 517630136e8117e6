"""The shipped JSON Schemas (2020-12) of ``events.jsonl`` and ``metrics.jsonl``, and the names they describe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from osiris.core.errors import UsageError

__all__ = ["KNOWN_EVENTS", "KNOWN_METRICS", "load_schema"]


def load_schema(name: Literal["events", "metrics"]) -> dict[str, Any]:
    """The schema of one line of ``<name>.jsonl``, a fresh copy.

    Raises:
        UsageError: There is no schema of that name.
    """
    if name not in ("events", "metrics"):
        raise UsageError(f"there is no schema {name!r}", hint="there are events and metrics")
    schema: dict[str, Any] = json.loads(_text(name))
    return schema


@cache
def _text(name: str) -> str:
    return files("osiris.core.events").joinpath("schema", f"{name}.schema.json").read_text("utf-8")


def _known(name: Literal["events", "metrics"], key: str) -> Mapping[str, str]:
    schema = load_schema(name)
    names = [rule["if"]["properties"][key]["const"] for rule in schema["allOf"]]
    return MappingProxyType({known: schema["$defs"][known]["description"] for known in names})


KNOWN_EVENTS: Mapping[str, str] = _known("events", "event")
"""The events that Osiris itself tells, each with one sentence. Drivers and adapters may tell others."""

KNOWN_METRICS: Mapping[str, str] = _known("metrics", "metric")
"""The metrics that have one meaning everywhere, each with one sentence."""
