"""The input's rows into a table by COPY; what the server refuses is told with the input's row and column."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.core.python_values import to_array
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.postgres_fitting import MisfitError
from osiris.drivers.supabase.postgres_target import Column
from osiris.drivers.supabase.postgres_text import lines_of, to_text

__all__ = ["load"]

_ROWS_AT_ONCE = 16_384
_BYTES_AT_ONCE = 8 * 1024 * 1024
# The server's refusal is heard only when a COPY ends: a wrong row should not cost sending all the others.
_BYTES_A_COPY = 32 * 1024 * 1024


def load(
    session: Session, stream: Dataset, columns: Sequence[Column], relation: str, what: str, *, number: str | None = None
) -> int:
    """Send all rows; how many there were. Belongs into a transaction.

    Args:
        session: Where.
        stream: The input.
        columns: For each of the input's columns, the one that it goes into.
        relation: The table that takes them, as SQL.
        what: The table in messages.
        number: A column of the relation for the row's number, from 1.

    Raises:
        DriverError: ``supabase.bad_value``, ``supabase.bad_text``, ``supabase.duplicate_key``, ... with ``row`` (from
            1) and, where known, ``column``.
        OsirisError: What the stream raised, unchanged.
    """
    loading = _Loading(columns, what, numbered=number is not None)
    names = ", ".join([*(column.sql for column in columns), *filter(None, [number])])
    with closing(loading.render(stream)) as parts:
        for first in parts:
            try:
                session.copy_in(f"COPY {relation} ({names}) FROM STDIN", _some(first, parts))
            except DriverError as error:
                raise loading.located(error) from error.__cause__
            loading.sent = loading.rendered
    return loading.rendered


def _some(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    size = len(first)
    yield first
    while size < _BYTES_A_COPY:
        part = next(others, None)
        if part is None:
            return
        size += len(part)
        yield part


class _Loading:
    """Rendering of the input, and how far it is.

    Attributes:
        rendered: Rows that were made text.
        sent: Rows that the server has taken.
    """

    def __init__(self, columns: Sequence[Column], what: str, *, numbered: bool) -> None:
        self._columns = columns
        self._numbered = numbered
        self._what = what
        self.rendered = 0
        self.sent = 0

    def render(self, stream: Dataset) -> Generator[bytes, None, None]:
        for batch in stream.batches():
            for part in _parts(batch):
                lines = self._lines(part)
                self.rendered += part.num_rows
                yield lines

    def located(self, error: DriverError) -> DriverError:
        """The error with the input's row and column, as far as the server told them."""
        context = error.facts.pop("context", None)
        found = _PLACE.search(context or "")
        if found is None or "row" in error.facts:
            return error
        error.facts["row"] = row = self.sent + int(found[1])
        place = f"row {row:,}"
        column = error.facts.get("column") or next(
            (one.name for one in self._columns if found[2] and found[2].startswith((f"{one.name}:", f"{one.name}, "))),
            None,
        )
        if column is not None:
            error.facts["column"] = column
            place += f", column {column!r}"
        error.message = f"{self._what}, {place} of the input: {error.message}"
        return error

    def _lines(self, batch: pa.RecordBatch) -> bytes:
        texts = [self._text(array, column) for array, column in zip(batch.columns, self._columns, strict=True)]
        if self._numbered:
            numbers = to_array(range(self.rendered + 1, self.rendered + batch.num_rows + 1))
            lines = lines_of([*texts, numbers.cast(pa.string())])
        else:
            lines = lines_of(texts)
        if b"\0" in lines:
            raise self._nul(texts)
        return lines

    def _text(self, array: pa.Array, column: Column) -> pa.Array:
        try:
            return to_text(array, column.type)
        except MisfitError as misfit:
            value = array[misfit.index].as_py()
            raise DriverError(
                f"{self._what}, row {self.rendered + misfit.index + 1:,}, column {column.name!r} of the input: "
                f"{str(value)!r} {misfit.reason}; the column is {column.declared}",
                hint=f"cast or round {column.name!r} in the step before, or change the column's type",
                code="supabase.bad_value",
                row=self.rendered + misfit.index + 1,
                column=column.name,
            ) from None

    def _nul(self, texts: Sequence[pa.Array]) -> DriverError:
        row, name = min(
            (at, column.name)
            for column, array in zip(self._columns, texts, strict=True)
            for at, text in enumerate(array.to_pylist())
            if text is not None and "\0" in text
        )
        return DriverError(
            f"{self._what}, row {self.rendered + row + 1:,}, column {name!r} of the input: it holds a NUL character, "
            "which PostgreSQL does not take",
            hint=f"take it out of {name!r} in the step before, or make the column bytea",
            code="supabase.bad_text",
            row=self.rendered + row + 1,
            column=name,
        )


# "COPY orders, line 3, column amount: ..."; the words are in the server's language.
_PLACE = re.compile(r"^COPY [^\n]*?, \w+ (\d+)(?:, \w+ ([^\n]*))?", re.MULTILINE)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = batch.num_rows
    if rows:
        fitting = max(1, rows * _BYTES_AT_ONCE // max(1, batch.nbytes))
        step = min(_ROWS_AT_ONCE, fitting)
        for start in range(0, rows, step):
            yield batch.slice(start, step)
