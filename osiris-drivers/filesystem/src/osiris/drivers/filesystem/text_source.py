"""The bytes of a text file as UTF-8: decompressed, transcoded, its byte-order mark taken off."""

from __future__ import annotations

import codecs
import io

from osiris.core.errors import DriverError
from osiris.drivers.filesystem.compression import CORRUPT, Codec, decompress
from osiris.drivers.filesystem.errors import explain
from osiris.drivers.filesystem.locations import Location

__all__ = ["TextSource", "check_utf8", "not_decodable", "read_ends", "refuse_nul"]

_HEAD = 1 << 16
_TAIL = 1 << 16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8 = {"utf-8", "utf-8-sig"}
_MARKED = {"utf-16", "utf-32"}  # whose decoders take the mark off


class TextSource(io.RawIOBase):
    """A file to read as UTF-8 text; what it raises is ready to show.

    Args:
        location: The file.
        codec: How it is compressed.
        encoding: How it is written; None: UTF-8 without NUL bytes, or what its byte-order mark says. UTF-8 is passed
            on unchecked.

    Attributes:
        offset: Bytes given so far, counted in the file where :attr:`plain`.
        plain: Whether the file itself holds what :meth:`read` gives, from ``offset`` on.
        utf8: Whether the file is UTF-8 (compressed or not).
        may_hold_nul: Whether an encoding was given or found in which a NUL byte is no sign of a binary file.
        tail: The last bytes given, up to 64 KB.

    Raises:
        DriverError: The file cannot be read, or is not text.
    """

    def __init__(self, location: Location, codec: Codec | None, encoding: str | None) -> None:
        self.location = location
        self.tail = b""
        self._raw = location.open()
        self._bytes = decompress(self._raw, codec)
        self._encoding = ""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._decoded = 0
        self._seen = 0
        self.may_hold_nul = True
        try:
            self._pushed = self._start(encoding)
        except BaseException:
            self.close()
            raise
        self.utf8 = self._decoder is None
        self.plain = location.is_local and codec is None and self._decoder is None

    def _start(self, encoding: str | None) -> bytes:
        head = self._read(_HEAD)
        marked = next(((name, mark) for mark, name in _MARKS if head.startswith(mark)), None)
        if encoding is None:
            encoding = marked[0] if marked else "utf-8"
            if encoding == "utf-8":
                self.may_hold_nul = False
                refuse_nul(head, self.location)
        name = self._encoding = codecs.lookup(encoding).name
        self.offset = 0
        if name in _UTF8:
            if head.startswith(codecs.BOM_UTF8):
                self.offset = len(codecs.BOM_UTF8)
            return head[self.offset :]
        self._decoder = codecs.getincrementaldecoder(name)("strict")
        text = self._decode(head)
        return text if name in _MARKED else text.removeprefix(codecs.BOM_UTF8)

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes of UTF-8, fewer only at the end. All of it where ``size`` is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_TAIL), b""))
        if size == 0:
            return b""
        parts, missing = [], size
        while missing > 0 and (part := self._pushed or self._next(missing)):
            parts.append(part[:missing])
            self._pushed = part[missing:]
            missing -= len(parts[-1])
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.offset += len(data)
        if data:
            self.tail = data[-_TAIL:] if len(data) >= _TAIL else (self.tail + data)[-_TAIL:]
        return data

    def unread(self, data: bytes) -> None:
        """Give ``data``, the last bytes read, back: the next :meth:`read` gives them again."""
        self._pushed = data + self._pushed
        self.offset -= len(data)

    def skip_to_end(self) -> None:
        """Leave out all but the last bytes of a :attr:`plain` file."""
        size = self._raw.seek(0, io.SEEK_END)
        self._raw.seek(max(self.offset, size - _TAIL))
        self._pushed = b""

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            self._bytes.close()
            self._raw.close()

    def _next(self, size: int) -> bytes:
        if self._decoder is None:
            return self._read(size)
        while data := self._read(size):
            if text := self._decode(data):
                return text
        return self._decode(b"", final=True)

    def _decode(self, data: bytes, *, final: bool = False) -> bytes:
        assert self._decoder is not None
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise not_decodable(self.location, error, self._decoded - pending + error.start) from error
        except UnicodeError as error:
            raise DriverError(
                f"{self.location.text} has no byte-order mark, by which {self._encoding} text says its order of bytes",
                hint=f"say which it is: `encoding: {self._encoding}-le` or `{self._encoding}-be`",
                code="filesystem.encoding",
                path=self.location.text,
                encoding=self._encoding,
            ) from error
        self._decoded += len(data)
        return text.encode("utf-8", "surrogatepass")

    def _read(self, size: int) -> bytes:
        try:
            # A raw file may give less than asked for; None (nothing there yet) does not happen with files.
            data = self._bytes.read(size) or b""
        except CORRUPT as error:
            raise _corrupt(self.location, error) from error
        except OSError as error:
            raise _unreadable(self.location, error) from error
        if not self.may_hold_nul:
            refuse_nul(data, self.location, self._seen)
        self._seen += len(data)
        return data


