"""The pipe between two steps: bounded by bytes, so that one may work ahead of the other but not run away."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from time import perf_counter

import pyarrow as pa

__all__ = ["Channel"]


class Channel:
    """One writer, one reader. The reader decides when it begins, and may leave at any time.

    Args:
        limit: Bytes that may wait in it; one batch always may.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[pa.RecordBatch] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._wanted = False
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None
        self.waited = 0.0
        """Seconds that the reader waited for the writer."""

    @property
    def closed(self) -> bool:
        """Whether the reader has left."""
        return self._closed

    def wait_until_wanted(self) -> bool:
        """Block the writer until the reader's first read; False if the reader leaves without one."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._closed)
            return not self._closed

    def put(self, batch: pa.RecordBatch) -> bool:
        """Hand over a batch, waiting for room; False if nobody reads any more."""
        size = batch.nbytes
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._bytes + size <= self._limit)
            if self._closed:
                return False
            self._items.append(batch)
            self._bytes += size
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """No batch comes after this; ``error`` is raised at the reader after what was handed over."""
        with self._changed:
            if not self._finished:
                self._finished, self._error = True, error
            self._changed.notify_all()

    def read(self) -> Iterator[pa.RecordBatch]:
        """Every batch, in order; leaving the iterator leaves the channel.

        Raises:
            BaseException: What the writer finished with.
        """
        try:
            while (batch := self._get()) is not None:
                yield batch
            if self._error is not None:
                raise self._error
        finally:
            self.close()

    def abort(self, error: BaseException) -> None:
        """End it for both sides at once: the writer is told that nobody reads, the reader gets ``error``."""
        with self._changed:
            if not self._finished:
                self._finished, self._error = True, error
            self._closed = True
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """The reader leaves: what waits is dropped and the writer is told."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    def _get(self) -> pa.RecordBatch | None:
        with self._changed:
            self._wanted = True
            self._changed.notify_all()
            if not self._items and not self._finished:
                begun = perf_counter()
                self._changed.wait_for(lambda: self._items or self._finished or self._closed)
                self.waited += perf_counter() - begun
            if not self._items:
                return None
            batch = self._items.popleft()
            self._bytes -= batch.nbytes
            self._changed.notify_all()
            return batch
