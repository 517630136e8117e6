"""Parsed JSON values to Arrow columns, every number exact.

A column's kind is guessed from a sample and then holds: an integer beyond 64 bits, or a fraction that no
double says exactly, makes a decimal; what has no common type (texts beside numbers) stays JSON text, marked so
that it is written back as it was.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any

import pyarrow as pa

from osiris.drivers.filesystem.arrow_arrays import bits, text_array
from osiris.drivers.filesystem.csv_declared import declared
from osiris.drivers.filesystem.csv_inference import Misfit
from osiris.drivers.filesystem.value_text import FORM

__all__ = ["JSON_TEXT", "JsonColumn", "declared_column", "dump", "infer_column"]

_LARGEST = 2**63


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
        nested: Whether objects and lists become structs and lists (else JSON text).
    """
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    if kinds <= {str}:
        return TEXT
    if kinds == {bool}:
        return _BOOLEANS
    if kinds == {int} and all(-_LARGEST <= value < _LARGEST for value in there):
        return _INTEGERS
    if kinds <= {int, Decimal}:
        return _numbers(there, whole=kinds == {int})
    if kinds == {dict} and nested and any(there):
        return _struct(there)
    if kinds == {list} and nested:
        return _list(infer_column([item for value in there for item in value], nested=True))
    return JSON_TEXT


def _numbers(values: list[Any], *, whole: bool) -> JsonColumn:
    if not whole and all(map(_is_double, values)):
        return _DOUBLES
    scale = max((-value.as_tuple().exponent for value in values if isinstance(value, Decimal)), default=0)
    scale = max(scale, 0)
    if scale <= 38 and all(abs(value) < 10 ** (38 - scale) for value in values):
        return _decimals(scale)
    return JSON_TEXT


def _is_double(value: int | Decimal) -> bool:
    try:
        number = float(value)
    except OverflowError:
        return False
    return Decimal(repr(number)) == value


def _require(values: Sequence[Any], fits: Callable[[Any], bool]) -> None:
    for index, value in enumerate(values):
        if value is not None and not fits(value):
            raise Misfit(index)


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    return bits(value is not None for value in values) if None in values else None


def _texts(values: Sequence[Any]) -> pa.Array:
    _require(values, lambda value: type(value) is str)
    return text_array(values)


def _json_texts(values: Sequence[Any]) -> pa.Array:
    return text_array([None if value is None else dump(value) for value in values])


def _booleans(values: Sequence[Any]) -> pa.Array:
    _require(values, lambda value: type(value) is bool)
    data = bits(value is True for value in values)
    return pa.Array.from_buffers(pa.bool_(), len(values), [_validity(values), data])


def _integers(values: Sequence[Any]) -> pa.Array:
    _require(values, lambda value: type(value) is int and -_LARGEST <= value < _LARGEST)
    data = array("q", [value or 0 for value in values])
    return pa.Array.from_buffers(pa.int64(), len(values), [_validity(values), pa.py_buffer(data)])


def _doubles(values: Sequence[Any]) -> pa.Array:
    _require(values, lambda value: type(value) in (int, Decimal) and _is_double(value))
    data = array("d", [0.0 if value is None else float(value) for value in values])
    return pa.Array.from_buffers(pa.float64(), len(values), [_validity(values), pa.py_buffer(data)])


def _decimals(scale: int) -> JsonColumn:
    kind, bound = pa.decimal128(38, scale), 10 ** (38 - scale)

    def fits(value: Any) -> bool:
        if type(value) is int:
            return abs(value) < bound
        return type(value) is Decimal and -value.as_tuple().exponent <= scale and abs(value) < bound  # type: ignore[operator]

    def build(values: Sequence[Any]) -> pa.Array:
        _require(values, fits)
        return text_array([None if value is None else format(value, "f") for value in map(_decimal, values)]).cast(kind)

    return JsonColumn(kind, build)


def _decimal(value: int | Decimal | None) -> Decimal | None:
    return Decimal(value) if isinstance(value, int) else value


def _struct(values: Sequence[dict[str, Any]]) -> JsonColumn:
    names = list(dict.fromkeys(name for value in values for name in value))
    members = {name: infer_column([value.get(name) for value in values], nested=True) for name in names}
    kind = pa.struct([member.field(name) for name, member in members.items()])

    def build(values: Sequence[Any]) -> pa.Array:
        _require(values, lambda value: type(value) is dict and value.keys() <= members.keys())
        children = [
            member.build([None if value is None else value.get(name) for value in values])
            for name, member in members.items()
        ]
        return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=children)

    return JsonColumn(kind, build)


def _list(item: JsonColumn) -> JsonColumn:
    kind = pa.list_(item.field("item"))

    def build(values: Sequence[Any]) -> pa.Array:
        _require(values, lambda value: type(value) is list)
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
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else dump(value)
