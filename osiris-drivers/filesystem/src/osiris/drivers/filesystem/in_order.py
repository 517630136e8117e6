"""Work on several items at the same time, with the results in the order of the items."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 2
"""More would not be faster: what gives the items, and the disk, take their time too."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``work(item)`` for one item after the other; from the second one on, two at the same time.

    So little data is done with no thread, and no more than three items are held.

    Args:
        work: May be called in several threads at once.
        items: Taken in the thread that takes the results.

    Raises:
        Exception: What ``work`` raised, in its place; what is under way then is waited for, and forgotten.
    """
    coming = iter(items)
    for item in coming:
        yield work(item)
        break
    if os.cpu_count() == 1:
        yield from map(work, coming)
        return
    for item in coming:
        yield from _together(work, item, coming)


def _together(work: Callable[[Item], Result], first: Item, others: Iterator[Item]) -> Iterator[Result]:
    from concurrent.futures import Future, ThreadPoolExecutor  # not for a run that has no use for it

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="osiris-in-order") as threads:
        under_way: deque[Future[Result]] = deque([threads.submit(work, first)])
        try:
            for item in others:
                under_way.append(threads.submit(work, item))
                if len(under_way) > _AT_ONCE:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
