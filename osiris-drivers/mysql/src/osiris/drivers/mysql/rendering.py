"""Arrow columns to the text that MySQL reads: whole columns at a time, every value exact.

Both ways into the server start from the same text, so that both store the same. What MySQL cannot hold at all
(NaN, a year 0, nanoseconds) is refused here, with its place.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MisfitError", "as_load_text", "as_tuples", "plain", "to_text"]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_DAY = date(1, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
_LAST_DAY = date(9999, 12, 31).toordinal() - date(1970, 1, 1).toordinal()
_LONGEST_TIME = 838 * 3600 + 59 * 60 + 59


class MisfitError(Exception):
    """A value cannot be stored. ``index`` counts within the array; ``reason`` completes "which ...".

    The writer turns it into an error that names row, column and value.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


def refuse_where(bad: pa.Array, reason: str) -> None:
    """Raise :class:`MisfitError` for the first true value of a boolean array."""
    index = pc.index(bad, pa.scalar(True)).as_py()
    if index >= 0:
        raise MisfitError(index, reason)


def plain(array: pa.Array) -> pa.Array:
    """The same values without dictionary, run-length, view or extension around them."""
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if kind == pa.string_view():
        return array.cast(pa.large_string())
    if kind == pa.binary_view() or pa.types.is_fixed_size_binary(kind):
        return array.cast(pa.large_binary())
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    return array


def to_text(array: pa.Array) -> pa.Array:
    """The text of each value of a :func:`plain` array, NULL kept; binary as hexadecimal digits.

    Raises:
        MisfitError: MySQL has no such value.
    """
    for matches, render in _RENDERERS:
        if matches(array.type):
            return render(array)
    raise MisfitError(0, f"is of type {array.type}, which MySQL does not have")


def _keep(array: pa.Array) -> pa.Array:
    return array


def _cast(array: pa.Array) -> pa.Array:
    return array.cast(pa.string())


def _booleans(array: pa.Array) -> pa.Array:
    return array.cast(pa.uint8()).cast(pa.string())


def _floats(array: pa.Array) -> pa.Array:
    refuse_where(pc.invert(pc.is_finite(array)), "is not a finite number")
    # As doubles: the shortest text of a float32 names it only among float32s.
    return array.cast(pa.float64()).cast(pa.string())


def _binary(array: pa.Array) -> pa.Array:
    wide = array.cast(pa.large_binary())
    _, offsets, data = wide.buffers()
    begin = pa.Array.from_buffers(pa.int64(), len(wide) + 1, [None, offsets], offset=wide.offset)
    first, last = begin[0].as_py(), begin[len(wide)].as_py()
    digits = memoryview(data)[first:last].hex().encode() if data is not None else b""
    doubled = pc.multiply(pc.subtract(begin, pa.scalar(first, pa.int64())), pa.scalar(2, pa.int64()))
    texts = pa.Array.from_buffers(
        pa.large_string(), len(wide), [None, doubled.buffers()[1], pa.py_buffer(digits)], offset=doubled.offset
    )
    return pc.if_else(pc.is_valid(wide), texts, pa.scalar(None, pa.large_string())) if wide.null_count else texts


def _dates(array: pa.Array) -> pa.Array:
    days = array.cast(pa.date32()).view(pa.int32())
    refuse_where(pc.or_(pc.less(days, _FIRST_DAY), pc.greater(days, _LAST_DAY)), "is not in the years 1 to 9999")
    return array.cast(pa.date32()).cast(pa.string())


def _timestamps(array: pa.Array) -> pa.Array:
    unit = array.type.unit
    numbers = array.view(pa.int64())
    low, high = (day * 86400 * _PER_SECOND[unit] for day in (_FIRST_DAY, _LAST_DAY + 1))
    if low >= -(2**63) and high < 2**63:  # nanoseconds cover the years 1677 to 2262 only
        refuse_where(pc.or_(pc.less(numbers, low), pc.greater_equal(numbers, high)), "is not in the years 1 to 9999")
    numbers, unit = _without_nanoseconds(numbers, unit)
    # Arrow keeps instants as UTC: without its zone, the same number is UTC's wall clock.
    return numbers.view(pa.timestamp(unit)).cast(pa.string())


def _times(array: pa.Array) -> pa.Array:
    if array.type != pa.time64("ns"):
        return array.cast(pa.string())
    numbers, unit = _without_nanoseconds(array.view(pa.int64()), "ns")
    return numbers.view(pa.time64(unit)).cast(pa.string())


