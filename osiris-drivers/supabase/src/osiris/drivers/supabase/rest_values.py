"""What PostgREST gives as JSON, as Arrow: exact, with types that do not change from page to page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from itertools import accumulate
from typing import Any

import pyarrow as pa

from osiris.core.python_values import to_array
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.rest_query import name_of
from osiris.drivers.supabase.rest_schema import RestColumn

__all__ = ["Field", "Misfit", "decimal_of", "field_of", "numeric_of"]

DECIMAL_DIGITS = 38

_SIMPLE: dict[str, pa.DataType] = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "time without time zone": pa.time64("us"),
    "bytea": pa.binary(),
    "text": pa.string(),
    "character varying": pa.string(),
    "character": pa.string(),
    "uuid": pa.string(),
    "interval": pa.string(),
    "time with time zone": pa.string(),
    "name": pa.string(),
    "inet": pa.string(),
    "cidr": pa.string(),
    "macaddr": pa.string(),
}
"""Types whose JSON holds the whole value; every other type is read as its text."""


class Misfit(Exception):
    """A value that its column's type does not hold; it never leaves the driver.

    Attributes:
        position: Of the value in the page.
        value: As it came.
    """

    def __init__(self, position: int, value: Any) -> None:
        super().__init__(position, value)
        self.position, self.value = position, value


@dataclass(frozen=True)
class Field:
    """A column of the output.

    Attributes:
        name: Its name.
        type: Its Arrow type; None: that of a NUMERIC, which the first page tells.
        cast: The type that the server is asked to give it as: ``text``, ``_text`` (an array of texts), or none.
    """

    name: str
    type: pa.DataType | None
    cast: str = ""

    @property
    def selection(self) -> str:
        """Its part of the parameter ``select``."""
        return f"{name_of(self.name)}::{self.cast}" if self.cast else name_of(self.name)

    def convert(self, values: Sequence[Any]) -> pa.Array:
        """A page's values, None for NULL.

        Raises:
            Misfit: One of them does not fit.
        """
        assert self.type is not None
        return _convert(values, self.type)


def field_of(column: RestColumn) -> Field:
    """How a column of the table is read."""
    if column.is_enum:
        return Field(column.name, pa.string())
    if column.type in _SIMPLE:
        return Field(column.name, _SIMPLE[column.type])
    if column.type == "numeric":
        return Field(column.name, None, cast="text")
    element = column.type.removesuffix("[]")
    if element == column.type:
        return Field(column.name, pa.string(), cast="text")
    if element in _SIMPLE:
        return Field(column.name, pa.list_(_SIMPLE[element]))
    return Field(column.name, pa.list_(pa.string()), cast="_text")


def numeric_of(texts: Sequence[str]) -> pa.DataType:
    """The type for a column of NUMERIC of which these are values; it is not told which scale was declared, if any.

    All with the same digits behind the point, as a declared scale gives them: a decimal of that scale. Otherwise text,
    as over Postgres where no scale was declared.
    """
    scales, whole, is_finite = _digits(texts)
    if len(scales) > 1 or not is_finite or whole + max(scales, default=0) > DECIMAL_DIGITS:
        return pa.string()
    return pa.decimal128(DECIMAL_DIGITS, max(scales, default=0))


def decimal_of(texts: Sequence[str]) -> pa.DataType:
    """The decimal for these numbers; the room that they leave in 38 digits goes to both sides of the point."""
    scales, whole, _ = _digits(texts)
    scale = max(scales, default=0)
    room = max(0, DECIMAL_DIGITS - whole - scale)
    return pa.decimal128(DECIMAL_DIGITS, min(scale if len(scales) <= 1 else scale + room // 2, DECIMAL_DIGITS))


def _digits(texts: Sequence[str]) -> tuple[set[int], int, bool]:
    """How many stand behind the point, in all of them; the most before it; and whether all are numbers."""
    scales, whole, is_finite = set(), 1, True
    for text in texts:
        before, _, behind = text.lstrip("-").partition(".")
        if (before + behind).isdigit():
            scales.add(len(behind))
            whole = max(whole, len(before))
        else:
            is_finite = False
    return scales, whole, is_finite


def _convert(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return _lay_out(values, kind)
    except (pa.ArrowException, ArithmeticError, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, Misfit):
            raise
        for position, value in enumerate(values):
            try:
                _lay_out([value], kind)
            except (pa.ArrowException, ArithmeticError, AttributeError, TypeError, ValueError):
                raise Misfit(position, value) from error
        raise


def _lay_out(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not any(value is not None for value in values):
        return pa.nulls(len(values), kind)
    if pa.types.is_list(kind):
        return _lists(values, kind)
    for is_kind, lay_out in _LAYOUTS:
        if is_kind(kind):
            return lay_out(values, kind)
    raise TypeError(str(kind))


def _typed(expected: type) -> Callable[[Sequence[Any], pa.DataType], pa.Array]:
    def lay_out(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        if not set(map(type, values)) <= {expected, type(None)}:
            raise TypeError("a value of another kind")
        found = to_array(values)
        return found if found.type == kind else found.cast(kind)

    return lay_out


def _floats(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    found = [None if value is None else _float(value) for value in values]
    return to_array(found).cast(kind) if kind != pa.float64() else to_array(found)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("a boolean")
    return float(value)  # NaN and the infinities come as texts


def _through_text(read: Callable[[str], Any]) -> Callable[[Sequence[Any], pa.DataType], pa.Array]:
    """Arrow's own parser for all, and ``read`` where it does not understand one of them."""
    text = _typed(str)

    def lay_out(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        try:
            return text(values, kind)
        except pa.ArrowException:
            found = to_array([None if value is None else read(value) for value in values])
            return found.cast(kind)

    return lay_out


def _by(read: Callable[[Any], Any]) -> Callable[[Sequence[Any], pa.DataType], pa.Array]:
    return lambda values, kind: to_array([None if value is None else read(value) for value in values]).cast(kind)


def _bytes(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError("no hexadecimal text")
    return bytes.fromhex(text[2:])


def _decimals(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return _typed(str)([None if value is None else str(value) for value in values], kind)


def _lists(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    for position, value in enumerate(values):
        if value is not None and not isinstance(value, list):
            raise Misfit(position, value)
    offsets = [0, *accumulate(0 if value is None else len(value) for value in values)]
    items = [item for value in values if value is not None for item in value]
    try:
        child = _convert(items, kind.value_type)
    except Misfit as misfit:
        position = next(at for at, end in enumerate(offsets[1:]) if end > misfit.position)
        raise Misfit(position, values[position]) from misfit
    holds = to_array([value is not None for value in values])
    return pa.Array.from_buffers(
        kind, len(values), [holds.buffers()[1], to_array(offsets).cast(pa.int32()).buffers()[1]], children=[child]
    )


_LAYOUTS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Sequence[Any], pa.DataType], pa.Array]], ...] = (
    (pa.types.is_integer, _typed(int)),
    (pa.types.is_string, _typed(str)),
    (pa.types.is_boolean, _typed(bool)),
    (pa.types.is_floating, _floats),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_timestamp, _through_text(datetime.fromisoformat)),
    (pa.types.is_date, _through_text(date.fromisoformat)),
    (pa.types.is_time, _by(time.fromisoformat)),
    (pa.types.is_binary, _by(_bytes)),
)
