"""Compression by suffix or by name, for reading and writing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
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
        return bz2.BZ2File(raw, mode="rb")
    if codec == "xz":
        return lzma.LZMAFile(raw, mode="rb")
    return cast("IO[bytes]", pa.CompressedInputStream(raw, "zstd"))


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
