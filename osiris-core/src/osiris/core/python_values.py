"""Python values to Arrow arrays, without importing pandas.

``pa.array(<list>)`` imports pandas wherever it is installed, only to ask whether the list is a Series: 0.7 s, more than
a small run takes altogether. What drivers give most (integers, floats, booleans, texts, bytes, None) is therefore laid
out here; the result is the same array, but for integers from 2**63 on, which pyarrow refuses and uint64 holds.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

__all__ = ["to_array"]


def to_array(values: Sequence[Any]) -> pa.Array:
    """What ``pa.array(values)`` gives.

    Raises:
        pa.ArrowException, TypeError, ValueError, OverflowError: No one Arrow type fits all values.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    make = _MAKERS.get(kinds.pop()) if len(kinds) == 1 else None
    if make is not None:
        try:
            return make(values)
        except (OverflowError, UnicodeEncodeError):
            pass  # beyond 64 bits, beyond 2 GiB, a lone surrogate: pyarrow knows what to say
    return pa.array(values)


def _numbers(code: str, kind: pa.DataType) -> Callable[[Sequence[Any]], pa.Array]:
    def make(values: Sequence[Any]) -> pa.Array:
        valid, nulls = _validity(values)
        data = array(code, values if not nulls else [0 if value is None else value for value in values])
        return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)], nulls)

    return make


def _integers(values: Sequence[Any]) -> pa.Array:
    try:
        return _numbers("q", pa.int64())(values)
    except OverflowError:
        return _numbers("Q", pa.uint64())(values)  # which pyarrow does not guess by itself


def _booleans(values: Sequence[Any]) -> pa.Array:
    valid, nulls = _validity(values)
    return pa.Array.from_buffers(pa.bool_(), len(values), [valid, _bits([value is True for value in values])], nulls)


def _texts(values: Sequence[Any]) -> pa.Array:
    return _bytes([None if value is None else value.encode() for value in values], pa.string())


def _bytes(values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array:
    valid, nulls = _validity(values)
    parts = [value or b"" for value in values]
    offsets = array("i", accumulate(map(len, parts), initial=0))
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(kind or pa.binary(), len(values), buffers, nulls)


def _validity(values: Sequence[Any]) -> tuple[pa.Buffer | None, int]:
    nulls = sum(value is None for value in values)
    return (_bits([value is not None for value in values]) if nulls else None), nulls


def _bits(flags: list[bool]) -> pa.Buffer:
    # Least significant bit first: the first flag is the last digit of the number.
    digits = "".join("1" if flag else "0" for flag in reversed(flags))
    return pa.py_buffer(int(digits or "0", 2).to_bytes((len(flags) + 7) // 8, "little"))


_MAKERS: dict[type, Callable[[Sequence[Any]], pa.Array]] = {
    int: _integers,
    float: _numbers("d", pa.float64()),
    bool: _booleans,
    str: _texts,
    bytes: _bytes,
}
