"""A real PostgreSQL that looks like Supabase, and a step's context as the engine gives it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from postgres_server import PASSWORD, PostgresServer
from supabase_project import SupabaseProject

from osiris.core.cancellation import Cancellation
from osiris.core.dataset import Dataset
from osiris.drivers.supabase.extractor import SupabaseExtractor
from osiris.drivers.supabase.writer import SupabaseWriter


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


@dataclass
class Rest:
    """A project over REST: real PostgREST, and a gateway in front of it that tests can make fail."""

    project: SupabaseProject
    folder: Path

    def context(self, *, secret: bool = True, **connection: Any) -> Context:
        """A step's context in a session of its own."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return Context(base_dir=folder, connection=self.project.connection(secret=secret, **connection))

    def read(self, table: str, *, ctx: Context | None = None, secret: bool = True, **config: Any) -> pa.Table:
        """All rows that the extractor gives."""
        extractor = SupabaseExtractor()
        ctx = ctx or self.context(secret=secret)
        try:
            options = {"connection": "@supabase.main", "transport": "rest", "table": table, **config}
            return extractor.run(ctx.step_id, options, {}, ctx)["df"].table()
        finally:
            extractor.close()

    def write(
        self, table: str, rows: Any, *, ctx: Context | None = None, secret: bool = True, **config: Any
    ) -> Context:
        """Write rows (anything tabular); the context, which knows what was told."""
        writer = SupabaseWriter()
        ctx = ctx or self.context(secret=secret)
        try:
            options = {"connection": "@supabase.main", "transport": "rest", "table": table, **config}
            writer.run(ctx.step_id, options, {"df": Dataset.of(rows)}, ctx)
        finally:
            writer.close()
        return ctx


@pytest.fixture(scope="session")
def project(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupabaseProject]:
    """One project for all tests of a worker."""
    with SupabaseProject(postgres, tmp_path_factory.mktemp("postgrest")) as running:
        yield running


@pytest.fixture
def rest(project: SupabaseProject, tmp_path: Path) -> Iterator[Rest]:
    """The project, empty, for one test."""
    project.gateway.reset()
    yield Rest(project, tmp_path)
    project.clear()
