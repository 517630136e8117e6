"""A whole project as hosted Supabase has them: a database, PostgREST, and the gateway with its keys."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from postgres_server import PostgresServer
from postgrest_server import PostgrestServer, token
from supabase_gateway import PUBLISHABLE_KEY, SECRET_KEY, SupabaseGateway


class SupabaseProject:
    """A project on loopback while the ``with`` block runs.

    Args:
        server: Where its database is made.
        folder: For PostgREST's settings.
        max_rows: The most that one answer holds.
    """

    def __init__(self, server: PostgresServer, folder: Path, *, max_rows: int | None = 1000) -> None:
        self.server = server
        self.database = server.make_database()
        uri = server.dsn(self.database, user="authenticator")
        self.postgrest = PostgrestServer(uri, folder, max_rows=max_rows)
        self._held = ExitStack()

    def __enter__(self) -> SupabaseProject:
        self._held.callback(self.server.drop_database, self.database)
        self._held.enter_context(self.postgrest)
        self.gateway = self._held.enter_context(SupabaseGateway(self.postgrest.url))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._held.close()

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.database)

    def connection(self, *, secret: bool = True, **more: Any) -> dict[str, Any]:
        """As in ``osiris_connections.yaml``, without the database's DSN."""
        return {"url": self.gateway.url, "key": SECRET_KEY if secret else PUBLISHABLE_KEY, **more}

    def execute(self, sql: str, *, user: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL in a connection of its own; its rows, if it gives any."""
        with psycopg.connect(self.server.dsn(self.database, user=user), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def make(self, sql: str) -> None:
        """Change the schema, and come back when PostgREST has seen it."""
        mark = f"mark_{time.monotonic_ns()}"
        self.execute(f"{sql}; create table {mark} ()")
        deadline = time.monotonic() + 120
        while mark not in self._tables():
            if time.monotonic() > deadline:
                raise TimeoutError("PostgREST does not see what changed")
            time.sleep(0.01)

    def clear(self) -> None:
        """No tables, no faults, nothing seen."""
        self.gateway.reset()
        names = self.execute(
            "select c.relkind, c.oid::regclass::text from pg_class c where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'v')"
        )
        drops = [f"drop {'view' if kind == 'v' else 'table'} if exists {name} cascade" for kind, name in names]
        self.execute(";".join(drops))
        for (name,) in self.execute(
            "select oid::regtype::text from pg_type where typnamespace = 'public'::regnamespace"
            " and typtype in ('e', 'd')"
        ):
            self.execute(f"drop type {name} cascade")

    def _tables(self) -> set[str]:
        asked = urllib.request.Request(self.postgrest.url, headers={"Authorization": f"Bearer {token('service_role')}"})
        try:
            with urllib.request.urlopen(asked, timeout=120) as answer:
                return set(json.load(answer).get("definitions", ()))
        except urllib.error.HTTPError:  # while it reads the schema
            return set()
