"""A real PostgreSQL that looks like Supabase, and a step's context as the engine gives it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from postgres_server import PASSWORD, PostgresServer
from supabase_project import SupabaseProject

from osiris.core.dataset import Dataset
from osiris.drivers.supabase.extractor import SupabaseExtractor
from osiris.drivers.supabase.writer import SupabaseWriter
from osiris.testing import RecordingStepContext


class Context(RecordingStepContext):
    """A step of the run ``run``."""

    def __init__(self, base_dir: Path, connection: Mapping[str, Any] | None = None, step_id: str = "step") -> None:
        super().__init__(base_dir, connection=connection, step_id=step_id, session_id="run")


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
