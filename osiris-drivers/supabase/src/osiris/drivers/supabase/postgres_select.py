"""What is read of a table, as SQL; every name and value of the config is quoted."""

from __future__ import annotations

from collections.abc import Sequence

from osiris.drivers.supabase.config import ExtractorConfig, Filter, Order
from osiris.drivers.supabase.table_name import TableName, quote_name, quote_text

__all__ = ["select_of", "wrap"]

_OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "LIKE",
    "ilike": "ILIKE",
}
_IS = {"null": "NULL", "not null": "NOT NULL", "true": "TRUE", "false": "FALSE"}


def select_of(config: ExtractorConfig, schema: str) -> str:
    """The query that the config means."""
    if config.query is not None:
        query = config.query.strip().rstrip(";").rstrip()
        # The line break ends a comment with which the query may end.
        return query if config.limit is None else f"SELECT * FROM (\n{query}\n) AS q LIMIT {config.limit}"  # noqa: S608
    table = TableName.parse(config.table or "", schema)
    columns = "*" if config.columns is None else ", ".join(map(quote_name, config.columns))
    parts = [f"SELECT {columns} FROM {table.sql}"]  # noqa: S608  # quoted
    if config.filters:
        parts.append("WHERE " + " AND ".join(map(_condition, config.filters)))
    if config.order:
        parts.append("ORDER BY " + ", ".join(map(_sorting, config.order)))
    if config.limit is not None:
        parts.append(f"LIMIT {config.limit}")
    return " ".join(parts)


def wrap(query: str, expressions: Sequence[str | None]) -> str:
    """``query`` with some of its columns changed, by place: each expression has ``{}`` for the column."""
    if not any(expressions):
        return query
    names = [f"c{at}" for at in range(len(expressions))]
    items = [
        name if expression is None else expression.format(f"q.{name}")
        for name, expression in zip(names, expressions, strict=True)
    ]
    return f"SELECT {', '.join(items)} FROM (\n{query}\n) AS q({', '.join(names)})"  # noqa: S608


def _condition(condition: Filter) -> str:
    column = quote_name(condition.column)
    if condition.op == "is":
        return f"{column} IS {_IS[condition.texts[0]]}"
    if condition.op == "in":
        return f"{column} IN ({', '.join(map(quote_text, condition.texts))})" if condition.texts else "FALSE"
    return f"{column} {_OPERATORS[condition.op]} {quote_text(condition.texts[0])}"


def _sorting(order: Order) -> str:
    direction = "DESC" if order.descending else "ASC"
    return f"{quote_name(order.column)} {direction} NULLS {'FIRST' if order.nulls_first else 'LAST'}"
