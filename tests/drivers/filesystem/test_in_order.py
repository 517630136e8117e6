"""Several items at the same time, results in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from osiris.drivers.filesystem.in_order import in_order

pytestmark = pytest.mark.timeout(60)


def test_results_come_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert second_is_done.wait(30)  # so that 2 is done before it, which takes a second thread
        if item == 2:
            second_is_done.set()
        return item * 10

    assert list(in_order(work, range(20))) == [item * 10 for item in range(20)]


def test_one_item_needs_no_thread() -> None:
    assert list(in_order(lambda _: threading.current_thread(), [1])) == [threading.main_thread()]


def test_nothing() -> None:
    assert list(in_order(str, [])) == []


def test_no_more_items_are_taken_than_are_worked_on() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    for given, _ in enumerate(in_order(lambda item: item, items())):
        assert len(taken) <= given + 4


def test_an_error_comes_in_its_place_and_ends_it() -> None:
    results = in_order(lambda item: 6 // (item - 3), range(50))
    assert [next(results) for _ in range(3)] == [-2, -3, -6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not any(thread.name.startswith("osiris-in-order") for thread in threading.enumerate())


def test_an_error_of_the_items() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError

    with pytest.raises(OSError):
        list(in_order(str, items()))
    assert not any(thread.name.startswith("osiris-in-order") for thread in threading.enumerate())
