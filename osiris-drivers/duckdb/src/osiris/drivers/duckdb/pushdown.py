"""Inputs that are still files: DuckDB reads them itself, and gives the same values or an error.

DuckDB is more lenient with CSV than the promise of :class:`~osiris.core.dataset.FileSource`: it would round
``1.5`` to an integer, read ``007`` as 7, and take the spaces off ``, "x"``. So columns are read as text and checked
where a query uses them, and files in which it might see other fields are not handed to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset, FileSource
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.duckdb.database import Session, quote_name, quote_text

__all__ = ["PushedInput", "push_down"]

_CHUNK = 8 * 1024 * 1024
_BUFFER = 4 * 1024 * 1024
_BLOCK = 512 * 1024
_MANY_QUOTES = 100_000
"""In a chunk: with more of them, looking through the file takes longer than handing it to DuckDB saves."""


@dataclass(frozen=True)
class PushedInput:
    """A table that DuckDB reads from files.

    Attributes:
        dataset: What the step was given.
        source: Its files.
        rows: How many rows they have, where that is known without reading them.
    """

    dataset: Dataset
    source: FileSource
    rows: int | None

    def report(self, profile: Mapping[str, Any]) -> None:
        """Tell the dataset how much was read.

        Args:
            profile: Of the query that has just ended.
        """
        rows = self.rows
        if rows is None:
            rows = max(_rows_scanned(profile, self.source.paths[0]), default=0)
        self.dataset.report(rows, sum(Path(path).stat().st_size for path in self.source.paths))


def push_down(session: Session, dataset: Dataset, name: str) -> PushedInput | None:
    """Make ``name`` a view of the dataset's files; None, and nothing made, where that could change a value."""
    source = dataset.source
    if source is None or not source.paths or any(set(path) & set("*?[{") for path in source.paths):
        return None
    try:
        if source.format == "parquet":
            select, rows = _select_parquet(session, source), _count_parquet(session, source)
        elif source.format == "csv" and (csv := _select_csv(source)) is not None:
            select, rows = csv, None
        else:
            return None
        wanted = _columns_of(session, source.schema)
        if _columns(session, select) != wanted:
            return None
    except (DriverError, OSError):
        return None  # whatever is wrong with the files, the step that owns them says it better
    session.execute(f"CREATE TEMP VIEW {quote_name(name)} AS {select}")
    return PushedInput(dataset, source, rows)


def _columns(session: Session, query: str) -> list[tuple[str, str]]:
    return [(name, str(kind)) for name, kind in session.columns(query)]


def _columns_of(session: Session, schema: pa.Schema) -> list[tuple[str, str]]:
    """What DuckDB would make of a stream of this schema."""
    session.register("osiris_columns", pa.RecordBatchReader.from_batches(schema, iter(())))
    try:
        return _columns(session, "FROM osiris_columns")
    finally:
        session.unregister("osiris_columns")


def _select_parquet(session: Session, source: FileSource) -> str:
    def reads(paths: tuple[str, ...]) -> str:
        # hive_partitioning would add columns that the stream has not.
        return f"FROM read_parquet({_texts(paths)}, hive_partitioning=false, union_by_name=false)"

    first = _columns(session, reads(source.paths[:1]))
    if any(_columns(session, reads((path,))) != first for path in source.paths[1:]):
        raise DriverError("the files differ in their columns: DuckDB would cast all to those of the first")
    return reads(source.paths)


def _count_parquet(session: Session, source: FileSource) -> int:
    ((rows,),) = session.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({_texts(source.paths)})")  # noqa: S608
    return int(rows)


def _select_csv(source: FileSource) -> str | None:
    options = source.options
    quote = options.get("quote", '"')
    nulls = tuple(options.get("null_values", ("",)))
    # A blank line in a file of one column is a row for DuckDB; compressed files cannot be looked through cheaply.
    if len(source.schema) < 2 or options.get("compression") or not nulls or options.get("escape") not in (None, quote):
        return None
    other = _sees_other_fields(source.paths, quote or "")
    if other:
        return None
    if other is None:
        quote = ""  # a little faster
    targets = [_target(field.type) for field in source.schema]
    if None in targets:
        return None
    read = {
        "columns": "{" + ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(targets))) + "}",
        # Everything is said. But only with it does DuckDB look at the size of the files: without, it takes each for 42
        # rows, and a join keeps the large side in memory. It takes some milliseconds, so not for small ones.
        "auto_detect": str(any(Path(path).stat().st_size > _CHUNK for path in source.paths)).lower(),
        "skip": "0",
        "comment": "''",
        "header": str(bool(options.get("header", True))).lower(),
        "delim": quote_text(options.get("delimiter", ",")),
        "quote": quote_text(quote or ""),
        "escape": quote_text(quote or ""),
        "nullstr": _texts(nulls),
        "allow_quoted_nulls": "false",
        "compression": "'none'",
        "hive_partitioning": "false",
        # A thread holds several of these, outside memory_limit; the default of 32 MB gains nothing.
        "buffer_size": str(_BUFFER),
    }
    arguments = ", ".join(f"{key}={value}" for key, value in read.items())
    # Each value is cast once, beside its text, and compared with it where the query uses the column.
    casts = [
        f", TRY_CAST(c{index} AS {target}) AS v{index}" for index, target in enumerate(targets) if target != "VARCHAR"
    ]
    items = ", ".join(
        f"{_checked(index, target or '', field, field.name in source.inferred)} AS {quote_name(field.name)}"
        for index, (target, field) in enumerate(zip(targets, source.schema, strict=True))
    )
    read_csv = f"read_csv({_texts(source.paths)}, {arguments})"
    return f"SELECT {items} FROM (SELECT *{''.join(casts)} FROM {read_csv})"  # noqa: S608  # quoted


