"""A place that is lost after its writer committed, and before anybody heard of it: the rows are there once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from osiris.core import engine
from osiris.core.errors import UnreachableError
from osiris.core.execution_adapter import ExecutionContext, PreparedRun
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.runtime.local_adapter import LocalAdapter

MANIFEST = {
    "version": "1.0.0",
    "name": "load",
    "steps": [
        {"id": "rows", "driver": "filesystem.csv_extractor", "config": {"path": "rows.csv"}},
        {
            "id": "save",
            "driver": "duckdb.writer",
            "config": {"connection": "@duckdb.main", "table": "t", "write_mode": "append"},
            "inputs": {"df": "${rows.df}"},
        },
    ],
}


class Lost(LocalAdapter):
    """Runs the pipeline far away, as the same session, and loses its answers."""

    def __init__(self, far_away: Path) -> None:
        super().__init__()
        self.far_away = far_away

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        there = ExecutionContext(context.session_id, self.far_away, base_dir=context.base_dir)
        engine.run(prepared, there)
        raise UnreachableError("the network went away")


def test_a_commit_that_nobody_heard_of_is_not_made_twice(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("n\n1\n2\n3\n")
    (tmp_path / "osiris_connections.yaml").write_text("duckdb: {main: {path: data.duckdb}}\n")
    context = ExecutionContext("run", tmp_path / "here", base_dir=tmp_path, project_dir=tmp_path)
    manifest: Any = manifest_from_dict(MANIFEST)
    result = run_pipeline(
        Lost(tmp_path / "there"), manifest, context, adapter_name="far", fallbacks=[("local", LocalAdapter)]
    )
    result.raise_for_status()
    assert (result.adapter, result.total_rows) == ("local", 3)
    with duckdb.connect(str(tmp_path / "data.duckdb"), read_only=True) as database:
        assert database.execute("SELECT count(*), count(DISTINCT n) FROM t").fetchall() == [(3, 3)]
