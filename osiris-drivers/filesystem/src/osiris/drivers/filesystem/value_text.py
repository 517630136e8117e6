"""Single values to text without loss; nested ones are :mod:`~osiris.drivers.filesystem.json_text`'s."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import constant, text_array

__all__ = ["FORM", "BinaryForm", "as_arrow_writes", "form_of", "is_bytes", "scalar_text"]

BinaryForm = Literal["hex", "base64"]

FORM = b"osiris.text"
"""Key in a field's metadata: ``plain`` (doubles without ``.0``), ``fraction=3`` (always so many digits)."""

_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
# Arrow writes "<value out of range: ...>" beyond these years and calls it a success.
_FIRST_DAY, _LAST_DAY = -12687428, 11248737  # -32767-01-01, 32767-12-31
_DAY = 86_400  # seconds


def form_of(field: pa.Field) -> str:
    """The form that the field's metadata asks for; ``""`` for the usual one."""
    return bytes((field.metadata or {}).get(FORM, b"")).decode()


def scalar_text(array: pa.Array, *, form: str = "", binary: BinaryForm = "hex", column: str = "") -> pa.Array:
    """The text of every value of a column that is not nested, as ``string``; NULL stays NULL.

    Args:
        array: Of any type but nested, dictionary and extension types.
        form: See :data:`FORM`.
        binary: How to write bytes.
        column: Its name, for errors.

    Raises:
        DriverError: A value has no text (a date outside of the years -32767 to 32767, a time
            outside of a day).
    """
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array
    if pa.types.is_string_view(kind):
        return pc.cast(array, pa.large_string())
    if pa.types.is_floating(kind):
        return _float_text(array, form)
    if pa.types.is_decimal(kind):
        return _decimal_text(array)
    if pa.types.is_timestamp(kind):
        return _timestamp_text(array, form, column)
    if pa.types.is_date(kind):
        return _date_text(array, column)
    if pa.types.is_time(kind):
        return _time_text(array, column)
    if pa.types.is_duration(kind):
        return _duration_text(array)
    if pa.types.is_interval(kind):
        return text_array([None if value is None else _interval_text(value) for value in array.to_pylist()])
    if is_bytes(kind):
        return _binary_text(array, binary)
    return pc.cast(array, pa.string())  # integers, booleans, null


def as_arrow_writes(array: pa.Array, *, form: str = "", column: str = "") -> pa.Array | None:
    """Values whose text, as Arrow has it, is that of :func:`scalar_text` for all of them; None where there are none.

    Args:
        array: Of any type.
        form: See :data:`FORM`.
        column: Its name, for errors.

    Raises:
        DriverError: A value has no text (a date outside of the years -32767 to 32767, a time
            outside of a day).
    """
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return array
    if pa.types.is_decimal128(kind) and 0 <= kind.scale <= 6:
        return array
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return array if _is_as_python_writes(array) else None
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return _naive_values(array, form, column)
    if pa.types.is_date32(kind):
        _check_range(array, column)
        return array
    return None


