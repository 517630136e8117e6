"""What PostgreSQL would take and silently change: refused here, before it is sent.

The server refuses most of what does not fit, with the row. But it rounds to a numeric's scale, cuts the time off for a
date, ignores an offset for a timestamp without zone, and rounds to a float's precision: nobody would notice.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.python_values import to_array
from osiris.drivers.supabase.postgres_types import PgType

__all__ = ["MisfitError", "fit", "refuse_where"]

INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
_TRUE = to_array([True])[0]
_NONE = pa.nulls(1, pa.string())[0]
_DAY_US = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of years 1 and 9999, from 1970
_OFFSET = r"\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|z|[+-]\d\d(:?\d\d)?)\s*$"
_NO_NUMBER = r"(?i)^\s*[+-]?(nan|inf(inity)?)\s*$"


class MisfitError(Exception):
    """A value cannot be stored as it is. ``index`` counts within the array; ``reason`` completes "which ..."."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


def fit(array: pa.Array, target: PgType) -> pa.Array:
    """The values, in a type whose text means the same to the server as they do here.

    Raises:
        MisfitError: At the first value that would be changed.
    """
    kind = array.type
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_interval(kind):
        array = _fit_time(array, target)
    elif target.name in INTEGERS and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        whole = pa.int64() if pa.types.is_floating(kind) else pa.decimal256(76, 0)
        return _cast(array, whole, f"is no {target.name}")
    elif target.name == "numeric" and target.decimal is not None:
        _check_scale(array, target.decimal[1])
    elif target.name in ("float4", "float8"):
        _check_float(array, target.name)
    elif pa.types.is_string(kind):
        _check_text(array, target)
    return array


def refuse_where(bad: pa.Array, reason: str) -> None:
    """Raise for the first true value of a boolean array."""
    index = pc.index(bad, _TRUE).as_py()
    if index >= 0:
        raise MisfitError(index, reason)


def _fit_time(array: pa.Array, target: PgType) -> pa.Array:
    kind = array.type
    if pa.types.is_time(kind):
        array = _cast(array, pa.time64("us"), "has nanoseconds, which PostgreSQL does not keep")
        if target.name in ("time", "timetz"):
            _check_digits(array, target)
        return array
    if pa.types.is_date(kind):
        array = array.cast(pa.date32())
        _check_years(array.cast(pa.int32()), 1)
        return array
    instant = pa.timestamp("us") if kind.tz is None else pa.timestamp("us", "UTC")
    array = _cast(array, instant, "has nanoseconds, which PostgreSQL does not keep").cast(pa.timestamp("us"))
    _check_years(array.cast(pa.int64()), _DAY_US)
    if target.name in ("timestamp", "timestamptz"):
        _check_digits(array, target)
    elif target.name in ("time", "timetz"):
        refuse_where(pc.is_valid(array), f"has a date, which {target.name} does not keep")
    elif target.name == "date":
        days = array.cast(pa.date32())
        refuse_where(pc.not_equal(days.cast(pa.timestamp("us")), array), "has a time of day, which date does not keep")
        return days
    return array


def _check_years(numbers: pa.Array, a_day: int) -> None:
    found = pc.min_max(numbers).as_py()
    if found["min"] is not None and not _FIRST_DAY * a_day <= found["min"] <= found["max"] < (_LAST_DAY + 1) * a_day:
        at = next(
            index
            for index, number in enumerate(numbers.to_pylist())
            if number is not None and not _FIRST_DAY * a_day <= number < (_LAST_DAY + 1) * a_day
        )
        raise MisfitError(at, "is outside of the years 1 to 9999")


def _check_digits(array: pa.Array, target: PgType) -> None:
    digits = target.seconds_digits
    if digits < 6:
        unit = to_array([10 ** (6 - digits)])[0]
        numbers = array.cast(pa.int64())
        cut = pc.multiply(pc.divide(numbers, unit), unit)
        refuse_where(pc.not_equal(cut, numbers), f"has more than {digits} digits of a second")


def _check_scale(array: pa.Array, scale: int) -> None:
    kind = array.type
    if pa.types.is_decimal(kind) and kind.scale <= scale:
        return
    if not (pa.types.is_decimal(kind) or pa.types.is_floating(kind) or pa.types.is_string(kind)):
        if scale >= 0:
            return
        array = array.cast(pa.decimal128(38, 0))
    reason = f"has more than {scale} digits after the point" if scale >= 0 else f"is no multiple of {10**-scale}"
    if pa.types.is_decimal(array.type):
        _cast(array, pa.decimal256(76, scale), reason)
        return
    texts = array.cast(pa.string())
    # NaN and infinity are the server's to take or to refuse.
    texts = pc.if_else(pc.match_substring_regex(texts, _NO_NUMBER), _NONE, texts)
    _cast(pc.utf8_trim_whitespace(texts), pa.decimal256(76, scale), f"{reason}, or is no number of 76 digits")


def _check_float(array: pa.Array, name: str) -> None:
    kind = array.type
    target = pa.float32() if name == "float4" else pa.float64()
    if kind == target or pa.types.is_float32(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return
    reason = f"has more digits than {name} keeps"
    if pa.types.is_integer(kind):
        _cast(array, target, reason)
    elif pa.types.is_floating(kind):
        # The shortest text of the narrow number has to be the wide one: 0.1 passes, 16777217 and 1/3 do not.
        back = array.cast(target).cast(pa.string()).cast(kind)
        same = pc.or_(pc.equal(back, array), pc.is_nan(array))
        refuse_where(pc.invert(same), reason)
    elif pa.types.is_decimal(kind):
        back = _cast(array.cast(pa.string()).cast(target).cast(pa.string()), kind, reason)
        refuse_where(pc.not_equal(back, array), reason)


def _check_text(array: pa.Array, target: PgType) -> None:
    if target.name == "date":
        refuse_where(pc.match_substring(array, ":"), "has a time of day, which date does not keep")
    elif target.name == "timestamp":
        reason = "has an offset, which timestamp without time zone does not keep"
        refuse_where(pc.match_substring_regex(array, _OFFSET), reason)
    if target.name in ("time", "timestamp", "timestamptz"):
        too_fine = rf":\d\d\.\d{{{target.seconds_digits}}}\d*[1-9]"
        reason = f"has more than {target.seconds_digits} digits of a second"
        refuse_where(pc.match_substring_regex(array, too_fine), reason)


def _cast(array: pa.Array, kind: pa.DataType, reason: str) -> pa.Array:
    try:
        return array.cast(kind)
    except pa.ArrowException:
        raise MisfitError(_first_bad(array, lambda part: part.cast(kind)), reason) from None


def _first_bad(array: pa.Array, convert: Callable[[pa.Array], object]) -> int:
    """The first value that cannot be converted, by halves."""
    start, end = 0, len(array)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            convert(array.slice(start, middle - start))
            start = middle
        except pa.ArrowException:
            end = middle
    return start
