"""Rows that are all at the server, in a temporary table, into their target: replace and upsert.

Replace deletes and inserts within the transaction. Truncating would lock readers out, and show those with an older
snapshot an empty table; renaming a new table would lose grants, policies, indexes, views and foreign keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import WriterConfig
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.postgres_target import Column, Target
from osiris.drivers.supabase.table_name import quote_name

__all__ = ["NUMBER", "STAGE", "insert", "make_stage", "replace", "upsert"]

STAGE = "pg_temp.osiris_stage"
NUMBER = "osiris_row"


def make_stage(session: Session, columns: Sequence[Column], key: Sequence[str]) -> None:
    """A table for the input's columns that goes with the transaction.

    With a key, for upsert, its columns must be filled, and :data:`NUMBER` holds the row's number in the input.
    """
    parts = [
        f"{column.sql} {column.declared}{' NOT NULL' if column.not_null or column.name in key else ''}"
        for column in columns
    ]
    if key:
        parts.append(f"{NUMBER} bigint")
    session.execute(f"CREATE TEMPORARY TABLE osiris_stage ({', '.join(parts)}) ON COMMIT DROP")


def insert(session: Session, target: Target, columns: Sequence[Column]) -> int:
    """Add all rows; how many."""
    return session.run(
        f"{_insert(target, columns)} SELECT {_names(columns)} FROM {STAGE}",  # noqa: S608
        what=str(target.table),
    )


def replace(session: Session, target: Target, columns: Sequence[Column]) -> int:
    """Let the target hold these rows and no others; readers see the old ones until the commit, then the new ones.

    Where other tables refer to it, rows whose key stays are updated and not deleted, so that references hold.

    Raises:
        DriverError: ``supabase.rows_hidden``: the role does not see all rows that it would have to remove.
    """
    if target.hides_rows:
        raise DriverError(
            f"{target.table} has row-level security that applies to the role {target.role}: replace could not remove "
            "rows that it does not see",
            hint="use a role that bypasses row-level security, or write_mode: upsert",
            code="supabase.rows_hidden",
        )
    what = f"replacing {target.table}"
    # Two writers at once would each keep the other's rows; readers are not locked out.
    session.execute(f"LOCK TABLE {target.table.sql} IN SHARE ROW EXCLUSIVE MODE", what=what)
    key, names = target.key, {column.name for column in columns}
    if not (target.is_referenced and key and names.issuperset(key)):
        session.execute(f"DELETE FROM {target.table.sql} WHERE true", what=what)  # noqa: S608
        return insert(session, target, columns)
    same = " AND ".join(f"s.{quote_name(name)} = t.{quote_name(name)}" for name in key)
    session.execute(
        f"DELETE FROM {target.table.sql} AS t WHERE NOT EXISTS (SELECT FROM {STAGE} AS s WHERE {same})",  # noqa: S608
        what=what,
    )
    left_out = [column for column in target.columns if column.name not in names and not column.is_generated]
    changes = [f"{column.sql} = excluded.{column.sql}" for column in columns if column.name not in key]
    changes += [f"{column.sql} = DEFAULT" for column in left_out]
    conflict = f"DO UPDATE SET {', '.join(changes)}" if changes else "DO NOTHING"
    return session.run(
        f"{_insert(target, columns)} SELECT {_names(columns)} FROM {STAGE}"  # noqa: S608
        f" ON CONFLICT ({', '.join(map(quote_name, key))}) {conflict}",
        what=what,
    )


def upsert(
    session: Session, target: Target, columns: Sequence[Column], config: WriterConfig, *, ascending: bool
) -> int:
    """As if the rows were written one after another; how many rows were added or changed.

    So of rows with one key the last counts, or with ``on_conflict: ignore`` the first. They are written in the order
    of their keys, so that two loads at once wait for each other instead of locking each other out.

    Args:
        session: Where.
        target: What gets the rows.
        columns: Those that the input fills.
        config: Key, and what to do with a row whose key is there.
        ascending: The rows lie in the order of their keys, and no key is there twice.
    """
    keys = config.primary_key or []
    key = ", ".join(map(quote_name, keys))
    changes = [f"{column.sql} = excluded.{column.sql}" for column in columns if column.name not in keys]
    updates = config.on_conflict == "update" and changes
    conflict = f"DO UPDATE SET {', '.join(changes)}" if updates else "DO NOTHING"
    direction = "DESC" if config.on_conflict == "update" else "ASC"
    rows = f"SELECT {_names(columns)} FROM {STAGE}"  # noqa: S608
    if not ascending:
        rows = (
            f"SELECT DISTINCT ON ({key}) {_names(columns)} FROM {STAGE}"  # noqa: S608
            f" ORDER BY {key}, {NUMBER} {direction}"
        )
    return session.run(f"{_insert(target, columns)} {rows} ON CONFLICT ({key}) {conflict}", what=str(target.table))


def _insert(target: Target, columns: Sequence[Column]) -> str:
    given = " OVERRIDING SYSTEM VALUE" if any(column.is_identity for column in columns) else ""
    return f"INSERT INTO {target.table.sql} ({_names(columns)}){given}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.sql for column in columns)
