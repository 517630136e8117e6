"""A real PostgreSQL that looks like Supabase, and a step's context as the engine gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_server import PASSWORD, PostgresServer

from osiris.core.cancellation import Cancellation


@dataclass
class Context:
    """A step's context over real folders and a real cancellation."""

    base_dir: Path
    connection: Mapping[str, Any] | None = None
    step_id: str = "step"
    session_id: str = "run"
    cancellation: Cancellation = field(default_factory=Cancellation)
    events: list[tuple[str, Any]] = field(default_factory=list)
    metrics: list[tuple[str, float]] = field(default_factory=list)
    outputs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def _folder(self, name: str) -> Path:
        folder = self.base_dir / name
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def artifacts_dir(self) -> Path:
        return self._folder("artifacts")

    @property
    def temp_dir(self) -> Path:
        return self._folder("tmp")

    @property
    def state_dir(self) -> Path:
        return self._folder("state")

    @property
    def cancelled(self) -> bool:
        return self.cancellation.requested

    def raise_if_cancelled(self) -> None:
        self.cancellation.raise_if_requested()

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        return self.cancellation.on_cancel(callback)

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        self.events.append((event, data))

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        self.metrics.append((metric, value))

    def add_output(self, location: str, **facts: Any) -> None:
        self.outputs.append((location, facts))

    def resolve_path(self, path: str | Path) -> Path:
        return self.base_dir / path


@dataclass
class Database:
    """One database of the server, like a fresh project."""

    server: PostgresServer
    name: str

    def dsn(self, **options: Any) -> str:
        return self.server.dsn(self.name, **options)

    @property
    def connection(self) -> dict[str, Any]:
        """As in ``osiris_connections.yaml``."""
        return {"pg_dsn": self.dsn()}

    def execute(self, sql: str, parameters: Any = None, *, user: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL as ``user``, each call in a connection of its own; its rows, if it gives any."""
        with psycopg.connect(self.dsn(user=user), autocommit=True) as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a worker."""
    with PostgresServer(tls=True) as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    """A database for one test."""
    name = postgres.make_database()
    yield Database(postgres, name)
    postgres.drop_database(name)


@pytest.fixture
def ctx(tmp_path: Path, database: Database) -> Context:
    """The context of a step whose connection is the test's database."""
    return Context(base_dir=tmp_path, connection=database.connection)


@pytest.fixture(scope="session")
def password() -> str:
    """Of every role that may log in."""
    return PASSWORD
