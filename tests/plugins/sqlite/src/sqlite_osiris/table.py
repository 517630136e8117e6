"""A table as it is in the database: its columns and their types, asked of SQLite and not guessed from rows."""

from __future__ import annotations

import sqlite3

import pyarrow as pa

from sqlite_osiris.database import quoted
from sqlite_osiris.values import arrow_type

__all__ = ["schema_of"]


def schema_of(database: sqlite3.Connection, table: str) -> pa.Schema | None:
    """The schema of a table or view; None where there is none of that name.

    Raises:
        sqlite3.Error: The database does not answer.
    """
    columns = database.execute(f"pragma table_info({quoted(table)})").fetchall()
    if not columns:
        return None
    return pa.schema([(name, arrow_type(declared)) for _, name, declared, *_ in columns])
