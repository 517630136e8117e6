"""Rows in CSV, as ``COPY ... TO STDOUT`` gives them, to Arrow; what Arrow cannot hold is an error with its place."""

from __future__ import annotations

import json
from array import array
from binascii import unhexlify
from collections.abc import Sequence
from itertools import accumulate, chain

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from osiris.core.errors import DriverError
from osiris.core.python_values import to_array
from osiris.drivers.supabase.postgres_types import Form, PgType

__all__ = ["RowParser"]

_PARSE = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
_ONE = to_array([1])[0].cast(pa.int32())
_CSV_CANNOT = (pa.types.is_decimal256, pa.types.is_list, pa.types.is_binary)


class RowParser:
    """Chunks of whole rows to record batches.

    Args:
        columns: Name and type of each column, in the order of the rows.
        what: What is read, for messages.
    """

    def __init__(self, columns: Sequence[tuple[str, PgType]], what: str) -> None:
        self._columns = columns
        self._what = what
        self._rows = 0
        self._read_as = {str(at): _travels_as(kind.arrow) for at, (_, kind) in enumerate(columns)}
        self.schema = pa.schema([pa.field(name, kind.arrow) for name, kind in columns])

    def parse(self, chunk: bytes) -> pa.RecordBatch:
        """The rows of ``chunk``.

        Raises:
            DriverError: ``supabase.value_not_representable``, with column, row and value.
        """
        try:
            table = _read(chunk, self._read_as, list(self._read_as))
            arrays = [_finish(table.column(at).combine_chunks(), kind) for at, (_, kind) in enumerate(self._columns)]
        except (pa.ArrowException, ValueError) as error:
            raise self._locate(chunk) or error from error
        self._rows += table.num_rows
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _locate(self, chunk: bytes) -> DriverError | None:
        for at, (name, kind) in enumerate(self._columns):
            texts = _read(chunk, dict.fromkeys(self._read_as, pa.string()), [str(at)]).column(0)
            for row, text in enumerate(texts, self._rows + 1):
                if not _fits(text.as_py(), kind):
                    return DriverError(
                        f"{self._what}: column {name!r} of row {row:,} is {text.as_py()!r} ({kind.name}), "
                        f"which no {kind.arrow} can be",
                        hint=f"leave such rows out, or select {name}::text",
                        code="supabase.value_not_representable",
                        column=name,
                        row=row,
                    )
        return None


def _travels_as(kind: pa.DataType) -> pa.DataType:
    return pa.string() if any(is_kind(kind) for is_kind in _CSV_CANNOT) else kind


def _read(chunk: bytes, types: dict[str, pa.DataType], wanted: list[str]) -> pa.Table:
    return csv.read_csv(
        pa.BufferReader(chunk),
        read_options=csv.ReadOptions(column_names=list(types), use_threads=False, block_size=len(chunk) + 1),
        parse_options=_PARSE,
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=wanted,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["t", "true"],
            false_values=["f", "false"],
            timestamp_parsers=[csv.ISO8601],
        ),
    )


def _finish(texts: pa.Array | pa.ChunkedArray, kind: PgType) -> pa.Array:
    """What came as text and is something else."""
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if kind.form is Form.HEX:
        return _from_hex(column)
    if kind.member is not None:
        return _from_lists(column, kind)
    return column if column.type == kind.arrow else column.cast(kind.arrow)


def _from_hex(texts: pa.Array) -> pa.Array:
    """All digits at once: the bytes lie one after the other, each value half as long as its text."""
    valid, offsets, data = _compact(texts).buffers()
    starts = pa.Array.from_buffers(pa.int32(), len(texts) + 1, [None, offsets])
    halves = pc.shift_right(starts, _ONE)
    raw = unhexlify(data.to_pybytes()[: starts[-1].as_py()]) if data is not None else b""
    return pa.Array.from_buffers(pa.binary(), len(texts), [valid, halves.buffers()[1], pa.py_buffer(raw)])


def _compact(texts: pa.Array) -> pa.Array:
    return texts if texts.offset == 0 else pa.concat_arrays([texts])


def _from_lists(texts: pa.Array, kind: PgType) -> pa.Array:
    lists = [None if text is None else json.loads(text) for text in texts.to_pylist()]
    members = list(chain.from_iterable(values for values in lists if values))
    if any(isinstance(member, list) for member in members):
        raise ValueError("an array of several dimensions")
    ends = array("i", accumulate((len(values) if values else 0 for values in lists), initial=0))
    missing = to_array([values is None for values in lists])
    flat = _from_members(members, kind.member or kind)
    return pa.ListArray.from_arrays(
        pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends)]),
        flat,
        type=kind.arrow,
        mask=missing,
    )


def _from_members(members: list[str | None], kind: PgType) -> pa.Array:
    if not any(member is not None for member in members):
        return pa.nulls(len(members), kind.arrow)
    if kind.name == "bytea":
        digits = to_array([None if member is None else member[2:] for member in members])
        return _from_hex(digits)
    if pa.types.is_boolean(kind.arrow) or pa.types.is_time(kind.arrow):
        lines = "".join(f"{'' if member is None else member}\n" for member in members)
        return _read(lines.encode(), {"0": kind.arrow}, ["0"]).column(0).combine_chunks()
    return _finish(to_array(members), kind)


def _fits(text: str | None, kind: PgType) -> bool:
    try:
        if text is not None:
            if kind.member is not None or not _is_read_by_csv(kind):
                _finish(to_array([text]), kind)
            else:
                _read(f"{text}\n".encode(), {"0": kind.arrow}, ["0"])
    except (pa.ArrowException, ValueError):
        return False
    return True


def _is_read_by_csv(kind: PgType) -> bool:
    return _travels_as(kind.arrow) == kind.arrow and not pa.types.is_string(kind.arrow)
