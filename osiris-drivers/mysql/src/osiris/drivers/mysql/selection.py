"""The SQL of an extractor's step: what is read, and which part of it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.config import ExtractorConfig
from osiris.drivers.mysql.names import TableName, quote_name

__all__ = ["Query", "bounds", "divide", "select"]


@dataclass(frozen=True)
class Query:
    """One query: SQL with a ``?`` for each of ``values``."""

    sql: str
    values: tuple[Any, ...] = ()


def select(options: ExtractorConfig, *conditions: Query) -> Query:
    """What the step reads, or the part of it for which all conditions hold.

    Raises:
        DriverError: ``mysql.bad_name``.
    """
    given = tuple(options.params)
    more = tuple(value for condition in conditions for value in condition.values)
    if options.query is not None:
        query = options.query.strip().rstrip(";").rstrip()
        if not conditions:
            return Query(query, given)
        sql = f"SELECT * FROM (\n{query}\n) AS osiris_query"  # noqa: S608  # the user's own
        return Query(f"{sql} WHERE {_all(conditions)}", given + more)
    columns = "*" if options.columns is None else ", ".join(map(quote_name, options.columns))
    sql = f"SELECT {columns} FROM {TableName.parse(options.table or '').sql}"  # noqa: S608  # quoted
    every = [Query(f"(\n{options.where}\n)", given)] if options.where is not None else []
    if every or conditions:
        sql += f" WHERE {_all([*every, *conditions])}"
    if options.limit is not None:
        sql += f" LIMIT {options.limit}"
    return Query(sql, given + more)


def _all(conditions: Sequence[Query]) -> str:
    return " AND ".join(condition.sql for condition in conditions)


def bounds(options: ExtractorConfig) -> Query:
    """A query for the least and the greatest value of the column that divides the rows."""
    key = quote_name(options.partition_by or "")
    if options.query is not None:
        inner = select(options)
        source = f"(\n{inner.sql}\n) AS osiris_query"
    else:
        where = "" if options.where is None else f" WHERE (\n{options.where}\n)"
        source = f"{TableName.parse(options.table or '').sql}{where}"
    return Query(f"SELECT MIN({key}), MAX({key}) FROM {source}", tuple(options.params))  # noqa: S608  # quoted


def divide(key: str, least: Any, greatest: Any, parts: int) -> list[Query]:
    """Conditions on ``key``, as many as ``parts`` or fewer: each row fits exactly one of them, NULLs the first.

    Args:
        key: The column.
        least: Its least value; None where there is none.
        greatest: Its greatest value; None where there is none.
        parts: How many are wanted.

    Raises:
        DriverError: ``mysql.bad_partition``: values of this kind have no range to divide.
    """
    name = quote_name(key)
    cuts = _cuts(key, least, greatest, parts)
    if not cuts:
        return [Query("TRUE")]
    # The first and the last are open, so that what was not seen when the bounds were taken is not lost.
    first = Query(f"({name} < ? OR {name} IS NULL)", (cuts[0],))
    inner = [Query(f"{name} >= ? AND {name} < ?", pair) for pair in pairwise(cuts)]
    return [first, *inner, Query(f"{name} >= ?", (cuts[-1],))]


def _cuts(key: str, least: Any, greatest: Any, parts: int) -> list[Any]:
    if greatest is None:
        return []
    if isinstance(greatest, dt.datetime):
        start, tick = dt.datetime(1, 1, 1, tzinfo=greatest.tzinfo), dt.timedelta(microseconds=1)
        low = 0 if least is None else (least - start) // tick
        return [start + number * tick for number in _between(low, (greatest - start) // tick, parts)]
    if isinstance(greatest, dt.date):
        low = 1 if least is None else least.toordinal()
        return [dt.date.fromordinal(number) for number in _between(low, greatest.toordinal(), parts)]
    if isinstance(greatest, int | float | Decimal) and not isinstance(greatest, bool):
        return list(_between(math.floor(least), math.ceil(greatest), parts))
    raise DriverError(
        f"column {key!r} cannot divide the rows: its values are {type(greatest).__name__}s",
        hint="partition_by is a column of numbers, dates or times, best one with an index",
        code="mysql.bad_partition",
    )


def _between(least: int, greatest: int, parts: int) -> list[int]:
    width = greatest - least + 1
    cuts = {least + width * number // parts for number in range(1, parts)}
    return sorted(cut for cut in cuts if cut > least)
