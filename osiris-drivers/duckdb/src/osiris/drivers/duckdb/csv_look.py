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


def sees_other_fields(paths: tuple[str, ...], quote: str) -> bool | None:
    """Whether DuckDB might find other fields in the files than a stricter reader; None: they have no quotes.

    It drops white space beside a quote, and its threads guess where a record begins, wrongly at times if there are
    newlines in quotes (seen as spurious errors in the middle of a file of 90 MB). A record longer than two buffers in
    the middle of a file is more than it can do.
    """
    mark = quote.encode()
    beside = [pattern for space in (b" ", b"\t") for pattern in (space + mark, mark + space)]
    found = False
    for path in paths:
        start = _first_chunk_to_look_at(mark, path)
        if start is None:
            continue
        if not mark:
            return True
        found = True
        before, inside = b"", False
        with Path(path).open("rb") as file:
            # What stands before the first quote matters only where it touches it.
            file.seek(max(0, start - 1))
            while chunk := file.read(CHUNK):
                if any(chunk.find(b"\n", at, at + _BLOCK) < 0 for at in range(0, len(chunk) - _BLOCK, _BLOCK)):
                    return True
                count = chunk.count(mark)
                if count > _MANY_QUOTES or any(pattern in before + chunk[:1] for pattern in beside):
                    return True
                if count and any(pattern in chunk for pattern in beside):
                    return True
                if count or inside:
                    quoted = b"".join(chunk.split(mark)[0 if inside else 1 :: 2])
                    if b"\n" in quoted or b"\r" in quoted:
                        return True
                    inside ^= bool(count % 2)
                before = chunk[-1:]
        if inside:
            return True
    return False if found else None


def _first_chunk_to_look_at(mark: bytes, path: str) -> int | None:
    """Where the first part of a file begins that has a quote in it, or a very long record; None where there is none.

    Most files have none, and looking for one takes as long as the system takes to hand the file over: so in threads.
    """
    with Path(path).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size

        def look(start: int) -> int | None:
            end, room = min(start + CHUNK, size), bytearray(min(_BLOCK, size))  # filled again and again
            at = start
            while at < end and (count := os.preadv(file.fileno(), [room], at)):
                if mark and room.find(mark, 0, min(count, end - at)) >= 0:
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
