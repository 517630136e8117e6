"""A real server for the session, a fresh database for each test, and a step's context over real folders.

``OSIRIS_TEST_MYSQL_URL=mysql://root:secret@host:3306`` takes another server (MySQL 8, say) instead of the private
MariaDB; its user must be allowed to create databases and users.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from mariadb_server import MariaDBServer

from osiris.drivers.mysql.config import MySqlConnection
from osiris.testing import RecordingStepContext

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A server that somebody else runs, or the private one.

    Attributes:
        options: Of a connection, as in ``osiris_connections.yaml``: root's, without a database.
        private: The private one; None where it is somebody else's, which must not be killed.
    """

    options: Mapping[str, Any]
    private: MariaDBServer | None = None

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        """Root; ``options`` are PyMySQL's."""
        if self.private is not None:
            return self.private.connect(**options)
        known = MySqlConnection.model_validate(dict(self.options))
        return pymysql.connect(
            host=known.host,
            port=known.port,
            user=known.user,
            password=known.password.get_secret_value(),
            **{"charset": "utf8mb4", "autocommit": True, **options},
        )


@dataclass(frozen=True)
class Database:
    """A fresh database; ``execute`` runs one statement in it as root and gives its rows."""

    name: str
    server: Server

    @property
    def options(self) -> dict[str, Any]:
        """Of a connection to it."""
        return {**self.server.options, "database": self.name}

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        return self.server.connect(database=self.name, **options)

    def execute(self, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of this test process."""
    url = os.environ.get("OSIRIS_TEST_MYSQL_URL")
    if url:
        yield Server({"url": url})
        return
    with MariaDBServer(tmp_path_factory.mktemp("mariadb"), {"local_infile": 1}) as private:
        yield Server({"host": private.host, "port": private.port, "user": "root"}, private)


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A database of the test's own, dropped afterwards."""
    name = f"osiris_test_{os.getpid()}_{next(_NUMBERS)}"
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    try:
        yield Database(name, server)
    finally:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            # A test that failed may have left a connection that holds a table: its database stays, the server does not.
            cursor.execute("SET lock_wait_timeout = 5")
            with suppress(pymysql.err.OperationalError):
                cursor.execute(f"DROP DATABASE `{name}`")


def make_context(folder: Path) -> RecordingStepContext:
    return RecordingStepContext(folder, session_id="run")


@pytest.fixture
def ctx(tmp_path: Path, database: Database) -> RecordingStepContext:
    """A context whose connection is the test's database, as root."""
    context = make_context(tmp_path)
    context.connection = database.options
    return context


@pytest.fixture(scope="session")
def new_context() -> Callable[[Path], RecordingStepContext]:
    """For tests that need several, or one without the database."""
    return make_context
