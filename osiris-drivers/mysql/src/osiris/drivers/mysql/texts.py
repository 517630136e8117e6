"""Rows of texts, as PyMySQL's cursor gives them, to the same Arrow columns as the binary protocol gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.mysql import types
from osiris.drivers.mysql.types import Column, ZeroDates, schema_of

__all__ = ["TextDecoder"]

_TIME = re.compile(rb"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")


class TextDecoder:
    """Turns rows of texts into batches.

    Args:
        columns: Of the result.
        zero_dates: What becomes of dates that are none.

    Raises:
        DriverError: ``mysql.not_exact``: a FLOAT, of which the text has six digits only.
    """

    def __init__(self, columns: tuple[Column, ...], zero_dates: ZeroDates) -> None:
        self.schema = schema_of(columns, zero_dates)
        self._columns = columns
        self._zero_dates = zero_dates
        self._rows = 0
        for column in columns:
            if column.type_code == types.FLOAT:
                raise DriverError(
                    f"column {column.name!r} is a FLOAT, of which MySQL tells six digits only in texts",
                    hint="leave protocol to auto, or read CAST(column AS DOUBLE)",
                    code="mysql.not_exact",
                    column=column.name,
                )

    def decode(self, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        """The rows as a batch.

        Raises:
            DriverError: ``mysql.zero_date``, ``mysql.not_exact``; with row and column.
        """
        arrays = [
            self._read(column, field.type, [row[place] for row in rows])
            for place, (column, field) in enumerate(zip(self._columns, self.schema, strict=True))
        ]
        self._rows += len(rows)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _read(self, column: Column, kind: pa.DataType, texts: list[bytes | None]) -> pa.Array:
        if column.type_code == types.NULL:
            return pa.nulls(len(texts))
        if column.type_code == types.BIT:
            whole = [None if text is None else str(int.from_bytes(text, "big")).encode() for text in texts]
            return self._cast(column, kind, whole)
        if column.type_code == types.TIME:
            lengths = [None if text is None else str(_microseconds(text)).encode() for text in texts]
            return self._cast(column, pa.int64(), lengths).view(kind)
        if kind == pa.binary():
            return _bytes(texts)
        return self._cast(column, kind, texts)

    def _cast(self, column: Column, kind: pa.DataType, texts: list[bytes | None]) -> pa.Array:
        try:
            return _as(texts, kind)
        except pa.ArrowInvalid:
            pass
        fitting: list[bytes | None] = []
        for number, text in enumerate(texts, self._rows + 1):
            try:
                _as([text], kind)
            except pa.ArrowInvalid as error:
                if not (column.is_date and self._zero_dates == "null"):
                    raise self._misfit(number, column, kind, text or b"") from error
                text = None
            fitting.append(text)
        return _as(fitting, kind)

    def _misfit(self, number: int, column: Column, kind: pa.DataType, text: bytes) -> DriverError:
        shown = text[:60].decode("utf-8", "replace")
        place = f"row {number}, column {column.name!r}"
        if column.is_date:
            return DriverError(
                f"{place}: {shown} is not a date",
                hint=types.ZERO_DATE_HINT,
                code="mysql.zero_date",
                row=number,
                column=column.name,
            )
        return DriverError(
            f"{place}: {shown!r} has no exact form as {kind}",
            hint=types.CAST_HINT,
            code="mysql.not_exact",
            row=number,
            column=column.name,
        )


def _as(texts: list[bytes | None], kind: pa.DataType) -> pa.Array:
    strings = _bytes(texts).cast(pa.string())  # looks whether it is UTF-8
    if kind == pa.string():
        return strings
    if kind == pa.bool_():
        return strings.cast(pa.uint8()).cast(kind)
    return strings.cast(pa.timestamp("us")).view(kind) if pa.types.is_timestamp(kind) else strings.cast(kind)


def _bytes(texts: list[bytes | None]) -> pa.Array:
    # From buffers: the first pa.array() of a Python list would import pandas.
    edges = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([0 if text is None else len(text) for text in texts], out=edges[1:])
    there = np.packbits([text is not None for text in texts], bitorder="little")
    content = b"".join(text for text in texts if text is not None)
    buffers = [pa.py_buffer(there), pa.py_buffer(edges), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.binary(), len(texts), buffers)


def _microseconds(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise AssertionError(f"the server sent {text!r} as a TIME")
    sign, hours, minutes, seconds, fraction = match.groups()
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    micros = whole * 1_000_000 + int((fraction or b"0").ljust(6, b"0"))
    return -micros if sign else micros
