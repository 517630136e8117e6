"""Which Arrow column goes into which MySQL column, and how: every value exactly, or refused.

The server refuses what is too long or out of range. Here is refused what it would change without a word: a fraction
rounded to an INT, microseconds cut off a DATETIME, ``'2'`` taken as the second member of an ENUM, ...
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.fitting_times import into_date, into_datetime, into_time
from osiris.drivers.mysql.members import members_of
from osiris.drivers.mysql.rendering import MisfitError, plain, refuse_where, to_text
from osiris.drivers.mysql.target import TableColumn
from osiris.drivers.mysql.text_forms import Convert, is_text, looking_like

__all__ = ["Fit", "fit"]

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_SHAPES = frozenset({"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"}) | {
    "geometrycollection",
    "geomcollection",
    "vector",
}

_INTEGER = r"^[+-]?[0-9]+$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^-?[0-9]+(\.0*)?$|^-?0E-[0-9]+$"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One column's way into the table.

    Attributes:
        source: The column's name in the input.
        index: Its place in the input.
        column: Where it goes.
        convert: An array of the input to text, NULL kept; raises :class:`~.rendering.MisfitError`.
        function: What the server has to apply to the text, ``UNHEX`` as ``("UNHEX(", ")")``; empty texts for nothing.
    """

    source: str
    index: int
    column: TableColumn
    convert: Convert
    function: tuple[str, str] = ("", "")

    def texts(self, batch: pa.RecordBatch) -> pa.Array:
        """The column's texts of one batch.

        Raises:
            MisfitError: A value that cannot be stored; a NULL where the column takes none.
        """
        array = plain(batch.column(self.index))
        if array.null_count and not self.column.nullable and not self.column.numbered:
            refuse_where(pc.is_null(array), "the column does not take: it is NOT NULL")
        return self.convert(array)


def fit(field: pa.Field, index: int, column: TableColumn) -> Fit:
    """How ``field`` gets into ``column``.

    Raises:
        DriverError: ``mysql.type_mismatch``: such values do not belong there.
    """
    kind = plain(_empty(field.type)).type
    convert = _converter(kind, column)
    if convert is None:
        raise DriverError(
            f"column {field.name!r} holds {field.type}, which does not belong into {column.name!r} ({column.ddl})",
            hint="cast it in the step before, or change the table's column",
            code="mysql.type_mismatch",
            column=field.name,
        )
    function = ("", "")
    if column.kind in _BYTES or column.kind in _SHAPES:
        function = ("UNHEX(", ")")
    elif column.kind == "bit":
        function = ("CAST(", " AS UNSIGNED)")
    return Fit(source=field.name, index=index, column=column, convert=convert, function=function)


def _empty(kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(0, kind.storage_type))
    return pa.nulls(0, kind)


def _converter(kind: pa.DataType, column: TableColumn) -> Convert | None:
    if pa.types.is_null(kind):
        return to_text
    into = column.kind
    if into in _INTEGERS:
        return _into_integer(kind)
    if into == "decimal":
        return _into_decimal(kind)
    if into in ("float", "double"):
        return _into_float(kind, 24 if into == "float" else 53)
    if into == "bit":
        return _into_bit(kind)
    if into == "year":
        return _into_year(kind)
    if into == "date":
        return into_date(kind)
    if into in ("datetime", "timestamp"):
        return into_datetime(kind, column.precision)
    if into == "time":
        return into_time(kind, column.precision)
    if into in _BYTES or into in _SHAPES:
        return _into_bytes(kind, column)
    if into in ("enum", "set"):
        return _into_members(kind, column)
    if into == "json":
        return _into_json(kind)
    if into in _TEXTS:
        return _into_text(kind, column)
    return to_text if is_text(kind) else None  # UUID, INET6, ...: the server knows what is one


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _into_integer(kind: pa.DataType) -> Convert | None:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return to_text
    if is_text(kind):
        return looking_like(_INTEGER, "is not a whole number")
    if pa.types.is_decimal(kind):
        return looking_like(_WHOLE, "is not a whole number")
    return _whole_floats if pa.types.is_floating(kind) else None


def _whole_floats(array: pa.Array) -> pa.Array:
    doubles = array.cast(pa.float64())
    refuse_where(pc.invert(pc.equal(pc.trunc(doubles), doubles)), "is not a whole number")
    refuse_where(pc.invert(pc.less(pc.abs(doubles), 2.0**63)), "is out of range")
    return doubles.cast(pa.int64()).cast(pa.string())


def _into_decimal(kind: pa.DataType) -> Convert | None:
    if is_text(kind):
        return looking_like(_NUMBER, "is not a number")
    number = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    return to_text if number or pa.types.is_floating(kind) else None


