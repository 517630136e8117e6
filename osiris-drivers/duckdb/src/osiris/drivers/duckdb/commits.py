"""The marker of a committed step: a row in ``_osiris_commits``, in the same transaction as the step's rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import Session
from osiris.drivers.duckdb.table_name import TableName

__all__ = ["CommitMarker"]

_NAME = "_osiris_commits"
_COLUMNS = (
    "session_id VARCHAR, step_id VARCHAR, rows BIGINT NOT NULL, committed_at TIMESTAMPTZ NOT NULL,"
    " PRIMARY KEY (session_id, step_id)"
)

# Two transactions that make the same table at the same time are a conflict, also with IF NOT EXISTS.
_MAKING = threading.Lock()


class CommitMarker:
    """The marker of one step of one session, in the schema of the step's table.

    Args:
        session: On the database.
        target: The table that the step writes.
        session_id, step_id: Whose marker it is.
    """

    def __init__(self, session: Session, target: TableName, session_id: str, step_id: str) -> None:
        self._session = session
        self._target = target
        self._table = TableName(_NAME, target.schema, target.catalog)
        self._key = [session_id, step_id]

    def prepare(self) -> None:
        """Make sure that there is the table, and its schema. Belongs before the transaction.

        Raises:
            DriverError: ``duckdb.commit_marker``: there is something else of that name.
        """
        with _MAKING, self._explained():
            self._session.execute(f"CREATE SCHEMA IF NOT EXISTS {self._table.schema_sql}")
            self._session.execute(f"CREATE TABLE IF NOT EXISTS {self._table.sql} ({_COLUMNS})")

    def find(self) -> int | None:
        """How many rows the marker says; None where there is no marker, or no table for it."""
        there = self._session.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database()"
            " AND lower(schema_name) = lower(?) AND lower(table_name) = ?",
            [self._table.schema, _NAME],
        )
        return self._rows() if there else None

    def refuse_second(self) -> None:
        """Refuse to add the same rows again. Belongs into the transaction.

        Raises:
            DriverError: ``duckdb.already_written``; ``duckdb.commit_marker``.
        """
        rows = self._rows()
        if rows is not None:
            session_id, step_id = self._key
            raise DriverError(
                f"step {step_id!r} of session {session_id} has written its {rows} rows into {self._target} already",
                hint="give every run a session of its own, or set commit_marker: false",
                code="duckdb.already_written",
                rows=rows,
            )

    def put(self, rows: int) -> None:
        """Put the marker, last thing in the transaction.

        Raises:
            DriverError: ``duckdb.commit_marker``.
        """
        with self._explained():
            self._session.execute(
                f"INSERT OR REPLACE INTO {self._table.sql} (session_id, step_id, rows, committed_at)"  # noqa: S608
                " VALUES (?, ?, ?, now())",
                [*self._key, rows],
            )

    def _rows(self) -> int | None:
        with self._explained():
            found = self._session.execute(
                f"SELECT rows FROM {self._table.sql} WHERE session_id = ? AND step_id = ?",  # noqa: S608
                self._key,
            )
        return int(found[0][0]) if found else None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DriverError as error:
            if error.code not in ("duckdb.binder", "duckdb.catalog"):
                raise
            raise DriverError(
                f"{self._table} is not the table in which the writer notes what it has committed: {error.message}",
                hint="rename it, or set commit_marker: false (a resumed run may then write twice)",
                code="duckdb.commit_marker",
            ) from error
