"""Columns laid into rows, as ``COPY ... FROM STDIN (FORMAT binary)`` wants them, whole columns at once.

Every byte that has the same place in all rows goes there by one strided assignment, the rest by Arrow's join.
"""

from __future__ import annotations

import sys
from array import array as numbers
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.python_values import to_array
from osiris.core.quick_dataclass import dataclass

__all__ = [
    "HEADER",
    "TRAILER",
    "Field",
    "Numbers",
    "Strip",
    "data_of",
    "fixed_field",
    "number_field",
    "rows_of",
    "strips_field",
    "values_field",
    "variable_field",
]

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


@dataclass(frozen=True)
class Numbers:
    """A number for each row, of ``width`` bytes, as this machine has them."""

    data: bytes
    width: int


Strip = bytes | Numbers
"""What has one width in all rows: the same bytes in each, or numbers, which go out with the highest byte first."""


@dataclass(frozen=True)
class Field:
    """A column: in each row the strips, one after the other, and then the value, of whatever length; NULL is empty."""

    strips: Sequence[Strip]
    values: pa.Array | None = None


def rows_of(fields: Sequence[Field], rows: int) -> bytes:
    """The fields side by side, row after row; :data:`HEADER` goes before the rows of a COPY, :data:`TRAILER` after."""
    strips: list[Strip] = [len(fields).to_bytes(2, "big")]
    parts = []
    for field in fields:
        strips += field.strips
        if field.values is not None:
            parts += [_woven_values(strips, rows), field.values]
            strips = []
    if strips:
        parts.append(_woven_values(strips, rows))
    joined = pc.binary_join_element_wise(*parts, _NOTHING, null_handling="replace", null_replacement="")
    return data_of(joined)


def number_field(first: int, rows: int) -> Field:
    """A column that counts, as int8."""
    return Field([(8).to_bytes(4, "big"), Numbers(numbers("q", range(first, first + rows)).tobytes(), 8)])


def fixed_field(array: pa.Array, values: pa.Array, width: int) -> Field:
    """A field of numbers of ``width`` bytes; NULL is where it is in ``array``."""
    return strips_field(array, [Numbers(data_of(values), width)], width)


def strips_field(array: pa.Array, strips: Sequence[Strip], width: int) -> Field:
    """A field of strips that are ``width`` bytes together; NULL is where it is in ``array``."""
    if array.null_count == 0:
        return Field([width.to_bytes(4, "big"), *strips])
    return values_field(array, _woven(strips, len(array)), width)


def values_field(array: pa.Array, data: bytes | bytearray, width: int) -> Field:
    """A field of values of ``width`` bytes, one after the other in ``data``; NULL is where it is in ``array``."""
    valid = pc.is_valid(array)
    return variable_field(_binary_array(data, len(array), width, valid.buffers()[1]))


def variable_field(values: pa.Array) -> Field:
    """A field of texts or bytes."""
    lengths = pc.fill_null(pc.binary_length(values), _NO_LENGTH)
    return Field([Numbers(data_of(lengths), 4)], values.cast(pa.binary()))


def _woven_values(strips: Sequence[Strip], rows: int) -> pa.Array:
    woven = _woven(strips, rows)
    return _binary_array(woven, rows, len(woven) // rows, None)


def _woven(strips: Sequence[Strip], rows: int) -> bytearray:
    """The strips side by side, row after row."""
    stride = sum(len(strip) if isinstance(strip, bytes) else strip.width for strip in strips)
    woven = bytearray(stride * rows)
    at = 0
    for strip in strips:
        if isinstance(strip, bytes):
            for byte in strip:
                if byte:
                    woven[at::stride] = bytes((byte,)) * rows
                at += 1
        else:
            for place in range(strip.width)[:: -1 if sys.byteorder == "little" else 1]:
                woven[at::stride] = strip.data[place :: strip.width]
                at += 1
    return woven


def _binary_array(data: bytes | bytearray, rows: int, width: int, valid: pa.Buffer | None) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), rows, [valid, _every(width, rows), pa.py_buffer(data)])


@lru_cache(maxsize=64)
def _every(width: int, rows: int) -> pa.Buffer:
    """Offsets of values that are all of one width."""
    return pa.py_buffer(numbers("i", range(0, width * rows + 1, width)))


def data_of(array: pa.Array) -> bytes:
    """The bytes of its values, and no others."""
    start, end = array.offset, array.offset + len(array)
    *_, data = array.buffers()
    if data is None:
        return b""
    if pa.types.is_primitive(array.type):
        width = array.type.byte_width
        return bytes(data[start * width : end * width])
    ends = pa.Array.from_buffers(pa.int32(), end + 1, [None, array.buffers()[1]])
    return bytes(data[ends[start].as_py() : ends[end].as_py()])


_NO_LENGTH = to_array([-1])[0].cast(pa.int32())
_NOTHING = to_array([b""])[0]
