"""One write, from the first look at the table to the commit. Every way ends with all rows, or with none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.mysql import client
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.commits import CommitMarker
from osiris.drivers.mysql.dependents import check_deletable, check_replaceable
from osiris.drivers.mysql.errors import LOST
from osiris.drivers.mysql.filling import Filling, Written
from osiris.drivers.mysql.matching import check_keys, match, renamed
from osiris.drivers.mysql.names import TableName
from osiris.drivers.mysql.staging import Staging
from osiris.drivers.mysql.target import Table, find_table, full_name, no_such_table
from osiris.drivers.mysql.writer_config import MySqlWriterConfig

__all__ = ["SQL_MODE", "Write"]

SQL_MODE = f"{client.SQL_MODE},NO_AUTO_VALUE_ON_ZERO"
"""A 0 stays a 0, also where the server numbers rows."""


class Write:
    """The write of one step into one table.

    Args:
        session: With ``local_files`` unless ``bulk`` is ``insert``.
        options: The step's.
        ctx: The step's.

    Raises:
        DriverError: ``mysql.bad_name``, ``mysql.no_database``.
    """

    def __init__(self, session: Session, options: MySqlWriterConfig, ctx: StepContext) -> None:
        self._session = session
        self._options = options
        self._ctx = ctx
        self.table: TableName = full_name(session, options.table)
        database = str(self.table.database)
        self._staging = Staging(session, self.table, ctx.session_id, ctx.step_id)
        self._marker = CommitMarker(session, database, ctx.session_id, ctx.step_id) if options.commit_marker else None
        self.is_staged = False
        """Whether there may be a staging table that a failure has to remove."""
        self.in_doubt = False
        """Whether the connection was lost at a moment that leaves open whether the rows are there."""

    def committed(self) -> int | None:
        """How many rows an earlier attempt of the step has committed; None where none has."""
        rows = self._marker.rows() if self._marker is not None else None
        return None if rows is None or self._staging.is_pending else rows

    def run(self, dataset: Dataset) -> Written:
        """Write all rows.

        Raises:
            DriverError: ``mysql.*``; nothing was changed then, unless :attr:`in_doubt`.
            OsirisError: What the input raised.
        """
        options = self._options
        fields = renamed(dataset.schema, options.columns)
        check_keys(fields, options.primary_key or ())
        table = find_table(self._session, self.table)
        if table is None and not options.create_if_missing:
            raise no_such_table(self._session, self.table)
        if table is not None:
            self._check(table)
        if self._marker is not None:
            self._marker.prepare()
        done = self._settle_earlier_attempt()
        if done is not None:
            return self._read_on(dataset, done)
        if table is not None and options.write_mode != "replace":
            return self._write_into(table, dataset, fields)
        return self._write_beside(table, dataset, fields)

    def clean_up(self) -> None:
        """Remove what a failed write left on the server."""
        if self._staging.is_pending:
            self._staging.discard(self._forget)

    def tidy(self) -> None:
        """Remove what a write that succeeded could not remove."""
        self._staging.tidy()

    def _check(self, table: Table) -> None:
        if self._options.write_mode == "replace":
            check_replaceable(self._session, table)
        if table.kind not in ("BASE TABLE", "SYSTEM VERSIONED"):
            raise DriverError(
                f"{table.name} is a {table.kind.lower()}", hint="write the table behind it", code="mysql.not_a_table"
            )
        if not table.transactional:
            raise DriverError(
                f"table {table.name} is kept by {table.engine}, which cannot undo: a failed step would leave some rows",
                hint=f"ALTER TABLE {table.name} ENGINE=InnoDB",
                code="mysql.not_transactional",
            )
        if self._options.write_mode == "truncate":
            check_deletable(self._session, table)

    def _settle_earlier_attempt(self) -> int | None:
        """Rows that an earlier attempt has committed; otherwise what it left is removed."""
        done = self.committed()
        if done is None and self._staging.is_pending and not self._staging.discard(self._forget):
            done = self.committed()
        self._staging.tidy()
        return done

    def _forget(self) -> None:
        if self._marker is not None:
            self._marker.remove()

    def _read_on(self, dataset: Dataset, rows: int) -> Written:
        # Whoever feeds us wants to be read to the end.
        for _ in dataset.batches():
            self._ctx.raise_if_cancelled()
        self._ctx.log_event("mysql_already_written", {"table": str(self.table), "rows": rows})
        return Written(rows=rows, facts={"already_written": True})

    def _write_beside(self, table: Table | None, dataset: Dataset, fields: list[pa.Field]) -> Written:
        """Into a new table, which then becomes the target."""
        self.is_staged = True
        if table is not None:
            self._staging.create_like(table)
        else:
            self._staging.create_from(fields, self._options.primary_key or ())
        new = find_table(self._session, self._staging.new)
        assert new is not None, "the table was just made"
        written = self._write_into(new, dataset, fields, beside=True)
        with self._doubtful():
            self._staging.swap(replaces=table is not None)
        return written

    def _write_into(self, table: Table, dataset: Dataset, fields: list[pa.Field], *, beside: bool = False) -> Written:
        """In one transaction; ``beside``: into a table that nobody else knows yet."""
        session, marker = self._session, self._marker
        filling = Filling(session, self._options, self._ctx, table, match(dataset.schema, fields, table))
        filling.prepare()
        with session.transaction():
            if marker is not None and not marker.put():
                if beside:
                    raise _another_attempt(self.table)
                session.execute("ROLLBACK")
                return self._read_on(dataset, marker.rows() or 0)
            if self._options.write_mode == "truncate" and not beside:
                session.execute(f"DELETE FROM {table.name.sql}", what=f"table {table.name}")  # noqa: S608
            written = filling.fill(dataset, alone=beside or self._options.write_mode == "truncate")
            if marker is not None:
                marker.complete(written.rows)
            with nullcontext() if beside else self._doubtful():
                session.execute("COMMIT", what=f"table {table.name}")
        return written

    @contextmanager
    def _doubtful(self) -> Iterator[None]:
        """Around what may have happened even if its answer never comes."""
        self.in_doubt = True
        try:
            yield
        except DriverError as error:
            self.in_doubt = error.code == LOST
            raise
        self.in_doubt = False


def _another_attempt(table: TableName) -> DriverError:
    return DriverError(
        f"table {table}: another attempt of this step is still at work",
        hint="try again when it has ended",
        code="mysql.lock_wait",
        retryable=True,
    )
