"""Files looked through by several threads, each a part at a time."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event

from osiris.csv_scan.columns import Column
from osiris.csv_scan.library import CRLF, FINE, LF, QUOTE, SLACK, Scanner, why_not_compiled

__all__ = ["Findings", "scan_csv"]

_PART = 8 * 1024 * 1024
_BLOCK = 512 * 1024
"""Read at a time, and what a record may take at most."""
_MORE = 16 * 1024
"""Read behind a part, for the end of its last record."""


@dataclass(frozen=True)
class Findings:
    """What is certain about some files of the same columns.

    Attributes:
        exact: For each column, whether every value in it that is not NULL is written as its type writes it.
        quotes: Whether there are quotes.
    """

    exact: tuple[bool, ...]
    quotes: bool


def scan_csv(
    paths: Sequence[str],
    columns: Sequence[Column],
    *,
    delimiter: str = ",",
    quote: str = '"',
    header: bool = True,
    null_values: Sequence[str] = ("",),
    before_each_part: Callable[[], object] = lambda: None,
) -> Findings | None:
    r"""Look through CSV files without compression, in UTF-8 or another encoding that ASCII is part of.

    Args:
        paths: Local files.
        columns: What each record should have.
        delimiter: One ASCII character.
        quote: One ASCII character, or empty for none.
        header: Whether the first record of each file holds names.
        null_values: Unquoted texts that mean NULL.
        before_each_part: Called some hundred times a second, in any thread; what it raises ends the search.

    Returns:
        None where nothing is certain: there is no compiled code here; a record has other fields, or is longer than half
        a megabyte; the end of a record is inside quotes, white space or other text beside them; ``\r`` stands anywhere
        but before each ``\n`` or before none; or a file changed meanwhile.

    Raises:
        OSError: A file cannot be read.
        ValueError: ``delimiter`` or ``quote`` is no ASCII character, or the NULL texts are too many or too long.
    """
    if not (len(delimiter) == 1 and delimiter.isascii() and len(quote) <= 1 and (quote + "a").isascii()):
        raise ValueError(f"a delimiter of {delimiter!r}, a quote of {quote!r}")
    if len(null_values) > 255 or any(len(text.encode()) > 255 for text in null_values):
        raise ValueError(f"{len(null_values)} texts for NULL")
    if not columns or why_not_compiled() is not None:
        return None
    parts: SimpleQueue[tuple[str, int, int]] = SimpleQueue()
    for path in paths:
        size = Path(path).stat().st_size
        for start in range(0, size, _PART):
            parts.put((path, start, size))
    in_vain = Event()

    def look() -> Scanner | None:
        scanner = Scanner(columns, delimiter=delimiter, quote=quote, null_values=null_values)
        room = _Room(scanner, quote.encode() if header else None)
        try:
            while not in_vain.is_set():
                before_each_part()
                if not room.scan(*parts.get_nowait()):
                    in_vain.set()
        except Empty:
            return scanner
        except BaseException:
            in_vain.set()
            raise
        return None

    count = max(1, min(8, os.cpu_count() or 1, parts.qsize()))
    with ThreadPoolExecutor(count) as threads:
        looking = [threads.submit(look) for _ in range(count)]
        try:
            found = [one.result() for one in looking]
        finally:
            in_vain.set()  # where this thread was interrupted, nobody needs to go on
    done = [scanner for scanner in found if scanner is not None]
    seen = 0
    for scanner in done:
        seen |= scanner.seen
    if len(done) < count or (seen & CRLF and seen & LF):
        return None
    return Findings(tuple(map(all, zip(*[scanner.exact for scanner in done], strict=True))), bool(seen & QUOTE))


class _Room:
    """Where one thread reads parts of files into.

    Args:
        scanner: Its own.
        quote: What would be a quote in a header; None where there is no header.
    """

    def __init__(self, scanner: Scanner, quote: bytes | None) -> None:
        self._scanner = scanner
        self._quote = quote
        self._bytes = bytearray(2 * _BLOCK + 1 + SLACK)
        self._view = memoryview(self._bytes)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._bytes))

    def scan(self, path: str, start: int, size: int) -> bool:
        """Look through the records that begin in the part at ``start``; False where nothing is certain.

        Args:
            path: Of the file.
            start: Of the part.
            size: Of the file.
        """
        file = os.open(path, os.O_RDONLY)
        try:
            return self._scan(file, start, size)
        finally:
            os.close(file)

    def _scan(self, file: int, start: int, size: int) -> bool:
        room, end = self._bytes, min(start + _PART, size)
        # A record that begins right at the start is this part's, so the newline before it has to be seen.
        at, kept, seeking = max(0, start - 1), 0, bool(start) or self._quote is not None
        while True:
            some = min(_BLOCK, end - at) if at < end else _MORE
            count = os.preadv(file, [self._view[kept : kept + some]], at)
            if not count:
                return False  # it was longer before
            at, filled, first = at + count, kept + count, 0
            if seeking:
                first = room.find(b"\n", 0, filled) + 1
                if not first:
                    return at == size and bool(start)
                if not start and self._quote and room.find(self._quote, 0, first) >= 0:
                    self._scanner.seen |= QUOTE
                seeking = False
                if at - filled + first >= end:
                    return True
            stop = room.rfind(b"\n", first, filled) + 1
            if at >= end:  # the part's last record ends with the first newline from its last byte on
                last = room.find(b"\n", max(first, filled - (at - end) - 1), filled) + 1
                if not last and at == size:
                    room[filled] = 10
                    last = filled + 1
                if last:
                    return self._scanner.scan(self._address + first, last - first) == FINE
            if stop:
                if self._scanner.scan(self._address + first, stop - first) != FINE:
                    return False
            elif filled - first >= _BLOCK:
                return False  # a record without an end
            else:
                stop = first
            kept = filled - stop
            self._view[:kept] = self._view[stop:filled]