def _durations(array: pa.Array) -> pa.Array:
    numbers, unit = _without_nanoseconds(array.view(pa.int64()), array.type.unit)
    per_second = _PER_SECOND[unit]
    # Compared before abs(): the most negative number has no positive twin.
    high = _LONGEST_TIME * per_second + per_second - 1
    outside = pc.or_(pc.less(numbers, -high), pc.greater(numbers, high))
    refuse_where(outside, "is longer than 838:59:59, the longest TIME")
    size = pc.abs(numbers)
    seconds = pc.divide(size, per_second)
    parts = [
        pc.if_else(pc.less(numbers, 0), "-", ""),
        _digits(pc.divide(seconds, 3600), 2),
        ":",
        _digits(_modulo(pc.divide(seconds, 60), 60), 2),
        ":",
        _digits(_modulo(seconds, 60), 2),
    ]
    if unit != "s":
        parts += [".", _digits(_modulo(size, per_second), 3 if unit == "ms" else 6)]
    return pc.binary_join_element_wise(*parts, "")


def _digits(numbers: pa.Array, width: int) -> pa.Array:
    return pc.ascii_lpad(numbers.cast(pa.string()), width, padding="0")


def _modulo(numbers: pa.Array, divisor: int) -> pa.Array:
    return pc.subtract(numbers, pc.multiply(pc.divide(numbers, divisor), divisor))


def _without_nanoseconds(numbers: pa.Array, unit: str) -> tuple[pa.Array, str]:
    if unit != "ns":
        return numbers, unit
    refuse_where(pc.not_equal(_modulo(numbers, 1000), 0), "has nanoseconds; MySQL keeps microseconds")
    # Division goes towards zero, which is exact here: nothing is left over.
    return pc.divide(numbers, 1000), "us"


def _nested(array: pa.Array) -> pa.Array:
    texts: list[bytes | None] = []
    for index, value in enumerate(array):
        try:
            given = value.as_py()
            texts.append(None if given is None else json.dumps(_jsonable(given), ensure_ascii=False).encode())
        except ValueError as error:
            raise MisfitError(index, f"cannot be written as JSON ({error})") from error
    return _text_array(texts)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    return value


def _text_array(texts: Sequence[bytes | None]) -> pa.Array:
    # From buffers: pa.array() of a list would import pandas.
    from osiris.core.python_values import to_array

    made = to_array(texts) if any(text is not None for text in texts) else pa.nulls(len(texts), pa.binary())
    return made.cast(pa.large_binary()).cast(pa.large_string())


_RENDERERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind), _keep),
    (pa.types.is_boolean, _booleans),
    (lambda kind: pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind), _cast),
    (pa.types.is_floating, _floats),
    (lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind), _binary),
    (pa.types.is_date, _dates),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_duration, _durations),
    (lambda kind: pa.types.is_nested(kind) and not pa.types.is_union(kind), _nested),
)


def as_load_text(columns: Sequence[pa.Array]) -> memoryview:
    """The rows as LOAD DATA reads them by default: tabs, line feeds, and backslashes before what is special."""
    escaped = [_escape(column, ("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n")) for column in columns]
    rows = _join(escaped, "\t", null="\\N")
    # An element for what follows the last separator gives each row its line feed.
    return _data(_join([rows, ""], "\n"))


def as_tuples(columns: Sequence[pa.Array], wraps: Sequence[tuple[str, str]]) -> pa.Array:
    """One ``(value,value,...)`` a row, for INSERT; ``wraps`` are what stands around each column's quoted text."""
    literals = []
    for column, (before, after) in zip(columns, wraps, strict=True):
        text = _escape(column, ("\\", "\\\\"), ("'", "\\'"), ("\0", "\\0"))
        literals.append(pc.fill_null(_join([f"{before}'", text, f"'{after}"], "", null=None), "NULL"))
    return _join(["(", _join(literals, ",", null=None), ")"], "", null=None)


def _join(parts: Sequence[pa.Array | str], separator: str, *, null: str | None = None) -> pa.Array:
    wide = any(isinstance(part, pa.Array) and part.type == pa.large_string() for part in parts)
    kind = pa.large_string() if wide else pa.string()
    given = [part.cast(kind) if isinstance(part, pa.Array) else pa.scalar(part, kind) for part in parts]
    if null is None:
        return pc.binary_join_element_wise(*given, pa.scalar(separator, kind))
    return pc.binary_join_element_wise(
        *given, pa.scalar(separator, kind), null_handling="replace", null_replacement=null
    )


def _escape(column: pa.Array, *replacements: tuple[str, str]) -> pa.Array:
    raw = bytes(_data(column))
    for special, replacement in replacements:
        # Looking is far cheaper than replacing, and there is seldom anything to replace.
        if raw.find(special.encode()) >= 0:
            column = pc.replace_substring(column, pattern=special, replacement=replacement)
    return column


def _data(texts: pa.Array) -> memoryview:
    """The bytes of all values of a text array, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return memoryview(b"")
    width = pa.int64() if texts.type == pa.large_string() else pa.int32()
    ends = pa.Array.from_buffers(width, len(texts) + 1, [None, offsets], offset=texts.offset)
    return memoryview(data)[ends[0].as_py() : ends[len(texts)].as_py()]
