"""What hangs on a table: foreign keys from it and to it, triggers. What cannot come along is refused."""

from __future__ import annotations

from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.names import TableName, quote_name
from osiris.drivers.mysql.target import Table

__all__ = ["check_deletable", "check_replaceable", "foreign_keys", "replace_refused"]


def check_replaceable(session: Session, table: Table) -> None:
    """Refuse to swap a table to which things belong that would not come along.

    Raises:
        DriverError: ``mysql.replace_refused``.
    """
    if table.kind != "BASE TABLE":
        raise replace_refused(table.name, f"it is a {table.kind.lower()}")
    place = [table.name.database, table.name.name]
    children = session.execute(
        "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE"
        " WHERE REFERENCED_TABLE_SCHEMA = %s AND REFERENCED_TABLE_NAME = %s",
        place,
    ).rows
    if children:
        names = ", ".join(sorted(f"{database}.{name}" for database, name in children))
        raise replace_refused(table.name, f"foreign keys refer to it: {names}")
    triggers = session.execute(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS"
        " WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s ORDER BY 1",
        place,
    ).rows
    if triggers:
        raise replace_refused(table.name, f"it has triggers: {', '.join(str(row[0]) for row in triggers)}")


def replace_refused(name: TableName, reason: str) -> DriverError:
    """The error that says why a table is not swapped."""
    return DriverError(
        f"table {name} cannot be replaced by a new one: {reason}",
        hint="use write_mode: truncate, which deletes and inserts in one transaction",
        code="mysql.replace_refused",
        table=str(name),
    )


def check_deletable(session: Session, table: Table) -> None:
    """Refuse to delete all rows where that would change rows of other tables.

    Raises:
        DriverError: ``mysql.truncate_refused``.
    """
    rows = session.execute(
        "SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS"
        " WHERE UNIQUE_CONSTRAINT_SCHEMA = %s AND REFERENCED_TABLE_NAME = %s"
        " AND DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')",
        [table.name.database, table.name.name],
    ).rows
    others = sorted(f"{database}.{name}" for database, name in rows if name != table.name.name)
    if others:
        raise DriverError(
            f"emptying table {table.name} would also change rows of {', '.join(others)}, by their foreign keys",
            hint="use write_mode: upsert, or change ON DELETE of those keys",
            code="mysql.truncate_refused",
            table=str(table.name),
        )


def foreign_keys(session: Session, name: TableName) -> list[str]:
    """The table's own foreign keys, as definitions without names."""
    rows = session.execute(
        "SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,"
        " k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE FROM information_schema.KEY_COLUMN_USAGE k"
        " JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA"
        " AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME"
        " WHERE k.TABLE_SCHEMA = %s AND k.TABLE_NAME = %s AND k.REFERENCED_TABLE_NAME IS NOT NULL"
        " ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
        [name.database, name.name],
    ).rows
    grouped: dict[str, list[tuple[str, ...]]] = {}
    for constraint, *rest in rows:
        grouped.setdefault(str(constraint), []).append(tuple(map(str, rest)))
    keys = []
    for columns in grouped.values():
        _, database, table, _, on_update, on_delete = columns[0]
        ours = ", ".join(quote_name(column[0]) for column in columns)
        theirs = ", ".join(quote_name(column[3]) for column in columns)
        keys.append(
            f"FOREIGN KEY ({ours}) REFERENCES {TableName(table, database).sql} ({theirs})"
            f" ON UPDATE {on_update} ON DELETE {on_delete}"
        )
    return keys
