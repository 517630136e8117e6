"""One CSV file as a stream of text batches, and the place of whatever is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from osiris.core.errors import DriverError
from osiris.drivers.filesystem.byte_blocks import contains
from osiris.drivers.filesystem.compression import choose_codec
from osiris.drivers.filesystem.csv_blocks import CsvBlocks
from osiris.drivers.filesystem.csv_layout import CsvLayout, Uncommented, skip_line
from osiris.drivers.filesystem.csv_records import Record, scan_records
from osiris.drivers.filesystem.errors import explaining
from osiris.drivers.filesystem.locations import Location
from osiris.drivers.filesystem.text_source import TextSource, check_utf8, refuse_nul

__all__ = ["CsvReader"]

# Measured: blocks that fit into a processor's cache are read faster than the usual 8 MB ones, and pyarrow has
# several of them in work at a time, more where there are more processors.
_BLOCK = 1 << 20
_PEEK = 1 << 16


class CsvReader:
    """One open CSV file; the header is read when it is made.

    Attributes:
        names: The columns, as the file has them (duplicates and all).
        codec: How the file is compressed.

    Raises:
        DriverError: The file cannot be read, is not text, or has no header.
    """

    def __init__(self, location: Location, layout: CsvLayout) -> None:
        self.location = location
        self.layout = layout
        self.codec = choose_codec(layout.compression, location.path)
        self._source = self._open()
        self._reader: Any = None
        try:
            self.names = self._read_header(self._source)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._source.close()

    @property
    def readable_by_others(self) -> bool:
        """Whether the file, decompressed, is UTF-8 and can be read by another engine."""
        return self._source.utf8

    # -- reading ---------------------------------------------------------------------------------

    def batches(self, select: list[int], block: int = _BLOCK) -> Iterator[pa.RecordBatch]:
        """All rows as text, the columns at the indices ``select`` named by their place there. Once.

        Args:
            select: The columns.
            block: How many bytes to parse at a time.

        Raises:
            DriverError: A record has too few or too many fields, is not UTF-8, or a quote is never closed.
        """
        rows = 0
        while True:
            try:
                for batch in self._parse(select, block, skip=rows):
                    rows += batch.num_rows
                    yield batch
            except pa.ArrowInvalid as error:
                longest = self._diagnose(error)
                if longest * 2 <= block:  # nothing that we could name: pyarrow's own words
                    raise self._error(f"cannot be parsed: {error}", "filesystem.csv_invalid") from error
                block = longest * 2  # a record longer than a block: again from the file's start, in larger blocks
                self.close()
                self._source = self._open()
                self._read_header(self._source)
            else:
                return

    def refuse_open_end(self) -> None:
        """Read all of it and raise where it ends inside of quotes, whatever else is wrong with it."""
        try:
            for _ in self.batches([]):
                pass
        except DriverError as error:
            if error.code != "filesystem.csv_ragged_row":
                raise
            self._refuse_open_record()

    def _parse(self, select: list[int], block: int, skip: int) -> Iterator[pa.RecordBatch]:
        stream = self._stream()
        if stream is None:
            return
        last: pa.RecordBatch | None = None
        self._reader = pa_csv.open_csv(stream, *self._arrow_options(select, block))
        wanted = [str(index) for index in select]
        for batch in self._reader:
            last = batch if batch.num_rows else last
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            yield batch.slice(skip).select(wanted)
            skip = 0
        self._check_end(last)

    def _arrow_options(self, select: list[int], block: int) -> tuple[Any, Any, Any]:
        csv, layout = self.layout.csv, self.layout
        columns = [str(index) for index in range(len(self.names))]
        # The last column too: only it shows whether a quote was left open.
        chosen = [str(index) for index in dict.fromkeys([*select, len(columns) - 1])]
        return (
            pa_csv.ReadOptions(column_names=columns, block_size=block),
            pa_csv.ParseOptions(
                delimiter=csv.delimiter,
                quote_char=csv.quote or False,
                double_quote=True,
                escape_char=csv.escape or False,
                newlines_in_values=csv.quote is not None or csv.escape is not None,
                ignore_empty_lines=self._skips_blank(),
            ),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=chosen,
                null_values=list(layout.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=layout.quoted_null,
            ),
        )

    def _stream(self) -> Any:
        """What is left after the header, for pyarrow; None where there is nothing."""
        source: Any = Uncommented(self._source, self.layout) if self.layout.comment else self._source
        head = source.read(_PEEK)
        if self._skips_blank():
            while head and not head.strip(b"\r\n"):
                head = source.read(_PEEK)
        if not head:
            return None
        source.unread(head)
        read = source.read
        if source is self._source and source.plain:
            # Blocks in Arrow's memory, which is used again: bytes of Python would be cleared pages each time.
            with explaining(self.location.text, "read"):
                opened = pa.OSFile(self.location.path, "rb")
            opened.seek(source.offset)
            read = opened.read_buffer if source.may_hold_nul else self._text_of(opened)
        return pa.PythonFile(CsvBlocks(read), mode="r")

    def _text_of(self, opened: Any) -> Callable[[int], Any]:
        def read(size: int) -> Any:
            before, data = opened.tell(), opened.read_buffer(size)
            if contains(memoryview(data).cast("B"), "\0"):
                refuse_nul(bytes(data), self.location, before)
            return data

        return read

    def _skips_blank(self) -> bool:
        wanted = self.layout.skip_blank_lines
        return len(self.names) > 1 if wanted is None else wanted

    # -- the header ------------------------------------------------------------------------------

    def _open(self) -> TextSource:
        return TextSource(self.location, self.codec, self.layout.encoding)

    def _read_header(self, source: TextSource) -> list[str]:
        for _ in range(self.layout.skip_lines):
            skip_line(source)
        first = self._first_record(source)
        if first is None:
            if self.layout.names is not None and not self.layout.header:
                return list(self.layout.names)
            raise self._error(
                "is empty: there is no header" if self.layout.header else "is empty",
                "filesystem.csv_empty",
                hint="write at least the header line, or say what the columns are with `header: false` and `names`",
            )
        if first.open_quote:
            raise self._open_quote(first.line)
        found = self._split(first)
        names = found if self.layout.header else [f"column_{number}" for number in range(1, len(found) + 1)]
        if not self.layout.header:
            source.unread(first.raw)
        if self.layout.names is None:
            return names
        if len(self.layout.names) != len(names):
            raise self._error(
                f"has {len(names)} columns, and `names` gives {len(self.layout.names)}",
                "filesystem.csv_columns",
                hint="give one name for each column",
            )
        return list(self.layout.names)

    def _first_record(self, source: TextSource) -> Record | None:
        """The header or, without one, the first record; the source stands behind it afterwards."""
        consumed: list[bytes] = []

        class _Kept:
            def read(self, size: int) -> bytes:
                data = source.read(min(size, _PEEK))
                consumed.append(data)
                return data

        left = self.layout.skip_records
        used = 0
        mark = self.layout.comment.encode() if self.layout.comment else None
        found: Record | None = None
        for record in scan_records(_Kept(), self.layout.csv, line=self.layout.skip_lines + 1):
            used += len(record.raw)
            if (mark and record.raw.startswith(mark)) or (record.blank and self.layout.skip_blank_lines is not False):
                continue
            if left == 0:
                found = record
                break
            left -= 1
        source.unread(b"".join(consumed)[used:])
        return found

    def _split(self, record: Record) -> list[str]:
        try:
            return self.layout.csv.split(record.raw)
        except UnicodeDecodeError:
            check_utf8(self._open())
            raise

    # -- places and mistakes ---------------------------------------------------------------------

    def line_of(self, row: int) -> int:
        """The line (from 1) on which row ``row`` (from 0) of the data begins. Reads the file again."""
        line = 0
        for index, record in enumerate(self._data_records()):
            line = record.line
            if index == row:
                break
        return line

    def _data_records(self) -> Iterator[Record]:
        source = self._open()
        try:
            for _ in range(self.layout.skip_lines):
                skip_line(source)
            mark = self.layout.comment.encode() if self.layout.comment else None
            before = self.layout.skip_records + (1 if self.layout.header else 0)
            for record in scan_records(source, self.layout.csv, line=self.layout.skip_lines + 1):
                if mark and record.raw.startswith(mark):
                    continue
                if record.blank and (self._skips_blank() if before == 0 else self.layout.skip_blank_lines is not False):
                    continue
                if before:
                    before -= 1
                    continue
                yield record
        finally:
            source.close()

    def _diagnose(self, cause: Exception) -> int:
        """Find what pyarrow stumbled over and raise it; else the length of the longest record."""
        source = self._open()
        try:
            check_utf8(source)
        finally:
            source.close()
        longest = 0
        for record in self._data_records():
            longest = max(longest, len(record.raw))
            if record.open_quote:
                raise self._open_quote(record.line) from cause
            count = self.layout.csv.count_fields(record.raw)
            if count != len(self.names) and not record.blank:
                raise self._ragged(record, count) from cause
        return longest

    def _ragged(self, record: Record, count: int) -> DriverError:
        shown = record.raw[:120].decode("utf-8", "replace").rstrip("\r\n")
        return self._error(
            f"line {record.line} has {_fields(count)} instead of {len(self.names)}: {shown!r}",
            "filesystem.csv_ragged_row",
            hint="correct the line; if the delimiter is another, set `delimiter`; "
            "a value that holds the delimiter must be quoted",
            line=record.line,
            expected=len(self.names),
            found=count,
        )

    def _open_quote(self, line: int) -> DriverError:
        quotes = self.layout.csv.quote is not None
        return self._error(
            f"a quote opened in the record on line {line} is never closed"
            if quotes
            else f"the record on line {line} ends with the escape character, and nothing after it",
            "filesystem.csv_open_quote",
            hint="close it; if quotes mean nothing in this file, set `quote: ''`"
            if quotes
            else "remove it; if it is a character as any other in this file, leave out `escape`",
            line=line,
        )

    def _check_end(self, last: pa.RecordBatch | None) -> None:
        """Refuse a file whose last quote is open, or which ends with an escape: pyarrow would take it as it stands."""
        csv = self.layout.csv
        if last is None or (csv.quote is None and csv.escape is None):
            return
        value = last.column(str(len(self.names) - 1))[-1].as_py()
        text = "".join(self.layout.null_values) if value is None else value
        if "\n" not in text and "\r" not in text:
            return  # what is parsed ends with a line end: it ended the record, so it was outside of quotes
        self._refuse_open_record()

    def _refuse_open_record(self) -> None:
        for record in self._data_records():
            if record.open_quote:
                raise self._open_quote(record.line)

    def _error(self, what: str, code: str, *, hint: str | None = None, **facts: Any) -> DriverError:
        return DriverError(f"{self.location.text}: {what}", hint=hint, code=code, path=self.location.text, **facts)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"
