"""Pipelines of the corpus, run here and in a sandbox: the same events, metrics, results and files, to the byte."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from osiris.core.execution_adapter import ExecutionAdapter
from osiris.runtime.local_adapter import LocalAdapter
from osiris.testing.parity import Observation, differences, exact, observe
from osiris.testing.reference import load_pipeline

from .conftest import Proxy

PIPELINES = ["bad-query", "csv-sql-csv", "failing-step", "missing-file", "parquet-and-table", "several-outputs"]
"""The others are compared with their references, in tests/contract."""
EXTRAS = ("sandbox_created", "files_uploaded", "files_downloaded")
"""What only a sandbox has to tell."""


def run(pipeline: str, folder: Path, adapter: ExecutionAdapter) -> Observation:
    folder.mkdir()
    return observe(load_pipeline(pipeline), adapter, folder, adapter_name="any")


def compared(seen: Observation) -> dict[str, Any]:
    told = exact(seen, EXTRAS)
    return without_neighbours(told)


def without_neighbours(value: Any) -> Any:
    """Files beside a missing one, which its error names, are not sent where nobody asked for them."""
    if isinstance(value, dict):
        if value.get("code") == "filesystem.not_found":
            value = {**value, "hint": "", "facts": {**value["facts"], "near": []}}
        return {key: without_neighbours(item) for key, item in value.items()}
    return [without_neighbours(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_sandbox_tells_and_leaves_the_same(pipeline: str, proxy: Proxy, tmp_path: Path) -> None:
    here = run(pipeline, tmp_path / "here", LocalAdapter())
    there = run(pipeline, tmp_path / "there", proxy())
    assert differences(compared(here), compared(there), strict=True) == []
    assert type(there.result.error) is type(here.result.error)
    assert {metric["metric"] for metric in there.metrics} == {metric["metric"] for metric in here.metrics}
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("osiris")] == []


def test_the_summary_says_where_it_was_and_what_that_cost(proxy: Proxy, tmp_path: Path) -> None:
    seen = run("csv-sql-csv", tmp_path / "run", proxy())
    result, parts = seen.result, seen.result.extras["overhead"]
    assert result.environment == "e2b"
    assert list(parts) == ["create_ms", "upload_ms", "install_ms", "start_ms", "transfer_ms"]
    assert result.extras["overhead_ms"] == pytest.approx(sum(parts.values()))
    assert min(parts[name] for name in ("create_ms", "upload_ms", "start_ms", "transfer_ms")) > 1
    (created,) = [event for event in seen.events if event["event"] == "sandbox_created"]
    assert created["sandbox_id"] == result.extras["sandbox_id"]
    assert (created["cpu"], created["memory_mb"], created["template"]) == (2, 1024, "base")
