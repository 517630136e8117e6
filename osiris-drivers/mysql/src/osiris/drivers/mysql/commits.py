"""The marker of a committed step: a row in ``_osiris_commits``, in the same transaction as the step's rows.

A step that goes through a staging table commits its marker with the rows of the staging table, and only then
renames that table: so the step is done where its marker is there and its staging table is not. That is right
after a crash at any moment, though a RENAME cannot be part of a transaction.
"""

from __future__ import annotations

from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.names import TableName
from osiris.drivers.mysql.target import table_exists

__all__ = ["CommitMarker"]

_TABLE = "_osiris_commits"
_COLUMNS = (
    "session_id VARCHAR(191) NOT NULL, step_id VARCHAR(191) NOT NULL, `rows` BIGINT UNSIGNED NOT NULL,"
    " committed_at DATETIME(6) NOT NULL, PRIMARY KEY (session_id, step_id)"
)
_KIND = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ROW_FORMAT=DYNAMIC"


class CommitMarker:
    """The marker of one step of one session, in the database of the step's target."""

    def __init__(self, session: Session, database: str, session_id: str, step_id: str) -> None:
        self._session = session
        self._table = TableName(_TABLE, database)
        self._key = [session_id, step_id]

    def prepare(self) -> None:
        """Make sure that there is the table. Ends a transaction, so it comes before.

        Raises:
            DriverError: ``mysql.not_allowed``: the user may not create it.
        """
        if table_exists(self._session, self._table):
            return
        make = f"CREATE TABLE IF NOT EXISTS {self._table.sql} ({_COLUMNS}) {_KIND}"
        try:
            self._session.execute(make, what=f"table {self._table}")
        except DriverError as error:
            if error.code != "mysql.not_allowed":
                raise
            raise DriverError(
                f"{error.message}; the writer notes there what it has committed",
                hint=f"set commit_marker: false, or have the table made: {make}",
                code=error.code,
                number=error.facts.get("number"),
            ) from error

    def rows(self) -> int | None:
        """How many rows the marker says; None where there is no marker."""
        if not table_exists(self._session, self._table):
            return None
        statement = f"SELECT `rows` FROM {self._table.sql} WHERE session_id = %s AND step_id = %s"  # noqa: S608
        found = self._session.execute(statement, self._key).rows
        return int(found[0][0]) if found else None

    def put(self) -> bool:
        """Put the marker, first thing in the transaction; False where there is one already.

        Waits for another attempt of the same step that the server is still busy with, so that the rows of the
        two cannot both be committed.
        """
        statement = f"INSERT INTO {self._table.sql} VALUES (%s, %s, 0, UTC_TIMESTAMP(6))"  # noqa: S608
        try:
            self._session.execute(statement, self._key, what=f"table {self._table}")
        except DriverError as error:
            if error.code != "mysql.duplicate_key":
                raise
            return False
        return True

    def complete(self, rows: int) -> None:
        """Note the rows, last thing in the transaction."""
        statement = (
            f"UPDATE {self._table.sql} SET `rows` = %s, committed_at = UTC_TIMESTAMP(6)"  # noqa: S608
            " WHERE session_id = %s AND step_id = %s"
        )
        self._session.execute(statement, [rows, *self._key], what=f"table {self._table}")

    def remove(self) -> None:
        """Take the marker back, where there is one."""
        if self.rows() is not None:
            statement = f"DELETE FROM {self._table.sql} WHERE session_id = %s AND step_id = %s"  # noqa: S608
            self._session.execute(statement, self._key)
