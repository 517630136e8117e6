"""All rows of the input into one table, within the transaction of whoever calls; counted on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.chunks import chunks
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.fitting import Fit, fit
from osiris.drivers.mysql.names import TableName
from osiris.drivers.mysql.sending import Sender
from osiris.drivers.mysql.target import Table
from osiris.drivers.mysql.upsert import Upsert, row_numbers
from osiris.drivers.mysql.writer_config import MySqlWriterConfig

__all__ = ["Filling", "Written"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a write did.

    Attributes:
        rows: Written: inserted or updated.
        bytes: Sent.
        facts: ``rows_read``, ``rows_sent``, ``rows_present`` and more, for the report.
    """

    rows: int
    bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Filling:
    """Puts the input into ``table``, as ``write_mode`` says.

    Args:
        session: With a transaction around :meth:`fill`, not around :meth:`prepare`.
        options: The step's.
        ctx: The step's.
        table: Where the rows end.
        fits: The columns' ways.
    """

    def __init__(
        self, session: Session, options: MySqlWriterConfig, ctx: StepContext, table: Table, fits: Sequence[Fit]
    ) -> None:
        self._session = session
        self._ctx = ctx
        self._options = options
        self._table = table.name
        self._fits = list(fits)
        self._upsert: Upsert | None = None

    def prepare(self) -> None:
        """What would end a transaction, and so comes before."""
        if self._options.write_mode != "upsert":
            return
        keys = {key.casefold() for key in self._options.primary_key or ()}
        self._fits = [_required(fit) if fit.column.name.casefold() in keys else fit for fit in self._fits]
        self._upsert = Upsert(
            self._session,
            self._table,
            self._fits,
            list(keys),
            on_conflict=self._options.on_conflict,
            show_values=self._options.show_values,
        )
        self._upsert.prepare()

    def fill(self, dataset: Dataset, *, alone: bool) -> Written:
        """Send all rows; ``alone``: the table holds no others, so it can be counted.

        Raises:
            DriverError: ``mysql.*``; ``mysql.rows_differ``: the counts do not agree.
        """
        if self._upsert is not None:
            return self._through(self._upsert, dataset)
        sender = self._sender(self._table, self._fits)
        for batch in chunks(dataset.batches(), self._options.batch_rows):
            self._ctx.raise_if_cancelled()
            sender.send(batch)
        present = self._count(self._table) if alone else sender.rows_present
        return self._agreed(sender, present, sender.rows_present)

    def _through(self, upsert: Upsert, dataset: Dataset) -> Written:
        number = fit(pa.field(upsert.row_column.name, pa.int64()), len(dataset.schema), upsert.row_column)
        sender = self._sender(upsert.rows, [*self._fits, number])
        for batch in chunks(dataset.batches(), self._options.batch_rows):
            self._ctx.raise_if_cancelled()
            sender.send(_numbered(batch, sender.rows_read + 1))
        self._agreed(sender, self._count(upsert.rows), sender.rows_present)
        done = upsert.apply()
        accounted = done.inserted + done.updated + done.ignored + done.repeated
        facts = {"inserted": done.inserted, "updated": done.updated}
        facts |= {"ignored": done.ignored} if done.ignored else {}
        facts |= {"repeated": done.repeated} if done.repeated else {}
        return self._agreed(sender, accounted, done.inserted + done.updated, **facts)

    def _sender(self, table: TableName, fits: Sequence[Fit]) -> Sender:
        bulk, allowed = self._options.bulk, self._session.server.local_infile
        if bulk == "load_data" and not allowed:
            raise DriverError(
                "bulk: load_data was asked for, and the server allows no LOAD DATA LOCAL: local_infile is off",
                hint="SET GLOBAL local_infile = 1 on the server, or leave `bulk` out",
                code="mysql.local_infile",
            )
        load_data = allowed and bulk != "insert"
        reason = "asked for" if bulk != "auto" else f"local_infile is {'on' if allowed else 'off'} on the server"
        self._ctx.log_event(
            "mysql_write_path",
            {"table": self._options.table, "path": "load_data" if load_data else "insert", "reason": reason},
        )
        return Sender(
            self._session,
            table,
            fits,
            load_data=load_data,
            may_insert=bulk == "auto",
            show_values=self._options.show_values,
            ctx=self._ctx,
        )

    def _count(self, table: TableName) -> int:
        return int(self._session.execute(f"SELECT COUNT(*) FROM {table.sql}").rows[0][0])  # noqa: S608

    def _agreed(self, sender: Sender, present: int, written: int, **facts: Any) -> Written:
        if not sender.rows_read == sender.rows_sent == present:
            raise DriverError(
                f"table {self._table}: {sender.rows_read} rows read, {sender.rows_sent} sent, {present} arrived",
                hint="does a trigger of the table change rows? Nothing was written",
                code="mysql.rows_differ",
                rows_read=sender.rows_read,
                rows_sent=sender.rows_sent,
                rows_present=present,
            )
        counts = {"rows_read": sender.rows_read, "rows_sent": sender.rows_sent, "rows_present": present}
        return Written(rows=written, bytes=sender.bytes_sent, facts=counts | facts)


def _required(given: Fit) -> Fit:
    return replace(given, column=replace(given.column, nullable=False, numbered=False))


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    numbers = row_numbers(first, batch.num_rows)
    return pa.RecordBatch.from_arrays([*batch.columns, numbers], [*batch.schema.names, "_osiris_row"])
