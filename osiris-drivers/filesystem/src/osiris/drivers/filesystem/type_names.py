"""Names of column types in ``types:`` options to Arrow types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TYPE_NAMES", "check_type_name", "parse_type"]

TYPE_NAMES: Mapping[str, str] = {
    "string": "text as it stands",
    "integer": "64-bit integer; also `bigint`, `int`, `int64`",
    "number": "double; also `double`, `float`, `float64`",
    "decimal(p,s)": "exact decimal of p digits, s of them after the point; `decimal` is decimal(38,9)",
    "boolean": "true or false; also `bool`",
    "date": "YYYY-MM-DD",
    "timestamp": "YYYY-MM-DD HH:MM:SS[.ffffff] without zone; also `datetime`",
    "timestamp_tz": "the same with Z or an offset, kept in UTC; also `timestamptz`",
    "time": "HH:MM:SS[.ffffff]",
    "binary": "hexadecimal digits",
}
"""The names that documentation and hints list, each with what it takes."""

_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("string", "str", "text", "varchar", "object", "category"), "string"),
    **dict.fromkeys(("integer", "int", "bigint", "int64", "long"), "int64"),
    "int32": "int32",
    **dict.fromkeys(("smallint", "int16"), "int16"),
    **dict.fromkeys(("tinyint", "int8"), "int8"),
    **dict.fromkeys(("uint64", "ubigint"), "uint64"),
    **dict.fromkeys(("number", "double", "float", "float64", "real"), "double"),
    "float32": "float",
    **dict.fromkeys(("boolean", "bool"), "bool"),
    **dict.fromkeys(("date", "date32"), "date32"),
    **dict.fromkeys(("timestamp", "datetime", "datetime64", "datetime64[us]"), "timestamp[us]"),
    **dict.fromkeys(("timestamp_ns", "datetime64[ns]"), "timestamp[ns]"),
    **dict.fromkeys(("timestamp_tz", "timestamptz", "datetime_tz"), "timestamp[us, UTC]"),
    **dict.fromkeys(("time", "time64"), "time64[us]"),
    **dict.fromkeys(("binary", "bytes", "blob"), "binary"),
    **dict.fromkeys(("decimal", "numeric"), "decimal(38,9)"),
}
_DECIMAL = re.compile(r"(?:decimal|numeric)\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


def check_type_name(name: str) -> str:
    """``name`` itself, if it means a type; without importing Arrow.

    Raises:
        ValueError: It means none; the text lists what does.
    """
    if _canonical(name) is None:
        raise ValueError(f"{name!r} is not a column type; use one of: {', '.join(TYPE_NAMES)}")
    return name


def parse_type(name: str) -> pa.DataType:
    """The Arrow type that ``name`` means.

    Raises:
        ValueError: It means none.
    """
    import pyarrow as pa  # here, so that checking names at planning does not pay for it

    canonical = _canonical(check_type_name(name)) or ""
    if match := _DECIMAL.fullmatch(canonical):
        precision, scale = int(match[1]), int(match[2] or 0)
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if canonical == "timestamp[us, UTC]":
        return pa.timestamp("us", "UTC")
    return pa.type_for_alias(canonical)


def _canonical(name: str) -> str | None:
    wanted = name.strip().lower()
    if match := _DECIMAL.fullmatch(wanted):
        precision, scale = int(match[1]), int(match[2] or 0)
        return wanted if 1 <= precision <= 76 and scale <= precision else None
    return _ALIASES.get(wanted)
