"""Which type a CSV column has, judged by its text: only one that gives every text back exactly as it was.

``007``, ``+420``, ``1e5``, ``NA`` and ``True`` stay text. A column of which every sampled text is the one way
in which Osiris writes a value of some type gets that type; every later block is held to the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import constant
from osiris.drivers.filesystem.value_text import FORM, scalar_text

__all__ = ["DOUBLES", "TEXT", "Exact", "Misfit", "first_misfit", "infer"]


class Misfit(Exception):
    """A text is not one of the type. ``index`` is the first such in the column's block."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class _Inexact(ValueError):
    """Some text of the block does not come back as it was."""


@dataclass(frozen=True)
class Exact:
    """A type, and the function that turns a block's texts into it or refuses all of them.

    ``form`` goes into the field's metadata where the texts have another form than the usual one.
    """

    type: pa.DataType
    parse: Callable[[pa.Array], pa.Array]
    form: str = ""

    def field(self, name: str) -> pa.Field:
        """The Arrow field of a column of this type."""
        return pa.field(name, self.type, metadata={FORM: self.form.encode()} if self.form else None)

    def convert(self, text: pa.Array) -> pa.Array:
        """The values of a block of texts.

        Raises:
            Misfit: A text does not come back exactly.
        """
        try:
            return self.parse(text)
        except (pa.ArrowInvalid, _Inexact):
            raise Misfit(first_misfit(text, self.parse)) from None


def first_misfit(text: pa.Array, parse: Callable[[pa.Array], pa.Array]) -> int:
    """The index of the first text that ``parse`` refuses; it must refuse some."""
    start, end = 0, len(text)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            parse(text[start:middle])
        except (pa.ArrowInvalid, _Inexact):
            end = middle
        else:
            start = middle
    return start


_BOOLEAN = re.compile(r"true|false")
_INTEGER = re.compile(r"-?\d+")
_FRACTION = re.compile(r"-?\d+\.(\d+)")
_FLOAT = re.compile(r"-?(?:\d+(?:\.\d+)?e[+-]\d+|inf|nan)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.(\d+))?")


def infer(sample: pa.Array) -> Exact:
    """The narrowest type that gives all of ``sample`` back exactly; text where it is all NULL."""
    values = pc.drop_null(sample)
    if len(values) == 0:
        return TEXT
    for exact in _candidates(values[0].as_py()):
        try:
            parsed = exact.parse(values)
        except (pa.ArrowInvalid, _Inexact):
            continue
        if pa.types.is_floating(exact.type) and not pc.any(pc.is_finite(parsed)).as_py():
            continue  # a column of the words nan and inf says nothing about numbers
        return _roomy(exact, parsed)
    return TEXT


def _candidates(first: str) -> list[Exact]:
    """The types that the first value allows, narrowest first."""
    if _BOOLEAN.fullmatch(first):
        return [_BOOLEANS]
    if _INTEGER.fullmatch(first):
        return [_INTEGERS, _decimals(38, 0), _PLAIN_DOUBLES]
    if match := _FRACTION.fullmatch(first):
        scale = len(match[1])
        fixed = [_decimals(18, scale), _decimals(38, scale)] if scale <= 18 else [_decimals(38, min(scale, 38))]
        return [*fixed, DOUBLES, _PLAIN_DOUBLES]
    if _FLOAT.fullmatch(first):
        return [DOUBLES, _PLAIN_DOUBLES]
    if _DATE.fullmatch(first):
        return [_DATES]
    if match := _TIMESTAMP.fullmatch(first):
        return _timestamps(len(match[1] or ""))
    return []


def _roomy(exact: Exact, values: pa.Array) -> Exact:
    """A decimal of 18 digits (four times as fast as 38 in most engines) only where three more would still fit."""
    if not pa.types.is_decimal128(exact.type) or exact.type.precision == 38:
        return exact
    room = 10 ** (15 - exact.type.scale) if exact.type.scale <= 15 else 0
    ends = pc.min_max(values).as_py()
    return exact if max(abs(ends["min"]), abs(ends["max"])) < room else _decimals(38, exact.type.scale)


def _require(condition: bool) -> None:
    if not condition:
        raise _Inexact


def _bytes_of(text: pa.Array) -> bytes:
    """The texts of a block without what is between them."""
    if len(text) == 0:
        return b""
    offsets = pa.Array.from_buffers(pa.int32(), len(text) + 1, [None, text.buffers()[1]], offset=text.offset)
    start, end = offsets[0].as_py(), offsets[len(text)].as_py()
    return b"" if start == end else text.buffers()[2].slice(start, end - start).to_pybytes()


def _total_digits(numbers: pa.Array, least: int) -> int:
    """How long the decimal texts of ``numbers`` are together, each at least ``least`` digits and a sign."""
    ends = pc.min_max(numbers).as_py()
    if ends["min"] is None:
        return 0
    total: int = least * (len(numbers) - numbers.null_count)
    if ends["min"] < 0:
        total += pc.sum(pc.less(numbers, constant("0", pa.int64()))).as_py()
        numbers = pc.abs(numbers)
    bound, largest = 10**least, max(ends["max"], -ends["min"])
    while bound <= largest:
        total += pc.sum(pc.greater_equal(numbers, constant(str(bound), pa.int64()))).as_py()
        bound *= 10
    return total


def _parse_text(text: pa.Array) -> pa.Array:
    return text


def _parse_boolean(text: pa.Array) -> pa.Array:
    true = pc.equal(text, constant("true"))
    _require(pc.all(pc.or_(true, pc.equal(text, constant("false")))).as_py() is not False)
    return true


