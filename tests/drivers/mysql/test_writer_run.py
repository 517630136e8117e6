"""``osiris run`` from Parquet into a real server: what its reader would do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

OSIRIS = Path(sys.executable).with_name("osiris")
CANARY = "c4n4ry-value"

PIPELINE = """\
version: "1.0.0"
name: load
steps:
  - id: read
    driver: filesystem.parquet_extractor
    config: {{path: rows.parquet}}
  - id: write
    driver: mysql.writer
    config: {config}
    inputs: {{df: "${{read.df}}"}}
"""


@pytest.fixture
def load(tmp_path: Path, database: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs a pipeline with the writer's config, from ``rows.parquet``."""
    connections = {"connections": {"mysql": {"main": database.options}}}
    (tmp_path / "osiris_connections.yaml").write_text(json.dumps(connections))
    names = pa.array(["a", None, CANARY], pa.string())
    pq.write_table(pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": names}), tmp_path / "rows.parquet")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OSIRIS", "_OSIRIS"))}

    def run(*arguments: str, **config: Any) -> subprocess.CompletedProcess[str]:
        given = {"connection": "@mysql.main", "table": "t", **config}
        (tmp_path / "load.yaml").write_text(PIPELINE.format(config=json.dumps(given)))
        return subprocess.run(
            [OSIRIS, "run", "load.yaml", *arguments],
            cwd=tmp_path,
            env={**kept, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = [line for file in folder.glob(".osiris/runs/*/events.jsonl") for line in file.read_text().splitlines()]
    return [event for line in lines if (event := json.loads(line))["event"] == name]


def test_parquet_to_a_new_table(load: Any, database: Any, tmp_path: Path) -> None:
    done = load("--json", primary_key="id")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total_rows"] == 3
    assert database.execute("SELECT * FROM t ORDER BY id") == [(1, "a"), (2, None), (3, CANARY)]
    (output,) = events(tmp_path, "output_written")
    assert (output["rows"], output["rows_read"], output["rows_sent"], output["rows_present"]) == (3, 3, 3, 3)
    (path,) = events(tmp_path, "mysql_write_path")
    assert path["path"] == "load_data"


def test_a_wrong_table_is_two_lines(load: Any, database: Any) -> None:
    database.execute("CREATE TABLE people (id BIGINT)")
    done = load(table="peple", create_if_missing=False)
    assert done.returncode == 5
    assert "there is no table" in done.stderr
    assert "did you mean 'people'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bulk", ["load_data", "insert"])
def test_a_masked_value_is_nowhere(load: Any, database: Any, tmp_path: Path, bulk: str) -> None:
    database.execute("CREATE TABLE t (id BIGINT, name VARCHAR(5))")
    done = load(bulk=bulk, show_values=False)
    assert done.returncode == 5
    assert "row 3: column 'name' holds a value (not shown), which is too long for name (varchar(5))" in done.stderr
    written = [file.read_bytes() for file in tmp_path.glob(".osiris/**/*") if file.is_file()]
    assert written
    assert not any(CANARY.encode() in content for content in written)
    database.execute("CREATE TABLE keyed (id BIGINT, name VARCHAR(50) PRIMARY KEY)")
    database.execute("INSERT INTO keyed VALUES (0, %s)", [CANARY])
    load(bulk=bulk, show_values=False, table="keyed", columns={"name": "name"}, write_mode="append")
    written = [file.read_bytes() for file in tmp_path.glob(".osiris/**/*") if file.is_file()]
    assert not any(CANARY.encode() in content for content in written)


def test_options_are_checked_before_anything_runs(load: Any) -> None:
    done = load(write_mode="merge", primary_kye="id")
    assert done.returncode == 3
    assert "primary_kye" in done.stderr
    assert "write_mode: should be" in done.stderr
