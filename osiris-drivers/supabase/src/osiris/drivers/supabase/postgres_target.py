"""The table that is written: what the catalogue says of it, and which of its columns the input fills."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.errors import from_sqlstate
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.postgres_types import PgType, load_types
from osiris.drivers.supabase.table_name import TableName, quote_name

__all__ = ["Column", "Target", "find_target", "matched", "no_table"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: Its name.
        type: Its type; of a domain, the type beneath.
        declared: Its type as SQL.
        not_null: Whether NULL is refused.
        has_default: Whether it may be left out although NULL is refused.
        is_identity: Whether it is ``generated ... as identity``.
        is_generated: Whether it is computed from other columns.
    """

    name: str
    type: PgType
    declared: str
    not_null: bool
    has_default: bool
    is_identity: bool
    is_generated: bool

    @property
    def sql(self) -> str:
        """Its name, quoted."""
        return quote_name(self.name)


@dataclass(frozen=True)
class Target:
    """A table as the session's role meets it.

    Attributes:
        table: Its name.
        columns: All of them, in their order.
        is_plain: Whether COPY can write it: a table, and no row-level security that applies to this role.
        hides_rows: Whether row-level security applies to this role.
        role: Who we are.
        is_referenced: Whether foreign keys of other tables point at it.
        key: The columns of its primary key.
    """

    table: TableName
    columns: tuple[Column, ...]
    is_plain: bool
    hides_rows: bool
    role: str
    is_referenced: bool
    key: tuple[str, ...]


def find_target(session: Session, table: TableName) -> Target | None:
    """What the catalogue says; None: there is no such table."""
    found = session.execute(
        "SELECT c.oid::bigint, c.relkind, row_security_active(c.oid), current_user,"
        " EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid AND f.conrelid <> c.oid),"
        " ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid"
        "       AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'f')",
        [table.schema, table.name],
    )
    if not found:
        return None
    oid, kind, hides, role, referenced, key = found[0]
    return Target(table, _columns(session, oid), kind in "rp" and not hides, hides, role, referenced, tuple(key))


def _columns(session: Session, oid: int) -> tuple[Column, ...]:
    rows = session.execute(
        "SELECT a.attname, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE a.atttypid END::bigint,"
        " CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END,"
        " format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attidentity <> '', a.attgenerated <> ''"
        " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [oid],
    )
    types = load_types(session, [(row[1], row[2]) for row in rows])
    return tuple(
        Column(name, kind, declared, not_null, has_default or identity, identity, generated)
        for (name, _, _, declared, not_null, has_default, identity, generated), kind in zip(rows, types, strict=True)
    )


def matched(target: Target, schema: pa.Schema, key: tuple[str, ...]) -> list[Column]:
    """The table's column for each of the input's, by name.

    Raises:
        DriverError: ``supabase.columns_differ``, ``supabase.generated_column``.
    """
    known = {column.name: column for column in target.columns}
    times = Counter(schema.names)
    twins = sorted(name for name, count in times.items() if count > 1)
    extra = [name for name in times if name not in known]
    missing = [
        column.name
        for column in target.columns
        if column.name not in times
        and (column.name in key or (column.not_null and not column.has_default and not column.is_generated))
    ]
    parts = [f"the input has several columns called {', '.join(map(repr, twins))}"] if twins else []
    parts += [f"the table lacks {', '.join(map(repr, extra))}"] if extra else []
    parts += [f"the input lacks {', '.join(map(repr, missing))}"] if missing else []
    parts += [f"the table has no key column {name!r}" for name in key if name not in known]
    if parts:
        near = {name: get_close_matches(name, known, 1) for name in extra}
        meant = [f"{name} -> {found[0]}" for name, found in near.items() if found]
        raise DriverError(
            f"the columns do not match those of {target.table}: {'; '.join(parts)}",
            hint=f"rename {', '.join(meant)}?" if meant else "select the table's columns in the step before",
            code="supabase.columns_differ",
            table=str(target.table),
        )
    columns = [known[name] for name in schema.names]
    computed = [column.name for column in columns if column.is_generated]
    if computed:
        names = ", ".join(map(repr, computed))
        raise from_sqlstate("428C9", f"{target.table} computes {names} itself", column=computed[0])
    return columns


def no_table(session: Session, table: TableName, hint: str | None) -> DriverError:
    """The error for a table that is not there, with the one that was perhaps meant; ``hint`` where there is none."""
    rows = session.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    names = [str(TableName(schema, name)) for schema, name in rows]
    near = get_close_matches(str(table), names, 1)
    error = from_sqlstate("42P01", f"there is no table {table}", table=str(table))
    error.hint = f"did you mean {near[0]!r}?" if near else hint
    return error
