"""The Supabase drivers keep the contract over Postgres, tested as a stranger would test drivers of their own.

Over REST a load is no transaction, and says so: the rules about failures do not hold there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from postgres_server import PostgresServer

from osiris.testing import DriverContract, ExtractorContract, WriterContract

TYPES = {
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.string(): "text",
    pa.decimal128(20, 4): "numeric(20, 4)",
    pa.timestamp("us"): "timestamp",
}

pytestmark = pytest.mark.service


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(tls=True) as server:
        yield server


@pytest.fixture
def dsn(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.make_database()
    yield postgres.dsn(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Supabase(DriverContract):
    """A table of a database of the test's own."""

    @pytest.fixture
    def connection(self, dsn: str) -> dict[str, Any]:
        return {"pg_dsn": dsn}

    @pytest.fixture
    def failing_connection(self, closed_port: int) -> dict[str, Any]:
        return {"pg_dsn": f"postgresql://postgres:secret@127.0.0.1:{closed_port}/postgres"}

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        return frozenset({"timestamp_ns"})

    @pytest.fixture
    def stream_rows(self) -> int:
        return 16_000


class TestExtractor(Supabase, ExtractorContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "supabase.extractor"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"connection": "@supabase.main", "table": "place"}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"connection": "@supabase.main", "table": "no_such_table"}

    @pytest.fixture
    def slow_config(self) -> dict[str, Any]:
        return {"connection": "@supabase.main", "query": "select 1 as nothing from pg_sleep(300)"}

    @pytest.fixture
    def load(self, dsn: str) -> Callable[[pa.Table], None]:
        def create(table: pa.Table) -> None:
            columns = ", ".join(f'"{field.name}" {TYPES.get(field.type, "timestamptz")}' for field in table.schema)
            rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
            with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
                cursor.execute("drop table if exists place")
                cursor.execute(f"create table place ({columns})")
                with cursor.copy("copy place from stdin") as copy:
                    for row in rows:
                        copy.write_row(row)

        return create


class TestWriter(Supabase, WriterContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "supabase.writer"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"connection": "@supabase.main", "table": "place", "primary_key": ["id"], "create_if_missing": True}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"connection": "@supabase.main", "table": "no_such_table", "create_if_missing": False}

    @pytest.fixture
    def modes(self) -> dict[str, dict[str, Any]]:
        return {mode: {"write_mode": mode} for mode in ("append", "replace", "upsert")}

    @pytest.fixture
    def read_back(self, dsn: str) -> Callable[[], pa.Table | None]:
        def read() -> pa.Table | None:
            with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
                try:
                    cursor.execute("set timezone = 'UTC'; select * from place")
                    cursor.nextset()
                except psycopg.errors.UndefinedTable:
                    return None
                names = [column.name for column in cursor.description or ()]
                columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
            return pa.table({name: pa.array(values) for name, values in zip(names, columns, strict=True)})

        return read