def _into_float(kind: pa.DataType, digits: int) -> Convert | None:
    if is_text(kind):
        return looking_like(_NUMBER, "is not a number")
    if pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and kind.bit_width < digits):
        return to_text
    if pa.types.is_integer(kind):
        return lambda array: _whole_within(array, 2**digits)
    if pa.types.is_floating(kind):
        return to_text if kind.bit_width <= 32 or digits == 53 else _narrow_floats
    if pa.types.is_decimal(kind):
        return _decimals_as_doubles if digits == 53 else None
    return None


def _whole_within(array: pa.Array, limit: int) -> pa.Array:
    outside = pc.greater(array, limit)
    if not pa.types.is_unsigned_integer(array.type):
        outside = pc.or_(outside, pc.less(array, -limit))
    refuse_where(outside, "has more digits than the column keeps")
    return to_text(array)


def _narrow_floats(array: pa.Array) -> pa.Array:
    texts = to_text(array)
    narrow = array.cast(pa.float32(), safe=False).cast(pa.float64())
    refuse_where(pc.not_equal(narrow, array), "has more digits than a FLOAT keeps")
    return texts


def _decimals_as_doubles(array: pa.Array) -> pa.Array:
    try:
        back = array.cast(pa.float64()).cast(array.type, safe=False)
    except pa.ArrowInvalid:  # rounded up beyond the digits of the type
        raise MisfitError(0, "has more digits than a DOUBLE keeps") from None
    refuse_where(pc.not_equal(back, array), "has more digits than a DOUBLE keeps")
    return to_text(array)


def _into_bit(kind: pa.DataType) -> Convert | None:
    if pa.types.is_boolean(kind) or pa.types.is_unsigned_integer(kind):
        return to_text
    return _not_negative if pa.types.is_integer(kind) else None


def _not_negative(array: pa.Array) -> pa.Array:
    refuse_where(pc.less(array, 0), "is negative")
    return to_text(array)


def _into_year(kind: pa.DataType) -> Convert | None:
    if pa.types.is_integer(kind):
        return _years
    return looking_like("^[0-9]{4}$", "is not a year of four digits") if is_text(kind) else None


def _years(array: pa.Array) -> pa.Array:
    years = array.cast(pa.int64(), safe=False)
    known = pc.or_(pc.equal(years, 0), pc.and_(pc.greater_equal(years, 1901), pc.less_equal(years, 2155)))
    refuse_where(pc.invert(known), "is neither 0 nor a year from 1901 to 2155")
    return pc.ascii_lpad(to_text(array), 4, padding="0")  # a 0 alone would be the year 2000


def _into_bytes(kind: pa.DataType, column: TableColumn) -> Convert | None:
    if not _is_bytes(kind) and not (is_text(kind) and column.kind in _BYTES):
        return None

    def convert(array: pa.Array) -> pa.Array:
        given = array.cast(pa.large_binary())
        if column.kind == "binary":
            wrong = pc.less(pc.binary_length(given), column.length)
            refuse_where(wrong, f"is shorter than {column.length} bytes, to which the column would fill it up")
        return to_text(given)

    return convert


def _into_members(kind: pa.DataType, column: TableColumn) -> Convert | None:
    if not is_text(kind):
        return None
    members = members_of(column.ddl)
    allowed = pa.nulls(0, pa.large_string()) if not members else _strings(members)

    def convert(array: pa.Array) -> pa.Array:
        texts = array.cast(pa.large_string())
        if column.kind == "enum":
            bad = pc.invert(pc.is_in(texts, value_set=allowed))
            refuse_where(pc.and_(bad, pc.is_valid(texts)), "is not a member")
            return texts
        for value in pc.unique(texts).to_pylist():
            if value and not set(value.split(",")) <= set(members):
                refuse_where(pc.equal(texts, value), "holds something that is not a member")
        return texts

    return convert


def _strings(values: list[str]) -> pa.Array:
    from osiris.core.python_values import to_array

    return to_array(values).cast(pa.large_string())


def _into_json(kind: pa.DataType) -> Convert | None:
    if pa.types.is_boolean(kind):
        return lambda array: array.cast(pa.string())
    nested = pa.types.is_nested(kind) and not pa.types.is_union(kind)
    return to_text if nested or is_text(kind) or pa.types.is_integer(kind) else None


def _into_text(kind: pa.DataType, column: TableColumn) -> Convert | None:
    if _is_bytes(kind) or pa.types.is_union(kind) or pa.types.is_interval(kind):
        return None
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return lambda array: pc.binary_join_element_wise(to_text(array), "+00:00", "")
    return _without_last_blanks if is_text(kind) and column.kind == "char" else to_text


def _without_last_blanks(array: pa.Array) -> pa.Array:
    refuse_where(pc.ends_with(array, pattern=" "), "ends in a blank, which a CHAR does not keep")
    return array
