"""What the family offers, without importing any of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl

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
