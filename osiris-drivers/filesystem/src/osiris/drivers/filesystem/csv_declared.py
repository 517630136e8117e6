"""Texts to values of a type that the user declared: takes more forms than inference, and still changes no value."""

from __future__ import annotations

import binascii

import pyarrow as pa

from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import bytes_array, constant, text_array
from osiris.drivers.filesystem.csv_inference import TEXT, Exact

__all__ = ["declared", "declared_date"]

_TRUE = text_array(["true", "t", "yes", "y", "1", "on"])
_FALSE = text_array(["false", "f", "no", "n", "0", "off"])


def declared(kind: pa.DataType) -> Exact:
    """How to read a column of the declared type ``kind``.

    Blanks around a value are ignored, numbers may have a ``+`` and leading zeros; what would lose digits
    (``1.005`` as ``decimal(9,2)``), or is of another type, is refused.
    """
    if pa.types.is_string(kind):
        return TEXT
    if pa.types.is_boolean(kind):
        return Exact(kind, _boolean)
    if pa.types.is_time(kind):
        return Exact(kind, _time)
    if pa.types.is_binary(kind):
        return Exact(kind, _binary)

    def parse(text: pa.Array) -> pa.Array:
        trimmed = pc.utf8_trim_whitespace(text)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            trimmed = pc.replace_substring_regex(trimmed, r"^\+(\d|\.)", r"\1")
        return pc.cast(trimmed, kind)

    return Exact(kind, parse)


def declared_date(sample: pa.Array) -> Exact:
    """How to read a column of ``parse_dates``: dates, timestamps, or timestamps with a zone, as the sample has it."""
    values = pc.utf8_trim_whitespace(pc.drop_null(sample))
    for kind in (pa.date32(), pa.timestamp("us", "UTC")):
        try:
            pc.cast(values, kind)
        except pa.ArrowInvalid:
            continue
        if len(values):
            return declared(kind)
    return declared(pa.timestamp("us"))


def _boolean(text: pa.Array) -> pa.Array:
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    true, false = pc.is_in(lower, _TRUE), pc.is_in(lower, _FALSE)
    known = pc.or_(pc.or_(true, false), pc.is_null(text))
    if not pc.all(known).as_py():
        raise pa.ArrowInvalid("not a boolean")
    return pc.if_else(pc.is_null(text), pa.nulls(1, pa.bool_())[0], true)


def _time(text: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    is_end = pc.equal(trimmed, constant("24:00:00"))  # SQL has it, and so do we write it
    trimmed = pc.if_else(is_end, constant("00:00:00"), trimmed)
    moments = pc.binary_join_element_wise(constant("1970-01-01"), trimmed, constant(" "))
    times = pc.cast(pc.cast(moments, pa.timestamp("us")), pa.time64("us"))
    return pc.if_else(is_end, pc.cast(constant("86400000000", pa.int64()), pa.time64("us")), times)


def _binary(text: pa.Array) -> pa.Array:
    try:
        values = [None if value is None else binascii.unhexlify(value) for value in text.to_pylist()]
    except (binascii.Error, ValueError) as error:
        raise pa.ArrowInvalid(str(error)) from error
    return bytes_array(values)
