"""What can be told of a project over REST without changing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.rest_client import RestClient
from osiris.drivers.supabase.rest_schema import describe
from osiris.drivers.supabase.table_name import TableName

__all__ = ["check"]

_MANY = 1_000_000
_TRIED = 20


def check(ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
    """Facts about the project, and about one table where one is named.

    ``latency_ms`` of one request; ``role`` of the key; ``row_level_security``: ``bypassed`` by the secret key, else
    ``applies``; where the key may read the schema, ``server_version`` and ``tables``, how many the role sees; where
    an answer was cut, ``row_cap``, the most that one holds; with a table the ``rows`` that the role sees.

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
    }
    if description is not None:
        facts |= {"server_version": f"PostgREST {description.version}", "tables": len(description.tables)}
    name, params = ("osiris_check", []) if table is None else (table.name, [("select", "*"), ("limit", "1")])
    what = "the project" if table is None else f"table {table}"
    begun = time.perf_counter()
    try:
        client.request("GET", name, params, what=what, waits_for_schema=table is not None)
    except DriverError as error:
        if table is not None or error.code != "supabase.no_table":  # a wrong key is refused before that is looked for
            raise
    facts["latency_ms"] = round((time.perf_counter() - begun) * 1000, 1)
    if table is not None:
        rows, cap = _count(client, table.name, what, "exact")
        return facts | ({} if rows is None else {"rows": rows, "row_cap": cap})
    cap = _find_cap(client, [] if description is None else list(description.tables))
    return facts | ({} if cap is None else {"row_cap": cap})


def _find_cap(client: RestClient, tables: Sequence[str]) -> int | None:
    """What cuts the answer of one of the tables; None: nothing did."""
    for name in tables[:_TRIED]:
        try:
            _, cap = _count(client, name, f"table {name}", "estimated")
        except DriverError:
            continue  # one that this key may not read tells nothing
        if cap is not None:
            return cap
    return None


def _count(client: RestClient, table: str, what: str, how: str) -> tuple[int | None, int | None]:
    """The rows of a table, and how many an answer was cut to; None: not told, and not cut."""
    params = [("select", "*"), ("limit", str(_MANY))]
    answer = client.request("HEAD", table, params, what=what, prefer=f"count={how}")
    given, _, total = answer.headers.get("content-range", "").partition("/")
    if not total.isdigit():
        return None, None
    first, _, last = given.partition("-")
    rows = int(last) - int(first) + 1 if last.isdigit() else 0
    return int(total), rows if 0 < rows < min(int(total), _MANY) else None
