"""The package as its users meet it, and the rules of the conformance kit for packages."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.runtime.local_adapter import LocalAdapter
from osiris.testing import PackageContract

GOOD = '192.0.2.7 - eva [21/Nov/2026:23:59:58 +0100] "GET /a%20b HTTP/1.1" 200 1043\n'
EMPTY = '192.0.2.8 - - [22/Nov/2026:00:00:01 +0100] "HEAD / HTTP/1.1" 304 -\n'


class TestPackage(PackageContract):
    @pytest.fixture
    def distribution(self) -> str:
        return "acme-logs"


def run(folder: Path, **config: str) -> RunResult:
    manifest = {
        "version": "1.0.0",
        "steps": [
            {"id": "log", "driver": "logs.extractor", "config": {"path": "access.log", **config}},
            {
                "id": "save",
                "driver": "filesystem.parquet_writer",
                "config": {"path": "out.parquet"},
                "inputs": {"df": "${log}"},
            },
        ],
    }
    context = ExecutionContext("run_1", folder / "run_1", base_dir=folder)
    return run_pipeline(LocalAdapter(), manifest, context)


def test_each_line_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(GOOD + EMPTY)
    run(tmp_path).raise_for_status()
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["path"], row["status"], row["bytes"]) for row in rows] == [("/a%20b", 200, 1043), ("/", 304, None)]
    assert rows[0]["time"].isoformat() == "2026-11-21T22:59:58+00:00"


def test_a_line_in_another_format_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(GOOD + "what is this?\n")
    error = run(tmp_path).error
    assert error is not None
    assert (error.code, error.facts["line"]) == ("logs.bad_line", 2)
    assert not (tmp_path / "out.parquet").exists()


def test_such_a_line_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(GOOD + "what is this?\n" + EMPTY)
    assert run(tmp_path, bad_lines="skip").raise_for_status().total_rows == 2


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    error = run(tmp_path).error
    assert error is not None
    assert error.code == "logs.not_found"
