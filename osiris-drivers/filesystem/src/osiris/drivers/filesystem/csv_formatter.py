"""Batches of values to the bytes of CSV records: pyarrow's writer joins, in a mode in which it adds no quotes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

from osiris.core.errors import DriverError
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.byte_blocks import ByteSink
from osiris.drivers.filesystem.csv_quoting import Quoting
from osiris.drivers.filesystem.csv_text import to_text
from osiris.drivers.filesystem.value_text import BinaryForm, form_of

__all__ = ["CsvForm", "CsvFormatter"]

_AT_ONCE = 1024
"""Rows that pyarrow joins at once: see :mod:`~osiris.drivers.filesystem.byte_blocks`."""


@dataclass(frozen=True, kw_only=True)
class CsvForm:
    """How to write records; see the options of the same names."""

    delimiter: str = ","
    newline: str = "\n"
    quoting: Literal["minimal", "all", "nonnumeric", "none"] = "minimal"
    null_value: str = ""
    binary: BinaryForm = "hex"


class CsvFormatter:
    """Turns batches of one schema into the bytes of their records, UTF-8; in several threads at once if need be."""

    def __init__(self, schema: pa.Schema, form: CsvForm) -> None:
        self._schema, self._form = schema, form
        self._options = pa_csv.WriteOptions(
            include_header=False,
            delimiter=form.delimiter,
            eol=form.newline,
            null_string=form.null_value,
            quoting_style="none",
            batch_size=_AT_ONCE,
        )
        self._quoting = Quoting(form.delimiter, form.null_value)

    def header(self) -> bytes:
        """The record of the columns' names, each quoted where it must be."""
        names = (self._quoted_name(name) for name in self._schema.names)
        return self._form.delimiter.encode().join(names) + self._eol

    def records(self, batch: pa.RecordBatch) -> list[memoryview]:
        """The records of a batch, in pieces.

        Raises:
            DriverError: A value has no text, or needs quotes that ``quoting: none`` forbids.
        """
        columns, hidden = [], False
        for field, column in zip(self._schema, batch.columns, strict=True):
            written, has_hidden = self._column(field, column)
            columns.append(written)
            hidden = hidden or has_hidden
        if not columns:
            return [memoryview(self._eol * int(batch.num_rows))]
        sink = ByteSink(self._quoting.reveal if hidden else None)
        names = [str(index) for index in range(len(columns))]
        pa_csv.write_csv(pa.RecordBatch.from_arrays(columns, names), pa.PythonFile(sink, mode="w"), self._options)
        return sink.pieces()

    @property
    def _eol(self) -> bytes:
        return self._form.newline.encode()

    def _quoted_name(self, name: str) -> bytes:
        must = self._quoting.is_special(name) or (not name and len(self._schema) == 1)
        if self._form.quoting == "none" or (self._form.quoting == "minimal" and not must):
            if must:
                raise self._unquotable(name, name)
            return name.encode()
        return b'"' + name.encode().replace(b'"', b'""') + b'"'

    def _column(self, field: pa.Field, column: pa.Array) -> tuple[pa.Array, bool]:
        """A column in a form that pyarrow writes as wanted, and whether there are stand-ins in it."""
        quoting = self._form.quoting
        if quoting in ("minimal", "none") and self._is_written_right(field.type):
            return column, False
        text = to_text(column, form=form_of(field), binary=self._form.binary, column=field.name)
        if quoting == "all" or (quoting == "nonnumeric" and not _is_number(field.type)):
            return self._quoting.quote(text, self._quoting.all_of(text)), True
        if self._has_no_special(field.type):
            return text, False
        needing = self._quoting.needs(text)
        if needing is None:
            return text, False
        if quoting == "none":
            raise self._unquotable(field.name, pc.filter(text, needing.mask)[0].as_py())
        return self._quoting.quote(text, needing), True

    def _is_written_right(self, kind: pa.DataType) -> bool:
        """Whether pyarrow's own text of such values is ours."""
        same = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        same = same or (pa.types.is_decimal128(kind) and 0 <= kind.scale <= 6)
        return bool(same and self._has_no_special(kind))

    def _has_no_special(self, kind: pa.DataType) -> bool:
        """Whether no text of such values can hold the delimiter, or be what stands for NULL."""
        simple = _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind)
        return bool(simple and self._form.delimiter in ",;\t|" and self._form.null_value == "")

    def _unquotable(self, column: str, value: str) -> DriverError:
        shown = value if len(value) <= 100 else value[:100] + "..."
        why = "which without quotes reads as NULL" if value == self._form.null_value else "which needs quotes"
        return DriverError(
            f"column {column!r} holds {shown!r}, {why}, and `quoting` is none",
            hint="set `quoting: minimal`, or another delimiter"
            + (" or `null_value`" if value == self._form.null_value else ""),
            code="filesystem.csv_quoting",
            column=column,
            value=shown,
        )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
