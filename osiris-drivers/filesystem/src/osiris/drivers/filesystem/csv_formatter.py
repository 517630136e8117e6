"""Batches of values to the bytes of CSV records, which pyarrow's writer joins."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.byte_blocks import ByteSink
from osiris.drivers.filesystem.csv_quoting import Needing, Quoting
from osiris.drivers.filesystem.csv_text import to_text
from osiris.drivers.filesystem.value_text import BinaryForm, as_arrow_writes, form_of

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


@dataclass(frozen=True)
class _Column:
    """A column on its way: values of which pyarrow's own text is right, or texts, and which of these need quotes."""

    values: pa.Array
    is_text: bool
    needing: Needing | None = None


class CsvFormatter:
    """Turns batches of one schema into the bytes of their records, UTF-8; in several threads at once if need be.

    pyarrow quotes all texts or none. Where all of a batch need quotes, it does that; otherwise the columns that need
    them are quoted before.
    """

    def __init__(self, schema: pa.Schema, form: CsvForm) -> None:
        self._schema, self._form = schema, form
        self._quoting = Quoting(form.delimiter, form.null_value)

    def header(self) -> bytes:
        """The record of the columns' names, each quoted where it must be; nothing where there is no column."""
        if not self._schema.names:
            return b""
        names = (self._quoted_name(name) for name in self._schema.names)
        return self._form.delimiter.encode().join(names) + self._eol

    def records(self, batch: pa.RecordBatch) -> list[memoryview]:
        """The records of a batch, in pieces.

        Raises:
            DriverError: A value has no text, or needs quotes that ``quoting: none`` forbids; there is no column.
        """
        if not batch.num_columns:
            raise DriverError(
                f"there are {batch.num_rows} rows and no columns, which CSV has no form for",
                hint="give the rows a column before",
                code="filesystem.csv_no_columns",
            )
        columns = [self._column(field, column) for field, column in zip(self._schema, batch.columns, strict=True)]
        values = [column.values for column in columns]
        if self._form.quoting == "all":
            return self._written(values, "all_valid")
        texts = [column for column in columns if column.is_text]
        if all(_is_quoted_whole(column) for column in texts):
            return self._written(values, "needed")
        quoting = self._quoting
        values = [each.values if each.needing is None else quoting.quote(each.values, each.needing) for each in columns]
        is_hidden = any(column.needing for column in columns)
        return self._written(values, "none", reveal=quoting.reveal if is_hidden else None)

    def _written(
        self, columns: list[pa.Array], style: Literal["all_valid", "needed", "none"], reveal: bytes | None = None
    ) -> list[memoryview]:
        sink = ByteSink(reveal)
        names = [str(index) for index in range(len(columns))]
        options = pa_csv.WriteOptions(
            include_header=False,
            delimiter=self._form.delimiter,
            eol=self._form.newline,
            null_string=self._form.null_value,
            quoting_style=style,
            batch_size=_AT_ONCE,
        )
        pa_csv.write_csv(pa.RecordBatch.from_arrays(columns, names), pa.PythonFile(sink, mode="w"), options)
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

    def _column(self, field: pa.Field, column: pa.Array) -> _Column:
        quoting, form = self._form.quoting, form_of(field)
        to_quote = quoting == "nonnumeric" and not _is_number(field.type)
        simple = self._has_no_special(field.type)
        if simple and not to_quote:
            values = as_arrow_writes(column, form=form, column=field.name)
            if values is not None:
                return _Column(values, is_text=False)
        text = to_text(column, form=form, binary=self._form.binary, column=field.name)
        if to_quote:
            return _Column(text, is_text=True, needing=Needing(pc.is_valid(text), is_all=True))
        if quoting == "all" or simple:
            return _Column(text, is_text=True)
        needing = self._quoting.needs(text)
        if needing is not None and quoting == "none":
            raise self._unquotable(field.name, pc.filter(text, needing.mask)[0].as_py())
        return _Column(text, is_text=True, needing=needing)

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


def _is_quoted_whole(column: _Column) -> bool:
    if column.needing is None:
        return bool(column.values.null_count == len(column.values))
    return column.needing.is_all


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
