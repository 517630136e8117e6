"""The corpus, run here and in a sandbox: the same events, metrics, results and files."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import pytest

from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import load_manifest
from osiris.runtime.local_adapter import LocalAdapter

from .conftest import CORPUS, Proxy, make_project

PIPELINES = sorted(CORPUS.glob("*.yaml"))
FAILING = {"bad-query", "failing-step", "missing-file"}
TIMES = {"duration_ms", "busy_ms", "ts", "seq", "session_id", "memory_peak_mb"}
SAMPLED = {"memory_usage_mb", "cpu_percent", "memory_peak_mb", "open_files", "disk_usage_mb"}
"""Told so often as the run is long."""
EXTRAS = {"sandbox_created", "files_uploaded", "files_downloaded"}
"""What only a sandbox has to tell."""
OWN = {"sandbox_id", "overhead_ms", "overhead", "artifact_transfer_ms"}


def run(pipeline: Path, folder: Path, adapter: ExecutionAdapter) -> tuple[RunResult, ExecutionContext]:
    folder.mkdir()
    project = make_project(folder)
    context = ExecutionContext("run", folder / "session", base_dir=project, project_dir=project)
    return run_pipeline(adapter, load_manifest(pipeline), context, adapter_name="any"), context


def normalised(value: Any, folder: Path) -> Any:
    """Without times, and without what differs because the runs are in two folders."""
    if isinstance(value, dict):
        if "traceback" in value:  # what was raised, not through which lines
            value = {**value, "traceback": value["traceback"].strip().splitlines()[-1]}
        if value.get("code") == "filesystem.not_found":  # neighbours that nobody asked for are not sent
            value = {**value, "hint": "", "facts": {**value["facts"], "near": []}}
        return {key: normalised(item, folder) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list | tuple):
        return [normalised(item, folder) for item in value]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


def by_step(records: Any, folder: Path) -> dict[str | None, list[Any]]:
    """In order for each step: steps that run at the same time may tell in any order between them."""
    found = defaultdict(list)
    for record in records:
        if record.get("event") in EXTRAS or record.get("event") == "step_progress":
            continue
        if record.get("metric") not in SAMPLED:
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
    for path in sorted((folder / "project").rglob("*")):
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as database:
                content = repr(database.execute("select * from orders order by all").fetchall()).encode()
        else:
            content = path.read_bytes() if path.is_file() else b""
        if "__pycache__" not in path.parts:
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def outcome(result: RunResult, folder: Path) -> dict[str, Any]:
    told = normalised(result.to_dict(), folder)
    told = {name: value for name, value in told.items() if name not in OWN | {"environment"}}
    told["metrics"] = {name: value for name, value in told["metrics"].items() if not name.endswith("_ms")}
    told["outputs"].sort(key=lambda output: output["step_id"])  # by who was first
    return told


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.stem)
def test_a_sandbox_tells_and_leaves_the_same(pipeline: Path, proxy: Proxy, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (result, told), (other_result, other_told) = run(pipeline, here, LocalAdapter()), run(pipeline, there, proxy())
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
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("osiris")] == []


def test_the_summary_says_where_it_was_and_what_that_cost(proxy: Proxy, tmp_path: Path) -> None:
    result, context = run(CORPUS / "csv-sql-csv.yaml", tmp_path / "run", proxy())
    parts = result.extras["overhead"]
    assert result.environment == "e2b"
    assert list(parts) == ["create_ms", "upload_ms", "install_ms", "start_ms", "transfer_ms"]
    assert result.extras["overhead_ms"] == pytest.approx(sum(parts.values()))
    assert min(parts[name] for name in ("create_ms", "upload_ms", "start_ms", "transfer_ms")) > 1
    (created,) = [event for event in context.events if event["event"] == "sandbox_created"]
    assert created["sandbox_id"] == result.extras["sandbox_id"]
    assert (created["cpu"], created["memory_mb"], created["template"]) == (2, 1024, "base")