def is_bytes(kind: pa.DataType) -> bool:
    """Whether the type is one of the binary ones."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _float_text(array: pa.Array, form: str) -> pa.Array:
    if pa.types.is_float16(array.type):
        array = pc.cast(array, pa.float32())
    text = _python_text(array)
    return pc.replace_substring_regex(text, r"\.0$", "") if form == "plain" else text


def _is_plain(size: pa.Array) -> pa.Array:
    kind = size.type
    # Beyond, Arrow writes 1e+10, and 134217730 for the 32-bit float that is 134217728.
    limit = "1e10" if pa.types.is_float64(kind) else "16777216"
    return pc.and_(pc.greater_equal(size, constant("0.0001", kind)), pc.less(size, constant(limit, kind)))


def _is_as_python_writes(array: pa.Array) -> bool:
    exact = pc.and_(_is_plain(pc.abs(array)), pc.not_equal(pc.trunc(array), array))  # whole ones lack their .0
    return pc.all(exact).as_py() is not False


def _python_text(array: pa.Array) -> pa.Array:
    text = pc.cast(array, pa.string())
    kind = array.type
    size, finite = pc.abs(array), pc.is_finite(array)
    plain = pc.and_(finite, pc.or_(pc.equal(size, constant("0", kind)), _is_plain(size)))
    whole = pc.and_(plain, pc.equal(pc.trunc(array), array))
    if pc.any(whole).as_py():
        text = pc.if_else(whole, pc.binary_join_element_wise(text, constant("0"), constant(".")), text)
    # Arrow and Python choose other forms for what is very small or large; there are few of these.
    odd = pc.and_kleene(pc.and_not(finite, plain), pc.is_valid(array))
    if pc.any(odd).as_py():
        text = pc.replace_with_mask(text, odd, text_array(_float_reprs(pc.filter(array, odd))))
    return text


def _float_reprs(values: pa.Array) -> list[str]:
    numbers = values.to_pylist()
    if pa.types.is_float64(values.type):
        return [repr(number) for number in numbers]
    # The shortest text of a small 32-bit float is Arrow's: Python's would show the 64-bit neighbour.
    texts = pc.cast(values, pa.string()).to_pylist()
    return [
        repr(number) if abs(number) >= 1 else _python_form(text) for number, text in zip(numbers, texts, strict=True)
    ]


def _python_form(text: str) -> str:
    digits, _, exponent = text.partition("e")
    if not exponent:
        return text if "." in text else f"{text}.0"
    return f"{digits}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"


def _joined(*parts: pa.Array | pa.Scalar) -> pa.Array:
    return pc.binary_join_element_wise(*parts, constant(""))


def _decimal_text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        array = pc.cast(array, pa.decimal128(kind.precision, kind.scale))
    scale = kind.scale
    if 0 <= scale <= 6:  # beyond that Arrow writes 0.0000000 as 0E-7
        return pc.cast(array, pa.string())
    digits = pc.cast(_rescale(array, 0), pa.string())
    if scale < 0:
        zeros = pc.if_else(pc.equal(digits, constant("0")), constant(""), constant("0" * -scale))
        return _joined(digits, zeros)
    sign = pc.if_else(pc.starts_with(digits, "-"), constant("-"), constant(""))
    digits = pc.utf8_lpad(pc.utf8_ltrim(digits, "-"), scale + 1, "0")
    whole, fraction = pc.utf8_slice_codeunits(digits, 0, -scale), pc.utf8_slice_codeunits(digits, -scale)
    return _joined(sign, whole, constant("."), fraction)


def _timestamp_text(array: pa.Array, form: str, column: str) -> pa.Array:
    zone = array.type.tz
    if zone is None:
        return _naive_text(array, form, column)
    utc = pc.cast(array, pa.timestamp(array.type.unit))
    if zone.upper() in ("UTC", "Z", "ETC/UTC", "+00:00"):
        return _joined(_naive_text(utc, form, column), constant("+00:00"))
    try:
        local = pc.local_timestamp(array)
    except pa.ArrowInvalid as error:
        raise DriverError(
            f"column {column!r}: the time zone {zone!r} is not known here",
            hint="install the system's time zone data (package tzdata)",
            code="filesystem.unknown_time_zone",
            column=column,
        ) from error
    offsets = pc.divide(
        pc.subtract(pc.cast(local, pa.int64()), pc.cast(utc, pa.int64())),
        constant(str(_SECONDS[array.type.unit]), pa.int64()),
    ).dictionary_encode()
    texts = text_array([_offset_text(seconds) for seconds in offsets.dictionary.to_pylist()])
    return _joined(_naive_text(local, form, column), pc.take(texts, offsets.indices))


def _offset_text(seconds: int) -> str:
    sign, minutes = ("-" if seconds < 0 else "+"), abs(seconds) // 60
    rest = f":{abs(seconds) % 60:02d}" if seconds % 60 else ""
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}{rest}"


def _naive_text(array: pa.Array, form: str, column: str) -> pa.Array:
    values = _naive_values(array, form, column)
    if values is not None:
        return pc.cast(values, pa.string())
    full = pc.cast(array, pa.string())
    return pc.if_else(_is_whole(array, "s"), pc.utf8_slice_codeunits(full, 0, -1 - _DIGITS[array.type.unit]), full)


def _naive_values(array: pa.Array, form: str, column: str) -> pa.Array | None:
    """The same moments, in the unit that has as many digits as are wanted; None where some need more than others."""
    unit = array.type.unit
    _check_range(array, column)
    if form.startswith("fraction="):
        wanted = {"0": "s", "3": "ms", "6": "us", "9": "ns"}[form.removeprefix("fraction=")]
        if _DIGITS[wanted] >= _DIGITS[unit] or pc.all(_is_whole(array, wanted)).as_py() is not False:
            return pc.cast(array, pa.timestamp(wanted))
    if unit == "s":
        return array
    whole = _is_whole(array, "s")
    if pc.all(whole).as_py() is not False:
        return pc.cast(array, pa.timestamp("s"))
    return None if pc.any(whole).as_py() else array


def _is_whole(array: pa.Array, unit: str) -> pa.Array:
    """Which timestamps lose nothing in the coarser ``unit``."""
    ratio = constant(str(_SECONDS[array.type.unit] // _SECONDS[unit]), pa.int64())
    number = pc.cast(array, pa.int64())
    return pc.equal(pc.multiply(pc.divide(number, ratio), ratio), number)


def _date_text(array: pa.Array, column: str) -> pa.Array:
    _check_range(array, column)
    if pa.types.is_date64(array.type):
        storage, day = _storage(array), constant(str(_DAY * 1000), pa.int64())
        odd = pc.filter(storage, pc.not_equal(pc.multiply(pc.divide(storage, day), day), storage))
        if len(odd):
            raise _no_text(array.type, odd[0].as_py(), "not a whole day", column)
        array = pc.cast(array, pa.date32())
    return pc.cast(array, pa.string())


def _time_text(array: pa.Array, column: str) -> pa.Array:
    _, last = _check_range(array, column)
    text = _without_zero_fraction(pc.cast(array, pa.string()))
    day = _DAY * _SECONDS[array.type.unit]
    if last != day:
        return text
    return pc.if_else(pc.equal(_storage(array), constant(str(day), pa.int64())), constant("24:00:00"), text)


def _storage(array: pa.Array) -> pa.Array:
    narrow = pa.types.is_date32(array.type) or pa.types.is_time32(array.type)
    return pc.cast(pc.cast(array, pa.int32()), pa.int64()) if narrow else pc.cast(array, pa.int64())


def _check_range(array: pa.Array, column: str) -> tuple[int | None, int | None]:
    """Refuse dates, times and timestamps that have no text; the first and the last of the others."""
    kind = array.type
    storage = _storage(array)
    if pa.types.is_time(kind):
        first, last = 0, _DAY * _SECONDS[kind.unit]
    else:
        per_day = 1 if pa.types.is_date32(kind) else _DAY * _SECONDS["ms" if pa.types.is_date64(kind) else kind.unit]
        first, last = _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day - 1
    ends = pc.min_max(storage).as_py()
    if ends["min"] is None or (ends["min"] >= first and ends["max"] <= last):
        return ends["min"], ends["max"]
    value = ends["min"] if ends["min"] < first else ends["max"]
    why = "not within a day" if pa.types.is_time(kind) else "infinity, or beyond the year 32767"
    raise _no_text(kind, value, why, column)


def _no_text(kind: pa.DataType, value: int, why: str, column: str) -> DriverError:
    return DriverError(
        f"column {column!r} holds the {kind} {value}, which has no text: {why}",
        hint="change the value, or cast the column to text before writing it",
        code="filesystem.no_text",
        column=column,
    )


def _without_zero_fraction(text: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(text, r"\.0+$", "")


def _duration_text(array: pa.Array) -> pa.Array:
    digits = pc.cast(pc.cast(array, pa.int64()), pa.decimal128(38, 0))
    return _without_zero_fraction(_decimal_text(_rescale(digits, _DIGITS[array.type.unit])))


def _interval_text(value: Any) -> str:
    """ISO 8601, as ``P14M3DT0.5S``."""
    sign, nanoseconds = ("-" if value.nanoseconds < 0 else ""), abs(value.nanoseconds)
    seconds = f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}".rstrip("0").rstrip(".")
    return f"P{value.months}M{value.days}DT{sign}{seconds}S"


def _rescale(array: pa.Array, scale: int) -> pa.Array:
    """The same digits with the point elsewhere."""
    wide = pa.decimal256 if pa.types.is_decimal256(array.type) else pa.decimal128
    # from_buffers, because a cast would multiply
    kind = wide(array.type.precision, scale)
    return pa.Array.from_buffers(kind, len(array), array.buffers(), offset=array.offset)


def _binary_text(array: pa.Array, form: BinaryForm) -> pa.Array:
    encode: Callable[[Any], bytes] = binascii.hexlify if form == "hex" else base64.b64encode
    return text_array([None if value is None else encode(value).decode() for value in array.to_pylist()])
