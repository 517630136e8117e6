"""Rows of the binary protocol to Arrow columns, a column of many rows at a time; no value passes through Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.mysql import types
from osiris.drivers.mysql.dates import read_dates, read_times
from osiris.drivers.mysql.packets import Rows
from osiris.drivers.mysql.types import Column, ZeroDates, schema_of

__all__ = ["Reader", "RowDecoder"]

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]

_NUMBERS: Mapping[int, int] = {
    types.TINY: 1,
    types.SHORT: 2,
    types.YEAR: 2,
    types.INT24: 4,
    types.LONG: 4,
    types.LONGLONG: 8,
    types.FLOAT: 4,
    types.DOUBLE: 8,
}
"""Types whose values are the same bytes in the protocol and in Arrow, and how many."""


class RowDecoder:
    """Turns :class:`~osiris.drivers.mysql.packets.Rows` of one result into batches.

    Args:
        columns: Of the result.
        zero_dates: What becomes of dates that are none.
    """

    def __init__(self, columns: tuple[Column, ...], zero_dates: ZeroDates) -> None:
        self.schema = schema_of(columns, zero_dates)
        self.rows = 0
        """How many have been read."""
        self._columns = columns
        self._zero_dates = zero_dates

    def decode(self, rows: Rows) -> pa.RecordBatch:
        """The rows as a batch; copies all it needs.

        Raises:
            DriverError: ``mysql.zero_date``, ``mysql.not_exact``: a value has no exact form; with row and column.
        """
        reader = Reader(rows, len(self._columns))
        arrays = [
            self._read(reader, column, field.type) for column, field in zip(self._columns, self.schema, strict=True)
        ]
        self.rows += len(rows.starts)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _read(self, reader: Reader, column: Column, kind: pa.DataType) -> pa.Array:
        absent = reader.absent()
        code = column.type_code
        if code in _NUMBERS:
            return reader.fixed(_NUMBERS[code], absent, kind)
        if column.is_date:
            return read_dates(reader, column, kind, absent, self._zero_dates, self.rows)
        if code == types.TIME:
            return read_times(reader, absent)
        if code == types.NULL:
            return pa.nulls(reader.count)
        if code == types.BIT:
            return reader.bits((column.length + 7) // 8, absent, kind)
        texts = reader.texts(absent)
        return texts if kind == pa.binary() else self._typed(texts, column, kind)

    def _typed(self, texts: pa.Array, column: Column, kind: pa.DataType) -> pa.Array:
        try:
            strings = texts.cast(pa.string())  # looks whether it is UTF-8
            return strings if kind == pa.string() else strings.cast(kind)
        except pa.ArrowInvalid as error:
            raise self._inexact(texts, column, kind) from error

    def _inexact(self, texts: pa.Array, column: Column, kind: pa.DataType) -> DriverError:
        """Which value it is: found one by one, because Arrow does not say."""
        for number, text in enumerate(texts):
            try:
                text.cast(pa.string()).cast(kind)
            except pa.ArrowInvalid:
                shown = text.as_py()[:60].decode("utf-8", "replace")
                return DriverError(
                    f"row {self.rows + number + 1}, column {column.name!r}: {shown!r} has no exact form as {kind}",
                    hint=types.CAST_HINT,
                    code="mysql.not_exact",
                    row=self.rows + number + 1,
                    column=column.name,
                )
        raise AssertionError(f"column {column.name!r} fits {kind} after all")


class Reader:
    """Where the next column's values are, in all rows at once."""

    def __init__(self, rows: Rows, columns: int) -> None:
        self.content = rows.content
        self.count = len(rows.starts)
        self.at: Places = rows.starts + 1 + (columns + 9) // 8
        """Where the next value of each row begins."""
        self._flags = rows.starts + 1
        self._column = 2  # the first two bits of the flags are nobody's
        self._byte: Bytes = np.empty(0, np.uint8)

    def absent(self) -> Bits | None:
        """Which values of the next column are NULL; None where none is."""
        byte, bit = divmod(self._column, 8)
        if bit == 0 or self._column == 2:
            self._byte = self.content[self._flags + byte]
        self._column += 1
        absent = (self._byte & (1 << bit)) != 0
        return absent if absent.any() else None

    def numbers(self, at: Places, kind: str) -> npt.NDArray[np.generic]:
        """The little-endian numbers of a numpy type that begin at ``at``, aligned or not."""
        size = np.dtype(kind).itemsize
        if size == 1:
            return self.content[at].view(kind)
        everywhere = np.ndarray((len(self.content) - size + 1,), kind, self.content.data, strides=(1,))
        return everywhere[at]

    def validity(self, absent: Bits | None) -> pa.Buffer | None:
        """Arrow's validity bits."""
        return None if absent is None else pa.py_buffer(np.packbits(~absent, bitorder="little"))

    def skip(self, size: int | Places, absent: Bits | None) -> None:
        """Go on to the next column: a NULL takes no room."""
        self.at = self.at + (size if absent is None else np.where(absent, 0, size))

    def fixed(self, size: int, absent: Bits | None, kind: pa.DataType) -> pa.Array:
        """Numbers of ``size`` bytes, which Arrow has in the very same form."""
        values = self.numbers(self.at, f"<u{size}")
        self.skip(size, absent)
        return pa.Array.from_buffers(kind, self.count, [self.validity(absent), pa.py_buffer(values)])

    def lengths(self, absent: Bits | None) -> tuple[Places, Places]:
        """Where the contents of sized values begin and how long they are; goes on to the next column."""
        first = self.content[self.at].astype(np.int64)
        if absent is not None:
            first[absent] = 0
        head = np.ones(self.count, np.int64)
        if (first > 250).any():
            for mark, kind, mask, size in _SIZES:
                here = np.flatnonzero(first == mark)
                if len(here):
                    first[here] = self.numbers(self.at[here] + 1, kind).astype(np.int64) & mask
                    head[here] = size
        start = self.at + head
        self.skip(head + first, absent)
        return start, first

    def texts(self, absent: Bits | None) -> pa.Array:
        """Sized values as bytes."""
        start, size = self.lengths(absent)
        # As Arrow sees it, fields and what lies between them alternate: a copy of every other one is the column.
        edges = np.empty(2 * self.count, np.int32)
        edges[0::2] = start
        edges[1::2] = start + size
        if absent is not None:
            # Edges must not go back: a NULL is empty and lies where the row's next value does.
            edges[1::2][absent] = edges[0::2][absent]
        everything = pa.Array.from_buffers(
            pa.binary(),
            max(2 * self.count - 1, 0),
            [None, pa.py_buffer(edges), pa.py_buffer(self.content)],
        )
        return everything.take(_every_other(self.count, self.validity(absent)))

    def bits(self, size: int, absent: Bits | None, kind: pa.DataType) -> pa.Array:
        """BIT(n): the highest byte first."""
        start, _ = self.lengths(absent)
        value = np.zeros(self.count, np.uint64)
        for number in range(size):
            value = (value << np.uint64(8)) | self.content[start + number]
        if kind == pa.bool_():
            data = np.packbits(value.astype(np.bool_), bitorder="little")
            return pa.Array.from_buffers(kind, self.count, [self.validity(absent), pa.py_buffer(data)])
        return pa.Array.from_buffers(kind, self.count, [self.validity(absent), pa.py_buffer(value)])


_SIZES = (
    (0xFC, "<u2", 0xFFFF, 3),
    (0xFD, "<u4", 0xFFFFFF, 4),
    (0xFE, "<u8", 0x7FFFFFFFFFFFFFFF, 9),
)


@lru_cache(maxsize=4)
def _even(count: int) -> pa.Buffer:
    return pa.py_buffer(np.arange(0, 2 * count, 2, dtype=np.int32))


def _every_other(count: int, validity: pa.Buffer | None) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), count, [validity, _even(count)])
