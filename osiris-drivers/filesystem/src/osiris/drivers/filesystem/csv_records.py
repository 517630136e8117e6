"""Where CSV records begin and end, exactly as the fast reader sees them, but with line numbers.

The scanner is what reads headers, filters comments and finds the place of a mistake; data go through
pyarrow. Both agree: a quote opens a field only at its start, ``""`` inside is one quote, and what follows a
closing quote up to the delimiter belongs to the field as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

from osiris.core.quick_dataclass import dataclass

__all__ = ["CsvFormat", "Record", "scan_records"]

_CHUNK = 1 << 20
_ENDS = re.compile(rb"\r\n|\n|\r")


class Readable(Protocol):
    """All that is asked of what records are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""


@dataclass(frozen=True)
class CsvFormat:
    """How fields and records are told apart; one ASCII character each, None where there is none."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None

    @cached_property
    def _quoted(self) -> bytes:
        quote, escape = _class(self.quote or ""), _class(self.escape or "")
        if self.quote is None:
            return b""
        other = rb"(?:%b%b|%b[\s\S])" % (quote, quote, escape) if self.escape else quote + quote
        return rb"%b[^%b%b]*+(?:%b[^%b%b]*+)*+%b(?!%b)" % (quote, quote, escape, other, quote, escape, quote, quote)

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        """One field; ``lastgroup`` is ``quoted`` for a quoted one."""
        delimiter, escape = _class(self.delimiter), _class(self.escape or "")
        plain = rb"[^%b\r\n%b]*+" % (delimiter, escape)
        if self.escape:
            plain = rb"%b(?:%b[\s\S]%b)*+" % (plain, escape, plain)
        if self.quote is None:
            return re.compile(plain)
        return re.compile(rb"(?P<quoted>%b)%b|(?!%b)%b" % (self._quoted, plain, _class(self.quote), plain))

    @cached_property
    def record(self) -> re.Pattern[bytes]:
        """One record with its line end; the last group is the line end, empty at the end of the data."""
        field = self.field.pattern.replace(b"?P<quoted>", b"?:")
        return re.compile(rb"(?:%b)(?:%b(?:%b))*+(\r\n|\n|\r|\Z)" % (field, _class(self.delimiter), field))

    def split(self, record: bytes) -> list[str]:
        """The texts of a record's fields, quotes taken off."""
        fields, at = [], 0
        end = len(record) - len(_line_end(record))
        while True:
            match = self.field.match(record, at, end)
            if match is None:  # an open quote: the rest is one field
                fields.append(self._unquote(record[at + 1 : end]))
                return fields
            fields.append(self._text(match))
            at = match.end() + 1
            if at > end:
                return fields

    def count_fields(self, record: bytes) -> int:
        """How many fields a record has."""
        if (self.quote is None or self.quote.encode() not in record) and self.escape is None:
            return record.count(self.delimiter.encode()) + 1
        return len(self.split(record))

    def _text(self, match: re.Match[bytes]) -> str:
        if match.lastgroup != "quoted":
            return self._unescape(match[0]).decode()
        inside, after = match["quoted"][1:-1], match[0][match.end("quoted") - match.start() :]
        return self._unquote(inside) + self._unescape(after).decode()

    def _unquote(self, inside: bytes) -> str:
        quote = (self.quote or "").encode()
        if self.escape is None:
            return inside.replace(quote + quote, quote).decode()
        escape = _class(self.escape)
        doubled = rb"%b([\s\S])|%b(%b)" % (escape, _class(self.quote or ""), _class(self.quote or ""))
        return re.sub(doubled, _kept, inside).decode()

    def _unescape(self, text: bytes) -> bytes:
        if self.escape is None:
            return text
        return re.sub(rb"%b([\s\S])" % _class(self.escape), rb"\1", text)


def _kept(match: re.Match[bytes]) -> bytes:
    return match[1] if match[1] is not None else match[2]


def _class(character: str) -> bytes:
    return re.escape(character.encode())


def _line_end(record: bytes) -> bytes:
    if record.endswith(b"\r\n"):
        return b"\r\n"
    return record[-1:] if record.endswith((b"\n", b"\r")) else b""


@dataclass(frozen=True)
class Record:
    """One record: its bytes with the line end, and the line (from 1) on which it begins.

    ``open_quote``: the data ended inside a quoted field. ``blank``: nothing but the line end.
    """

    raw: bytes
    line: int
    open_quote: bool = False

    @property
    def blank(self) -> bool:
        """Whether the line is empty."""
        return self.raw in (b"", b"\n", b"\r", b"\r\n")


def scan_records(stream: Readable, csv: CsvFormat, *, line: int = 1) -> Iterator[Record]:
    """Every record of ``stream`` (UTF-8), blank lines among them. Reads ahead by up to a megabyte."""
    buffer, at, ended, chunk = b"", 0, False, _CHUNK
    while True:
        match = csv.record.match(buffer, at)
        # At the buffer's end more may follow: the rest of the field, or the \n of a \r\n.
        if match is not None and (ended or match.end() < len(buffer)):
            if match.end() == at and at == len(buffer):
                return
            raw = match[0]
            yield Record(raw, line)
            line += count_lines(raw)
            at = match.end()
        elif ended:
            if at < len(buffer):
                yield Record(buffer[at:], line, open_quote=True)
            return
        else:
            chunk = _CHUNK if at else chunk * 2  # a record longer than the buffer: look again less and less often
            more = stream.read(chunk)
            ended = not more
            buffer, at = buffer[at:] + more, 0


def count_lines(raw: bytes) -> int:
    """How many line ends there are in ``raw``."""
    return raw.count(b"\n") if b"\r" not in raw else sum(1 for _ in _ENDS.finditer(raw))
