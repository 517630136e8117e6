"""What can be told of a database and a table without changing anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.errors import from_sqlstate
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.table_name import TableName

__all__ = ["RowLevelSecurity", "check_connection", "rls_of"]


@dataclass(frozen=True)
class RowLevelSecurity:
    """Of one table, as the session's role meets it."""

    role: str
    enabled: bool
    applies: bool


def rls_of(session: Session, table: TableName) -> RowLevelSecurity | None:
    """Whether the table hides rows from this role; None: there is no such table."""
    rows = session.execute(
        "SELECT current_user, c.relrowsecurity, row_security_active(c.oid) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        [table.schema, table.name],
    )
    return RowLevelSecurity(*rows[0]) if rows else None


def check_connection(session: Session, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
    """Facts: ``connect_ms``, ``latency_ms``, ``role``, ``server_version``, ``tls``, ``pooler``, ``read_only``, ...

    ``row_level_security`` is that of the table, or of how many of the schema's tables.

    Raises:
        DriverError: ``supabase.no_schema``, ``supabase.no_table``, or why it cannot connect.
    """
    session.begin(read_only=True)
    begun = time.perf_counter()
    session.execute("SELECT 1")
    latency = time.perf_counter() - begun
    ((role, version, pid, standby, frozen, bypasses),) = session.execute(
        "SELECT current_user, current_setting('server_version'), pg_backend_pid(), pg_is_in_recovery(),"
        " current_setting('default_transaction_read_only')::bool,"
        " (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)"
    )
    facts: dict[str, Any] = {
        "connect_ms": round(session.connect_seconds * 1000, 1),
        "latency_ms": round(latency * 1000, 1),
        "role": role,
        "server_version": version,
        "tls": session.tls,
        "pooler": _pooler(session, pid),
        "read_only": standby or frozen,
        "bypasses_row_level_security": bypasses,
    }
    if table is not None:
        facts["row_level_security"] = _table_security(session, TableName.parse(table, connection.schema_name))
    else:
        facts["row_level_security"] = _schema_security(session, connection.schema_name)
    session.commit()
    return facts


def _pooler(session: Session, pid: int) -> str:
    """A pooler answers with a process number of its own making; its mode is told by Supabase's ports alone."""
    mode = session.address.pooler_mode
    if mode != "transaction" and session.backend_pid == pid:
        return "none"
    return mode or "of unknown mode"


def _table_security(session: Session, table: TableName) -> str:
    state = rls_of(session, table)
    if state is None:
        raise from_sqlstate("42P01", f"there is no table {table}", table=table.name)
    if not state.enabled:
        return "off"
    return "on, and hides rows from this role" if state.applies else "on, but not for this role"


def _schema_security(session: Session, schema: str) -> str:
    ((there, tables, secured),) = session.execute(
        "SELECT to_regnamespace(quote_ident(%(name)s)) IS NOT NULL, count(c.oid),"
        " count(c.oid) FILTER (WHERE c.relrowsecurity)"
        " FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')"
        " WHERE n.nspname = %(name)s",
        {"name": schema},
    )
    if not there:
        raise from_sqlstate("3F000", f"there is no schema {schema!r}")
    return f"on for {secured} of {tables} tables"
