"""CSV files as SQL: DuckDB reads them as text, and a query that uses a column stops at a value that would be changed.

DuckDB is more lenient with CSV than the promise of :class:`~osiris.core.dataset.FileSource`: it would round
``1.5`` to an integer, read ``007`` as 7, and take the spaces off ``, "x"``. So columns are read as text and checked
where a query uses them, unless osiris-csv-scan is there and is certain of them beforehand, which takes a fraction of
the time; and files in which it might see other fields are not handed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from osiris.core.dataset import FileSource
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.duckdb.csv_look import CHUNK, sees_other_fields
from osiris.drivers.duckdb.database import quote_name, quote_text, quote_texts

if TYPE_CHECKING:
    from osiris.csv_scan import Column, Findings

__all__ = ["CsvView", "select_csv"]

_BUFFER = 4 * 1024 * 1024


@dataclass(frozen=True)
class CsvView:
    """How DuckDB reads CSV files.

    Attributes:
        select: The query.
        trusts: Whether it believes values that were looked at beforehand: the files must be the same at its end.
    """

    select: str
    trusts: bool


def select_csv(source: FileSource, before_each_part: Callable[[], object]) -> CsvView | None:
    """A query for the rows of CSV files; None where it could give others than a stricter reader.

    Args:
        source: The files.
        before_each_part: Called now and then while large files are looked through; what it raises ends that.

    Raises:
        OSError: A file cannot be read.
    """
    options = source.options
    quote = options.get("quote", '"')
    nulls = tuple(options.get("null_values", ("",)))
    # A blank line in a file of one column is a row for DuckDB; compressed files cannot be looked through cheaply.
    if len(source.schema) < 2 or options.get("compression") or not nulls or options.get("escape") not in (None, quote):
        return None
    targets = [target for field in source.schema if (target := _target(field.type)) is not None]
    if len(targets) < len(source.schema):
        return None
    large = any(Path(path).stat().st_size > CHUNK for path in source.paths)
    findings = _scan(source, before_each_part) if large else None
    if findings is None:  # look at the fields here, and at the values in the query
        other = sees_other_fields(source.paths, quote or "", options.get("delimiter", ","))
        if other:
            return None
        quoted, exact = other is not None, (False,) * len(targets)
    else:
        quoted, exact = findings.quotes, findings.exact
    if not quoted:
        quote = ""  # a little faster
    types = [target if fine else "VARCHAR" for target, fine in zip(targets, exact, strict=True)]
    read = {
        "columns": "{" + ", ".join(f"'c{index}': '{kind}'" for index, kind in enumerate(types)) + "}",
        # Everything is said. But only with it does DuckDB look at the size of the files: without, it takes each for 42
        # rows, and a join keeps the large side in memory. It takes some milliseconds, so not for small ones.
        "auto_detect": str(large).lower(),
        "skip": "0",
        "comment": "''",
        "header": str(bool(options.get("header", True))).lower(),
        "delim": quote_text(options.get("delimiter", ",")),
        "quote": quote_text(quote or ""),
        "escape": quote_text(quote or ""),
        "nullstr": quote_texts(nulls),
        "allow_quoted_nulls": "false",
        "compression": "'none'",
        "hive_partitioning": "false",
        # A thread holds several of these, outside memory_limit; the default of 32 MB gains nothing.
        "buffer_size": str(_BUFFER),
    }
    arguments = ", ".join(f"{key}={value}" for key, value in read.items())
    # What is not certain is cast once, beside its text, and compared with it where the query uses the column.
    casts = [
        f", TRY_CAST(c{index} AS {target}) AS v{index}"
        for index, (kind, target) in enumerate(zip(types, targets, strict=True))
        if kind != target
    ]
    items = ", ".join(
        f"{f'c{index}' if fine else _checked(index, target, field, field.name in source.inferred)}"
        f" AS {quote_name(field.name)}"
        for index, (target, field, fine) in enumerate(zip(targets, source.schema, exact, strict=True))
    )
    read_csv = f"read_csv({quote_texts(source.paths)}, {arguments})"
    select = f"SELECT {items} FROM (SELECT *{''.join(casts)} FROM {read_csv})"  # noqa: S608  # quoted
    return CsvView(select, trusts=any(exact))


def _scan(source: FileSource, before_each_part: Callable[[], object]) -> Findings | None:
    """What is certain about the files, by compiled code; None without it, and where nothing is."""
    try:
        from osiris.csv_scan import scan_csv
    except ImportError:
        return None
    try:
        return scan_csv(
            source.paths,
            [_column(field.type) for field in source.schema],
            delimiter=source.options.get("delimiter", ","),
            quote=source.options.get("quote", '"') or "",
            header=bool(source.options.get("header", True)),
            null_values=source.options.get("null_values", ("",)),
            before_each_part=before_each_part,
        )
    except ValueError:  # a delimiter, or texts for NULL, that it does not take
        return None


def _column(kind: pa.DataType) -> Column:
    """What :func:`_target` names, for osiris-csv-scan."""
    from osiris.csv_scan import Column

    if pa.types.is_integer(kind):
        return Column.integer(kind.bit_width, signed=pa.types.is_signed_integer(kind))
    if pa.types.is_decimal(kind):
        return Column.decimal(kind.precision, kind.scale)
    if pa.types.is_float64(kind):
        return Column.double()
    if pa.types.is_date32(kind):
        return Column.date()
    if pa.types.is_timestamp(kind):
        return Column.timestamp()
    return Column.boolean() if pa.types.is_boolean(kind) else Column.text()


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
