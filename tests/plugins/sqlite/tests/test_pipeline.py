"""A pipeline with both drivers, as users run it; and one that writes twice into the same file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import load_manifest

PIPELINE = """
version: "1.0.0"
name: copy
steps:
  - id: orders
    driver: sqlite.extractor
    config: {connection: "@sqlite.shop", table: orders, where: amount > 1}
  - id: save
    driver: sqlite.writer
    config: {connection: "@sqlite", table: copied, write_mode: replace}
    inputs: {df: "${orders.df}"}
"""
CONNECTIONS = """
connections:
  sqlite:
    shop: {path: shop.db}
    warehouse: {path: TARGET, default: true}
"""
ROWS = [(2, 10.5, "ä"), (9007199254740993, 2.25, None)]


def run(folder: Path, target: str) -> RunResult:
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        database.execute("create table orders (id integer, amount real, note text)")
        database.executemany("insert into orders values (?, ?, ?)", [(1, 0.5, "small"), *ROWS])
    (folder / "osiris_connections.yaml").write_text(CONNECTIONS.replace("TARGET", target))
    (folder / "pipeline.yaml").write_text(PIPELINE)
    context = ExecutionContext("run_1", folder / "session", base_dir=folder)
    manifest = load_manifest(folder / "pipeline.yaml")
    return run_pipeline(AdapterFactory.create("local"), manifest, context, adapter_name="local").raise_for_status()


def test_from_one_file_to_another(tmp_path: Path) -> None:
    assert run(tmp_path, "warehouse.db").total_rows == 2
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as database:
        assert database.execute("select * from copied").fetchall() == ROWS
        assert database.execute("select session_id, step_id, rows from _osiris_commits").fetchall() == [
            ("run_1", "save", 2)
        ]


def test_from_a_table_to_another_of_the_same_file(tmp_path: Path) -> None:
    assert run(tmp_path, "shop.db").total_rows == 2
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        assert database.execute("select * from copied").fetchall() == ROWS
