"""Rows to the server, within a transaction: by LOAD DATA LOCAL, or by multi-row INSERTs. Both store the same.

LOAD DATA LOCAL cannot fail in the middle: the server turns errors into warnings, skips rows, cuts values. So
whatever it warns of is undone, and the same rows are sent again as INSERTs in strict mode, in halves, until the
one row is found: thus both ways give the same error about the same row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import Result, Session
from osiris.drivers.mysql.fitting import Fit
from osiris.drivers.mysql.names import TableName, quote_name
from osiris.drivers.mysql.refusals import ROW_ERRORS, Refusal, Row, misfit, refusal, unique_keys
from osiris.drivers.mysql.rendering import MisfitError, as_load_text, as_tuples

__all__ = ["Sender"]

_OFFERED = "osiris"
_FIRST_ROWS = 4_000
_MOST_ROWS = 32_000
_PIECE_BYTES = 256 * 1024
_STATEMENT_BYTES = 1024 * 1024
_HARMLESS = frozenset({1592, 1681, 1287, 3719, 3778})
"""Warnings about replication formats and deprecated words: they say nothing about rows."""

_LOAD_FORBIDDEN = "mysql.local_infile"


class Sender:
    """Puts batches into one table.

    Args:
        session: With ``local_files`` where LOAD DATA is wanted.
        table: Where the rows go; with its database.
        fits: The columns.
        load_data: Whether to use LOAD DATA LOCAL.
        may_insert: Whether to go on with INSERTs where the server does not take LOAD DATA after all.
        show_values: Whether errors may show values.
        ctx: The step's.
    """

    def __init__(
        self,
        session: Session,
        table: TableName,
        fits: Sequence[Fit],
        *,
        load_data: bool,
        may_insert: bool,
        show_values: bool,
        ctx: StepContext,
    ) -> None:
        self._session = session
        self._table = table
        self._fits = fits
        self._show = show_values
        self._ctx = ctx
        self._load_data = load_data
        self._may_insert = may_insert
        self.rows_read = 0
        self.rows_sent = 0
        self.rows_present = 0
        self.bytes_sent = 0
        packet = session.server.max_allowed_packet
        self._packet = packet
        self._piece_bytes = min(_PIECE_BYTES, packet // 2)
        # Room for the statement's head; a statement of one row may take the whole packet.
        self._statement_bytes = min(_STATEMENT_BYTES, packet - 4096)

    def send(self, batch: pa.RecordBatch) -> None:
        """Send one portion; all its rows are in the table afterwards, to be committed.

        Raises:
            DriverError: ``mysql.value_does_not_fit``, ``mysql.duplicate_key``, ... about the first bad row; or about
                the server. The transaction has to be rolled back.
        """
        self._session.execute("SAVEPOINT osiris_batch")
        present = self._load(batch) if self._load_data else self._insert(batch)
        self.rows_read += batch.num_rows
        self.rows_present += present

    def _load(self, batch: pa.RecordBatch) -> int:
        pieces = _Pieces(self, batch)
        try:
            result = self._session.load(self._load_statement(), _OFFERED, pieces, what=f"table {self._table}")
        except DriverError as error:
            if error.code == _LOAD_FORBIDDEN and self._may_insert:
                # Switched off since we looked, or by a proxy in between.
                self._load_data = False
                facts = {"table": str(self._table), "path": "insert", "reason": f"the server said no: {error}"}
                self._ctx.log_event("mysql_write_path", facts)
                return self._insert(batch)
            if error.code not in ROW_ERRORS:
                raise
            raise self._first_bad_row(batch, error, pieces.sent) from None
        if pieces.misfit is not None:
            raise pieces.misfit
        self.rows_sent += pieces.sent
        warnings = self._warnings(result)
        if warnings or result.affected != batch.num_rows:
            what = warnings[0] if warnings else (0, f"{result.affected} of {batch.num_rows} rows arrived")
            raise self._first_bad_row(batch, what, pieces.sent)
        return result.affected

    def _load_statement(self) -> str:
        places = [f"@v{number}" if fit.function[0] else _column(fit) for number, fit in enumerate(self._fits)]
        sets = [
            f"{_column(fit)} = {fit.function[0]}@v{number}{fit.function[1]}"
            for number, fit in enumerate(self._fits)
            if fit.function[0]
        ]
        return (
            f"LOAD DATA LOCAL INFILE '{_OFFERED}' INTO TABLE {self._table.sql} CHARACTER SET utf8mb4"
            rf" FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' ({', '.join(places)})"
            + (f" SET {', '.join(sets)}" if sets else "")
        )

    def _insert(self, batch: pa.RecordBatch) -> int:
        present = 0
        for start, part in _parts(batch):
            tuples = self._tuples(part, start)
            for first, last in self._ranges(tuples):
                try:
                    result = self._execute(tuples, first, last)
                except DriverError as error:
                    if error.code not in ROW_ERRORS:
                        raise
                    raise self._first_bad_row(batch, error, start + last) from None
                warnings = self._warnings(result)
                if warnings:
                    raise self._first_bad_row(batch, warnings[0], start + last)
                present += result.affected
                self.rows_sent += last - first
        return present

    def _tuples(self, part: pa.RecordBatch, start: int) -> pa.Array:
        texts = self.texts(part, start)
        if isinstance(texts, DriverError):
            raise texts
        return as_tuples(texts, [fit.function for fit in self._fits])

    def _execute(self, tuples: pa.Array, first: int, last: int) -> Result:
        names = ", ".join(map(_column, self._fits))
        values = ",".join(tuples.slice(first, last - first).to_pylist())
        statement = f"INSERT INTO {self._table.sql} ({names}) VALUES {values}"  # noqa: S608
        size = len(statement.encode())
        if size >= self._packet:  # the server would hang up
            raise DriverError(
                f"a row needs {size} bytes, and the server takes {self._packet} at most (max_allowed_packet)",
                code="mysql.packet_too_large",
            )
        self.bytes_sent += size
        return self._session.execute(statement, what=f"table {self._table}")

    def _ranges(self, tuples: pa.Array) -> Iterator[tuple[int, int]]:
        """From where to where one statement goes."""
        import pyarrow.compute as pc

        first = size = 0
        for index, length in enumerate(pc.binary_length(tuples).to_pylist()):
            if index > first and size + length + 1 > self._statement_bytes:
                yield first, index
                first, size = index, 0
            size += length + 1
        if len(tuples) > first:
            yield first, len(tuples)

    def texts(self, part: pa.RecordBatch, start: int) -> list[pa.Array] | DriverError:
        """The columns' texts, or the error about the first row of ``part`` that cannot be stored."""
        texts: list[pa.Array] = []
        bad: tuple[int, MisfitError, Fit] | None = None
        for fit in self._fits:
            try:
                texts.append(fit.texts(part))
            except MisfitError as error:
                if bad is None or error.index < bad[0]:
                    bad = (error.index, error, fit)
        if bad is None:
            return texts
        index, misfitting, fit = bad
        return misfit(misfitting, fit, self._row(part, start, index))

    def cut(self, text: memoryview) -> Iterator[bytes]:
        """The text in pieces that are packets."""
        self.bytes_sent += len(text)
        for start in range(0, len(text), self._piece_bytes):
            yield bytes(text[start : start + self._piece_bytes])

    def _row(self, part: pa.RecordBatch, start: int, index: int) -> Row:
        return Row(batch=part, index=index, number=self.rows_read + start + index + 1, show=self._show)

    def _warnings(self, result: Result) -> list[tuple[int, str]]:
        """What the server warned of, notes included: a DECIMAL that was rounded is only a note."""
        if not result.warnings:
            return []
        said = self._session.warnings()
        if not said:  # the server keeps none
            return [(0, "the server warned, and keeps no warnings")]
        return [(number, text) for _, number, text in said if number not in _HARMLESS]

    def _first_bad_row(self, batch: pa.RecordBatch, said: DriverError | tuple[int, str], rows: int) -> DriverError:
        """Find the row that the server does not take, and say so; undoes the portion first."""
        self._session.execute("ROLLBACK TO SAVEPOINT osiris_batch")
        keys = unique_keys(self._session, self._table)
        for start, part in _parts(batch.slice(0, rows)):
            tuples = self._tuples(part, start)
            for first, last in self._ranges(tuples):
                found = self._bisect(tuples, first, last)
                if found is not None:
                    index, words = found
                    return refusal(words, self._fits, self._row(part, start, index), keys)
        if isinstance(said, DriverError):
            return said
        return DriverError(
            f"table {self._table}: the server took the rows only with warnings: {said[1] if self._show else said[0]}",
            hint="try bulk: insert; the server takes these rows in that way",
            code="mysql.load_refused",
            number=said[0],
        )

    def _bisect(self, tuples: pa.Array, first: int, last: int) -> tuple[int, Refusal] | None:
        """The first row of the range that is refused after all rows before it are in."""
        words = self._attempt(tuples, first, last)
        if words is None:
            return None
        if last - first == 1:
            return first, words
        middle = (first + last) // 2
        return self._bisect(tuples, first, middle) or self._bisect(tuples, middle, last)

    def _attempt(self, tuples: pa.Array, first: int, last: int) -> Refusal | None:
        self._session.execute("SAVEPOINT osiris_rows")
        try:
            warnings = self._warnings(self._execute(tuples, first, last))
        except DriverError as error:
            if error.code not in ROW_ERRORS:
                raise
            cause = error.__cause__
            text = str(cause.args[-1]) if cause is not None and cause.args else error.message
            words = Refusal(number=int(error.facts.get("number", 0)), text=text, code=error.code)
        else:
            if not warnings:
                return None
            words = Refusal(number=warnings[0][0], text=warnings[0][1], code="mysql.data_truncated")
        self._session.execute("ROLLBACK TO SAVEPOINT osiris_rows")
        return words


class _Pieces:
    """A batch as the text of LOAD DATA, made while the server reads it.

    A value that cannot be stored ends the text early: the rows so far are rolled back with the rest, and the
    connection stays usable. ``misfit`` is the error then; ``sent`` counts the rows that went out.
    """

    def __init__(self, sender: Sender, batch: pa.RecordBatch) -> None:
        self._sender = sender
        self._batch = batch
        self.misfit: DriverError | None = None
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        for start, part in _parts(self._batch):
            texts = self._sender.texts(part, start)
            if isinstance(texts, DriverError):
                self.misfit = texts
                return
            yield from self._sender.cut(as_load_text(texts))
            self.sent += part.num_rows


def _parts(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """From where on, and which rows: few at first, so that the server begins soon; then more, which is cheaper."""
    start, rows = 0, _FIRST_ROWS
    while start < batch.num_rows:
        yield start, batch.slice(start, rows)
        start, rows = start + rows, min(2 * rows, _MOST_ROWS)


def _column(fit: Fit) -> str:
    return quote_name(fit.column.name)
