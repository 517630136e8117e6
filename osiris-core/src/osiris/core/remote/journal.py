"""What the worker said, on disk, so that it can say it again."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Journal"]

_CHUNK = 1024 * 1024


class Journal:
    """The numbered lines of one run, from 1, in a file that only its owner can read. Not thread-safe.

    Args:
        path: Where; an older file there is replaced.

    Raises:
        OSError: It cannot be made; from :meth:`append` when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._starts = array("Q")
        self._end = 0

    def append(self, line: bytes) -> None:
        """Keep one line; it ends with a newline and has no other one."""
        start = written = self._end
        while written < start + len(line):
            written += os.pwrite(self._file, line[written - start :], written)
        self._starts.append(start)
        self._end = written

    def since(self, seq: int) -> Iterator[bytes]:
        """The lines after number ``seq``, in blocks of whole lines."""
        if not 0 <= seq < len(self._starts):
            return
        position = self._starts[seq]
        rest = b""
        while position < self._end:
            block = os.pread(self._file, min(_CHUNK, self._end - position), position)
            if not block:
                return
            position += len(block)
            whole, newline, rest_of_block = block.rpartition(b"\n")
            if newline:
                yield rest + whole + newline
                rest = rest_of_block
            else:
                rest += block

    def close(self, *, remove: bool) -> None:
        """Close it, and remove the file if so asked. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            if remove:
                self.path.unlink(missing_ok=True)
