"""Compression by suffix or by name, for reading and writing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO, Any, Literal, cast

import pyarrow as pa

__all__ = ["CORRUPT", "Codec", "choose_codec", "compress", "decompress"]

Codec = Literal["gzip", "bz2", "xz", "zstd"]

_SUFFIXES: dict[str, Codec] = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bz2": "bz2",
    ".xz": "xz",
    ".zst": "zstd",
    ".zstd": "zstd",
}
_CHUNK = 1 << 16
_NAMES: dict[str, Codec] = {"gz": "gzip", "bzip2": "bz2", "lzma": "xz", "zst": "zstd"}

CORRUPT: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""What reading a damaged or cut-off compressed file raises, OSErrors of bz2 and zstd aside."""


def choose_codec(option: str, path: str) -> Codec | None:
    """What the ``compression`` option means for this path: by suffix when ``infer``."""
    if option == "none":
        return None
    if option == "infer":
        return _SUFFIXES.get(PurePosixPath(path).suffix.lower())
    return cast("Codec", _NAMES.get(option, option))


def decompress(raw: IO[bytes], codec: Codec | None) -> IO[bytes]:
    """A stream of the plain bytes; files of several members, as ``cat a.gz b.gz`` makes them, are read whole."""
    if codec is None:
        return raw
    if codec == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb"))
    if codec == "bz2":
        return cast("IO[bytes]", io.BufferedReader(_Members(raw, bz2.BZ2Decompressor), _CHUNK))
    if codec == "xz":
        return cast("IO[bytes]", io.BufferedReader(_Members(raw, lzma.LZMADecompressor, padding=4), _CHUNK))
    return cast("IO[bytes]", pa.CompressedInputStream(raw, "zstd"))


class _Members(io.RawIOBase):
    """The plain bytes of all members of a compressed file.

    Python's own files for bz2 and xz take whatever is no member for the end, be it damaged or not.

    Args:
        raw: What to decompress.
        member: Makes a decompressor for one member.
        padding: After a member, zero bytes in multiples of it mean nothing; 0: there are none.
    """

    def __init__(self, raw: IO[bytes], member: Callable[[], Any], padding: int = 0) -> None:
        self._raw, self._member, self._padding = raw, member, padding
        self._current = member()
        self._pending = b""  # the start of this member, read with the end of the one before

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        while True:
            if self._current.eof and not self._begin_next():
                return 0
            more = b""
            if self._current.needs_input:
                more, self._pending = self._pending or self._raw.read(_CHUNK), b""
                if not more:
                    raise EOFError
            if data := self._current.decompress(more, len(room)):
                room[: len(data)] = data
                return len(data)

    def _begin_next(self) -> bool:
        """Go on to the next member; whether there is one."""
        rest = self._current.unused_data or self._raw.read(_CHUNK)
        zeros = 0
        while self._padding and rest and rest[0] == 0:
            stripped = rest.lstrip(b"\0")
            zeros += len(rest) - len(stripped)
            rest = stripped or self._raw.read(_CHUNK)
        if zeros and zeros % self._padding:
            raise lzma.LZMAError("there is something behind its end")
        if not rest:
            return False
        self._current = self._member()
        self._pending = rest
        return True


class _Unowned(io.RawIOBase):
    """A stream that closing leaves open: pyarrow's compressor closes what it writes to."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._raw.write(data)


def compress(raw: Any, codec: Codec | None) -> Any:
    """A stream that writes compressed bytes to ``raw``; closing it ends the member and leaves ``raw`` open.

    ``raw`` needs ``write``; it is given back itself where there is no compression.
    """
    if codec is None:
        return raw
    if codec == "gzip":
        # No name and no time inside: the same rows give the same bytes.
        return cast("IO[bytes]", gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0))
    if codec == "bz2":
        return bz2.BZ2File(raw, mode="wb")
    if codec == "xz":
        return lzma.LZMAFile(raw, mode="wb")
    return cast("IO[bytes]", pa.CompressedOutputStream(pa.PythonFile(_Unowned(raw), mode="w"), "zstd"))
