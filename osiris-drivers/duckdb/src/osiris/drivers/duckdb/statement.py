"""What a query reads, taken from DuckDB's own parse tree: which inputs, and how often each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import Session

__all__ = ["MANY", "Uses", "check_query", "find_uses", "mentions"]

MANY = 2
"""More than once, or nobody can tell."""

# Their argument is SQL or a table's name, which may be computed.
_INDIRECT = frozenset({"query", "query_table"})

Uses = dict[str, int]


def check_query(session: Session, query: str) -> str:
    """The kind of the one statement in ``query``: ``SELECT`` or ``MULTI`` (PIVOT).

    Raises:
        DriverError: ``duckdb.syntax``; or ``duckdb.not_a_query``: it is several statements or gives no rows.
    """
    statements = session.statements(query)
    if len(statements) == 1 and statements[0][0] in ("SELECT", "MULTI"):
        return statements[0][0]
    if len(statements) > 1:
        problem = f"query holds {len(statements)} statements"
    else:
        problem = f"query is {statements[0][0]} and gives no rows" if statements else "query holds no statement"
    raise DriverError(
        problem,
        hint="query is one SELECT (or FROM, WITH, VALUES, PIVOT, DESCRIBE, SUMMARIZE); put what goes before into setup",
        code="duckdb.not_a_query",
    )


def find_uses(session: Session, query: str, setup: Iterable[str], names: Iterable[str]) -> Uses:
    """How often ``query`` reads each of ``names``: 0, 1, or :data:`MANY` where it is more or cannot be told.

    Whatever ``setup`` mentions counts as :data:`MANY`: it may be in a view or macro that the query uses often.
    """
    names = [name.casefold() for name in names]
    tree = _parse(session, query)
    if tree is None:
        return {
            name: MANY if mentions(query, name) or any(mentions(sql, name) for sql in setup) else 0 for name in names
        }
    counts = _Counts(tree)
    uses = {}
    for name in names:
        if any(mentions(sql, name) for sql in setup) or (counts.indirect and mentions(query, name)):
            uses[name] = MANY
        else:
            uses[name] = counts.total(name)
    return uses


def _parse(session: Session, query: str) -> Any | None:
    ((text,),) = session.execute("select json_serialize_sql(?::varchar)", [query])
    tree = json.loads(text)
    return None if tree.get("error") else tree


def mentions(sql: str, name: str) -> bool:
    """Whether ``name`` stands somewhere in the text; True more often than it is meant."""
    return name.casefold() in sql.casefold()


class _Counts:
    """References to tables, by who refers: the query itself (``None``) or a WITH by its name."""

    def __init__(self, tree: Any) -> None:
        self._references: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
        self._definitions: Counter[str] = Counter()
        self.indirect = False
        self._walk(tree, None)

    def total(self, name: str) -> int:
        """How often the table ``name`` is read, at most :data:`MANY`."""
        if name in self._definitions:  # with df as (select * from df): which df is meant depends on the place
            return MANY
        return min(MANY, self._count(None, name, ()))

    def _count(self, place: str | None, name: str, above: tuple[str | None, ...]) -> int:
        if place in above or self._definitions[place or ""] > 1:  # recursive, or one name for two WITHs
            return MANY if self._reaches(place, name, set()) else 0
        references = self._references[place]
        inside = sum(
            times * self._count(inner, name, (*above, place))
            for inner, times in references.items()
            if inner in self._definitions
        )
        return references[name] + inside

    def _reaches(self, place: str | None, name: str, seen: set[str | None]) -> bool:
        if place in seen:
            return False
        seen.add(place)
        references = self._references[place]
        return references[name] > 0 or any(
            self._reaches(inner, name, seen) for inner in references if inner in self._definitions
        )

    def _walk(self, node: Any, place: str | None) -> None:
        if isinstance(node, list):
            for item in node:
                self._walk(item, place)
            return
        if not isinstance(node, dict):
            return
        if node.get("type") == "BASE_TABLE" or (node.get("type") == "SHOW_REF" and node.get("table_name")):
            self._references[place][str(node["table_name"]).casefold()] += 1
        if str(node.get("function_name", "")).casefold() in _INDIRECT:
            self.indirect = True
        for key, item in node.items():
            if key == "cte_map" and isinstance(item, dict):
                for entry in item.get("map", ()):
                    name = str(entry["key"]).casefold()
                    self._definitions[name] += 1
                    self._walk(entry["value"], name)
            else:
                self._walk(item, place)
