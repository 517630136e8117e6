"""Large runs of bytes, worked on a block at a time in Arrow's memory.

``bytes`` of hundreds of kilobytes are given back to the system each time, and come back as pages that have to be
cleared: for CSV that took as long as the work itself. Small blocks are used again and stay near the processor.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = ["ByteSink", "contains", "translate"]

_BLOCK = 64 << 10
_ROOM = 1 << 20


def contains(content: memoryview, character: str) -> bool:
    """Whether an ASCII character is in UTF-8 text."""
    wanted = character.encode()
    return any(wanted in content[at : at + _BLOCK].tobytes() for at in range(0, len(content), _BLOCK))


def translate(content: memoryview, table: bytes) -> None:
    """Replace every byte by that of a table of 256, in place."""
    for at in range(0, len(content), _BLOCK):
        content[at : at + _BLOCK] = content[at : at + _BLOCK].tobytes().translate(table)


class ByteSink:
    """A file for pyarrow to write small blocks to, which collects them.

    Args:
        table: Of 256 bytes; each byte is replaced by that of the table.
    """

    closed = False

    def __init__(self, table: bytes | None = None) -> None:
        self._table = table
        self._full: list[memoryview] = []
        self._room = memoryview(b"")
        self._used = 0

    def write(self, block: Any) -> int:
        """Take a block."""
        data: Any = block if self._table is None else bytes(block).translate(self._table)
        size = len(data)
        if self._used + size > len(self._room):
            self._full.append(self._room[: self._used])
            self._room, self._used = memoryview(pa.allocate_buffer(max(size, _ROOM))).cast("B"), 0
        self._room[self._used : self._used + size] = memoryview(data).cast("B")
        self._used += size
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def pieces(self) -> list[memoryview]:
        """All that was written, in order."""
        return [*self._full, self._room[: self._used]]
