"""Dates and times of the binary protocol to Arrow, and what is no date at all."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.mysql.types import DATE, NEWDATE, ZERO_DATE_HINT, Column, ZeroDates

if TYPE_CHECKING:
    from osiris.drivers.mysql.values import Bits, Reader

__all__ = ["read_dates", "read_times"]

Numbers = npt.NDArray[np.int64]

_DAY = 86_400_000_000
"""Microseconds."""


def read_dates(
    reader: Reader, column: Column, kind: pa.DataType, absent: Bits | None, zero_dates: ZeroDates, before: int
) -> pa.Array:
    """The next column, which is a DATE, DATETIME or TIMESTAMP.

    Args:
        reader: At the column.
        column: As described.
        kind: Its Arrow type.
        absent: Which are NULL.
        zero_dates: What becomes of dates that are none.
        before: How many rows came before these, for messages.

    Raises:
        DriverError: ``mysql.zero_date``.
    """
    is_day = column.type_code in (DATE, NEWDATE)
    at = reader.at
    size = reader.content[at]
    reader.skip(size.astype(np.int64) + 1, absent)
    # A value is sent without the parts at its end that are zero: none, date, seconds, microseconds.
    year = _where(size >= 4, reader.numbers(at + 1, "<u2"))
    month = _where(size >= 4, reader.content[at + 3])
    day = _where(size >= 4, reader.content[at + 4])
    micros: Numbers | None = None
    if not is_day:
        micros = _seconds(reader, at + 5, size >= 7) * 1_000_000
        micros += _where(size >= 11, reader.numbers(at + 8, "<u4"))
    if zero_dates == "text":
        return _as_text(reader, year, month, day, micros, column, absent)
    days, wrong = _days(year, month, day)
    if absent is not None:
        wrong &= ~absent
    if wrong.any():
        if zero_dates == "error":
            raise _zero_date(int(np.flatnonzero(wrong)[0]), before, column, year, month, day)
        absent = wrong if absent is None else absent | wrong
    values = days.astype(np.int32) if micros is None else days * _DAY + micros
    return pa.Array.from_buffers(kind, reader.count, [reader.validity(absent), pa.py_buffer(values)])


def read_times(reader: Reader, absent: Bits | None) -> pa.Array:
    """The next column, which is a TIME: a duration of up to 838:59:59, either way."""
    at = reader.at
    size = reader.content[at]
    reader.skip(size.astype(np.int64) + 1, absent)
    days = _where(size >= 8, reader.numbers(at + 2, "<u4"))
    micros = days * _DAY + _seconds(reader, at + 6, size >= 8) * 1_000_000
    micros += _where(size >= 12, reader.numbers(at + 9, "<u4"))
    micros = np.where((size >= 8) & (reader.content[at + 1] == 1), -micros, micros)
    return pa.Array.from_buffers(pa.duration("us"), reader.count, [reader.validity(absent), pa.py_buffer(micros)])


def _where(there: Bits, values: npt.NDArray[np.generic]) -> Numbers:
    return np.where(there, values, 0).astype(np.int64)


def _seconds(reader: Reader, at: Numbers, there: Bits) -> Numbers:
    """Hours, minutes and seconds, a byte each."""
    hours, minutes, seconds = (_where(there, reader.content[at + part]) for part in range(3))
    return (hours * 60 + minutes) * 60 + seconds


@cache
def _months() -> tuple[Numbers, Numbers]:
    """By ``year * 16 + month``: days from 1970 to the month's first, and how many days it has (none: no such month)."""
    first = np.zeros(10_000 * 16, np.int64)
    length = np.zeros(10_000 * 16, np.int64)
    edges = np.arange(np.datetime64("0000-01"), np.datetime64("10000-02")).astype("datetime64[D]").astype(np.int64)
    months = np.arange(10_000 * 12)
    place = months // 12 * 16 + months % 12 + 1
    first[place] = edges[months]
    length[place] = edges[months + 1] - edges[months]
    return first, length


def _days(year: Numbers, month: Numbers, day: Numbers) -> tuple[Numbers, Bits]:
    """Days since 1970, and which are no dates: zero, without month or day, or the 31st of February."""
    first, length = _months()
    # What is behind a NULL is anything.
    place = np.minimum(year, 9999) * 16 + (month & 15)
    return first[place] + day - 1, (day < 1) | (day > length[place])


def _zero_date(number: int, before: int, column: Column, year: Numbers, month: Numbers, day: Numbers) -> DriverError:
    text = f"{year[number]:04d}-{month[number]:02d}-{day[number]:02d}"
    return DriverError(
        f"row {before + number + 1}, column {column.name!r}: {text} is not a date",
        hint=ZERO_DATE_HINT,
        code="mysql.zero_date",
        row=before + number + 1,
        column=column.name,
    )


def _as_text(
    reader: Reader,
    year: Numbers,
    month: Numbers,
    day: Numbers,
    micros: Numbers | None,
    column: Column,
    absent: Bits | None,
) -> pa.Array:
    """As MySQL writes them: all are equally long, so that they can be put together digit by digit."""
    parts: list[tuple[Numbers, int, str]] = [(year, 4, "-"), (month, 2, "-"), (day, 2, "")]
    if micros is not None:
        seconds, fraction = np.divmod(micros, 1_000_000)
        parts[-1] = (day, 2, " ")
        parts += [(seconds // 3600, 2, ":"), (seconds // 60 % 60, 2, ":"), (seconds % 60, 2, "")]
        digits = min(column.decimals, 6)
        if digits:
            parts[-1] = (parts[-1][0], 2, ".")
            parts.append((fraction // 10 ** (6 - digits), digits, ""))
    width = sum(size + len(end) for _, size, end in parts)
    text = np.empty((reader.count, width), np.uint8)
    place = 0
    for value, size, end in parts:
        for digit in reversed(range(size)):
            text[:, place + digit] = value % 10 + ord("0")
            value = value // 10  # from the last digit to the first
        place += size
        if end:
            text[:, place] = ord(end)
            place += 1
    edges = np.arange(0, (reader.count + 1) * width, width, dtype=np.int32)
    buffers = [reader.validity(absent), pa.py_buffer(edges), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), reader.count, buffers)
