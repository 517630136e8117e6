"""Values and types, exactly: Arrow to SQLite and back.

SQLite has 64-bit integers, doubles, texts and blobs. Decimals, dates and times are kept as text, and the column is
declared so: `TEXT_DECIMAL(20,4)`. The word TEXT in it keeps SQLite from turning them into doubles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.errors import DriverError

__all__ = ["arrow_type", "declared_type", "from_arrow", "to_arrow"]

_UNITS = {0: "s", 3: "ms", 6: "us", 9: "ns"}
_DECLARED = re.compile(r"TEXT_(DECIMAL|DATE|TIMESTAMP|INSTANT)(?:\((\d+)(?:, ?(-?\d+))?\))?", re.IGNORECASE)


def declared_type(field: pa.Field) -> str:
    """How a column is declared that keeps every value of a field.

    Raises:
        DriverError: `sqlite.type`: there is no such column.
    """
    kind = field.type
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "REAL"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "TEXT"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "BLOB"
    if pa.types.is_decimal(kind):
        return f"TEXT_DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_date32(kind):
        return "TEXT_DATE"
    if pa.types.is_timestamp(kind):
        digits = next(digits for digits, unit in _UNITS.items() if unit == kind.unit)
        return f"TEXT_{'TIMESTAMP' if kind.tz is None else 'INSTANT'}({digits})"
    raise DriverError(
        f"column {field.name!r} is of type {kind}, which SQLite cannot keep exactly",
        hint="change it in a step before, as to text",
        code="sqlite.type",
    )


def arrow_type(declared: str) -> pa.DataType:
    """The type that a declared column is read as: ours as they were, others by SQLite's rules of affinity."""
    if ours := _DECLARED.fullmatch(declared):
        word, first, second = ours[1].upper(), ours[2], ours[3]
        if word == "DECIMAL":
            return (
                pa.decimal128(int(first), int(second or 0))
                if int(first) <= 38
                else pa.decimal256(int(first), int(second or 0))
            )
        if word == "DATE":
            return pa.date32()
        return pa.timestamp(_UNITS[int(first)], tz="UTC" if word == "INSTANT" else None)
    upper = declared.upper()
    if upper == "BOOLEAN":
        return pa.bool_()
    if "INT" in upper:
        return pa.int64()
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT", "DATE", "TIME")):
        return pa.string()
    return pa.binary() if not upper or "BLOB" in upper else pa.float64()


def from_arrow(column: pa.Array, name: str) -> list[Any]:
    """The values as sqlite3 takes them.

    Raises:
        DriverError: `sqlite.value`: NaN, which SQLite would turn into NULL.
    """
    kind = column.type
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        raise DriverError(
            f"column {name!r} holds NaN, which SQLite would keep as NULL",
            hint="replace it in a step before, as by NULL",
            code="sqlite.value",
        )
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pa.timestamp(kind.unit, tz="UTC"))
    if pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def to_arrow(values: Sequence[Any], kind: pa.DataType, name: str) -> pa.Array:
    """Values of a column as an Arrow array of its declared type.

    Raises:
        DriverError: `sqlite.value`: one does not fit; SQLite keeps anything in any column.
    """
    try:
        if pa.types.is_boolean(kind):
            return pa.array(values, pa.int8()).cast(pa.bool_())
        if pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
            return pa.array(values, pa.string()).cast(kind)
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
        raise DriverError(
            f"column {name!r} holds a value that is no {kind}: {error}",
            hint="correct it in the database, or leave the column out with `columns`",
            code="sqlite.value",
        ) from error
