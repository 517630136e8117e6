"""How the text of a CSV file is laid out around its records: header, comments, lines to skip."""

from __future__ import annotations

import re
from dataclasses import field

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem.csv_records import CsvFormat, scan_records
from osiris.drivers.filesystem.text_source import TextSource

__all__ = ["CsvLayout", "Uncommented", "skip_line"]

_CHUNK = 1 << 16
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True)
class CsvLayout:
    """How the text of a CSV file is laid out: what is needed to find its records.

    Attributes:
        csv: Delimiter, quote and escape.
        encoding: None: UTF-8, or what the byte-order mark says.
        compression: As the option.
        header: Whether the first record names the columns.
        skip_lines: Lines before the header (or the first record).
        skip_records: Records before the header.
        comment: Lines that begin with it are left out.
        skip_blank_lines: None: where there is more than one column.
        names: The columns' names instead of those of the file.
        null_values: Unquoted texts that mean NULL.
        quoted_null: Whether they do so in quotes too.
    """

    csv: CsvFormat = field(default_factory=CsvFormat)
    encoding: str | None = None
    compression: str = "infer"
    header: bool = True
    skip_lines: int = 0
    skip_records: int = 0
    comment: str | None = None
    skip_blank_lines: bool | None = None
    names: tuple[str, ...] | None = None
    null_values: tuple[str, ...] = ("",)
    quoted_null: bool = False


class Uncommented:
    """A text source without the lines that begin with the comment mark: a file for pyarrow to read from."""

    closed = False

    def __init__(self, source: TextSource, layout: CsvLayout) -> None:
        mark = (layout.comment or "").encode()
        self._records = (r.raw for r in scan_records(source, layout.csv) if not r.raw.startswith(mark))
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, fewer only at the end; all of it where ``size`` is negative."""
        parts, total = [self._rest], len(self._rest)
        while size < 0 or total < size:
            record = next(self._records, None)
            if record is None:
                break
            parts.append(record)
            total += len(record)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]

    def unread(self, data: bytes) -> None:
        """Give the last bytes read back."""
        self._rest = data + self._rest

    def readable(self) -> bool:
        """Yes; asked by pyarrow."""
        return True

    def close(self) -> None:
        """Stop scanning."""
        self._records.close()


def skip_line(source: TextSource) -> None:
    """Read over one line, quotes or not."""
    while chunk := source.read(_CHUNK):
        match = _LINE_END.search(chunk)
        if match is None:
            continue
        if match[0] == b"\r" and match.end() == len(chunk):
            chunk += source.read(1)
            match = _LINE_END.search(chunk)
            assert match is not None
        source.unread(chunk[match.end() :])
        return
