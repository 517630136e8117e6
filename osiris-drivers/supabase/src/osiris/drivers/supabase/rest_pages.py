"""A table, page by page: each begins where the one before ended, by the values of its order, never by a number.

The server cuts answers short without a word, so that a short page means nothing: only an empty one is the end.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field
from itertools import pairwise
from typing import Any

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import Order
from osiris.drivers.supabase.rest_client import RestClient
from osiris.drivers.supabase.rest_query import after, order_of

__all__ = ["Numeral", "Pages", "Row", "Selection", "read_page"]

Row = dict[str, Any]


class Numeral(str):
    """A number with a point or an exponent, as it was written."""

    __slots__ = ()


@dataclass(frozen=True)
class Selection:
    """What is asked of which table.

    Attributes:
        table: Its name.
        what: What errors call it.
        select: The parameter of this name.
        conditions: The parameters that stand for the filters.
        order: The columns to page by; empty where there are none.
        is_unique: Whether it is known that no two rows are the same in ``order``.
        never_null: The columns that are known to hold no NULL.
        keeps_numerals: Whether numbers with a point are to come as :class:`Numeral`, not as floats.
    """

    table: str
    what: str
    select: str
    conditions: Sequence[tuple[str, str]] = ()
    order: Sequence[Order] = ()
    is_unique: bool = True
    never_null: Collection[str] = field(default_factory=frozenset)
    keeps_numerals: bool = False


def read_page(
    client: RestClient, selection: Selection, limit: int, *, offset: int = 0, last: Row | None = None
) -> list[Row]:
    """At most ``limit`` rows, perhaps less than there are.

    Args:
        client: To ask.
        selection: What to ask for.
        limit: How many.
        offset: How many to leave out, after ``last``.
        last: The row after which to begin.
    """
    params = [("select", selection.select), *selection.conditions, ("limit", str(limit))]
    if selection.order:
        params.append(order_of(selection.order))
    if last is not None:
        params += after(selection.order, last, selection.never_null)
    if offset:
        params.append(("offset", str(offset)))
    answer = client.request("GET", selection.table, params, what=selection.what)
    try:
        rows = json.loads(answer.content, parse_float=Numeral if selection.keeps_numerals else None)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise DriverError(
            f"{selection.what}: the answer is no list of rows",
            hint="url should be the project's address alone, as https://abc.supabase.co",
            code="supabase.wrong_url",
        )
    return rows


@dataclass(frozen=True)
class _Flight:
    """A page on its way.

    Attributes:
        rows: The page.
        size: How many rows were asked for.
        overlaps: Whether it should begin with the row that the page before ends with.
    """

    rows: Future[list[Row]]
    size: int
    overlaps: bool


class Pages:
    """All rows of a selection, in its order, as lists of rows.

    While one page is worked on, the next ones are on their way: always the one after the last row, and ``parallel - 1``
    more that begin so many rows further. Each of those begins with the row that the page before ends with; where
    it does not, rows came or went in between, or the server cuts pages shorter, and it is asked for again.

    Args:
        client: To ask.
        selection: What to ask for.
        page_size: Rows to ask for in one request.
        parallel: Requests under way at the same time.
        limit: Rows to read in all; None: all.
        first: The first page, where it has been read already with this page size.
    """

    def __init__(
        self,
        client: RestClient,
        selection: Selection,
        *,
        page_size: int,
        parallel: int = 1,
        limit: int | None = None,
        first: list[Row] | None = None,
    ) -> None:
        self._client = client
        self._selection = selection
        self._size = page_size
        self._left = limit
        self._first = first
        can_overlap = selection.is_unique and page_size > 1 and (limit is None or limit > page_size)
        self._parallel = parallel if can_overlap else 1
        self._flights: deque[_Flight] = deque()
        self._last: Row | None = None

    def __iter__(self) -> Iterator[list[Row]]:
        if not self._selection.order:
            yield from self._single()
            return
        pool = ThreadPoolExecutor(self._parallel, thread_name_prefix="supabase-rest")
        try:
            yield from self._follow(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _single(self) -> Iterator[list[Row]]:
        """Without an order there is one page, and it has to be all."""
        rows = self._first
        if rows is None:
            size = self._size if self._left is None else min(self._size, self._left)
            rows = read_page(self._client, self._selection, size)
        if not rows:
            return
        enough = self._left is not None and len(rows) >= self._left
        if not enough and read_page(self._client, self._selection, 1, offset=len(rows)):
            raise DriverError(
                f"{self._selection.what} has more rows than one page, and no known key to go through them by",
                hint="say order: with columns that are unique together, as the primary key",
                code="supabase.no_order",
            )
        yield rows if self._left is None else rows[: self._left]

    def _follow(self, pool: ThreadPoolExecutor) -> Iterator[list[Row]]:
        short = 0
        if self._first is not None:
            done: Future[list[Row]] = Future()
            done.set_result(self._first)
            self._flights.append(_Flight(done, self._size, overlaps=False))
            self._first = None
        while self._left is None or self._left > 0:
            if not self._flights:
                self._send(pool, 1 if short else self._parallel)
            flight = self._flights.popleft()
            rows = flight.rows.result()
            if flight.overlaps:
                if len(rows) < 2 or not self._is_last(rows[0]):
                    self._forget_flights()
                    continue
            elif not rows:
                return
            elif short:
                # After a page that was too short there was more: the server cuts them there.
                self._size = min(self._size, max(2, short, len(rows)))
            short = len(rows) if len(rows) < flight.size else 0
            new = self._accept(rows[1:] if flight.overlaps else rows)
            if short:
                self._forget_flights()
            if self._left is None or self._left > 0:
                self._send(pool, 1 if short else self._parallel)
            yield new

    def _accept(self, rows: list[Row]) -> list[Row]:
        """What of a page is to be given on."""
        if not self._selection.is_unique:
            self._refuse_twins(rows)
            # The last one is read again with the next page, where its twin would stand beside it.
            rows = rows[:-1] or rows
        if self._left is not None:
            rows = rows[: self._left]
            self._left -= len(rows)
        self._last = rows[-1]
        return rows

    def _send(self, pool: ThreadPoolExecutor, width: int) -> None:
        """Have ``width`` pages on their way after the last row."""
        step = self._size - 1  # beyond the row that it has in common with the page before
        while len(self._flights) < width:
            ahead = len(self._flights)
            size = self._size if self._left is None or width > 1 else min(self._size, self._left + 1)
            overlaps = ahead > 0
            offset = ahead * step - (1 if overlaps and self._flights[0].overlaps else 0)
            rows = pool.submit(read_page, self._client, self._selection, size, offset=offset, last=self._last)
            self._flights.append(_Flight(rows, size, overlaps))

    def _forget_flights(self) -> None:
        for flight in self._flights:
            flight.rows.cancel()
        self._flights.clear()

    def _is_last(self, row: Row) -> bool:
        return self._last is not None and self._key_of(row) == self._key_of(self._last)

    def _key_of(self, row: Row) -> list[Any]:
        return [row[one.column] for one in self._selection.order]

    def _refuse_twins(self, rows: list[Row]) -> None:
        for one, other in pairwise(rows):
            if self._key_of(one) == self._key_of(other):
                names = ", ".join(order.column for order in self._selection.order)
                told = ", ".join(map(repr, self._key_of(one)))
                raise DriverError(
                    f"{self._selection.what} has several rows with the same {names} ({told}): pages would lose some",
                    hint="add columns to order until they are unique together",
                    code="supabase.order_not_unique",
                )
