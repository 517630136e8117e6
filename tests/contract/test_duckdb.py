"""The DuckDB drivers keep the contract, tested as a stranger would test drivers of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from osiris.testing import ExtractorContract, TransformContract, WriterContract

LIMIT = "64MB"  # DuckDB holds what it reads and writes up to a limit
NO_END = "select count(*) as n from range(10000000000) a, range(10000000000) b where a.range <> b.range"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "place.duckdb"


@pytest.fixture
def connection(file: Path) -> dict[str, Any]:
    return {"path": str(file)}


@pytest.fixture
def failing_connection(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "file").touch()
    return {"path": str(tmp_path / "file" / "place.duckdb")}


class TestExtractor(ExtractorContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "duckdb.extractor"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"connection": "@duckdb.main", "table": "place", "memory_limit": LIMIT}

    @pytest.fixture
    def connection(self, connection: dict[str, Any]) -> dict[str, Any]:
        return connection

    @pytest.fixture
    def failing_connection(self, failing_connection: dict[str, Any]) -> dict[str, Any]:
        return failing_connection

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"connection": "@duckdb.main", "table": "no_such_table"}

    @pytest.fixture
    def slow_config(self) -> dict[str, Any]:
        return {"connection": "@duckdb.main", "query": NO_END}

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        return frozenset({"no_columns"})

    @pytest.fixture
    def stream_rows(self) -> int:
        return 3 * 65_536  # a batch has so many rows, whatever their width

    @pytest.fixture
    def load(self, file: Path) -> Callable[[pa.Table], None]:
        def create(table: pa.Table) -> None:
            with duckdb.connect(str(file)) as database:
                database.execute("set timezone = 'UTC'")
                database.register("given", table)
                database.execute("create or replace table place as select * from given")

        return create


class TestProcessor(TransformContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "duckdb.processor"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"query": "select * from df"}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"query": "select no_such_column from df"}

    @pytest.fixture
    def slow_config(self) -> dict[str, Any]:
        return {"query": NO_END.replace("where", "where exists (from df) and")}


class TestWriter(WriterContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "duckdb.writer"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"connection": "@duckdb.main", "table": "place", "memory_limit": LIMIT}

    @pytest.fixture
    def connection(self, connection: dict[str, Any]) -> dict[str, Any]:
        return connection

    @pytest.fixture
    def failing_connection(self, failing_connection: dict[str, Any]) -> dict[str, Any]:
        return failing_connection

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {
            "connection": "@duckdb.main",
            "table": "place",
            "write_mode": "upsert",
            "primary_key": ["no_such_column"],
        }

    @pytest.fixture
    def modes(self) -> dict[str, dict[str, Any]]:
        return {
            "append": {"write_mode": "append"},
            "replace": {"write_mode": "replace"},
            "upsert": {"write_mode": "upsert", "primary_key": ["id"]},
        }

    @pytest.fixture
    def read_back(self, file: Path) -> Callable[[], pa.Table | None]:
        def read() -> pa.Table | None:
            if not file.exists():
                return None
            with duckdb.connect(str(file), read_only=True) as database:
                database.execute("set timezone = 'UTC'")
                return database.sql("select * from place").to_arrow_table()

        return read
