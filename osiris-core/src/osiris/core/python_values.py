"""Python values to an Arrow array of exactly these values, or a refusal; without importing pandas.

``pa.array(<list>)`` is not used where it can be helped. It imports pandas wherever that is installed, only to ask
whether the list is a Series: 0.7 s, more than a small run takes altogether. And it cuts nanoseconds, the time off a
datetime beside dates, the offset off a time, and mixes instants with local times, all silently.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

import pyarrow as pa

__all__ = ["to_array"]

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_PLAIN = frozenset({str, bytes, bool, int, float, Decimal, date, datetime, time, timedelta})


def to_array(values: Sequence[Any]) -> pa.Array | pa.ChunkedArray:
    """The values of one column as Arrow; None is NULL.

    ``int`` becomes int64 (uint64 where only that holds them all), ``int`` beside ``float`` double where that is
    exact, ``Decimal`` a decimal wide enough for all, ``datetime`` microseconds, in their time zone where they have one.
    Values of other types (lists, dicts, numpy's, ...) become what pyarrow makes of them.

    Raises:
        pa.ArrowException, TypeError, ValueError, OverflowError: No one Arrow type holds them all exactly.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if not kinds <= _PLAIN:
        return _from_others(values, kinds)
    target, lay_out = _layouts[_common_kind(kinds)](values)
    return lay_out(values, target)


def _common_kind(kinds: set[type]) -> type:
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds == {int, float}:
        return float
    if kinds == {int, Decimal}:
        return Decimal
    raise TypeError(f"it holds {_listed(kinds)}")


def _listed(kinds: Iterable[type]) -> str:
    names = sorted(kind.__name__ for kind in kinds)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _from_others(values: Sequence[Any], kinds: set[type]) -> pa.Array | pa.ChunkedArray:
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        missing = {id(pandas.NA), id(pandas.NaT)}  # by identity: they are not even equal to themselves
        if any(id(value) in missing for value in values):
            return to_array([None if id(value) in missing else value for value in values])
    if all(issubclass(kind, datetime) for kind in kinds):  # pandas' Timestamp, for one
        fine = any(getattr(value, "nanosecond", 0) for value in values)
        return pa.array(values, type=pa.timestamp("ns" if fine else "us", tz=_zone(values)))
    if len(kinds) > 1 and any(issubclass(kind, date | time) for kind in kinds):
        raise TypeError(f"it holds {_listed(kinds)}")
    return pa.array(values)


LayOut = Callable[[Sequence[Any], pa.DataType], pa.Array]


def _of_text(values: Sequence[str | None]) -> tuple[pa.DataType, LayOut]:
    return pa.string(), lambda given, target: _variable([None if v is None else v.encode() for v in given], target)


def _of_bytes(values: Sequence[bytes | None]) -> tuple[pa.DataType, LayOut]:
    return pa.binary(), _variable


def _of_bool(values: Sequence[bool | None]) -> tuple[pa.DataType, LayOut]:
    return pa.bool_(), lambda given, target: pa.Array.from_buffers(target, len(given), [_valid(given), _bits(given)])


def _of_int(values: Sequence[int | None]) -> tuple[pa.DataType, LayOut]:
    given = [value for value in values if value is not None]
    if min(given) >= -(2**63) and max(given) < 2**63:
        return pa.int64(), _fixed("q")
    if min(given) >= 0 and max(given) < 2**64:
        return pa.uint64(), _fixed("Q")
    raise OverflowError(f"it holds {max(given, key=abs)}, which is no 64-bit integer; a Decimal can hold it")


def _of_float(values: Sequence[float | None]) -> tuple[pa.DataType, LayOut]:
    return pa.float64(), _floats


def _of_decimal(values: Sequence[Decimal | int | None]) -> tuple[pa.DataType, LayOut]:
    whole = scale = 0
    for value in values:
        if value is None:
            continue
        _, digits, exponent = Decimal(value).as_tuple()
        if not isinstance(exponent, int):
            raise ValueError(f"it holds the Decimal {value}")  # noqa: TRY004  # a type would not help
        scale = max(scale, -exponent)
        whole = max(whole, len(digits) + exponent)
    width = max(whole, 0) + scale
    if width > 76:
        raise OverflowError(f"its Decimals need {width} digits; 76 are the most that a decimal can have")
    target = pa.decimal128(max(width, 1), scale) if width <= 38 else pa.decimal256(width, scale)
    return target, _decimals


def _of_date(values: Sequence[date | None]) -> tuple[pa.DataType, LayOut]:
    return pa.date32(), _fixed("i", lambda value: value.toordinal() - _EPOCH_DAY)


def _of_datetime(values: Sequence[datetime | None]) -> tuple[pa.DataType, LayOut]:
    return pa.timestamp("us", tz=_zone(values)), _fixed("q", _microseconds)


def _of_time(values: Sequence[time | None]) -> tuple[pa.DataType, LayOut]:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise TypeError("it holds times of day with a time zone")
    return pa.time64("us"), _fixed(
        "q", lambda t: ((t.hour * 60 + t.minute) * 60 + t.second) * 1_000_000 + t.microsecond
    )


def _of_timedelta(values: Sequence[timedelta | None]) -> tuple[pa.DataType, LayOut]:
    return pa.duration("us"), _fixed("q", lambda value: value // _MICROSECOND)


_layouts: dict[type, Callable[[Sequence[Any]], tuple[pa.DataType, LayOut]]] = {
    str: _of_text,
    bytes: _of_bytes,
    bool: _of_bool,
    int: _of_int,
    float: _of_float,
    Decimal: _of_decimal,
    date: _of_date,
    datetime: _of_datetime,
    time: _of_time,
    timedelta: _of_timedelta,
}


def _zone(values: Iterable[datetime | None]) -> str | None:
    """The time zone to keep the instants in: theirs where they have one with a name, else UTC."""
    offsets = {value.utcoffset() is not None for value in values if value is not None}
    if len(offsets) > 1:
        raise TypeError("it holds datetimes with and without a time zone")
    if offsets == {False}:
        return None
    names = {getattr(value.tzinfo, "key", None) for value in values if value is not None}
    return next(iter(names)) or "UTC" if len(names) == 1 else "UTC"


def _microseconds(value: datetime) -> int:
    offset = value.utcoffset()
    instant = value if offset is None else value.replace(tzinfo=None) - offset
    return (instant - _EPOCH) // _MICROSECOND


def _valid(values: Sequence[Any]) -> pa.Buffer | None:
    return _bits([value is not None for value in values]) if any(value is None for value in values) else None


def _bits(values: Sequence[Any]) -> pa.Buffer:
    # One number of len(values) bits, the first value lowest: as Arrow's bitmaps are.
    text = "".join("1" if value else "0" for value in reversed(values))
    return pa.py_buffer(int(text or "0", 2).to_bytes((len(values) + 7) // 8, "little"))


def _fixed(code: str, number: Callable[[Any], int] | None = None) -> LayOut:
    def lay_out(values: Sequence[Any], target: pa.DataType) -> pa.Array:
        if number is None:
            raw = array(code, [0 if value is None else value for value in values])
        else:
            raw = array(code, [0 if value is None else number(value) for value in values])
        return pa.Array.from_buffers(target, len(values), [_valid(values), pa.py_buffer(raw)])

    return lay_out


def _floats(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    raw = array("d", [0.0 if value is None else value for value in values])
    for value, number in zip(values, raw, strict=True):
        if type(value) is int and int(number) != value:
            raise ValueError(f"it holds floats and {value}, which is no float")
    return pa.Array.from_buffers(target, len(values), [_valid(values), pa.py_buffer(raw)])


def _decimals(values: Sequence[Decimal | int | None], target: pa.DataType) -> pa.Array:
    scale, width = target.scale, target.byte_width
    raw = b"".join(_unscaled(value, scale).to_bytes(width, "little", signed=True) for value in values)
    return pa.Array.from_buffers(target, len(values), [_valid(values), pa.py_buffer(raw)])


def _unscaled(value: Decimal | int | None, scale: int) -> int:
    if value is None:
        return 0
    sign, digits, exponent = Decimal(value).as_tuple()
    number = int("".join(map(str, digits))) * int(10 ** (int(exponent) + scale))
    return -number if sign else number


def _variable(values: Sequence[bytes | None], target: pa.DataType) -> pa.Array:
    ends = list(accumulate((0 if value is None else len(value) for value in values), initial=0))
    code = "i"
    if ends[-1] >= 2**31:
        code, target = "q", pa.large_string() if target == pa.string() else pa.large_binary()
    data = b"".join(value for value in values if value)
    buffers = [_valid(values), pa.py_buffer(array(code, ends)), pa.py_buffer(data)]
    return pa.Array.from_buffers(target, len(values), buffers)