def _target(kind: pa.DataType) -> str | None:
    """DuckDB's type for an Arrow type whose text it can be compared with; None: cannot be done exactly."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "VARCHAR"
    if pa.types.is_integer(kind):
        return _INTEGERS[str(kind)]
    if pa.types.is_decimal(kind) and kind.precision <= 38 and kind.scale >= 0:
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_float64(kind):
        return "DOUBLE"
    if pa.types.is_date32(kind):
        return "DATE"
    if pa.types.is_timestamp(kind) and kind.unit == "us" and kind.tz is None:
        return "TIMESTAMP"
    return "BOOLEAN" if pa.types.is_boolean(kind) else None


def _declared(kind: pa.DataType) -> str | None:
    """What else than DuckDB's own text may stand for a value of a type that was declared, as a pattern."""
    if pa.types.is_integer(kind):
        return "-?[0-9]+"
    if pa.types.is_decimal(kind):
        return f"-?[0-9]+([.][0-9]{{0,{kind.scale}}})?"
    return "-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?" if pa.types.is_float64(kind) else None


def _checked(index: int, target: str, field: pa.Field, inferred: bool) -> str:
    """SQL that gives the text ``c<index>`` as the field's type, which ``v<index>`` is, or stops the query."""
    column, value = f"c{index}", f"v{index}"
    if target == "VARCHAR":
        return column
    same = f"CAST({value} AS VARCHAR) = {column}"
    # strlen, not length: bytes cost nothing to count, and what is the same as a value's text is ASCII.
    if target in ("DATE", "TIMESTAMP"):  # infinity, years before 1 and after 9999 are DuckDB's alone
        same += f" AND strlen({column}) {'= 10' if target == 'DATE' else 'BETWEEN 19 AND 26'}"
    if target == "TIMESTAMP":  # DuckDB leaves out the zeros at the end of a fraction
        same = f"({same}) OR (strlen({column}) = 26 AND CAST({value} AS VARCHAR) = rtrim({column}, '0'))"
    cases = [f"WHEN {same} THEN {value}", f"WHEN {column} IS NULL THEN NULL"]
    declared = None if inferred else _declared(field.type)
    if declared is not None:
        cases.append(f"WHEN regexp_full_match({column}, '{declared}') THEN CAST({column} AS {target})")
    problem = quote_text(f"a value of column {field.name} is not exactly {field.type}")
    return f"CASE {' '.join(cases)} ELSE error({problem}) END"


_INTEGERS = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
}


def _sees_other_fields(paths: tuple[str, ...], quote: str) -> bool | None:
    """Whether DuckDB might find other fields in the files than a stricter reader; None: they have no quotes.

    It drops white space beside a quote, and its threads guess where a record begins, wrongly at times if there are
    newlines in quotes (seen as spurious errors in the middle of a file of 90 MB). A record longer than two buffers in
    the middle of a file is more than it can do.
    """
    mark = quote.encode()
    beside = [pattern for space in (b" ", b"\t") for pattern in (space + mark, mark + space)]
    found = False
    for path in paths:
        start = _first_chunk_to_look_at(mark, path)
        if start is None:
            continue
        if not mark:
            return True
        found = True
        before, inside = b"", False
        with Path(path).open("rb") as file:
            # What stands before the first quote matters only where it touches it.
            file.seek(max(0, start - 1))
            while chunk := file.read(_CHUNK):
                if any(chunk.find(b"\n", at, at + _BLOCK) < 0 for at in range(0, len(chunk) - _BLOCK, _BLOCK)):
                    return True
                count = chunk.count(mark)
                if count > _MANY_QUOTES or any(pattern in before + chunk[:1] for pattern in beside):
                    return True
                if count and any(pattern in chunk for pattern in beside):
                    return True
                if count or inside:
                    quoted = b"".join(chunk.split(mark)[0 if inside else 1 :: 2])
                    if b"\n" in quoted or b"\r" in quoted:
                        return True
                    inside ^= bool(count % 2)
                before = chunk[-1:]
        if inside:
            return True
    return False if found else None


def _first_chunk_to_look_at(mark: bytes, path: str) -> int | None:
    """Where the first part of a file begins that has a quote in it, or a very long record; None where there is none.

    Most files have none, and looking for one takes as long as the system takes to hand the file over: so in threads.
    """
    with Path(path).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size

        def look(start: int) -> int | None:
            end, room = min(start + _CHUNK, size), bytearray(min(_BLOCK, size))  # filled again and again
            at = start
            while at < end and (count := os.preadv(file.fileno(), [room], at)):
                if mark and room.find(mark, 0, min(count, end - at)) >= 0:
                    return start
                if count == _BLOCK and room.find(b"\n") < 0:
                    return start
                at += count
            return None

        if size <= _CHUNK:
            return look(0)
        from concurrent.futures import ThreadPoolExecutor  # not for small files: it takes longer than they do

        starts = iter(range(0, size, _CHUNK))
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            while some := list(islice(starts, 32)):
                found = [start for start in threads.map(look, some) if start is not None]
                if found:
                    return found[0]
    return None


def _texts(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(quote_text, values)) + "]"


def _rows_scanned(profile: Mapping[str, Any], path: str) -> Iterator[int]:
    names = str(profile.get("extra_info", {}).get("Filename(s)", ""))
    if profile.get("type") == "TABLE_SCAN" and (names == path or names.startswith(f"{path}, ")):
        yield int(profile["rows_scanned"])
    for child in (*profile.get("operator", ()), *profile.get("children", ())):
        yield from _rows_scanned(child, path)
