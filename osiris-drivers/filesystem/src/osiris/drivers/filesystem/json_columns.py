"""Parsed JSON values to Arrow columns, every number exact.

A column's kind is guessed from a sample and then holds: an integer beyond 64 bits, or a fraction that no
double says exactly, makes a decimal; what has no common type (texts beside numbers) stays JSON text, marked so
that it is written back as it was.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from types import NoneType
from typing import Any

import pyarrow as pa

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem.arrow_arrays import bits, text_array
from osiris.drivers.filesystem.csv_declared import declared
from osiris.drivers.filesystem.csv_inference import Misfit
from osiris.drivers.filesystem.value_text import FORM

__all__ = ["JSON_TEXT", "Fraction", "JsonColumn", "declared_column", "dump", "infer_column"]

_LARGEST = 2**63
_NOTHING = object()
_DEEPEST = 50
"""Structs and lists in one another; Arrow passes no more than 64 on."""


class Fraction(str):
    """A JSON number with a fraction or exponent, as its text."""

    __slots__ = ()


@dataclass(frozen=True)
class JsonColumn:
    """A type, and the function that makes an array of it from JSON values (None where there is none).

    The function raises :class:`~osiris.drivers.filesystem.csv_inference.Misfit` for a value of another kind.
    """

    type: pa.DataType
    build: Callable[[Sequence[Any]], pa.Array]
    form: str = ""

    def field(self, name: str) -> pa.Field:
        """The Arrow field of such a column."""
        return pa.field(name, self.type, metadata={FORM: self.form.encode()} if self.form else None)


def declared_column(kind: pa.DataType) -> JsonColumn:
    """A column of a type that the user declared: texts, numbers and booleans are taken where they say such a value."""
    exact = declared(kind)
    return JsonColumn(kind, lambda values: exact.convert(text_array([_as_text(value) for value in values])))


def infer_column(values: Sequence[Any], *, nested: bool) -> JsonColumn:
    """The narrowest kind that says all of ``values`` exactly.

    Args:
        values: The sample; None for null and for missing keys.
        nested: Whether objects and lists become structs and lists, as far as Arrow can pass them on (else JSON text).
    """
    return _inferred(values, _DEEPEST if nested else 0)


def _inferred(values: Sequence[Any], levels: int) -> JsonColumn:
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    if kinds <= {str}:
        return TEXT
    if kinds == {bool}:
        return _BOOLEANS
    if kinds == {int} and all(-_LARGEST <= value < _LARGEST for value in there):
        return _INTEGERS
    if kinds <= {int, Fraction}:
        return _numbers(there, whole=kinds == {int})
    if kinds == {dict} and levels and any(there):
        return _struct(there, levels - 1)
    if kinds == {list} and levels:
        return _list(_inferred([item for value in there for item in value], levels - 1))
    return JSON_TEXT


def _numbers(values: list[Any], *, whole: bool) -> JsonColumn:
    if not whole and all(map(_is_double, values)):
        return _DOUBLES
    numbers = [_decimal(value) for value in values]
    scale = max(_scale(number) for number in numbers if number is not None) if None not in numbers else 39
    if scale <= 38 and all(number is not None and _fits(number, scale) for number in numbers):
        return _decimals(scale)
    return JSON_TEXT


def _decimal(value: int | Fraction) -> Decimal | None:
    """The number; None where its exponent is beyond everything."""
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _fits(number: Decimal, scale: int) -> bool:
    # copy_abs, because abs would round to the context's digits
    return _scale(number) <= scale and number.copy_abs() < 10 ** (38 - scale)


def _is_double(value: int | Fraction) -> bool:
    try:
        shortest = repr(float(value))
    except OverflowError:
        return False
    # Most numbers were written by somebody's shortest form; the others are compared as numbers.
    return shortest == value or ("n" not in shortest and Decimal(shortest) == _decimal(value))


def _require(values: Sequence[Any], kinds: set[type], fits: Callable[[Any], bool] | None = None) -> None:
    """Refuse the first value that is of none of ``kinds`` or does not fit."""
    if not set(map(type, values)) - {NoneType} <= kinds:
        raise Misfit(next(i for i, value in enumerate(values) if value is not None and type(value) not in kinds))
    if fits is not None:
        for index, value in enumerate(values):
            if value is not None and not fits(value):
                raise Misfit(index)


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    return bits(value is not None for value in values) if None in values else None


def _texts(values: Sequence[Any]) -> pa.Array:
    _require(values, {str})
    return text_array(values)


def _json_texts(values: Sequence[Any]) -> pa.Array:
    return text_array([None if value is None else dump(value) for value in values])


def _booleans(values: Sequence[Any]) -> pa.Array:
    _require(values, {bool})
    data = bits(value is True for value in values)
    return pa.Array.from_buffers(pa.bool_(), len(values), [_validity(values), data])


def _integers(values: Sequence[Any]) -> pa.Array:
    _require(values, {int}, lambda value: -_LARGEST <= value < _LARGEST)
    data = array("q", [value or 0 for value in values])
    return pa.Array.from_buffers(pa.int64(), len(values), [_validity(values), pa.py_buffer(data)])


def _doubles(values: Sequence[Any]) -> pa.Array:
    _require(values, {int, Fraction}, _is_double)
    data = array("d", [0.0 if value is None else float(value) for value in values])
    return pa.Array.from_buffers(pa.float64(), len(values), [_validity(values), pa.py_buffer(data)])


def _decimals(scale: int) -> JsonColumn:
    kind = pa.decimal128(38, scale)

    def fits(value: int | Fraction) -> bool:
        number = _decimal(value)
        return number is not None and _fits(number, scale)

    def build(values: Sequence[Any]) -> pa.Array:
        _require(values, {int, Fraction}, fits)
        return text_array([None if value is None else format(Decimal(value), "f") for value in values]).cast(kind)

    return JsonColumn(kind, build)


def _scale(number: Decimal) -> int:
    return max(-int(number.as_tuple().exponent), 0)


def _struct(values: Sequence[dict[str, Any]], levels: int) -> JsonColumn:
    names = list(dict.fromkeys(name for value in values for name in value))
    members = {name: _inferred([value.get(name) for value in values], levels) for name in names}
    kind = pa.struct([member.field(name) for name, member in members.items()])

    def build(values: Sequence[Any]) -> pa.Array:
        _require(values, {dict}, lambda value: value.keys() <= members.keys())
        children = [
            member.build([None if value is None else value.get(name) for value in values])
            for name, member in members.items()
        ]
        return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=children)

    return JsonColumn(kind, build)


def _list(item: JsonColumn) -> JsonColumn:
    kind = pa.list_(item.field("item"))

    def build(values: Sequence[Any]) -> pa.Array:
        _require(values, {list})
        try:
            flat = item.build([one for value in values if value is not None for one in value])
        except Misfit as misfit:
            ends = accumulate(len(value or ()) for value in values)
            raise Misfit(next(index for index, end in enumerate(ends) if end > misfit.index)) from None
        offsets = array("i", [0])
        offsets.extend(accumulate(len(value or ()) for value in values))
        return pa.Array.from_buffers(kind, len(values), [_validity(values), pa.py_buffer(offsets)], children=[flat])

    return JsonColumn(kind, build)


TEXT = JsonColumn(pa.string(), _texts)
JSON_TEXT = JsonColumn(pa.string(), _json_texts, form="json")
_BOOLEANS = JsonColumn(pa.bool_(), _booleans)
_INTEGERS = JsonColumn(pa.int64(), _integers)
_DOUBLES = JsonColumn(pa.float64(), _doubles)


def dump(value: Any) -> str:
    """The JSON text of a parsed value, decimals with their digits."""
    if not isinstance(value, dict | list):
        return _dump_scalar(value)
    pieces: list[str] = []
    # Not by recursion: the parser takes deeper values than Python's functions may call one another.
    rest: list[tuple[str, Any]] = [("", value)]
    while rest:
        piece, one = rest.pop()
        pieces.append(piece)
        if one is _NOTHING:
            continue
        if isinstance(one, dict):
            members = [(f"{_dump_scalar(name)}:", item) for name, item in one.items()]
            pieces.append("{")
            rest.append(("}", _NOTHING))
        elif isinstance(one, list):
            members = [("", item) for item in one]
            pieces.append("[")
            rest.append(("]", _NOTHING))
        else:
            pieces.append(_dump_scalar(one))
            continue
        members[1:] = [(f",{prefix}", item) for prefix, item in members[1:]]
        rest.extend(reversed(members))
    return "".join(pieces)


def _dump_scalar(value: Any) -> str:
    return str(value) if isinstance(value, Fraction) else json.dumps(value, ensure_ascii=False)


def _as_text(value: Any) -> str | None:
    return value if value is None else str(value) if isinstance(value, str) else dump(value)
