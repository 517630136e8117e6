"""Rows cut into requests: always at the same places for the same rows, so that a later attempt can compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Literal

from osiris.core.quick_dataclass import dataclass

__all__ = ["Batch", "cut"]

Texts = Iterable[tuple[list[str], list[int], list[str]]]


@dataclass(frozen=True)
class Batch:
    """The rows of one request.

    Attributes:
        start: How many rows of the stream come before.
        rows: JSON texts.
        keys: The text of each row's key; empty without one.
    """

    start: int
    rows: Sequence[str]
    keys: Sequence[str]

    @property
    def end(self) -> int:
        """How many rows of the stream there are up to and with this batch."""
        return self.start + len(self.rows)

    @cached_property
    def digest(self) -> str:
        """What tells these rows from others."""
        return blake2b("\n".join(self.rows).encode(), digest_size=16).hexdigest()

    def body(self, keep: Literal["all", "first", "last"] = "all") -> bytes:
        """A JSON array; of rows with the same key all, the first or the last."""
        rows: Iterable[str] = self.rows
        if keep == "last":
            rows = dict(zip(self.keys, self.rows, strict=True)).values()
        elif keep == "first":
            rows = dict(zip(reversed(self.keys), reversed(self.rows), strict=True)).values()
        return f"[{','.join(rows)}]".encode()

    def split(self, places: Sequence[int]) -> list[Batch]:
        """The same rows in several batches, cut at these numbers of rows of the stream."""
        ends = [*[place for place in places if self.start < place < self.end], self.end]
        found, start = [], self.start
        for end in ends:
            part = slice(start - self.start, end - self.start)
            found.append(Batch(start, self.rows[part], self.keys[part]))
            start = end
        return found


def cut(texts: Texts, *, most_rows: int, most_bytes: int) -> Iterator[Batch]:
    """Batches of at most so many rows, and of at most so many bytes where a row alone has not more."""
    rows: list[str] = []
    keys: list[str] = []
    start, size = 0, 2
    for new, sizes, new_keys in texts:
        begin = 0
        for at, length in enumerate(sizes):
            held = len(rows) + at - begin
            if held and (held == most_rows or size + length + 1 > most_bytes):
                rows += new[begin:at]
                keys += new_keys[begin:at]
                yield Batch(start, rows, keys)
                start, size, begin = start + len(rows), 2, at
                rows, keys = [], []
            size += length + 1
        rows += new[begin:]
        keys += new_keys[begin:]
    if rows:
        yield Batch(start, rows, keys)
