"""Are these the same rows, value for value? Widths of types may differ, values may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

__all__ = ["differences", "type_class"]

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def differences(expected: pa.Table, found: pa.Table, lossless_types: Mapping[str, pa.DataType]) -> list[str]:
    """What is different, in words; empty where nothing is.

    Rows are put in the order of ``id`` first. Integers of any width are the same type, decimals of any precision,
    timestamps of any unit, and text of any offset width.

    Args:
        expected: What was given.
        found: What came back.
        lossless_types: For classes of types (see :func:`type_class`), another type that they may come back as.
    """
    if expected.column_names != found.column_names:
        return [f"columns {expected.column_names} became {found.column_names}"]
    if expected.num_rows != found.num_rows:
        return [f"{expected.num_rows} rows became {found.num_rows}"]
    expected, found = _ordered(expected, lossless_types), _ordered(found, lossless_types)
    return [
        difference
        for name in expected.column_names
        if (difference := _difference(name, expected.column(name), found.column(name), lossless_types))
    ]


def type_class(kind: pa.DataType) -> str:
    """What class of values a type holds, whatever its width.

    Returns:
        ``integer``, ``floating``, ``decimal``, ``boolean``, ``text``, ``binary``, ``date``, ``timestamp``, ``instant``
        (a timestamp with a time zone), or Arrow's own name of the type.
    """
    for name, belongs in (
        ("integer", kinds.is_integer),
        ("floating", kinds.is_floating),
        ("decimal", kinds.is_decimal),
        ("boolean", kinds.is_boolean),
        ("date", kinds.is_date),
    ):
        if belongs(kind):
            return name
    if kinds.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "instant"
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return "text"
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return "binary"
    return str(kind)


def _ordered(table: pa.Table, lossless_types: Mapping[str, pa.DataType]) -> pa.Table:
    if "id" not in table.column_names or table.num_rows < 2:
        return table
    ids = table.column("id")
    if "integer" in lossless_types:
        ids = ids.cast(pa.int64())
    return table.take(pc.sort_indices(ids))


def _difference(
    name: str, expected: pa.ChunkedArray, found: pa.ChunkedArray, lossless_types: Mapping[str, pa.DataType]
) -> str | None:
    wanted, given = type_class(expected.type), type_class(found.type)
    if wanted != given and not (given == "null" and expected.null_count == len(expected)):
        allowed = lossless_types.get(wanted)
        if allowed is None or type_class(allowed) != given:
            return f"column {name!r} of type {expected.type} became {found.type}"
        try:
            found = found.cast(expected.type)
        except (pa.ArrowException, ValueError) as error:
            return f"column {name!r} came back as {found.type} that is no {expected.type}: {error}"
    for row, (before, after) in enumerate(zip(_values(expected), _values(found), strict=True)):
        if before != after or type(before) is not type(after):
            return f"column {name!r}, row {row}: {before!r} became {after!r}"
    return None


def _values(column: pa.ChunkedArray) -> list[Any]:
    if kinds.is_timestamp(column.type):
        factor = _NANOSECONDS[column.type.unit]
        return [None if value is None else value * factor for value in column.cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return values
