"""MySQL types and Arrow types, both ways: the one table of what becomes what."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass

__all__ = ["Column", "ZeroDates", "arrow_type", "column_ddl", "schema_of"]

ZeroDates = Literal["null", "error", "text"]

# Numbers of the wire protocol.
DECIMAL, TINY, SHORT, LONG, FLOAT, DOUBLE, NULL = 0, 1, 2, 3, 4, 5, 6
TIMESTAMP, LONGLONG, INT24, DATE, TIME, DATETIME, YEAR = 7, 8, 9, 10, 11, 12, 13
NEWDATE, VARCHAR, BIT, VECTOR = 14, 15, 16, 242
JSON, NEWDECIMAL, ENUM, SET, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = range(245, 256)

ZERO_DATE_HINT = "zero_dates: null reads such dates as NULL, zero_dates: text all dates as text"
CAST_HINT = "convert it in a query: CAST(... AS CHAR)"

_UNSIGNED = 32
_BINARY_CHARSET = 63
_SIGNED = {TINY: pa.int8(), SHORT: pa.int16(), INT24: pa.int32(), LONG: pa.int32(), LONGLONG: pa.int64()}
_NOT_SIGNED = {TINY: pa.uint8(), SHORT: pa.uint16(), INT24: pa.uint32(), LONG: pa.uint32(), LONGLONG: pa.uint64()}
_DATES = frozenset({DATE, NEWDATE, DATETIME, TIMESTAMP})
_TEXTS = frozenset({VARCHAR, VAR_STRING, STRING, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, ENUM, SET})


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a result, as the server describes it.

    Attributes:
        name: Its name in the result.
        type_code: The number of its type in the wire protocol.
        flags: The protocol's bits (UNSIGNED and so on).
        charset: The number of its collation; 63 means bytes.
        length: In bytes, as displayed.
        decimals: Digits behind the point; of times: of the second.
    """

    name: str
    type_code: int
    flags: int = 0
    charset: int = 0
    length: int = 0
    decimals: int = 0

    @property
    def is_unsigned(self) -> bool:
        """Whether a number has no sign."""
        return bool(self.flags & _UNSIGNED)

    @property
    def is_date(self) -> bool:
        """Whether it may hold zero or partial dates."""
        return self.type_code in _DATES


def arrow_type(column: Column, zero_dates: ZeroDates = "error") -> pa.DataType:
    """The Arrow type that holds every value of the column exactly.

    Raises:
        DriverError: ``mysql.unknown_type``: there is none, or nobody knows the type.
    """
    code = column.type_code
    if code in _SIGNED:
        return (_NOT_SIGNED if column.is_unsigned else _SIGNED)[code]
    if code in _DATES:
        return _date_type(code, zero_dates)
    if code in (NEWDECIMAL, DECIMAL):
        return _decimal_type(column)
    if code in _TEXTS:
        return pa.binary() if column.charset == _BINARY_CHARSET else pa.string()
    if code == BIT:
        return pa.bool_() if column.length == 1 else pa.uint64()
    plain = {
        FLOAT: pa.float32(),
        DOUBLE: pa.float64(),
        YEAR: pa.int16(),
        TIME: pa.duration("us"),
        JSON: pa.string(),
        GEOMETRY: pa.binary(),
        VECTOR: pa.binary(),
        NULL: pa.null(),
    }
    if code not in plain:
        raise DriverError(
            f"column {column.name!r} has the MySQL type number {code}, which nobody knows here",
            hint=CAST_HINT,
            code="mysql.unknown_type",
            column=column.name,
        )
    return plain[code]


def _date_type(code: int, zero_dates: ZeroDates) -> pa.DataType:
    if zero_dates == "text":
        return pa.string()
    if code in (DATE, NEWDATE):
        return pa.date32()
    return pa.timestamp("us", "UTC") if code == TIMESTAMP else pa.timestamp("us")


def _decimal_type(column: Column) -> pa.DataType:
    # The length counts what is displayed: the digits, a point, and a sign where there may be one.
    digits = column.length - (column.decimals > 0) - (not column.is_unsigned)
    digits = max(digits, column.decimals, 1)
    return pa.decimal128(digits, column.decimals) if digits <= 38 else pa.decimal256(min(digits, 76), column.decimals)


def schema_of(columns: tuple[Column, ...], zero_dates: ZeroDates = "error") -> pa.Schema:
    """The Arrow schema of a result; two columns of one name are both kept.

    Raises:
        DriverError: ``mysql.unknown_type``.
    """
    return pa.schema([pa.field(column.name, arrow_type(column, zero_dates)) for column in columns])


_DDL: tuple[tuple[pa.DataType, str], ...] = (
    (pa.null(), "LONGTEXT"),
    (pa.bool_(), "BOOLEAN"),
    (pa.int8(), "TINYINT"),
    (pa.int16(), "SMALLINT"),
    (pa.int32(), "INT"),
    (pa.int64(), "BIGINT"),
    (pa.uint8(), "TINYINT UNSIGNED"),
    (pa.uint16(), "SMALLINT UNSIGNED"),
    (pa.uint32(), "INT UNSIGNED"),
    (pa.uint64(), "BIGINT UNSIGNED"),
    (pa.float16(), "FLOAT"),
    (pa.float32(), "FLOAT"),
    (pa.float64(), "DOUBLE"),
    (pa.date32(), "DATE"),
    (pa.date64(), "DATE"),
)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_KEY_CHARACTERS = 191
_KEY_BYTES = 767


def column_ddl(kind: pa.DataType, *, key: bool = False) -> str:
    """The MySQL type that a new table gets for an Arrow type.

    Args:
        kind: The column's.
        key: Whether the column is part of an index, which unbounded texts cannot be: those become VARCHAR(191).

    Raises:
        DriverError: ``mysql.no_mysql_type``: no type of MySQL holds its values.
    """
    for known, ddl in _DDL:
        if kind.equals(known):
            return "VARCHAR(191)" if key and known == pa.null() else ddl
    if pa.types.is_dictionary(kind):
        return column_ddl(kind.value_type, key=key)
    if any(is_text(kind) for is_text in _STRINGS):
        return f"VARCHAR({_KEY_CHARACTERS})" if key else "LONGTEXT"
    if any(is_bytes(kind) for is_bytes in _BYTES):
        return f"VARBINARY({_KEY_BYTES})" if key else "LONGBLOB"
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= 30 and kind.precision <= 65 and kind.scale <= kind.precision:
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):  # DATETIME for both: TIMESTAMP ends in 2038 and begins in 1970
        return f"DATETIME({_FRACTIONS[kind.unit]})" if _FRACTIONS[kind.unit] else "DATETIME"
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return f"TIME({_FRACTIONS[kind.unit]})" if _FRACTIONS[kind.unit] else "TIME"
    if pa.types.is_nested(kind):
        return "JSON"
    raise DriverError(
        f"no type of MySQL holds the values of {kind}",
        hint="cast the column in the step before, or create the table yourself",
        code="mysql.no_mysql_type",
    )


_FRACTIONS = {"s": 0, "ms": 3, "us": 6, "ns": 6}
"""Digits of the second; nanoseconds fit where they are whole microseconds, which the writer checks."""
