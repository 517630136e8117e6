"""Several readings at the same time, as one stream of batches in the order of their arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.reading import Reading

__all__ = ["read_together"]

_AHEAD = 2
"""Batches that each connection may be ahead of the reader."""


def read_together(
    first: Reading, others: Sequence[Callable[[], Reading]], sessions: Sequence[Session]
) -> Iterator[pa.RecordBatch]:
    """The rows of all readings; each has a thread of its own.

    Args:
        first: Started already.
        others: Start the others; called in their threads.
        sessions: Of all of them; killed where the rows are not read to their end.

    Raises:
        DriverError: Of the reading that failed first; the others are stopped then.
    """
    begin: list[Callable[[], Reading]] = [lambda: first, *others]
    meeting = _Meeting(len(begin))
    threads = [
        threading.Thread(target=meeting.feed, args=(start,), name=f"mysql-partition-{number}", daemon=True)
        for number, start in enumerate(begin, 1)
    ]
    for thread in threads:
        thread.start()
    try:
        while (batch := meeting.take()) is not None:
            yield batch
    finally:
        if not meeting.is_over:
            meeting.stop()
            for session in sessions:
                session.kill()
        for thread in threads:
            thread.join()


class _Meeting:
    """Where the batches of several threads come together; each may be a little ahead."""

    def __init__(self, feeders: int) -> None:
        self._changed = threading.Condition()
        self._batches: deque[pa.RecordBatch] = deque()
        self._room = _AHEAD * feeders
        self._feeding = feeders
        self._stopped = False
        self._error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        """Whether every reading came to its end."""
        return self._feeding == 0 and self._error is None

    def feed(self, start: Callable[[], Reading]) -> None:
        """Read one reading to its end; the body of a thread."""
        try:
            for batch in start().batches():
                if not self._put(batch):
                    return
        except BaseException as error:  # raised by take(), in the thread that reads
            with self._changed:
                self._error = self._error or error
        finally:
            with self._changed:
                self._feeding -= 1
                self._changed.notify_all()

    def take(self) -> pa.RecordBatch | None:
        """The next batch of any reading; None after the last.

        Raises:
            BaseException: What a reading raised.
        """
        with self._changed:
            while not self._batches and self._feeding and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            batch = self._batches.popleft() if self._batches else None
            self._changed.notify_all()
            return batch

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _put(self, batch: pa.RecordBatch) -> bool:
        with self._changed:
            while len(self._batches) >= self._room and not self._stopped and self._error is None:
                self._changed.wait()
            if self._stopped or self._error is not None:
                return False
            self._batches.append(batch)
            self._changed.notify_all()
            return True
