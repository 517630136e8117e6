"""Rows that may be there already: through a temporary table of the session, then into the target in three statements.

Not by INSERT ... ON DUPLICATE KEY UPDATE: that updates the row which any unique key of the table finds, not only
``primary_key``. Rows of the input with one key are treated as if they came one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.fitting import Fit
from osiris.drivers.mysql.names import TableName, quote_name
from osiris.drivers.mysql.target import TableColumn

__all__ = ["Upsert", "Upserted"]

_ROW = "_osiris_row"
_KNOWN = "_osiris_known"


@dataclass(frozen=True, kw_only=True)
class Upserted:
    """What became of the rows.

    Attributes:
        inserted: New ones.
        updated: Those that were there.
        ignored: Those that were there and stayed, with ``on_conflict: ignore``.
        repeated: Those of the input that another of the same key made void.
    """

    inserted: int
    updated: int
    ignored: int
    repeated: int


class Upsert:
    """Temporary tables that take the input, and what brings it from there into ``target``.

    Args:
        session: Where the temporary tables live.
        target: Where the rows end.
        fits: The columns.
        keys: Those of the table that identify a row.
        on_conflict: ``update``, ``ignore`` or ``error``.
        show_values: Whether errors may show values.
    """

    def __init__(
        self,
        session: Session,
        target: TableName,
        fits: Sequence[Fit],
        keys: Sequence[str],
        *,
        on_conflict: str,
        show_values: bool,
    ) -> None:
        self._session = session
        self._target = target
        self._columns = [fit.column for fit in fits]
        folded = {key.casefold() for key in keys}
        self._keys = [column for column in self._columns if column.name.casefold() in folded]
        self._on_conflict = on_conflict
        self._show = show_values
        self.rows = TableName(f"_osiris_rows_of_{target.name}"[:60], target.database)
        self._kept = TableName(f"_osiris_kept_of_{target.name}"[:60], target.database)

    @property
    def row_column(self) -> TableColumn:
        """The column of :attr:`rows` that takes each row's number in the input."""
        return TableColumn(
            name=_ROW, kind="bigint", ddl="bigint unsigned", nullable=False, optional=False, numbered=False,
            computed=False, charset=None, collation=None, length=None, precision=0,
        )  # fmt: skip

    def prepare(self) -> None:
        """Make the temporary tables: they are of this connection alone, and go with it. Before the transaction."""
        columns = ", ".join(_definition(column, null="NULL") for column in self._columns if column not in self._keys)
        keys = ", ".join(_definition(column, null="NOT NULL") for column in self._keys)
        index = ", ".join(quote_name(column.name) for column in self._keys)
        row = f"{_ROW} BIGINT UNSIGNED NOT NULL PRIMARY KEY"
        known = f"{_KNOWN} TINYINT NOT NULL DEFAULT 0"
        kind = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"
        rows = ", ".join(part for part in (row, known, keys, columns, f"KEY {_ROW}s ({index})") if part)
        for table, body in ((self.rows, rows), (self._kept, f"{row}, {keys}, KEY {_ROW}s ({index})")):
            self._session.execute(f"CREATE TEMPORARY TABLE {table.sql} ({body}) {kind}", what=f"table {self._target}")

    def apply(self) -> Upserted:
        """Bring the rows into the target, within the transaction.

        Raises:
            DriverError: ``mysql.duplicate_key`` with ``on_conflict: error``, or where another unique key is hurt.
        """
        repeated = self._settle_repeated()
        known = self._mark_known()
        updated = self._update() if known and self._on_conflict == "update" else 0
        names = ", ".join(quote_name(column.name) for column in self._columns)
        inserted = self._run(
            f"INSERT INTO {self._target.sql} ({names}) SELECT {names} FROM {self.rows.sql}"  # noqa: S608
            f" WHERE {_KNOWN} = 0 ORDER BY {_ROW}"
        )
        return Upserted(inserted=inserted, updated=updated, ignored=known - updated, repeated=repeated)

    def _settle_repeated(self) -> int:
        keys = ", ".join(quote_name(column.name) for column in self._keys)
        pick = "MIN" if self._on_conflict == "ignore" else "MAX"
        found = self._run(
            f"INSERT INTO {self._kept.sql} ({_ROW}, {keys}) SELECT {pick}({_ROW}), {keys} FROM {self.rows.sql}"  # noqa: S608
            f" GROUP BY {keys} HAVING COUNT(*) > 1"
        )
        if not found:
            return 0
        if self._on_conflict == "error":
            self._refuse(
                f"SELECT MAX(r.{_ROW}), {self._of('k')} FROM {self.rows.sql} r JOIN {self._kept.sql} k"  # noqa: S608
                f" ON {self._same('r', 'k')} GROUP BY {self._of('k')} ORDER BY 1 LIMIT 1",
                "an earlier row of the input has the same key",
            )
        return self._run(
            f"DELETE r FROM {self.rows.sql} r JOIN {self._kept.sql} k ON {self._same('r', 'k')}"
            f" WHERE r.{_ROW} <> k.{_ROW}"
        )

    def _mark_known(self) -> int:
        # Reads the target with locks: what is known stays so until the commit, and what is not cannot come.
        known = self._run(
            f"UPDATE {self.rows.sql} r JOIN {self._target.sql} t ON {self._same('r', 't')} SET r.{_KNOWN} = 1"  # noqa: S608
        )
        if known and self._on_conflict == "error":
            self._refuse(
                f"SELECT r.{_ROW}, {self._of('r')} FROM {self.rows.sql} r WHERE r.{_KNOWN} = 1 ORDER BY 1 LIMIT 1",  # noqa: S608
                "the table has a row with this key",
            )
        return known

    def _update(self) -> int:
        changed = [column for column in self._columns if column not in self._keys]
        if changed:
            sets = ", ".join(f"t.{quote_name(c.name)} = r.{quote_name(c.name)}" for c in changed)
            self._run(
                f"UPDATE {self._target.sql} t JOIN {self.rows.sql} r ON {self._same('r', 't')} AND r.{_KNOWN} = 1"  # noqa: S608
                f" SET {sets}"
            )
        statement = f"SELECT COUNT(*) FROM {self.rows.sql} WHERE {_KNOWN} = 1"  # noqa: S608
        return int(self._session.execute(statement).rows[0][0])

    def _run(self, statement: str) -> int:
        try:
            result = self._session.execute(statement, what=f"table {self._target}")
        except DriverError as error:
            if self._show or error.code != "mysql.duplicate_key":
                raise
            raise DriverError(
                f"table {self._target}: a unique key other than primary_key is hurt ({error.facts.get('number')})",
                hint=error.hint,
                code=error.code,
            ) from None
        return result.affected

    def _refuse(self, statement: str, reason: str) -> None:
        row, *values = self._session.execute(statement).rows[0]
        shown = values if self._show else ["(not shown)"] * len(values)
        key = ", ".join(f"{column.name}={value!r}" for column, value in zip(self._keys, shown, strict=True))
        raise DriverError(
            f"row {row}: {reason}: {key}",
            hint="set on_conflict: update or ignore; or leave such rows out in the step before",
            code="mysql.duplicate_key",
            row=int(row),
        )

    def _same(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{quote_name(c.name)} = {right}.{quote_name(c.name)}" for c in self._keys)

    def _of(self, alias: str) -> str:
        return ", ".join(f"{alias}.{quote_name(column.name)}" for column in self._keys)


def _definition(column: TableColumn, *, null: str) -> str:
    charset = f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset is not None else ""
    # TIMESTAMP would get a default of its own without this word.
    nullable = null if null == "NOT NULL" or column.nullable else "NULL"
    return f"{quote_name(column.name)} {column.ddl}{charset} {nullable}"


def row_numbers(first: int, rows: int) -> pa.Array:
    """The numbers ``first``, ``first + 1``, ... of ``rows`` rows."""
    from array import array

    return pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(array("q", range(first, first + rows)))])
