"""The input in portions of bounded size, each small enough to be kept until the server has taken it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

__all__ = ["chunks"]

_BYTES = 16 * 1024 * 1024


def chunks(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at most ``rows`` rows and about 16 MB, unless a single row is larger.

    Small batches are put together, large ones cut.
    """
    held: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        for part in _cut(batch, rows):
            if held and (count + part.num_rows > rows or size + part.nbytes > _BYTES):
                yield _together(held)
                held, count, size = [], 0, 0
            held.append(part)
            count += part.num_rows
            size += part.nbytes
            if count >= rows or size >= _BYTES:  # now: the next batch may take its time
                yield _together(held)
                held, count, size = [], 0, 0
    if held:
        yield _together(held)


def _cut(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    if batch.num_rows == 0:
        return
    if batch.num_rows > 1 and (batch.num_rows > rows or batch.nbytes > _BYTES):
        # Halves: rows of very different sizes end up in portions of about one size.
        half = min(rows, batch.num_rows // 2) if batch.nbytes > _BYTES else rows
        yield from _cut(batch.slice(0, half), rows)
        yield from _cut(batch.slice(half), rows)
    else:
        yield batch


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
