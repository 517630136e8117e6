"""The pipe between two steps."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from osiris.core.engine.channel import Channel

BATCH = pa.record_batch({"n": pa.array(range(1000), type=pa.int64())})


def test_the_writer_is_at_most_the_limit_ahead() -> None:
    channel = Channel(limit=3 * BATCH.nbytes)
    ahead: list[int] = []
    written = 0
    full = threading.Event()

    def write() -> None:
        nonlocal written
        for _ in range(100):
            if written == 3:
                full.set()  # the next put() finds no room
            channel.put(BATCH)
            written += 1
        channel.finish()

    thread = threading.Thread(target=write)
    thread.start()
    assert full.wait(60)
    for number, _ in enumerate(channel.read()):
        ahead.append(written - number)
    thread.join(60)
    assert len(ahead) == 100
    assert max(ahead) <= 3 + 2, "what waits, the one being read and the one being counted"


def test_a_batch_larger_than_the_limit_passes() -> None:
    channel = Channel(limit=1)
    thread = threading.Thread(target=lambda: (channel.put(BATCH), channel.put(BATCH), channel.finish()))
    thread.start()
    assert len(list(channel.read())) == 2
    thread.join(60)


def test_a_reader_that_leaves_releases_the_writer() -> None:
    channel = Channel(limit=BATCH.nbytes)
    answers: list[bool] = []

    def write() -> None:
        while channel.put(BATCH):
            answers.append(True)
        answers.append(False)

    thread = threading.Thread(target=write)
    thread.start()
    batches = channel.read()
    next(batches)
    batches.close()
    thread.join(60)
    assert not thread.is_alive()
    assert answers[-1] is False
    assert channel.closed


def test_the_error_comes_after_what_was_handed_over() -> None:
    channel = Channel(limit=10 * BATCH.nbytes)
    channel.put(BATCH)
    channel.put(BATCH)
    channel.finish(ValueError("broke"))
    batches = channel.read()
    assert next(batches).num_rows == 1000
    assert next(batches).num_rows == 1000
    with pytest.raises(ValueError, match="broke"):
        next(batches)


def test_a_writer_that_nobody_wants_to_read_is_told() -> None:
    channel = Channel(limit=1)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(channel.wait_until_wanted()))
    thread.start()
    channel.close()
    thread.join(60)
    assert answers == [False]
