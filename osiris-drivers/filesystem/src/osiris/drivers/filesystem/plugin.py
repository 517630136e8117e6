"""What the family offers, and its check of plans, without importing any of it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osiris.core.driver import DriverSpec
from osiris.core.errors import Problem
from osiris.core.hookspecs import hookimpl

if TYPE_CHECKING:
    from osiris.core.planning import Plan, PlannedStep

__all__ = ["osiris_check_plan", "osiris_drivers"]

_HERE = "osiris.drivers.filesystem"


def _extractor(kind: str, summary: str, model: str, example: Mapping[str, Any]) -> DriverSpec:
    return DriverSpec(
        name=f"filesystem.{kind}_extractor",
        summary=summary,
        factory=f"{_HERE}.{kind}_extractor:{model}Extractor",
        role="extractor",
        config_model=f"{_HERE}.{kind}_config:{model}ExtractorConfig",
        connection_family="filesystem",
        connection_model=f"{_HERE}.connection_config:FilesystemConnection",
        input_form="stream",
        input_names=(),
        max_inputs=0,
        capabilities=frozenset({"files", "streaming"}),
        example=example,
    )


def _writer(kind: str, summary: str, model: str, example: Mapping[str, Any]) -> DriverSpec:
    return DriverSpec(
        name=f"filesystem.{kind}_writer",
        summary=summary,
        factory=f"{_HERE}.{kind}_writer:{model}Writer",
        role="writer",
        config_model=f"{_HERE}.{kind}_config:{model}WriterConfig",
        connection_family="filesystem",
        connection_model=f"{_HERE}.connection_config:FilesystemConnection",
        input_form="stream",
        input_names=("df",),
        min_inputs=1,
        max_inputs=1,
        outputs=(),
        capabilities=frozenset({"files", "streaming", "atomic", "append"}),
        example=example,
    )


@hookimpl
def osiris_drivers() -> Sequence[DriverSpec]:
    """The six drivers of the family."""
    return (
        _extractor("csv", "Read CSV files, no value changed", "Csv", {"path": "data/orders.csv"}),
        _writer("csv", "Write one CSV file, atomically", "Csv", {"path": "out/orders.csv"}),
        _extractor("parquet", "Read Parquet files or folders", "Parquet", {"path": "data/orders.parquet"}),
        _writer(
            "parquet",
            "Write a Parquet file or partitioned folder, atomically",
            "Parquet",
            {"path": "out/orders.parquet"},
        ),
        _extractor("jsonl", "Read JSON Lines files, numbers exact", "Jsonl", {"path": "data/events.jsonl"}),
        _writer("jsonl", "Write one JSON Lines file, atomically", "Jsonl", {"path": "out/events.jsonl"}),
    )


@hookimpl
def osiris_check_plan(plan: Plan) -> Sequence[Problem]:
    """Steps that write the same file, so that one replaces what the other wrote, as a warning."""
    found = []
    writers: dict[tuple[str, str], PlannedStep] = {}
    for step in plan.steps:
        path = step.config.get("path")
        if step.spec.role != "writer" or not step.driver.startswith("filesystem.") or not isinstance(path, str):
            continue
        place = path if "://" in path else posixpath.normpath(path)
        other = writers.setdefault((str(step.config.get("connection")), place), step)
        if other is not step and _one_replaces(other, step):
            found.append(
                Problem(
                    code="filesystem.same_target",
                    message=f"steps {other.id!r} and {step.id!r} both write {path}: in the end it has the rows of one",
                    hint="give each a path of its own, or append, one after the other (`needs`)",
                    path=f"steps[{[one['id'] for one in plan.manifest['steps']].index(step.id)}].config.path",
                    severity="warning",
                )
            )
    return found


def _one_replaces(one: PlannedStep, other: PlannedStep) -> bool:
    """Whether rows are lost: both append, or the second does, is the way to write one file in two steps."""
    appends = [step.config.get("write_mode") == "append" for step in (one, other)]
    ordered = (one.id in other.after and appends[1]) or (other.id in one.after and appends[0])
    return not (all(appends) or ordered)
