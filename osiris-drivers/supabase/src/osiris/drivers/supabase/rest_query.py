"""Filters, orders and keysets in PostgREST's language."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from osiris.drivers.supabase.config import Filter, Order

__all__ = ["after", "conditions_of", "literal", "name_of", "one_of", "order_of"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = re.compile(r"[0-9]+")
_SPECIAL_IN_REGEX = frozenset("\\.^$|?*+()[]{}")


def name_of(column: str) -> str:
    """A column's name, quoted where it is no plain word."""
    return column if _PLAIN.fullmatch(column) else _quoted(column)


def literal(value: Any) -> str:
    """A value inside ``in.(...)`` and ``and(...)``."""
    text = _text(value)
    return text if _DIGITS.fullmatch(text) else _quoted(text)


def conditions_of(filters: Iterable[Filter]) -> list[tuple[str, str]]:
    """The parameters that stand for the filters of a step."""
    return [(name_of(one.column), _condition(one)) for one in filters]


def _condition(one: Filter) -> str:
    if one.op == "in":
        return f"in.({','.join(map(_quoted, one.texts))})"
    (text,) = one.texts
    if one.op == "is":
        return "not.is.null" if text == "not null" else f"is.{text}"
    if one.op in ("like", "ilike") and "*" in text:
        # PostgREST reads * as %: only a regular expression can say an asterisk.
        return f"{'match' if one.op == 'like' else 'imatch'}.{_regex(text)}"
    return f"{one.op}.{text}"


def _regex(pattern: str) -> str:
    """A LIKE pattern as a regular expression of PostgreSQL."""
    found, characters = [], iter(pattern)
    for character in characters:
        if character == "\\":
            character = next(characters, "\\")
        elif character in "%_":
            found.append(".*" if character == "%" else ".")
            continue
        found.append(f"\\{character}" if character in _SPECIAL_IN_REGEX else character)
    return f"^{''.join(found)}$"


def order_of(order: Sequence[Order]) -> tuple[str, str]:
    """The parameter ``order``."""
    parts = []
    for one in order:
        part = f"{name_of(one.column)}.{'desc' if one.descending else 'asc'}"
        if one.nulls_first != one.descending:  # said only where it is not the default, which indexes have
            part += f".nulls{'first' if one.nulls_first else 'last'}"
        parts.append(part)
    return "order", ",".join(parts)


def after(order: Sequence[Order], row: Mapping[str, Any], never_null: Collection[str]) -> list[tuple[str, str]]:
    """The parameters that leave only what comes after ``row`` in this order.

    Args:
        order: The columns together have to be unique.
        row: Holds the columns of the order, as they came in JSON.
        never_null: Columns that hold no NULL: what is asked of them can use an index.
    """
    first = order[0]
    value = row[first.column]
    ends_with_values = value is not None and (first.column in never_null or first.nulls_first)
    if len(order) == 1 and ends_with_values:
        return [(name_of(first.column), f"{_operator(first)}.{_text(value)}")]
    found = [("or", f"({','.join(_steps(order, row, never_null))})")]
    if ends_with_values:  # it follows from the rest, but tells an index where to begin
        found.append((name_of(first.column), f"{_operator(first)}e.{_text(value)}"))
    return found


def _steps(order: Sequence[Order], row: Mapping[str, Any], never_null: Collection[str]) -> list[str]:
    """Beyond in the first column; or the same there and beyond in the second; and so on."""
    found: list[str] = []
    same: list[str] = []
    for one in order:
        name, value = name_of(one.column), row[one.column]
        beyond = []
        if value is None:
            if one.nulls_first:
                beyond.append(f"{name}.not.is.null")
        else:
            beyond.append(f"{name}.{_operator(one)}.{literal(value)}")
            if not one.nulls_first and one.column not in never_null:
                beyond.append(f"{name}.is.null")
        found += [f"and({','.join([*same, step])})" if same else step for step in beyond]
        same.append(f"{name}.is.null" if value is None else f"{name}.eq.{literal(value)}")
    return found


def _operator(one: Order) -> str:
    return "lt" if one.descending else "gt"


def one_of(key: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[str, str]:
    """The parameter that fits exactly the rows with these keys.

    Args:
        key: The key's columns.
        rows: The values of each, none of them NULL.
    """
    if len(key) == 1:
        return name_of(key[0]), f"in.({','.join(literal(value) for (value,) in rows)})"
    each = (
        "and(" + ",".join(f"{name_of(name)}.eq.{literal(value)}" for name, value in zip(key, row, strict=True)) + ")"
        for row in rows
    )
    return "or", f"({','.join(each)})"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
