"""Arrow columns in PostgreSQL's binary form, where they have one: the server reads it in less time than text."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Mapping
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.python_values import to_array
from osiris.drivers.supabase.postgres_fitting import fit
from osiris.drivers.supabase.postgres_layout import (
    Field,
    Numbers,
    Strip,
    data_of,
    fixed_field,
    strips_field,
    values_field,
    variable_field,
)
from osiris.drivers.supabase.postgres_text import plain, texts_of
from osiris.drivers.supabase.postgres_types import PgType

__all__ = ["to_field"]


def to_field(array: pa.Array, target: PgType) -> Field | None:
    """The values in the binary form of the target's type, which then are those that its text would be read as.

    Returns:
        None: these values have no such form here, and go as text.

    Raises:
        MisfitError: A value that the server would change, as of :func:`~.postgres_text.to_text`.
    """
    array = plain(array)
    make = _FORMS.get(target.name) if target.kind == "b" else _text if target.kind == "e" else None
    if make is None:
        return None
    try:
        return make(array, target)
    except pa.ArrowInvalid:
        return None  # out of the type's range: as text the server says so, with the row


def _boolean(array: pa.Array, target: PgType) -> Field | None:
    return fixed_field(array, array.cast(pa.uint8()), 1) if pa.types.is_boolean(array.type) else None


def _integer(kind: pa.DataType) -> Callable[[pa.Array, PgType], Field | None]:
    def make(array: pa.Array, target: PgType) -> Field | None:
        if pa.types.is_floating(array.type):
            array = fit(array, target)
        return fixed_field(array, array.cast(kind), kind.byte_width) if pa.types.is_integer(array.type) else None

    return make


def _float(kind: pa.DataType) -> Callable[[pa.Array, PgType], Field | None]:
    def make(array: pa.Array, target: PgType) -> Field | None:
        return fixed_field(array, array, kind.byte_width) if array.type == kind else None

    return make


def _date(array: pa.Array, target: PgType) -> Field | None:
    if not (pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)):
        return None
    days = fit(array, target).cast(pa.date32()).cast(pa.int32())
    return fixed_field(array, pc.subtract(days, _DAYS_TO_2000), 4)


def _timestamp(array: pa.Array, target: PgType) -> Field | None:
    if not (pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)):
        return None
    micros = fit(array, target).cast(pa.timestamp("us")).cast(pa.int64())
    return fixed_field(array, pc.subtract_checked(micros, _MICROS_TO_2000), 8)


def _time(array: pa.Array, target: PgType) -> Field | None:
    if not pa.types.is_time(array.type):
        return None
    return fixed_field(array, fit(array, target).cast(pa.int64()), 8)


def _numeric(array: pa.Array, target: PgType) -> Field | None:
    kind = array.type
    if pa.types.is_integer(kind):
        scale, whole_digits = 0, 19
    elif pa.types.is_decimal128(kind) and 0 <= kind.scale <= 18:
        scale, whole_digits = kind.scale, min(19, kind.precision - kind.scale)
    else:
        return None
    array = fit(array, target)
    unscaled = pc.fill_null(_without_scale(array).cast(pa.int64()), _ZERO)
    whole, part = _divided(pc.abs_checked(unscaled), 10**scale)
    before = _groups(whole, -(-whole_digits // 4))
    groups = [*before, *_groups_behind_the_point(part, scale)]
    sign = pc.multiply(pc.less(unscaled, _ZERO).cast(pa.uint8()), _NEGATIVE)
    head = len(groups).to_bytes(2, "big") + (len(before) - 1).to_bytes(2, "big", signed=True)
    strips: list[Strip] = [head, Numbers(data_of(sign), 1), b"\0", scale.to_bytes(2, "big")]
    return strips_field(array, [*strips, *(Numbers(data_of(group), 2) for group in groups)], 8 + 2 * len(groups))


def _without_scale(array: pa.Array) -> pa.Array:
    if not pa.types.is_decimal(array.type):
        return array
    whole = pa.decimal128(array.type.precision, 0)
    return pa.Array.from_buffers(whole, len(array), array.buffers(), offset=array.offset)


def _groups(values: pa.Array, count: int) -> list[pa.Array]:
    """The digits to the base of 10000, highest first."""
    found: list[pa.Array] = []
    for _ in range(count):
        values, group = _divided(values, 10_000)
        found.insert(0, group.cast(pa.int16()))
    return found


def _groups_behind_the_point(values: pa.Array, scale: int) -> list[pa.Array]:
    fours, left = divmod(scale, 4)
    if not left:
        return _groups(values, fours)
    values, last = _divided(values, 10**left)
    return [*_groups(values, fours), pc.multiply(last, _int64(10 ** (4 - left))).cast(pa.int16())]


def _divided(values: pa.Array, by: int) -> tuple[pa.Array, pa.Array]:
    """Quotient and rest."""
    quotient = pc.divide(values, _int64(by))
    return quotient, pc.subtract(values, pc.multiply(quotient, _int64(by)))


def _text(array: pa.Array, target: PgType) -> Field | None:
    if pa.types.is_binary(array.type):
        return None
    texts = texts_of(array, target)
    return None if b"\0" in data_of(texts) else variable_field(texts)


def _jsonb(array: pa.Array, target: PgType) -> Field | None:
    texts = texts_of(array, target).cast(pa.binary())
    return None if b"\0" in data_of(texts) else variable_field(pc.binary_join_element_wise(_JSONB, texts, _NOTHING))


def _bytea(array: pa.Array, target: PgType) -> Field | None:
    return variable_field(array) if pa.types.is_binary(array.type) else None


def _uuid(array: pa.Array, target: PgType) -> Field | None:
    if pa.types.is_string(array.type) and _are_long(array, 36):
        raw = _bytes_of_uuids(data_of(pc.fill_null(array, _NO_UUID)), len(array))
        return None if raw is None else values_field(array, raw, 16)
    return variable_field(array) if pa.types.is_binary(array.type) and _are_long(array, 16) else None


def _are_long(array: pa.Array, length: int) -> bool:
    lengths = pc.binary_length(array)
    return pc.all(pc.equal(lengths, _int64(length).cast(pa.int32()))).as_py() is not False


def _bytes_of_uuids(texts: bytes, rows: int) -> bytes | None:
    """All at once, each of 36 characters; None where one is not 8-4-4-4-12 digits."""
    if len(texts) != 36 * rows or any(texts[at::36] != b"-" * rows for at in _DASHES):
        return None
    digits = bytearray(32 * rows)
    for place, at in enumerate(at for at in range(36) if at not in _DASHES):
        digits[place::32] = texts[at::36]
    try:
        return unhexlify(digits)
    except ValueError:
        return None


_FORMS: Mapping[str, Callable[[pa.Array, PgType], Field | None]] = {
    "bool": _boolean,
    "int2": _integer(pa.int16()),
    "int4": _integer(pa.int32()),
    "int8": _integer(pa.int64()),
    "float4": _float(pa.float32()),
    "float8": _float(pa.float64()),
    "numeric": _numeric,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamp,
    "text": _text,
    "varchar": _text,
    "bpchar": _text,
    "json": _text,
    "jsonb": _jsonb,
    "bytea": _bytea,
    "uuid": _uuid,
}


@lru_cache(maxsize=64)
def _int64(value: int) -> pa.Scalar:
    return to_array([value])[0]


_ZERO, _DAYS_TO_2000, _MICROS_TO_2000 = _int64(0), _int64(10_957).cast(pa.int32()), _int64(946_684_800_000_000)
_NEGATIVE = _int64(0x40).cast(pa.uint8())
_NOTHING, _JSONB = to_array([b"", b"\x01"])
_NO_UUID = to_array(["00000000-0000-0000-0000-000000000000"])[0]
_DASHES = (8, 13, 18, 23)
