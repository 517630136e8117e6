"""Dates and times into MySQL's columns: nothing cut off."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from osiris.drivers.mysql.rendering import refuse_where, to_text
from osiris.drivers.mysql.text_forms import Convert, is_text, looking_like

__all__ = ["into_date", "into_datetime", "into_time"]

_SECOND = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def into_date(kind: pa.DataType) -> Convert | None:
    """A DATE: dates, midnights, and texts such as ``2026-01-31``; None for anything else."""
    if pa.types.is_date(kind):
        return _whole_days if kind == pa.date64() else to_text
    if pa.types.is_timestamp(kind):
        return _midnights
    return looking_like(f"^{_DATE}$", "is not a date such as 2026-01-31") if is_text(kind) else None


def _whole_days(array: pa.Array) -> pa.Array:
    _refuse_rest(array.view(pa.int64()), 86_400_000, "has a time of day")
    return to_text(array)


def _midnights(array: pa.Array) -> pa.Array:
    numbers = array.view(pa.int64())
    _refuse_rest(numbers, 86_400 * 10 ** _SECOND[array.type.unit], "has a time of day")
    return to_text(numbers.view(pa.timestamp(array.type.unit)).cast(pa.date32()))


def _refuse_rest(numbers: pa.Array, divisor: int, reason: str) -> None:
    if divisor > 1:
        whole = pc.multiply(pc.divide(numbers, divisor), divisor)
        refuse_where(pc.not_equal(whole, numbers), reason)


def into_datetime(kind: pa.DataType, precision: int) -> Convert | None:
    """A DATETIME or TIMESTAMP with so many digits of a second; None for what is no date."""
    if pa.types.is_date(kind):
        return to_text
    if pa.types.is_timestamp(kind):
        return _with_precision(kind.unit, precision)
    if is_text(kind):
        pattern = rf"^{_DATE}([ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}{_fraction(precision)})?)?$"
        return looking_like(pattern, f"is not a date and time with at most {precision} digits of a second")
    return None


def into_time(kind: pa.DataType, precision: int) -> Convert | None:
    """A TIME with so many digits of a second; None for what is no time."""
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return _with_precision(kind.unit, precision)
    if is_text(kind):
        pattern = rf"^-?[0-9]{{1,3}}:[0-9]{{2}}(:[0-9]{{2}}{_fraction(precision)})?$"
        return looking_like(pattern, f"is not a time with at most {precision} digits of a second")
    return None


def _fraction(precision: int) -> str:
    return rf"(\.[0-9]{{0,{precision}}}0*)?"


def _with_precision(unit: str, precision: int) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        if _SECOND[unit] > precision:
            numbers = array.view(pa.int32() if pa.types.is_time32(array.type) else pa.int64())
            reason = f"has more than {precision} digits of a second" if precision else "has parts of a second"
            _refuse_rest(numbers.cast(pa.int64()), 10 ** (_SECOND[unit] - precision), reason)
        return to_text(array)

    return convert
