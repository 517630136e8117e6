"""Values for the ``?`` of a prepared statement, as the wire protocol wants them: bound by the server, never pasted."""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from osiris.core.errors import DriverError
from osiris.drivers.mysql.types import BLOB, DOUBLE, LONGLONG, NEWDECIMAL, NULL, VAR_STRING

__all__ = ["encode_parameters"]

_UNSIGNED = 0x80


def encode_parameters(statement: int, values: Sequence[Any]) -> bytes:
    """What a command to execute carries: which statement, and its values.

    Raises:
        DriverError: ``mysql.bad_parameter``: a value has no form in MySQL.
    """
    head = struct.pack("<IBI", statement, 0, 1)  # without a cursor, once
    if not values:
        return head
    absent = sum(1 << number for number, value in enumerate(values) if value is None)
    encoded = [_encode(number, value) for number, value in enumerate(values, 1)]
    return b"".join(
        [
            head,
            absent.to_bytes((len(values) + 7) // 8, "little"),
            b"\x01",
            *(bytes([kind, sign]) for kind, sign, _ in encoded),
            *(content for _, _, content in encoded),
        ]
    )


def _encode(number: int, value: Any) -> tuple[int, int, bytes]:
    """Type, its sign byte, and content."""
    if value is None:
        return NULL, 0, b""
    if isinstance(value, int):  # True is 1, as in MySQL
        if -(2**63) <= value < 2**63:
            return LONGLONG, 0, value.to_bytes(8, "little", signed=True)
        if 0 <= value < 2**64:
            return LONGLONG, _UNSIGNED, value.to_bytes(8, "little")
        return NEWDECIMAL, 0, _sized(b"%d" % value)
    if isinstance(value, float) and math.isfinite(value):
        return DOUBLE, 0, struct.pack("<d", value)
    if isinstance(value, Decimal) and value.is_finite():
        return NEWDECIMAL, 0, _sized(format(value, "f").encode())
    if isinstance(value, bytes):
        return BLOB, 0, _sized(value)
    if isinstance(value, dt.datetime):
        return VAR_STRING, 0, _sized(_utc(value).isoformat(" ").encode())
    if isinstance(value, str | dt.date | dt.time):
        return VAR_STRING, 0, _sized((value if isinstance(value, str) else value.isoformat()).encode())
    raise DriverError(
        f"the {number}. of params is {value!r}, which MySQL has no value for",
        hint="params are texts, numbers, true, false and null",
        code="mysql.bad_parameter",
    )


def _utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)


def _sized(content: bytes) -> bytes:
    size = len(content)
    if size < 251:
        return bytes([size]) + content
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little") + content
    if size < 1 << 24:
        return b"\xfd" + size.to_bytes(3, "little") + content
    return b"\xfe" + size.to_bytes(8, "little") + content
