"""What can be told of a project over REST without changing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.rest_client import RestClient
from osiris.drivers.supabase.rest_schema import describe
from osiris.drivers.supabase.table_name import TableName

__all__ = ["check"]

_MANY = 1_000_000


def check(ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
    """Facts about the project, and about one table where one is named.

    ``latency_ms`` of one request; ``role`` of the key; ``row_level_security``: ``bypassed`` by the secret key, else
    ``applies``; ``server_version`` where it is told; ``tables``: how many the role sees; with a table
    ``rows`` that the role sees and ``row_cap``, the most that one answer holds (None: it was not reached).

    Raises:
        DriverError: ``supabase.*``.
    """
    name = None if table is None else TableName.parse(table, connection.schema_name)
    client = RestClient(connection, ctx, connection.schema_name if name is None else name.schema)
    try:
        return _facts(client, name)
    finally:
        client.close()


def _facts(client: RestClient, table: TableName | None) -> dict[str, Any]:
    description = describe(client)
    facts: dict[str, Any] = {
        "role": client.role,
        "row_level_security": "bypassed" if client.bypasses_rls else "applies",
        "server_version": None if description is None else f"PostgREST {description.version}",
        "tables": None if description is None else len(description.tables),
    }
    name, params = ("osiris_check", []) if table is None else (table.name, [("select", "*"), ("limit", "1")])
    begun = time.perf_counter()
    try:
        client.request("GET", name, params, what=f"table {table or name}", waits_for_schema=table is not None)
    except DriverError as error:
        if table is not None or error.code != "supabase.no_table":  # a wrong key is refused before that is looked for
            raise
    facts["latency_ms"] = round((time.perf_counter() - begun) * 1000, 1)
    return facts if table is None else facts | _rows(client, table)


def _rows(client: RestClient, table: TableName) -> dict[str, Any]:
    params = [("select", "*"), ("limit", str(_MANY))]
    answer = client.request("HEAD", table.name, params, what=f"table {table}", prefer="count=exact")
    given, _, total = answer.headers.get("content-range", "").partition("/")
    if total.isdigit():
        first, _, last = given.partition("-")
        rows = int(last) - int(first) + 1 if last.isdigit() else 0
        return {"rows": int(total), "row_cap": rows if 0 < rows < min(int(total), _MANY) else None}
    return {}
