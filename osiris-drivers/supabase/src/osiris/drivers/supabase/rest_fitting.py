"""What PostgreSQL would silently cut or round while it reads a value, as far as the description of a column tells."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["TOO_FINE", "NoFormError", "fit"]

TOO_FINE = ("finer than the microseconds of PostgreSQL", "round it in the step before")
_DIGITS = {pa.float32(): range(1, 10), pa.float64(): range(1, 18)}
_CAST = "cast the column in the step before"


class NoFormError(Exception):
    """A value that cannot get to its column as it is; it never leaves the driver."""

    def __init__(self, position: int, value: Any, reason: str, hint: str) -> None:
        super().__init__(position, value, reason, hint)
        self.position, self.value, self.reason, self.hint = position, value, reason, hint


def fit(column: pa.Array, type: str | None) -> pa.Array:
    """The column as it is to be written into one of this type of PostgreSQL; None where that is not known.

    Raises:
        NoFormError: A value would be changed.
    """
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _fit_timestamps(column, type)
    if type == "time without time zone" and not (pa.types.is_time(kind) or _is_text(kind)):
        _refuse_first(column, f"{kind}, and no time of day", _CAST)
    if type in ("real", "double precision") and not _is_text(kind):
        _refuse_rounding(column, pa.float32() if type == "real" else pa.float64(), type)
    return column


def _fit_timestamps(column: pa.Array, type: str | None) -> pa.Array:
    kind = column.type
    if type == "timestamp without time zone":
        if kind.tz is not None:
            _refuse_first(column, "in a time zone, which the column would forget", f"{_CAST}, or make it timestamptz")
        return column
    if type == "date":
        _refuse_where(pc.not_equal(column.cast(pa.date32()).cast(kind), column), column, "no date, which would cut it")
        return column.cast(pa.date32())
    if type == "time without time zone":
        _refuse_first(column, "no time of day, which would cut it", _CAST)
    if kind.tz is None and type in (None, "timestamp with time zone"):
        # Else it would be read in the time zone of the server's session. Where the column has none, Z is passed over.
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    return column


def _refuse_rounding(column: pa.Array, target: pa.DataType, type: str) -> None:
    kind = column.type
    told = f"no {type}, which would round it"
    if pa.types.is_integer(kind):
        most = 2**24 if target == pa.float32() else 2**53
        for position, value in enumerate(column.to_pylist()):
            if value is not None and abs(value) > most and int(_as_float(value, target)) != value:
                raise NoFormError(position, value, told, _CAST)
    elif pa.types.is_decimal(kind):
        for position, value in enumerate(column.to_pylist()):
            if value is not None and not _is_shown_as(_as_float(value, target), value, _DIGITS[target]):
                raise NoFormError(position, value, told, _CAST)
    elif pa.types.is_float64(kind) and target == pa.float32():
        # The shortest text of the narrow number has to be the wide one: 0.1 passes, 1/3 does not.
        back = column.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
        _refuse_where(pc.and_(pc.is_finite(column), pc.not_equal(back, column)), column, told)


def _as_float(value: int | Decimal, target: pa.DataType) -> float:
    number = float(value)
    return number if target == pa.float64() else float(struct.unpack("f", struct.pack("f", number))[0])


def _is_shown_as(number: float, value: Decimal, digits: range) -> bool:
    """Whether the number, written as short as possible, is the value again."""
    return any(Decimal(f"{number:.{most}g}") == value for most in digits)


def _refuse_where(wrong: pa.Array, column: pa.Array, reason: str) -> None:
    if pc.any(wrong).as_py():
        at = wrong.to_pylist().index(True)
        raise NoFormError(at, column[at].as_py(), reason, _CAST)


def _refuse_first(column: pa.Array, reason: str, hint: str) -> None:
    for position in range(len(column)):
        if column[position].is_valid:
            raise NoFormError(position, column[position].as_py(), reason, hint)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))
