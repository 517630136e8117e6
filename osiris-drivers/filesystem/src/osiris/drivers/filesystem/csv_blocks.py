"""The text of a CSV file in the blocks that pyarrow's reader can take without losing any of it."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

__all__ = ["CsvBlocks"]

_LINE_ENDS = b"\r\n"
_RETURN = _LINE_ENDS[0]


class CsvBlocks:
    r"""A file for pyarrow's CSV reader to read from; nothing is copied but a few blocks at the edges.

    pyarrow reads text at its edges as something that it need not be, and therefore:

    * no block ends with a ``\r`` that more follows: of ``\r\n`` on the edge of two blocks it drops the ``\n``, also
      inside of quotes;
    * a byte-order mark at the start is given twice: it takes one off, although a header stood before it;
    * a text without a line end at its end gets one: an empty last field would count as quoted where the field before
      it is.

    Args:
        read: Gives so many bytes of the text, fewer only at its end.
    """

    closed = False

    def __init__(self, read: Callable[[int], Any]) -> None:
        self._read = read
        self._held = b""
        self._first = True
        self._ended = False
        self._terminated = True  # whether what was given ends with a line end

    def read_buffer(self, size: int) -> memoryview:
        """The next block, of about ``size`` bytes; asked by pyarrow."""
        size = max(size, 2)
        block = self._next(size)
        if self._first and bytes(block[:3]) == codecs.BOM_UTF8:
            block = memoryview(codecs.BOM_UTF8 + bytes(block))
        self._first = False
        if block:
            self._terminated = block[-1] in _LINE_ENDS
        # Not as a block of its own, if possible: pyarrow wants a line end in each.
        if self._ended and not self._terminated:
            block, self._terminated = memoryview(bytes(block) + b"\n"), True
        return block

    def read(self, size: int) -> bytes:
        """The same as ``bytes``."""
        return bytes(self.read_buffer(size))

    def readable(self) -> bool:
        """Yes; asked by pyarrow."""
        return True

    def close(self) -> None:
        """Nothing: what is read from is not this object's."""

    def _next(self, size: int) -> memoryview:
        if self._ended:
            return memoryview(b"")
        wanted = size - len(self._held)
        data = memoryview(self._read(wanted)).cast("B")
        self._ended = len(data) < wanted
        if self._held:
            data, self._held = memoryview(self._held + bytes(data)), b""
        if not self._ended and data[-1] == _RETURN:
            data, self._held = data[:-1], b"\r"
        return data
