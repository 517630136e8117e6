"""Batches of values to the bytes of CSV records.

pyarrow's writer does the joining, in a mode in which it adds no quotes; which values need them is decided
here. The characters that it would refuse in a value stand in the texts as bytes that UTF-8 never has, and
are put back in the finished block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

from osiris.core.errors import DriverError
from osiris.drivers.filesystem import arrow_functions as pc
from osiris.drivers.filesystem.arrow_arrays import bytes_array, constant
from osiris.drivers.filesystem.csv_text import to_text
from osiris.drivers.filesystem.value_text import BinaryForm, form_of

__all__ = ["CsvForm", "CsvFormatter"]

_QUOTE, _DELIMITER, _LF, _CR = b"\xf8", b"\xf9", b"\xfa", b"\xfb"


@dataclass(frozen=True, kw_only=True)
class CsvForm:
    """How to write records; see the options of the same names."""

    delimiter: str = ","
    newline: str = "\n"
    quoting: Literal["minimal", "all", "nonnumeric", "none"] = "minimal"
    null_value: str = ""
    binary: BinaryForm = "hex"


class CsvFormatter:
    """Turns batches of one schema into the bytes of their records, UTF-8."""

    def __init__(self, schema: pa.Schema, form: CsvForm) -> None:
        self._schema, self._form = schema, form
        self._options = pa_csv.WriteOptions(
            include_header=False,
            delimiter=form.delimiter,
            eol=form.newline,
            null_string=form.null_value,
            quoting_style="none",
            batch_size=8192,
        )
        special = b'"' + form.delimiter.encode() + b"\n\r"
        stand_ins = _QUOTE + _DELIMITER + _LF + _CR
        self._hide, self._show = bytes.maketrans(special, stand_ins), bytes.maketrans(stand_ins, special)
        self._special = special

    def header(self) -> bytes:
        """The record of the columns' names, each quoted where it must be."""
        names = (self._quoted_name(name) for name in self._schema.names)
        return self._form.delimiter.encode().join(names) + self._eol

    def records(self, batch: pa.RecordBatch) -> bytes | memoryview:
        """The records of a batch.

        Raises:
            DriverError: A value has no text, or needs quotes that ``quoting: none`` forbids.
        """
        columns, hidden = [], False
        for field, column in zip(self._schema, batch.columns, strict=True):
            written, has_hidden = self._column(field, column)
            columns.append(written)
            hidden = hidden or has_hidden
        if not columns:
            return self._eol * int(batch.num_rows)
        sink = pa.BufferOutputStream()
        names = [str(index) for index in range(len(columns))]
        pa_csv.write_csv(pa.RecordBatch.from_arrays(columns, names), sink, self._options)
        data = memoryview(sink.getvalue())
        return bytes(data).translate(self._show) if hidden else data

    @property
    def _eol(self) -> bytes:
        return self._form.newline.encode()

    def _quoted_name(self, name: str) -> bytes:
        text = name.encode()
        must = any(character in text for character in self._special) or (not text and len(self._schema) == 1)
        if self._form.quoting == "none" or (self._form.quoting == "minimal" and not must):
            if must:
                raise self._unquotable(name, name)
            return text
        return b'"' + text.replace(b'"', b'""') + b'"'

    def _column(self, field: pa.Field, column: pa.Array) -> tuple[pa.Array, bool]:
        """A column in a form that pyarrow writes as wanted, and whether there are stand-ins in it."""
        quoting = self._form.quoting
        if quoting in ("minimal", "none") and self._is_written_right(field.type):
            return column, False
        text = to_text(column, form=form_of(field), binary=self._form.binary, column=field.name)
        if quoting == "all" or (quoting == "nonnumeric" and not _is_number(field.type)):
            return self._quote(text, pc.is_valid(text)), True
        if self._has_no_special(field.type):
            return text, False
        mask = self._needs_quotes(text)
        if mask is None:
            return text, False
        if quoting == "none":
            value = pc.filter(text, mask)[0].as_py()
            raise self._unquotable(field.name, value)
        return self._quote(text, mask), True

    def _is_written_right(self, kind: pa.DataType) -> bool:
        """Whether pyarrow's own text of such values is ours."""
        same = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        same = same or (pa.types.is_decimal128(kind) and 0 <= kind.scale <= 6)
        return bool(same and self._has_no_special(kind))

    def _has_no_special(self, kind: pa.DataType) -> bool:
        """Whether no text of such values can hold the delimiter, or be what stands for NULL."""
        simple = _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind)
        return bool(simple and self._form.delimiter in ",;\t|" and self._form.null_value == "")

    def _needs_quotes(self, text: pa.Array) -> pa.Array | None:
        """Which values would be misread without quotes; None for none of them."""
        null = self._form.null_value
        like_null = pc.equal(text, constant(null, text.type))
        raw = memoryview(text.buffers()[2]).tobytes() if text.buffers()[2] is not None else b""
        found = [bytes([character]) for character in self._special if raw.find(character) >= 0]
        if not found and not pc.any(like_null).as_py():
            return None
        mask = like_null
        for character in found:
            mask = pc.or_(mask, pc.match_substring(text, character.decode()))
        mask = pc.and_kleene(mask, pc.is_valid(text))
        return mask if pc.any(mask).as_py() else None  # a slice may see the bytes of its neighbours

    def _quote(self, text: pa.Array, mask: pa.Array) -> pa.Array:
        values = pc.filter(text, mask)
        binary = pa.large_binary() if pa.types.is_large_string(text.type) else pa.binary()
        values = pc.cast(pc.replace_substring(values, '"', '""'), binary)
        buffers = values.buffers()
        raw = b"" if buffers[2] is None else buffers[2].to_pybytes().translate(self._hide)
        hidden = pa.Array.from_buffers(binary, len(values), [None, buffers[1], pa.py_buffer(raw)], offset=values.offset)
        quote, nothing = pc.cast(bytes_array([_QUOTE])[0], binary), pc.cast(bytes_array([b""])[0], binary)
        quoted = pc.binary_join_element_wise(quote, hidden, quote, nothing)
        marked = pc.replace_with_mask(pc.cast(text, binary), mask, quoted)
        # Called text again without looking at it: pyarrow's writer would refuse the stand-ins.
        return pa.Array.from_buffers(text.type, len(marked), marked.buffers(), offset=marked.offset)

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
