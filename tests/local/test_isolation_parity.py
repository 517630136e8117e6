"""The corpus, run in this process and in a worker: the same events, metrics, results and files."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import pytest

from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import load_manifest
from osiris.runtime.local_adapter import LocalAdapter

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
PIPELINES = sorted(CORPUS.glob("*.yaml"))
FAILING = {"bad-query", "failing-step", "missing-file"}
TIMES = {"duration_ms", "busy_ms", "ts", "seq", "session_id", "memory_peak_mb"}
SAMPLED = {"memory_usage_mb", "cpu_percent", "memory_peak_mb", "open_files", "disk_usage_mb"}
"""Told so often as the run is long."""


def run(pipeline: Path, folder: Path, isolation: Any) -> tuple[RunResult, ExecutionContext]:
    folder.mkdir()
    shutil.copytree(CORPUS, folder / "project", ignore=shutil.ignore_patterns("*.yaml", "__pycache__"))
    with (folder / "project" / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "customer", "amount"])
        writer.writerows([number, f"c{number % 7}", f"{number * 37 % 100}.25"] for number in range(500))
    context = ExecutionContext("run", folder / "session", base_dir=folder / "project", project_dir=folder / "project")
    result = run_pipeline(LocalAdapter(isolation=isolation), load_manifest(pipeline), context, adapter_name="local")
    return result, context


def normalised(value: Any, folder: Path) -> Any:
    """Without times, and without what differs because the runs are in two folders."""
    if isinstance(value, dict):
        if "traceback" in value:  # what was raised, not through which lines
            value = {**value, "traceback": value["traceback"].strip().splitlines()[-1]}
        return {key: normalised(item, folder) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list | tuple):
        return [normalised(item, folder) for item in value]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


def by_step(records: Any, folder: Path) -> dict[str | None, list[Any]]:
    """In order for each step: steps that run at the same time may tell in any order between them."""
    found = defaultdict(list)
    for record in records:
        if record.get("event") != "step_progress" and record.get("metric") not in SAMPLED:
            found[record.get("step_id")].append(normalised(record, folder))
    return dict(found)


def without_values(metrics: dict[str | None, list[Any]]) -> dict[str | None, list[Any]]:
    timed = {"execution_time_ms", "overhead_ms", "step_duration_ms"}
    return {
        step: [{**metric, "value": None} if metric["metric"] in timed else metric for metric in told]
        for step, told in metrics.items()
    }


def files(folder: Path) -> dict[str, str]:
    """What was written, by hash; a database by what is in it."""
    found = {}
    for path in sorted((folder / "project" / "out").rglob("*")):
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as database:
                content = repr(database.execute("select * from orders order by all").fetchall()).encode()
        else:
            content = path.read_bytes() if path.is_file() else b""
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


def outcome(result: RunResult, folder: Path) -> dict[str, Any]:
    told = normalised(result.to_dict(), folder)
    told["metrics"] = {name: value for name, value in told["metrics"].items() if not name.endswith("_ms")}
    told["outputs"].sort(key=lambda output: output["step_id"])  # by who was first
    return told


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.stem)
def test_a_worker_tells_and_leaves_the_same(pipeline: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (result, told), (other_result, other_told) = run(pipeline, here, "none"), run(pipeline, there, "process")
    assert result.status == ("failed" if pipeline.stem in FAILING else "success"), result.error
    assert outcome(other_result, there) == outcome(result, here)
    assert type(other_result.error) is type(result.error)
    expected, found = by_step(told.events, here), by_step(other_told.events, there)
    for step in expected:
        assert found[step] == expected[step], step
    assert set(found) == set(expected)
    expected, found = by_step(told.metrics, here), by_step(other_told.metrics, there)
    assert without_values(found) == without_values(expected)
    assert {metric["metric"] for metric in other_told.metrics} == {metric["metric"] for metric in told.metrics}
    assert files(there) == files(here)
    left = sorted(path.name for path in (there / "session").rglob("*"))
    assert left == sorted(path.name for path in (here / "session").rglob("*"))


def test_the_corpus_is_there() -> None:
    assert {path.stem for path in PIPELINES} >= FAILING | {"csv-sql-csv", "fan-out", "pandas-transform"}
