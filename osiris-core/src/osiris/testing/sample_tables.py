"""The tables that drivers are tried with: values that are easily changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

__all__ = ["KINDS", "big_batches", "big_schema", "plain_rows", "table_of"]

_TEXTS = [
    "plain",
    "žluťoučký kůň",
    "漢字かな交じり文",
    "👩\u200d🚀 and e\u0301",
    "שלום",
    "quote \" and ' apostrophe",
    "comma, semicolon; tab\tnew\nline\r\nback\\slash",
    " spaces around ",
    "NULL",
    "",
]
_INTEGERS = [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
_DECIMALS = ["0.0000", "-0.0001", "1.1000", "9999999999999999.9999", "-1234567890123456.7891", None]
_WIDE: Final = 300


def table_of(kind: str) -> pa.Table:
    """The table of one of :data:`KINDS`; its first column is ``id``, from 0, unless it has no columns."""
    return KINDS[kind]()


def plain_rows(first: int, count: int, text: str = "row") -> pa.Table:
    """``count`` rows of ``id`` (from ``first``) and ``name`` (``text`` and the id)."""
    ids = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "name": pa.array([f"{text} {number}" for number in ids], pa.string()),
        }
    )


def big_schema() -> pa.Schema:
    """Of :func:`big_batches`."""
    return pa.schema([("id", pa.int64()), ("name", pa.string())])


def big_batches(rows: int, first: int = 0, size: int = 1000) -> Iterator[pa.RecordBatch]:
    """``rows`` rows of about 1 KB, no two alike, with ids from ``first``, in batches of ``size``."""
    end = first + rows
    for start in range(first, end, size):
        ids = range(start, min(start + size, end))
        columns = [
            pa.array(ids, pa.int64()),
            pa.array([f"{number:010d}" * 100 for number in ids], pa.string()),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=big_schema())


def _table(**columns: tuple[pa.DataType, list[Any]]) -> pa.Table:
    arrays = {name: pa.array(values, kind) for name, (kind, values) in columns.items()}
    rows = len(next(iter(arrays.values())))
    return pa.table({"id": pa.array(range(rows), pa.int64()), **arrays})


def _nulls() -> pa.Table:
    return _table(
        integer=(pa.int64(), [1, None, 3, None]),
        number=(pa.float64(), [None, 0.5, None, -0.25]),
        text=(pa.string(), ["a", None, "", None]),
        truth=(pa.bool_(), [True, None, False, None]),
        nothing=(pa.int64(), [None, None, None, None]),
    )


def _decimals() -> pa.Table:
    values = [None if text is None else Decimal(text) for text in _DECIMALS]
    return _table(amount=(pa.decimal128(20, 4), values))


def _integers() -> pa.Table:
    return _table(number=(pa.int64(), _INTEGERS))


def _microseconds() -> pa.Table:
    moments = [datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(2024, 2, 29, 12, 30, 0, 1), datetime(2999, 1, 1)]
    return _table(moment=(pa.timestamp("us"), [*moments, None]))


def _nanoseconds() -> pa.Table:
    return _table(moment=(pa.timestamp("ns"), [1_709_209_800_123_456_789, 1, None]))


def _instants() -> pa.Table:
    instants = [1_709_209_800_000_001, 1_000_000_000_000_000, None]  # 2024-02-29T12:30:00.000001Z, 2001-09-09
    return _table(utc=(pa.timestamp("us", tz="UTC"), instants), zone=(pa.timestamp("us", tz="Europe/Prague"), instants))


def _texts() -> pa.Table:
    return _table(text=(pa.string(), _TEXTS))


def _wide() -> pa.Table:
    return _table(**{f"column_{number}": (pa.int64(), [number, None, -number]) for number in range(1, _WIDE)})


KINDS: Final[dict[str, Callable[[], pa.Table]]] = {
    "null": _nulls,
    "decimal": _decimals,
    "int64": _integers,
    "timestamp_us": _microseconds,
    "timestamp_ns": _nanoseconds,
    "timestamp_tz": _instants,
    "unicode": _texts,
    "empty": lambda: plain_rows(0, 0),
    "no_columns": lambda: pa.table({}),
    "wide": _wide,
}
"""What the rules about values are called, and their tables. An author names the ones a place cannot hold."""