def check_utf8(source: TextSource, count: bytes = b"") -> int:
    """Read all of it and raise where it is not UTF-8; how often there is the byte ``count``."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    line, found, data = 1, 0, b""
    while True:
        before = source.offset - len(decoder.getstate()[0])
        data = source.read(1 << 20)
        try:
            decoder.decode(data, not data)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise not_decodable(source.location, error, before + error.start, line) from error
        if not data:
            return found
        line += data.count(b"\n")
        found += data.count(count) if count else 0


def read_ends(location: Location, codec: Codec | None, encoding: str) -> tuple[bytes, bytes]:
    """The first bytes of a text file as they are, and the last ones as UTF-8 (``b""`` where it is empty)."""
    raw = location.open()
    try:
        head = decompress(raw, codec).read(4)
    except CORRUPT as error:
        raise _corrupt(location, error) from error
    except OSError as error:
        raise _unreadable(location, error) from error
    finally:
        raw.close()
    if not head:
        return b"", b""
    with TextSource(location, codec, encoding) as source:
        if source.plain:
            source.skip_to_end()
        while source.read(1 << 20):
            pass
        return head, source.tail


def not_decodable(location: Location, error: UnicodeDecodeError, offset: int, line: int | None = None) -> DriverError:
    """The error for bytes that are not text in the encoding."""
    place = f"byte {offset}" if line is None else f"line {line}, byte {offset}"
    bad = error.object[error.start : error.start + 4].hex(" ")
    return DriverError(
        f"{location.text}: {place} is not {error.encoding} text (bytes {bad})",
        hint="say how the file is encoded, as `encoding: cp1252`, `latin-1` or `utf-16`",
        code="filesystem.encoding",
        path=location.text,
        offset=offset,
        line=line,
        encoding=error.encoding,
    )


def refuse_nul(data: bytes, location: Location, before: int = 0) -> None:
    """Raise where a part of a file, which begins at the offset ``before``, holds a NUL byte."""
    at = data.find(b"\0")
    if at >= 0:
        raise DriverError(
            f"{location.text} is not a text file: there is a NUL byte at offset {before + at}",
            hint="read Parquet with filesystem.parquet_extractor; if it is text all the same, "
            "say how it is encoded, as `encoding: utf-8` or `utf-16`, or set `compression`",
            code="filesystem.not_text",
            path=location.text,
            offset=before + at,
        )


def _unreadable(location: Location, error: OSError) -> DriverError:
    if error.errno is None:  # bz2 and zstd say "invalid data" with an OSError of no number
        return _corrupt(location, error)
    return explain(error, location.text, "read")


def _corrupt(location: Location, error: Exception) -> DriverError:
    return DriverError(
        f"{location.text} cannot be decompressed: {str(error) or 'it ends too early'}",
        hint="the file is damaged or cut off, or compressed otherwise than its name says: set `compression`",
        code="filesystem.corrupt",
        path=location.text,
    )
