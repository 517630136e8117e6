"""Whether DuckDB would see the fields in CSV files that a stricter reader sees."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

__all__ = ["CHUNK", "sees_other_fields"]

CHUNK = 8 * 1024 * 1024
"""Bytes that are looked through at a time; for files up to this size, little is worth preparing."""
_BLOCK = 512 * 1024
_MANY_QUOTES = 100_000
"""In a chunk: with more of them, looking through the file takes longer than handing it to DuckDB saves."""
_TOUCHING = 4
"""Bytes beside a quote that are looked at: as many as the longest character has."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def sees_other_fields(paths: tuple[str, ...], quote: str, delimiter: str) -> bool | None:
    """Whether DuckDB might find other fields in the files than a stricter reader; None: they have no quotes.

    It drops white space beside a quote, and stops at other text there. It drops white space behind a carriage return
    that stands alone, and where some lines end in two characters and others in one, its threads stop in the middle of a
    large file. They guess where a record begins, wrongly at times if there are newlines in quotes (seen as spurious
    errors in the middle of a file of 90 MB). A record longer than two buffers in the middle of a file is more than it
    can do.
    """
    look = _Look(quote.encode(), delimiter.encode())
    if any(look.finds_something(path) for path in paths):
        return True
    return False if look.quotes else None


class _Look:
    """A look through files, one after the other.

    Attributes:
        quotes: Whether there were any.
    """

    def __init__(self, mark: bytes, delimiter: bytes) -> None:
        self.quotes = False
        self._mark = mark
        spaces = [space for space in (b" ", b"\t") if mark and space != delimiter]
        self._beside = [pattern for space in spaces for pattern in (space + mark, mark + space)]
        self._ahead = (delimiter, b"\n")  # of an opening quote
        self._after = (delimiter, b"\n", b"\r")  # of a closing one
        self._lines = self._pairs = 0

    def finds_something(self, path: str) -> bool:
        """Whether there is something in the file, or in all up to it, that DuckDB may see otherwise."""
        start = _first_chunk_to_look_at(self._mark, path)
        if start != 0:  # what goes before has lines, and no carriage returns
            self._lines += 1
        if start is None:
            return self._has_other_line_ends()
        before, inside, returned, pairs = b"", False, 0, self._pairs
        with Path(path).open("rb") as file:
            # What stands before the first quote matters only where it touches it.
            file.seek(max(0, start - _TOUCHING))
            while chunk := file.read(CHUNK):
                if any(chunk.find(b"\n", at, at + _BLOCK) < 0 for at in range(0, len(chunk) - _BLOCK, _BLOCK)):
                    return True
                self._lines += chunk.count(b"\n")
                returned += chunk.count(b"\r")
                if returned:
                    self._pairs += chunk.count(b"\r\n") + (before[-1:] == b"\r" and chunk[:1] == b"\n")
                if self._has_other_line_ends():
                    return True
                if self._mark:
                    count = chunk.count(self._mark)
                    touched = count > 0 or inside or before.endswith(self._mark)
                    if count > _MANY_QUOTES or (touched and self._has_bad_quotes(before, chunk, inside)):
                        return True
                    self.quotes |= count > 0
                    inside ^= bool(count % 2)
                before = chunk[-_TOUCHING:]
        return inside or returned != self._pairs - pairs

    def _has_other_line_ends(self) -> bool:
        return 0 < self._pairs != self._lines

    def _has_bad_quotes(self, before: bytes, chunk: bytes, inside: bool) -> bool:
        """Whether there are newlines in quotes, or something else beside them than delimiters, newlines and quotes."""
        mark = self._mark
        if any(pattern in before[-1:] + chunk[:1] or pattern in chunk for pattern in self._beside):
            return True
        parts = chunk.split(mark)
        quoted = b"".join(parts[0 if inside else 1 :: 2])
        if b"\n" in quoted or b"\r" in quoted:
            return True
        if not inside:
            first = parts[0]
            if first and before.endswith(mark) and not first.startswith(self._after):
                return True
            touching = (before + first)[-_TOUCHING:]
            if (
                len(parts) > 1
                and touching not in (b"", _BYTE_ORDER_MARK)
                and not touching.endswith((*self._ahead, mark))
            ):
                return True
        ends_outside = inside == (len(parts) % 2 == 0)
        if ends_outside and len(parts) > 1 and parts[-1] and not parts[-1].startswith(self._after):
            return True
        between = parts[1 if inside else 2 : -1 : 2]
        return any(part and not (part.startswith(self._after) and part.endswith(self._ahead)) for part in between)


def _first_chunk_to_look_at(mark: bytes, path: str) -> int | None:
    """Where the first part of a file begins that has a quote, a carriage return or a very long record; None: no part.

    Most files have none, and looking for one takes as long as the system takes to hand the file over: so in threads.
    """
    with Path(path).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        wanted = [one for one in (mark, b"\r") if one]

        def look(start: int) -> int | None:
            end, room = min(start + CHUNK, size), bytearray(min(_BLOCK, size))  # filled again and again
            at = start
            while at < end and (count := os.preadv(file.fileno(), [room], at)):
                if any(room.find(one, 0, min(count, end - at)) >= 0 for one in wanted):
                    return start
                if count == _BLOCK and room.find(b"\n") < 0:
                    return start
                at += count
            return None

        if size <= CHUNK:
            return look(0)
        from concurrent.futures import ThreadPoolExecutor  # not for small files: it takes longer than they do

        starts = iter(range(0, size, CHUNK))
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            while some := list(islice(starts, 32)):
                found = [start for start in threads.map(look, some) if start is not None]
                if found:
                    return found[0]
    return None
