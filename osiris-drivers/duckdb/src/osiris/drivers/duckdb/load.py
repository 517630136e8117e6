"""Rows into a table: columns matched by name, every value kept or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.duckdb.database import Session, quote_name
from osiris.drivers.duckdb.file_config import WriterConfig
from osiris.drivers.duckdb.table_name import TableName
from osiris.drivers.duckdb.text_values import says_the_same

__all__ = ["exists", "load"]


@dataclass(frozen=True)
class _Column:
    """A column of the input, and the one of the table that it goes into."""

    source: str
    source_type: str
    target: str
    target_type: str

    @property
    def fits(self) -> bool:
        return _always_fits(self.source_type, self.target_type)

    @property
    def cast(self) -> str:
        name = quote_name(self.source)
        return name if self.source_type == self.target_type else f"CAST({name} AS {self.target_type})"


def load(session: Session, table: TableName, options: WriterConfig) -> int:
    """Write the rows of ``osiris_input`` into ``table``; how many there were. Belongs into a transaction.

    Raises:
        DriverError: ``duckdb.table_not_found``, ``duckdb.columns_differ``, ``duckdb.value_does_not_fit``,
            ``duckdb.duplicate_key``, ``duckdb.null_key``, ``duckdb.constraint``, ...
    """
    given = _input_columns(session, options)
    known = _table_columns(session, table)
    if known is None and not options.create_if_missing:
        raise _no_table(session, table)
    if known is None or options.write_mode == "replace":
        _create(session, table, given, options)
        known = _table_columns(session, table) or {}
    columns = _matched(table, given, known)
    if options.write_mode != "upsert" and all(column.fits for column in columns):
        return _insert(session, table, columns, _INPUT)
    session.execute(f"CREATE OR REPLACE TEMP TABLE {_STAGE} AS FROM {_INPUT}")
    try:
        for column in columns:
            _check_values(session, table, column)
        if options.write_mode != "upsert":
            return _insert(session, table, columns, _STAGE)
        return _upsert(session, table, columns, options.primary_key or [])
    finally:
        session.discard("osiris_stage")


def exists(session: Session, table: TableName) -> bool:
    """Whether there is such a table."""
    return _table_columns(session, table) is not None


def _input_columns(session: Session, options: WriterConfig) -> dict[str, str]:
    columns = [(name, str(kind)) for name, kind in session.columns(f"FROM {_INPUT}")]
    given = {name.casefold(): name for name, _ in columns}
    missing = [key for key in options.primary_key or () if key.casefold() not in given]
    if missing:
        raise _differ(
            f"the input has no column {', '.join(map(repr, missing))}, which primary_key names",
            f"its columns are {', '.join(given.values())}",
        )
    return dict(columns)


def _table_columns(session: Session, table: TableName) -> dict[str, tuple[str, bool]] | None:
    """Name to type and whether it may be left out; None where there is no such table."""
    rows = session.execute(
        "SELECT column_name, data_type, column_default IS NOT NULL FROM duckdb_columns()"
        " WHERE database_name = current_database() AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)"
        " ORDER BY column_index",
        [table.schema, table.name],
    )
    return {name: (kind, optional) for name, kind, optional in rows} or None


def _create(session: Session, table: TableName, given: Mapping[str, str], options: WriterConfig) -> None:
    session.execute(f"CREATE SCHEMA IF NOT EXISTS {table.schema_sql}")
    parts = [f"{quote_name(name)} {'VARCHAR' if kind == _NULL else kind}" for name, kind in given.items()]
    if options.primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quote_name, options.primary_key))})")
    how = "CREATE OR REPLACE TABLE" if options.write_mode == "replace" else "CREATE TABLE"
    session.execute(f"{how} {table.sql} ({', '.join(parts)})")


def _matched(table: TableName, given: Mapping[str, str], known: Mapping[str, tuple[str, bool]]) -> list[_Column]:
    by_name = {name.casefold(): name for name in known}
    extra = [name for name in given if name.casefold() not in by_name]
    there = {name.casefold() for name in given}
    missing = [name for name, (_, optional) in known.items() if name.casefold() not in there and not optional]
    if extra or missing:
        parts = [f"the input lacks {', '.join(map(repr, missing))}"] if missing else []
        parts += [f"the table lacks {', '.join(map(repr, extra))}"] if extra else []
        raise _differ(
            f"the columns do not match those of table {table}: {'; '.join(parts)}",
            "select the table's columns in the step before, or use write_mode: replace",
        )
    targets = ((name, kind, by_name[name.casefold()]) for name, kind in given.items())
    return [_Column(name, kind, target, known[target][0]) for name, kind, target in targets]


def _insert(session: Session, table: TableName, columns: list[_Column], source: str, where: str = "") -> int:
    names = ", ".join(quote_name(column.target) for column in columns)
    items = ", ".join(column.cast for column in columns)
    ((rows,),) = session.execute(f"INSERT INTO {table.sql} ({names}) SELECT {items} FROM {source} AS s {where}")  # noqa: S608
    return int(rows)


def _upsert(session: Session, table: TableName, columns: list[_Column], names: list[str]) -> int:
    folded = {name.casefold() for name in names}
    keys = [column for column in columns if column.source.casefold() in folded]
    _check_keys(session, table, keys)
    same = " AND ".join(f"t.{quote_name(column.target)} = {_of('s', column)}" for column in keys)
    changed = [column for column in columns if column not in keys]
    # Not INSERT OR REPLACE: that needs a unique index, and a delete before an insert of the same key breaks one.
    if changed:
        sets = ", ".join(f"{quote_name(column.target)} = {_of('s', column)}" for column in changed)
        session.execute(f"UPDATE {table.sql} AS t SET {sets} FROM {_STAGE} AS s WHERE {same}")  # noqa: S608
    _insert(session, table, columns, _STAGE, f"WHERE NOT EXISTS (FROM {table.sql} AS t WHERE {same})")
    ((rows,),) = session.execute(f"SELECT count(*) FROM {_STAGE}")  # noqa: S608
    return int(rows)


def _of(alias: str, column: _Column) -> str:
    name = f"{alias}.{quote_name(column.source)}"
    return name if column.source_type == column.target_type else f"CAST({name} AS {column.target_type})"


def _check_keys(session: Session, table: TableName, keys: list[_Column]) -> None:
    empty = " OR ".join(f"{quote_name(key.source)} IS NULL" for key in keys)
    row = session.execute(f"SELECT {_ROW} FROM {_STAGE} WHERE {empty} LIMIT 1")  # noqa: S608
    if row:
        raise DriverError(
            f"row {row[0][0]} of the input has no value for the primary key ({', '.join(key.source for key in keys)})",
            hint="fill it, or leave such rows out, in the step before",
            code="duckdb.null_key",
        )
    # As the table tells keys apart: of its types, which make one of '7' and '007', and with its collations. They pass
    # through UNION from its own columns.
    names = ", ".join(quote_name(key.target) for key in keys)
    shown = ", ".join(f"CAST({quote_name(key.target)} AS VARCHAR)" for key in keys)
    twice = session.execute(
        f"SELECT count(*), {shown} FROM (SELECT {names} FROM {table.sql} WHERE false"  # noqa: S608
        f" UNION ALL SELECT {', '.join(key.cast for key in keys)} FROM {_STAGE})"
        f" GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    )
    if twice:
        times, *values = twice[0]
        key = ", ".join(f"{column.source}={value}" for column, value in zip(keys, values, strict=True))
        raise DriverError(
            f"the input has {times} rows with the same primary key: {key}",
            hint="decide which one counts in the step before, as with SELECT DISTINCT ON",
            code="duckdb.duplicate_key",
        )


def _check_values(session: Session, table: TableName, column: _Column) -> None:
    """Refuse what a cast would change: ``1.5`` into an INTEGER, a time of day into a DATE."""
    if column.fits:
        return
    name = quote_name(column.source)
    cast = f"TRY_CAST({name} AS {column.target_type})"
    is_text = column.source_type == "VARCHAR"
    if is_text:
        ((_, kind),) = session.columns(f"SELECT {quote_name(column.target)} FROM {table.sql}")  # noqa: S608
        same = says_the_same(name, kind)
    else:
        same = f"TRY_CAST({cast} AS {column.source_type}) = {name}"
    bad = session.execute(
        f"SELECT {_ROW}, CAST({name} AS VARCHAR) FROM {_STAGE}"  # noqa: S608
        # CASE, because IS NOT TRUE would work out every part of a long condition for every row.
        f" WHERE {name} IS NOT NULL AND CASE WHEN {cast} IS NOT NULL AND ({same}) THEN false ELSE true END LIMIT 1"
    )
    if bad:
        row, value = bad[0]
        change = "declare its type where it is read, or cast it" if is_text else f"cast or round {column.source!r}"
        raise DriverError(
            f"row {row}: column {column.source!r} holds {value!r} ({column.source_type}),"
            f" which does not fit {column.target_type} in table {table}",
            hint=f"{change} in the step before",
            code="duckdb.value_does_not_fit",
            column=column.source,
            row=row,
        )


# With the catalog, as the table's own name has: either may be that of a table in the other.
_INPUT = "temp.main.osiris_input"
_STAGE = "temp.main.osiris_stage"

# Inside the transaction that made the table, rowid starts at a very high number.
_ROW = f"rowid - (SELECT min(rowid) FROM {_STAGE}) + 1"  # noqa: S608

_NULL = '"NULL"'
_DIGITS = {
    "TINYINT": 3,
    "UTINYINT": 3,
    "SMALLINT": 5,
    "USMALLINT": 5,
    "INTEGER": 10,
    "UINTEGER": 10,
    "BIGINT": 19,
    "UBIGINT": 20,
    "HUGEINT": 39,
    "UHUGEINT": 39,
}
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_WIDER = {
    ("FLOAT", "DOUBLE"),
    *((small, "DOUBLE") for small in ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")),
    *((small, "FLOAT") for small in ("TINYINT", "SMALLINT", "UTINYINT", "USMALLINT")),
    ("DATE", "TIMESTAMP"),
    ("TIMESTAMP_S", "TIMESTAMP"),
    ("TIMESTAMP_MS", "TIMESTAMP"),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def _always_fits(source: str, target: str) -> bool:
    """Whether every value of one type is exactly one of the other."""
    if source in (target, _NULL) or (target == "VARCHAR" and source != "BLOB") or (source, target) in _WIDER:
        return True
    if source in _DIGITS and target in _DIGITS:
        wider = _DIGITS[source] < _DIGITS[target]
        return wider and (target in _SIGNED or source not in _SIGNED)
    to = _decimal(target)
    if to is None:
        return False
    precision, scale = (_DIGITS[source], 0) if source in _DIGITS else _decimal(source) or (99, 99)
    return scale <= to[1] and precision - scale <= to[0] - to[1]


def _decimal(kind: str) -> tuple[int, int] | None:
    match = _DECIMAL.fullmatch(kind)
    return (int(match[1]), int(match[2])) if match else None


def _no_table(session: Session, table: TableName) -> DriverError:
    rows = session.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT temporary ORDER BY ALL")
    names = [str(TableName(name, schema)) for schema, name in rows]
    close = get_close_matches(str(table), names, n=1)
    return DriverError(
        f"there is no table {table}",
        hint=f"did you mean {close[0]!r}?" if close else "set create_if_missing: true",
        code="duckdb.table_not_found",
        table=str(table),
    )


def _differ(message: str, hint: str) -> DriverError:
    return DriverError(message, hint=hint, code="duckdb.columns_differ")
