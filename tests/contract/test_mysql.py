"""The MySQL drivers keep the contract, tested on a real server as a stranger would test drivers of their own."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from mariadb_server import MariaDBServer

from osiris.testing import DriverContract, ExtractorContract, WriterContract

PASSWORD = "opens-for-the-kit-only"
NO_SUCH_TABLE = 1146
UTC = pa.timestamp("us", tz="UTC")
TYPES = {
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.string(): "LONGTEXT CHARACTER SET utf8mb4",
    pa.decimal128(20, 4): "DECIMAL(20, 4)",
    pa.timestamp("us"): "DATETIME(6)",
}
NUMBERS = itertools.count(1)

pytestmark = pytest.mark.service


@dataclass(frozen=True)
class Place:
    """A database, and who may use it."""

    server: MariaDBServer
    name: str

    @property
    def connection(self) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": "kit",
            "password": PASSWORD,
            "database": self.name,
        }

    def connect(self) -> Any:
        connection = self.server.connect(database=self.name, charset="utf8mb4")
        connection.cursor().execute("SET time_zone = '+00:00'")
        return closing(connection)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    with MariaDBServer(tmp_path_factory.mktemp("mariadb"), {"local_infile": 1}) as server:
        with closing(server.connect()) as connection:
            connection.cursor().execute(f"CREATE USER kit IDENTIFIED BY '{PASSWORD}'")
        yield server


@pytest.fixture
def place(server: MariaDBServer) -> Iterator[Place]:
    name = f"contract_{os.getpid()}_{next(NUMBERS)}"
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"GRANT ALL ON {name}.* TO kit")
        yield Place(server, name)
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MySql(DriverContract):
    """A table of a database of the test's own."""

    @pytest.fixture
    def connection(self, place: Place) -> dict[str, Any]:
        return place.connection

    @pytest.fixture
    def failing_connection(self, place: Place, closed_port: int) -> dict[str, Any]:
        return {**place.connection, "port": closed_port}

    @pytest.fixture
    def stream_rows(self) -> int:
        return 16_000


class TestExtractor(MySql, ExtractorContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "mysql.extractor"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"connection": "@mysql.main", "table": "place"}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"connection": "@mysql.main", "table": "no_such_table"}

    @pytest.fixture
    def slow_config(self) -> dict[str, Any]:
        return {"connection": "@mysql.main", "query": "select sleep(300) as nothing"}

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        return frozenset({"no_columns", "timestamp_ns"})

    @pytest.fixture
    def lossless_types(self) -> dict[str, pa.DataType]:
        return {"boolean": pa.int8()}  # BOOLEAN is a TINYINT, which holds 2 as well

    @pytest.fixture
    def load(self, place: Place) -> Callable[[pa.Table], None]:
        def create(table: pa.Table) -> None:
            columns = ", ".join(
                f"`{field.name}` {TYPES.get(field.type, 'TIMESTAMP(6) NULL')}" for field in table.schema
            )
            marks = ", ".join(["%s"] * table.num_columns)
            utc = [
                column.cast(UTC) if pa.types.is_timestamp(column.type) and column.type.tz else column
                for column in table.columns
            ]
            rows = list(zip(*(column.to_pylist() for column in utc), strict=True))
            with place.connect() as connection, connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS place")
                cursor.execute(f"CREATE TABLE place ({columns})")
                connection.begin()
                cursor.executemany(f"INSERT INTO place VALUES ({marks})", rows)
                connection.commit()

        return create


class TestWriter(MySql, WriterContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "mysql.writer"

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        # What is held is a statement's rows.
        return {"connection": "@mysql.main", "table": "place", "primary_key": ["id"], "batch_rows": 5_000}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"connection": "@mysql.main", "table": "no_such_table", "create_if_missing": False}

    @pytest.fixture
    def modes(self) -> dict[str, dict[str, Any]]:
        return {mode: {"write_mode": mode} for mode in ("append", "replace", "upsert")}

    @pytest.fixture
    def unsupported(self) -> frozenset[str]:
        return frozenset({"timestamp_ns"})

    @pytest.fixture
    def lossless_types(self) -> dict[str, pa.DataType]:
        return {"boolean": pa.int64(), "instant": pa.timestamp("us")}  # a DATETIME, in UTC

    @pytest.fixture
    def read_back(self, place: Place) -> Callable[[], pa.Table | None]:
        def read() -> pa.Table | None:
            with place.connect() as connection, connection.cursor() as cursor:
                try:
                    cursor.execute("SELECT * FROM place")
                except pymysql.err.ProgrammingError as error:
                    if error.args[0] == NO_SUCH_TABLE:
                        return None
                    raise
                names = [column[0] for column in cursor.description]
                columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
            return pa.table({name: pa.array(values) for name, values in zip(names, columns, strict=True)})

        return read


class TestWriterThatTruncates(TestWriter):
    @pytest.fixture
    def modes(self) -> dict[str, dict[str, Any]]:
        return {"replace": {"write_mode": "truncate"}}