def _parse_integer(text: pa.Array) -> pa.Array:
    numbers = pc.cast(text, pa.int64())
    # Arrow takes leading zeros and -0, which are longer than the number needs, and 0x10. So equal lengths of
    # all texts together and no x mean equal texts; that is five times as fast as writing them and comparing.
    raw = _bytes_of(text)
    _require(b"x" not in raw and b"X" not in raw)
    if pc.min(numbers).as_py() == -(2**63):  # has no absolute value to count the digits of
        _require(pc.cast(numbers, pa.string()).equals(text))
    else:
        _require(len(raw) == _total_digits(numbers, 1))
    return numbers


def _parse_double(text: pa.Array) -> pa.Array:
    numbers = pc.cast(text, pa.float64())
    raw = _bytes_of(text)
    # With a point, without an exponent and not very small, our text is Arrow's own, but for the .0 of whole numbers.
    usual = raw.count(b".") == len(text) - text.null_count and b"e" not in raw and b"0.0000" not in raw
    if usual:
        whole = pc.ends_with(text, ".0")
        shorter = pc.if_else(whole, pc.utf8_slice_codeunits(text, 0, -2), text) if pc.any(whole).as_py() else text
        if pc.cast(numbers, pa.string()).equals(shorter):
            return numbers
    _require(scalar_text(numbers).equals(text))
    return numbers


def _parse_plain_double(text: pa.Array) -> pa.Array:
    numbers = pc.cast(text, pa.float64())
    _require(scalar_text(numbers, form="plain").equals(text))
    return numbers


def _parse_date(text: pa.Array) -> pa.Array:
    days = pc.cast(text, pa.date32())
    _require(len(_bytes_of(text)) == 10 * (len(text) - text.null_count))
    return days


TEXT = Exact(pa.string(), _parse_text)
_BOOLEANS = Exact(pa.bool_(), _parse_boolean)
_INTEGERS = Exact(pa.int64(), _parse_integer)
DOUBLES = Exact(pa.float64(), _parse_double)
_PLAIN_DOUBLES = Exact(pa.float64(), _parse_plain_double, form="plain")
_DATES = Exact(pa.date32(), _parse_date)


def _decimals(precision: int, scale: int) -> Exact:
    kind = pa.decimal128(precision, scale)

    def parse(text: pa.Array) -> pa.Array:
        numbers = pc.cast(text, kind)
        _require(scalar_text(numbers).equals(text))
        return numbers

    def parse_short(text: pa.Array) -> pa.Array:
        digits = _without_points(text, scale)
        raw = _bytes_of(digits)
        numbers = pc.cast(digits, pa.int64())
        ends = pc.min_max(numbers).as_py()
        _require(ends["min"] is None or max(abs(ends["min"]), abs(ends["max"])) < 10**18)
        _require(b"x" not in raw and b"X" not in raw and len(raw) == _total_digits(numbers, scale + 1))
        wide = pc.cast(numbers, pa.decimal128(19, 0))
        return pa.Array.from_buffers(kind, len(wide), wide.buffers(), offset=wide.offset)

    return Exact(kind, parse_short if precision == 18 and scale else parse)


def _without_points(text: pa.Array, scale: int) -> pa.Array:
    """The texts without their one point, which must stand before the last ``scale`` digits and after another."""
    raw, count = _bytes_of(text), len(text) - text.null_count
    _require(raw.count(b".") == count and b"-." not in raw)
    points = pc.find_substring(text, ".")
    lengths = pc.binary_length(text)
    _require(
        pc.all(
            pc.and_(
                pc.equal(points, pc.subtract(lengths, constant(str(scale + 1), pa.int32()))),
                pc.greater(points, constant("0", pa.int32())),
            )
        ).as_py()
        is not False
    )
    before = pc.cumulative_sum(pc.cast(pc.is_valid(text), pa.int32()))
    offsets = pa.Array.from_buffers(pa.int32(), len(text) + 1, [None, text.buffers()[1]], offset=text.offset)
    shifted = pc.subtract(
        pc.subtract(offsets, offsets[0]), pa.concat_arrays([pa.repeat(constant("0", pa.int32()), 1), before])
    )
    mask = None if text.null_count == 0 else pc.invert(pc.is_null(text)).buffers()[1]
    return pa.Array.from_buffers(
        pa.string(), len(text), [mask, shifted.buffers()[1], pa.py_buffer(raw.replace(b".", b""))]
    )


def _timestamps(digits: int) -> list[Exact]:
    """Naive timestamps: each with its fraction where it has one, or all with the same number of digits."""
    usual = Exact(pa.timestamp("us"), _parse_timestamp)
    if digits == 0:
        return [usual]
    if digits not in (3, 6, 9):
        return []
    kind = pa.timestamp("ns" if digits == 9 else "us")

    def parse(text: pa.Array) -> pa.Array:
        moments = pc.cast(text, kind)
        _require(pc.all(pc.equal(pc.binary_length(text), constant(str(20 + digits), pa.int32()))).as_py() is not False)
        _require(b"T" not in _bytes_of(text))
        return moments

    fixed = Exact(kind, parse, form=f"fraction={digits}")
    return [fixed, usual] if digits == 6 else [fixed]


def _parse_timestamp(text: pa.Array) -> pa.Array:
    moments = pc.cast(text, pa.timestamp("us"))
    raw = _bytes_of(text)
    _require(b"T" not in raw)
    if len(raw) != 19 * (len(text) - text.null_count) or b"." in raw:
        _require(scalar_text(moments).equals(text))
    return moments
