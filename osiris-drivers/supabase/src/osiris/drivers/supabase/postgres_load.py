"""The input's rows into a table by COPY; what the server refuses is told with the input's row and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import TypeVar

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.core.python_values import to_array
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.postgres_binary import to_field
from osiris.drivers.supabase.postgres_fitting import MisfitError
from osiris.drivers.supabase.postgres_key_order import KeyOrder
from osiris.drivers.supabase.postgres_layout import HEADER, TRAILER, number_field, rows_of
from osiris.drivers.supabase.postgres_target import Column
from osiris.drivers.supabase.postgres_text import lines_of, to_text
from osiris.drivers.supabase.postgres_types import PgType

__all__ = ["load"]

_Made = TypeVar("_Made")

_ROWS_AT_ONCE = 16_384
_BYTES_AT_ONCE = 8 * 1024 * 1024
# The server's refusal is heard only when a COPY ends: a wrong row should not cost sending all the others.
_BYTES_A_COPY = 32 * 1024 * 1024


def load(
    session: Session,
    stream: Dataset,
    columns: Sequence[Column],
    relation: str,
    what: str,
    *,
    number: str | None = None,
    order: KeyOrder | None = None,
) -> int:
    """Send all rows; how many there were. Belongs into a transaction.

    Args:
        session: Where.
        stream: The input.
        columns: For each of the input's columns, the one that it goes into.
        relation: The table that takes them, as SQL.
        what: The table in messages.
        number: A column of the relation for the row's number, from 1.
        order: Is shown every row.

    Raises:
        DriverError: ``supabase.bad_value``, ``supabase.bad_text``, ``supabase.duplicate_key``, ... with ``row`` (from
            1) and, where known, ``column``.
        OsirisError: What the stream raised, unchanged.
    """
    loading = _Loading(columns, what, numbered=number is not None, order=order)
    names = ", ".join([*(column.sql for column in columns), *filter(None, [number])])
    with closing(loading.render(stream)) as parts:
        for (_, binary), some in groupby(parts, key=lambda part: (part.copy, part.binary)):
            form = " (FORMAT binary)" if binary else ""
            try:
                session.copy_in(f"COPY {relation} ({names}) FROM STDIN{form}", loading.sending(some, binary=binary))
            except DriverError as error:
                raise loading.located(error) from error.__cause__
    return loading.rendered


@dataclass(frozen=True)
class _Part:
    """Some rows as they are sent: in which COPY, in which form, and how many rows went before."""

    copy: int
    binary: bool
    before: int
    data: bytes


class _Loading:
    """Rendering of the input, and how far it is.

    Attributes:
        rendered: Rows that were made text or binary.
        sent: Rows that went before the COPY that is under way.
    """

    def __init__(self, columns: Sequence[Column], what: str, *, numbered: bool, order: KeyOrder | None) -> None:
        self._columns = columns
        self._numbered = numbered
        self._order = order
        self._what = what
        self._binary = True
        self.rendered = 0
        self.sent = 0

    def render(self, stream: Dataset) -> Generator[_Part, None, None]:
        size = 0
        for batch in stream.batches():
            if self._order is not None:
                self._order.see(batch)
            for part in _parts(batch):
                data = self._rows(part)
                yield _Part(size // _BYTES_A_COPY, self._binary, self.rendered, data)
                size += len(data)
                self.rendered += part.num_rows

    def sending(self, parts: Iterator[_Part], *, binary: bool) -> Iterator[bytes]:
        """What goes through one COPY."""
        first = next(parts)
        self.sent = first.before
        if binary:
            yield HEADER
        yield first.data
        for part in parts:
            yield part.data
        if binary:
            yield TRAILER

    def located(self, error: DriverError) -> DriverError:
        """The error with the input's row and column, as far as the server told them."""
        context = error.facts.pop("context", None)
        found = _PLACE.search(context or "")
        if found is None or "row" in error.facts:
            return error
        error.facts["row"] = row = self.sent + int(found[1])
        place = f"row {row:,}"
        column = error.facts.get("column") or next(
            (one.name for one in self._columns if found[2] and _names(found[2], one.name)),
            None,
        )
        if column is not None:
            error.facts["column"] = column
            place += f", column {column!r}"
        error.message = f"{self._what}, {place} of the input: {error.message}"
        return error

    def _rows(self, batch: pa.RecordBatch) -> bytes:
        """Binary as long as the values let it be, then text: it takes all values, and its errors tell them."""
        if self._binary:
            data = self._binary_rows(batch)
            if data is not None:
                return data
            self._binary = False
        return self._lines(batch)

    def _binary_rows(self, batch: pa.RecordBatch) -> bytes | None:
        fields = []
        for array, column in zip(batch.columns, self._columns, strict=True):
            field = self._fitted(to_field, array, column)
            if field is None:
                return None
            fields.append(field)
        if self._numbered:
            fields.append(number_field(self.rendered + 1, batch.num_rows))
        return rows_of(fields, batch.num_rows)

    def _lines(self, batch: pa.RecordBatch) -> bytes:
        texts = [self._fitted(to_text, array, one) for array, one in zip(batch.columns, self._columns, strict=True)]
        if self._numbered:
            numbers = to_array(range(self.rendered + 1, self.rendered + batch.num_rows + 1))
            lines = lines_of([*texts, numbers.cast(pa.string())])
        else:
            lines = lines_of(texts)
        if b"\0" in lines:
            raise self._nul(texts)
        return lines

    def _fitted(self, convert: Callable[[pa.Array, PgType], _Made], array: pa.Array, column: Column) -> _Made:
        try:
            return convert(array, column.type)
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


def _names(place: str, column: str) -> bool:
    """Binary rows are told by the column alone, text also by ``: "value"`` or ``, null``."""
    return place == column or place.startswith((f"{column}:", f"{column}, "))


# "COPY orders, line 3, column amount: ..."; the words are in the server's language.
_PLACE = re.compile(r"^COPY [^\n]*?, \w+ (\d+)(?:, \w+ ([^\n]*))?", re.MULTILINE)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = batch.num_rows
    if rows:
        fitting = max(1, rows * _BYTES_AT_ONCE // max(1, batch.nbytes))
        step = min(_ROWS_AT_ONCE, fitting)
        for start in range(0, rows, step):
            yield batch.slice(start, step)
