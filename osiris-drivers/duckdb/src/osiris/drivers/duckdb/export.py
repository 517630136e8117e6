"""From a query to Arrow without losing anything: which DuckDB types need a cast on the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import Session, quote_name, quote_text, without_end

__all__ = ["exact_select", "stream"]

# DuckDB would export these as something that means another value, or that nobody can read.
_CASTS = {
    "hugeint": "DECIMAL(38,0)",  # raw 128 bits in decimal128(38,0), where 39 digits do not belong
    "uhugeint": "DECIMAL(38,0)",  # the same, and from 2^127 on negative
    "bit": "VARCHAR",  # DuckDB's internal bytes
    "bignum": "VARCHAR",
    "varint": "VARCHAR",
    "time with time zone": "VARCHAR",  # loses its offset
    "enum": "VARCHAR",  # a dictionary that differs from table to table
}
_INFINITE = frozenset(
    {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone", "timestamptz_ns"}
)
_NESTED = frozenset({"list", "array", "struct", "tuple", "map", "union"})

_HOURS = 2_562_047
_UNREADABLE = frozenset({"variant", "aggregate_state", "lambda", "type"})


def exact_select(session: Session, query: str) -> str:
    """``query`` with a cast around every column that would not survive the way to Arrow.

    Raises:
        DriverError: ``duckdb.type_not_exportable``: a column has no exact Arrow form at all.
    """
    columns = session.columns(query)
    exact = [_exact(f"c{index}", name, kind) for index, (name, kind) in enumerate(columns)]
    if all(expression == f"c{index}" for index, expression in enumerate(exact)):
        return query
    aliases = ", ".join(f"c{index}" for index in range(len(columns)))
    items = ", ".join(
        f"{expression} AS {quote_name(name)}" for expression, (name, _) in zip(exact, columns, strict=True)
    )
    return f"SELECT {items} FROM (\n{without_end(query)}\n) AS result({aliases})"  # noqa: S608  # the SQL is the user's own


def _exact(column: str, name: str, kind: Any) -> str:
    if kind.id == "hugeint":
        # sum() of integers is one; as a decimal it would be awkward in pandas and a surprise in a table.
        text = f"column {name} is too large for a 64-bit integer: make it ::DECIMAL(38,0) in the query"
        beyond = f"{column} > 9223372036854775807 OR {column} < -9223372036854775808"
        return f"CASE WHEN {beyond} THEN error({quote_text(text)}) ELSE CAST({column} AS BIGINT) END"
    target = _target(name, kind)
    exact = column if target == str(kind) else f"CAST({column} AS {target})"
    cases = []
    if (infinite := _some(_is_infinite, column, kind)) is not None:
        text = f"column {name} holds infinity, which Arrow cannot say: replace it in the query, as with nullif"
        cases.append(f"WHEN {infinite} THEN error({quote_text(text)})")
    if (long := _some(_is_long, column, kind)) is not None:
        text = f"column {name} holds an interval of more than {_HOURS} hours: Arrow counts them in nanoseconds"
        cases.append(f"WHEN {long} THEN error({quote_text(text)})")
    return f"CASE {' '.join(cases)} ELSE {exact} END" if cases else exact


def _is_infinite(value: str, kind: Any) -> str | None:
    if kind.id not in _INFINITE:
        return None
    return f"isinf({f'CAST({value} AS TIMESTAMPTZ)' if kind.id == 'timestamptz_ns' else value})"


def _is_long(value: str, kind: Any) -> str | None:
    return f"abs(datepart('hour', {value})) >= {_HOURS}" if kind.id == "interval" else None


def _some(test: Callable[[str, Any], str | None], value: str, kind: Any, depth: int = 0) -> str | None:
    """SQL that is true where ``test`` is for a value or any member of it; None where its type has nothing to test."""
    if kind.id in ("list", "array", "map"):
        children = dict(kind.children)
        parts = {"map_keys": "key", "map_values": "value"} if kind.id == "map" else {"": "child"}
        found = []
        for function, child in parts.items():
            inner = _some(test, f"m{depth}", children[child], depth + 1)
            if inner is not None:
                found.append(f"len(list_filter({function}({value}), lambda m{depth}: {inner})) > 0")
        return f"({' OR '.join(found)})" if found else None
    if kind.id in ("struct", "union", "tuple"):
        members: list[tuple[str, Any]] = [
            (str(place) if kind.id == "tuple" else quote_text(name), child)
            for place, (name, child) in enumerate(kind.children, 1)
            if name or kind.id != "union"  # a union's first one is its tag
        ]
        extract = "union_extract" if kind.id == "union" else "struct_extract"
        tests = [_some(test, f"{extract}({value}, {member})", child, depth) for member, child in members]
        found = [one for one in tests if one is not None]
        return f"({' OR '.join(found)})" if found else None
    return test(value, kind)


def _target(name: str, kind: Any) -> str:
    """The SQL type that a column must have to come out exactly; its own where that does."""
    if kind.id in _UNREADABLE:
        raise DriverError(
            f"column {name} is {kind}, which has no exact Arrow form",
            hint=f"cast it in the query, as {quote_name(name)}::VARCHAR",
            code="duckdb.type_not_exportable",
            column=name,
        )
    if kind.id in _CASTS:
        return _CASTS[kind.id]
    if kind.id not in _NESTED:
        return str(kind)
    sizes = [child for field, child in kind.children if field == "size" and kind.id == "array"]
    children = [(field, child) for field, child in kind.children if not (sizes and field == "size")]
    parts = [_target(name, child) for _, child in children]
    if all(part == str(child) for part, (_, child) in zip(parts, children, strict=True)):
        return str(kind)
    if kind.id in ("list", "array"):
        return f"{parts[0]}[{sizes[0] if sizes else ''}]"
    if kind.id in ("map", "tuple"):
        return f"{kind.id.upper()}({', '.join(parts)})"
    named = [f"{quote_name(field)} {part}" for (field, _), part in zip(children, parts, strict=True) if field]
    return f"{kind.id.upper()}({', '.join(named)})"  # the first of a union is its tag, without a name


def stream(session: Session, query: str, *, finish: Callable[[], object]) -> Dataset:
    """The rows of ``query``, computed while they are read.

    Args:
        session: Where to run it.
        query: What to run; from :func:`exact_select`.
        finish: Called once, when the last row was read, nobody reads any further, or it failed.
    """
    reader = session.open(query)
    finished = False

    def finish_once() -> None:
        nonlocal finished
        if not finished:
            finished = True
            reader.close()
            finish()

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            while (batch := session.read(reader)) is not None:
                yield batch
        finally:
            finish_once()

    return Dataset(batches, reader.schema, close=finish_once)
