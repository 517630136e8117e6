"""DuckDB reads an input's files itself: the same rows and values, or the error that the stream would raise."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.dataset import Dataset, FileSource
from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.duckdb.database import Session, connect
from osiris.drivers.duckdb.processor import Processor
from osiris.drivers.duckdb.pushdown import push_down

OPTIONS: dict[str, Any] = {"delimiter": ",", "quote": '"', "header": True, "compression": None, "null_values": ("",)}


class Files:
    """A dataset over files that says whether it was read as a stream, and what it was told was read otherwise."""

    def __init__(self, source: FileSource, *, broken: Exception | None = None) -> None:
        self.streamed = 0
        self.reported: list[tuple[int, int]] = []
        self.closed = 0
        self._source = source
        self._broken = broken
        plain = Dataset(self._batches, source.schema, source=source, close=self._close)
        self.dataset = plain.observed(lambda batches: batches, lambda rows, size: self.reported.append((rows, size)))

    def _close(self) -> None:
        self.closed += 1

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self.streamed += 1
        if self._broken is not None:
            raise self._broken
        for path in self._source.paths:
            yield from stream_csv(path, self._source).to_batches()


def stream_csv(path: str, source: FileSource) -> pa.Table:
    names = source.schema.names
    return pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(column_names=names, skip_rows=1 if source.options["header"] else 0),
        parse_options=pa_csv.ParseOptions(delimiter=source.options["delimiter"], newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=source.schema,
            null_values=list(source.options["null_values"]),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def csv_source(path: Path, schema: pa.Schema, *, inferred: bool = True, **options: Any) -> FileSource:
    return FileSource(
        format="csv",
        paths=(str(path),),
        schema=schema,
        options={**OPTIONS, **options},
        inferred=frozenset(schema.names if inferred else ()),
    )


def run(ctx: Any, query: str, files: Files, **options: Any) -> list[tuple[Any, ...]]:
    processor = Processor()
    try:
        data = processor.run("s", {"query": query, **options}, {"t": files.dataset}, ctx)["df"]
        return [tuple(row.values()) for row in data.table().to_pylist()]
    finally:
        processor.close()


SCHEMA = pa.schema([("i", pa.int64()), ("s", pa.string())])


def numbers(ctx: Any, count: int = 10, last: str = "9") -> Path:
    path: Path = ctx.base_dir / "t.csv"
    path.write_text("i,s\n" + "".join(f"{k},x{k}\n" for k in range(count - 1)) + f"{last},z\n")
    return path


def test_duckdb_reads_the_file_and_says_how_much(ctx: Any) -> None:
    path = numbers(ctx)
    files = Files(csv_source(path, SCHEMA))
    assert run(ctx, "SELECT count(*), sum(i)::INT FROM t WHERE s <> 'z'", files) == [(9, 36)]
    assert files.streamed == 0
    assert files.reported == [(10, path.stat().st_size)]
    assert files.closed == 1


@pytest.mark.parametrize("query", ["SELECT count(*) FROM t a JOIN t b USING (i)", "WITH x AS (FROM t) SELECT count(*) FROM x, x y WHERE x.i = y.i"])  # fmt: skip # noqa: E501
def test_rows_are_counted_once_where_a_query_reads_twice(ctx: Any, query: str) -> None:
    files = Files(csv_source(numbers(ctx), SCHEMA))
    assert run(ctx, query, files) == [(10,)]
    assert [rows for rows, _ in files.reported] == [10]


@pytest.mark.parametrize("options", [{"pushdown": False}, {"setup": ["CREATE VIEW v AS FROM t"]}])
def test_the_stream_is_read_where_rows_could_not_be_counted_or_it_is_wanted(ctx: Any, options: Any) -> None:
    files = Files(csv_source(numbers(ctx), SCHEMA))
    assert run(ctx, "SELECT count(*) FROM t", files, **options) == [(10,)]
    assert (files.streamed, files.reported) == (1, [])


@pytest.mark.parametrize("last", ["1.5", "007", "+5", "abc", "99999999999999999999", "0x10", " 7", "1e2"])
def test_a_value_that_does_not_fit_raises_what_the_stream_raises(ctx: Any, last: str) -> None:
    error = DriverError("t.csv, line 11: i", code="filesystem.csv_type_mismatch")
    files = Files(csv_source(numbers(ctx, last=last), SCHEMA), broken=error)
    with pytest.raises(DriverError) as caught:
        run(ctx, "SELECT sum(i) FROM t", files)
    assert caught.value is error


def test_also_after_rows_were_handed_on(ctx: Any) -> None:
    error = DriverError("t.csv, line 150002: i", code="filesystem.csv_type_mismatch")
    path = ctx.base_dir / "t.csv"
    path.write_text("i,s\n" + f"1,{'x' * 500}\n" * 150_000 + "x,y\n")  # more than DuckDB reads at once
    files = Files(csv_source(path, SCHEMA), broken=error)
    config = {"query": "FROM t", "threads": 1, "settings": {"streaming_buffer_size": "1MB"}}
    data = Processor().run("s", config, {"t": files.dataset}, ctx)["df"].batches()
    assert next(data).num_rows > 0
    with pytest.raises(DriverError) as caught:
        list(data)
    assert caught.value is error


def test_what_only_duckdb_refuses_is_read_as_a_stream(ctx: Any) -> None:
    path = numbers(ctx)
    path.write_text('i,s\n1,"a"b\n2,c\n')  # DuckDB refuses text behind a closing quote
    files = Files(csv_source(path, SCHEMA))
    assert run(ctx, "FROM t", files) == [(1, "ab"), (2, "c")]
    assert files.streamed == 1


def test_a_declared_column_takes_what_the_stream_takes(ctx: Any) -> None:
    path = ctx.base_dir / "t.csv"
    path.write_text("i,d\n007,1.5\n-0,2\n")
    schema = pa.schema([("i", pa.int32()), ("d", pa.decimal128(10, 2))])
    files = Files(csv_source(path, schema, inferred=False))
    assert run(ctx, "FROM t", files) == [(7, Decimal("1.50")), (0, Decimal("2.00"))]
    assert files.streamed == 0


def test_types_null_and_empty_text(ctx: Any) -> None:
    path = ctx.base_dir / "t.csv"
    path.write_text(
        'b,d,n,f,t,s\ntrue,2024-02-29,1.10,1.5,2024-01-02 03:04:05,""\n,,,,,\n'
        "false,0001-01-01,-0.01,-2.0,2024-01-02 03:04:05.500000,x"
    )
    schema = pa.schema(
        [
            ("b", pa.bool_()),
            ("d", pa.date32()),
            ("n", pa.decimal128(18, 2)),
            ("f", pa.float64()),
            ("t", pa.timestamp("us")),
            ("s", pa.string()),
        ]
    )
    files = Files(csv_source(path, schema))
    assert run(ctx, "FROM t", files) == [
        (True, date(2024, 2, 29), Decimal("1.10"), 1.5, datetime(2024, 1, 2, 3, 4, 5), ""),
        (None, None, None, None, None, None),
        (False, date(1, 1, 1), Decimal("-0.01"), -2.0, datetime(2024, 1, 2, 3, 4, 5, 500_000), "x"),
    ]
    assert files.streamed == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.date32(), "infinity"),
        (pa.date32(), "0044-03-15 (BC)"),
        (pa.date32(), "10000-01-01"),
        (pa.timestamp("us"), "2024-01-01 24:00:00"),
        (pa.bool_(), "yes"),
        (pa.decimal128(18, 2), "1.105"),
    ],
)
def test_what_is_a_value_for_duckdb_alone_is_not_taken(ctx: Any, kind: pa.DataType, text: str) -> None:
    path = ctx.base_dir / "t.csv"
    path.write_text(f"v,s\n{text},x\n")
    error = DriverError("refused by the stream", code="filesystem.csv_type_mismatch")
    files = Files(csv_source(path, pa.schema([("v", kind), ("s", pa.string())])), broken=error)
    with pytest.raises(DriverError) as caught:
        run(ctx, "FROM t", files)
    assert caught.value is error


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": pa.schema([("i", pa.int64())])},
        {"schema": pa.schema([("i", pa.time64("us")), ("s", pa.string())])},
        {"options": {**OPTIONS, "compression": "gzip"}},
        {"options": {**OPTIONS, "null_values": ()}},
        {"format": "jsonl"},
        {"paths": ()},
        {"paths": ("/missing/file.csv",)},
    ],
)
def test_files_that_duckdb_could_read_differently_are_streamed(ctx: Any, changes: dict[str, Any]) -> None:
    path = numbers(ctx)
    base = {"format": "csv", "paths": (str(path),), "schema": SCHEMA, "options": OPTIONS}
    source = FileSource(**{**base, **changes})
    session = Session(connect(), ctx)
    assert push_down(session, Dataset(lambda: iter(()), source.schema, source=source), "t") is None
    session.close()


@pytest.mark.parametrize("body", ['1, "x"\n', '1,"x" \n', '1,\t"x"\n'])
def test_white_space_beside_quotes_is_kept(ctx: Any, body: str) -> None:
    path = ctx.base_dir / "t.csv"
    path.write_text("i,s\n" + body)
    files = Files(csv_source(path, SCHEMA))
    expected = [tuple(row.values()) for row in stream_csv(str(path), csv_source(path, SCHEMA)).to_pylist()]
    assert run(ctx, "FROM t", files) == expected


UNLIKE_OTHERS = [
    "1,x\n2,y\r\n",
    "1,x\r\n 2,y\n",
    "1,x\r\n2,y\r 3,z\r\n",
    "1,x\r2,y\r",
    '1,"x"y\n',
    '1,x"y"\n',
    '1,"x""y"z,\n',
]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("before", [0, 1, 8 * 1024 * 1024, 24 * 1024 * 1024])
@pytest.mark.parametrize("body", UNLIKE_OTHERS)
def test_line_ends_and_quotes_that_are_unlike_others_are_streamed(
    ctx: Any, monkeypatch: pytest.MonkeyPatch, body: str, before: int, compiled: bool
) -> None:
    if not compiled:
        monkeypatch.setitem(sys.modules, "osiris.csv_scan", None)  # as where it is not installed
    newline = "\r\n" if body.startswith("1,x\r\n") else "\r" if "\n" not in body else "\n"
    line = f"1,z{newline}"
    (ctx.base_dir / "t.csv").write_bytes(("i,s" + newline + line * (before // len(line)) + body).encode())
    source = csv_source(ctx.base_dir / "t.csv", pa.schema([("i", pa.string()), ("s", pa.string())]))
    session = Session(connect(), ctx)
    try:
        assert push_down(session, Dataset(lambda: iter(()), source.schema, source=source), "t") is None
    finally:
        session.close()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_quotes_around_fields_are_read_by_duckdb(
    ctx: Any, monkeypatch: pytest.MonkeyPatch, shift: int, newline: str, mark: str, delimiter: str
) -> None:
    """Also where the parts that are looked at one after the other meet."""
    monkeypatch.setitem(sys.modules, "osiris.csv_scan", None)
    head, quoted = f'"i"{delimiter}"s"{newline}', f'"""1"{delimiter}"a""b"{newline}'
    line = f"1{delimiter}{'z' * 400}{newline}"
    start = 8 * 1024 * 1024 - shift
    filled = head + line * ((start - len(head.encode()) - 100) // len(line))
    missing = start - len((mark + filled).encode()) - len(newline)
    path = ctx.base_dir / "t.csv"
    path.write_bytes(f"{mark}{filled}1{delimiter}{'y' * (missing - 2)}{newline}{quoted}{line}{quoted}".encode())
    source = csv_source(path, pa.schema([("i", pa.string()), ("s", pa.string())]), delimiter=delimiter)
    files = Files(source)
    assert run(ctx, "SELECT i, s FROM t WHERE i <> '1'", files) == [('"1', 'a"b')] * 2
    assert files.streamed == 0


@pytest.mark.parametrize("quote", ['"', ""])
@pytest.mark.parametrize(("text", "quoted"), [(1 << 20, False), (30 << 20, False), (30 << 20, True)])
def test_a_very_long_record_far_down_is_streamed(ctx: Any, text: int, quoted: bool, quote: str) -> None:
    """DuckDB's reader, in several threads, stops at a record that is longer than two of its buffers."""
    path = ctx.base_dir / "t.csv"
    lines = b"1,x\n" * (3 << 20)
    mark = b'"' if quoted else b""
    path.write_bytes(b"i,s\n" + lines + b"2," + mark + b"y" * (text - 100) + mark + b"\n" + lines)
    source = csv_source(path, SCHEMA, quote=quote)
    session = Session(connect(), ctx)
    try:
        pushed = push_down(session, Dataset(lambda: iter(()), source.schema, source=source), "t")
        assert (pushed is None) == (text > 1 << 20)
        if pushed is not None:
            assert session.execute("SELECT count(*), max(length(s)) FROM t") == [(2 * (3 << 20) + 1, text - 100)]
    finally:
        session.close()


@pytest.mark.parametrize("beside", [True, False])
def test_a_first_quote_far_down_is_found(ctx: Any, beside: bool) -> None:
    part = 8 * 1024 * 1024  # is looked through at a time; the white space is in one part, the quote in the next
    path = ctx.base_dir / "t.csv"
    line = b"1,x\n"
    lines = (line * (2 * part // len(line)))[: 2 * part - 4] + (b"10, " if beside else b"100,")
    path.write_bytes(b"i,s\n" + lines[len(line) :] + b'"y"\n' + line * 10)
    files = Files(csv_source(path, SCHEMA))
    assert run(ctx, "SELECT i, s FROM t WHERE s <> 'x'", files) == [(10, ' "y"') if beside else (100, "y")]
    assert files.streamed == beside


def test_a_path_with_wildcards_means_one_file(ctx: Any) -> None:
    path = ctx.base_dir / "t[1]*.csv"
    path.write_text("i,s\n1,x\n")
    (ctx.base_dir / "t1.csv").write_text("i,s\n2,y\n")
    assert run(ctx, "FROM t", Files(csv_source(path, SCHEMA))) == [(1, "x")]


def test_a_join_keeps_the_smaller_file_in_memory(ctx: Any) -> None:
    # Only where DuckDB has looked at the sizes of files does it know; else it takes each for 42 rows.
    small, large = ctx.base_dir / "small.csv", ctx.base_dir / "large.csv"
    small.write_text("i,s\n" + "1,a\n" * 100)
    large.write_text("i,s\n" + f"1,{'b' * 80}\n" * 110_000)
    session = Session(connect(), ctx)
    try:
        for path in (small, large):
            assert push_down(session, Files(csv_source(path, SCHEMA)).dataset, path.stem) is not None
        for query in (
            "SELECT count(*) FROM large JOIN small USING (i)",
            "SELECT count(*) FROM small JOIN large USING (i)",
        ):
            ((_, text),) = session.execute(f"EXPLAIN (FORMAT json) {query}")
            probed, kept = _find(json.loads(text), "HASH_JOIN")["children"]
            assert _rows(kept) < 1000 < _rows(probed)
    finally:
        session.close()


def _find(nodes: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(found for node in nodes for found in _nodes(node) if found["name"].strip() == name)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from _nodes(child)


def _rows(node: dict[str, Any]) -> int:
    return int(_find([node], "READ_CSV")["extra_info"]["Estimated Cardinality"])


ALL_TYPES = {
    "i": (pa.int64(), ["0", "-12", "9223372036854775807", ""]),
    "b": (pa.int8(), ["127", "-128", "7", ""]),
    "u": (pa.uint64(), ["18446744073709551615", "0", "", "1"]),
    "n": (pa.decimal128(18, 2), ["1.50", "-0.01", "", "9999999999999999.99"]),
    "f": (pa.float64(), ["1.5", "-2.0", "0.0001", ""]),
    "d": (pa.date32(), ["2024-02-29", "0001-01-01", "", "9999-12-31"]),
    "t": (pa.timestamp("us"), ["2024-02-29 23:59:59", "2024-01-01 00:00:00.5", "", "1969-12-31 00:00:00.000001"]),
    "y": (pa.bool_(), ["true", "false", "", "true"]),
    "s": (pa.string(), ["x", '"a,""b"""', "", "007"]),
}
"""Columns, and texts that are exactly their values'."""
LONG = [f"{'x' * 450_000}" for _ in range(20)]
"""Together longer than what is looked at in one piece: from there on, osiris-csv-scan is asked."""


def large(path: Path, columns: dict[str, list[str]]) -> Path:
    """A file with these texts, and a last column that makes it large; around them NULL."""
    rows = list(zip(*columns.values(), strict=True))
    nothing = [("",) * len(columns)]
    lines = [*nothing * 10, *rows, *nothing * 10]
    texts = [*LONG[:10], *["z"] * len(rows), *LONG[10:]]
    head = ",".join([*columns, "long"])
    body = "".join(f"{','.join(line)},{text}\n" for line, text in zip(lines, texts, strict=True))
    path.write_text(f"{head}\n{body}", encoding="utf-8")
    return path


def view(source: FileSource, ctx: Any) -> str:
    """The SQL that DuckDB reads a file by."""
    session = Session(connect(), ctx)
    try:
        assert push_down(session, Dataset(lambda: iter(()), source.schema, source=source), "t") is not None
        ((sql,),) = session.execute("SELECT sql FROM duckdb_views() WHERE view_name = 't'")
        return str(sql)
    finally:
        session.close()


@pytest.mark.parametrize("crlf", [True, False])
def test_columns_that_are_certain_are_read_as_what_they_are(ctx: Any, crlf: bool) -> None:
    path = large(ctx.base_dir / "t.csv", {name: texts for name, (_, texts) in ALL_TYPES.items()})
    if crlf:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    schema = pa.schema([*[(name, kind) for name, (kind, _) in ALL_TYPES.items()], ("long", pa.string())])
    source = csv_source(path, schema)
    sql = view(source, ctx)
    assert "CAST" not in sql, "nothing is left to be checked"
    assert all(kind in sql for kind in ("BIGINT", "DECIMAL(18,2)", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN"))
    files = Files(source)
    expected = stream_csv(str(path), source).to_pylist()
    assert run(ctx, "FROM t", files) == [tuple(row.values()) for row in expected]
    assert (files.streamed, files.reported) == (0, [(24, path.stat().st_size)])


@pytest.mark.parametrize("last", ["1.5", "007", "+5", "99999999999999999999", " 7", "1e2", '"07"'])
def test_in_a_large_file_too_a_value_that_does_not_fit_raises_what_the_stream_raises(ctx: Any, last: str) -> None:
    path = large(ctx.base_dir / "t.csv", {"i": ["1", "2", last], "j": ["3", "4", "5"]})
    error = DriverError("t.csv, line 14: i", code="filesystem.csv_type_mismatch")
    source = csv_source(path, pa.schema([("i", pa.int64()), ("j", pa.int64()), ("long", pa.string())]))
    sql = view(source, ctx)
    assert "TRY_CAST" in sql, "the column that is not certain is checked where it is used"
    assert "BIGINT" in sql.replace("AS BIGINT", ""), "the other is read as what it is"
    assert run(ctx, "SELECT sum(j)::INT FROM t", Files(source, broken=error)) == [(12,)]
    with pytest.raises(DriverError) as caught:
        run(ctx, "SELECT sum(i) FROM t", Files(source, broken=error))
    assert caught.value is error


def test_where_nothing_can_be_scanned_duckdb_checks_large_files_too(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "osiris.csv_scan", None)  # as where it is not installed
    path = large(ctx.base_dir / "t.csv", {"i": ["1", "2"], "j": ["3", "4"]})
    source = csv_source(path, pa.schema([("i", pa.int64()), ("j", pa.int64()), ("long", pa.string())]))
    assert view(source, ctx).count("TRY_CAST") == 2
    files = Files(source)
    assert run(ctx, "SELECT sum(i)::INT, sum(j)::INT FROM t", files) == [(3, 7)]
    assert files.streamed == 0


def test_a_small_file_may_go_once_it_was_read(ctx: Any) -> None:
    path = numbers(ctx)
    size = path.stat().st_size
    files = Files(csv_source(path, SCHEMA))
    batches = Processor().run("s", {"query": "SELECT i FROM t"}, {"t": files.dataset}, ctx)["df"].batches()
    assert next(batches).num_rows == 10
    path.unlink()
    assert list(batches) == []
    assert files.reported == [(10, size)]


@pytest.mark.parametrize("how", ["written", "replaced", "removed"])
def test_a_file_that_changes_after_it_was_looked_through_fails_the_step(ctx: Any, how: str) -> None:
    path = large(ctx.base_dir / "t.csv", {"i": ["1", "2"]})
    source = csv_source(path, pa.schema([("i", pa.int64()), ("long", pa.string())]))
    batches = Processor().run("s", {"query": "SELECT i FROM t"}, {"t": Files(source).dataset}, ctx)["df"].batches()
    if how == "written":
        with path.open("a") as file:
            file.write("007,x\n")
    elif how == "removed":
        path.rename(path.with_name("elsewhere.csv"))
    else:
        other = path.with_name("new.csv")
        other.write_bytes(path.read_bytes().replace(b"\n1,z", b"\n0,z"))
        other.replace(path)
    with pytest.raises(DriverError, match="was changed while it was read") as caught:
        list(batches)
    assert caught.value.code == "duckdb.file_changed"
    assert caught.value.retryable


def test_a_cancel_ends_the_look_through_a_large_file(ctx: Any) -> None:
    path = large(ctx.base_dir / "t.csv", {"i": ["1"]})
    source = csv_source(path, pa.schema([("i", pa.int64()), ("long", pa.string())]))
    session = Session(connect(), ctx)
    ctx.cancellation.request("enough")
    with pytest.raises(RunCancelledError):
        push_down(session, Dataset(lambda: iter(()), source.schema, source=source), "t")
    session.close()


NEARLY = st.one_of(
    st.integers(-(10**19), 10**19).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=2).map(
        "{:f}".format
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.datetimes().map(str),
    st.dates().map(str),
    st.text(alphabet="0123456789.-: e", max_size=20),
    st.sampled_from([text for _, texts in ALL_TYPES.values() for text in texts if '"' not in text]),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(texts=st.lists(st.tuples(*[NEARLY] * 5), min_size=1, max_size=3))
def test_what_is_certain_is_what_the_check_gives(
    tmp_path_factory: pytest.TempPathFactory, new_context: Any, texts: list[tuple[str, ...]]
) -> None:
    """Read as its type or checked against its text: a column has the same values, or both refuse it."""
    ctx = new_context(tmp_path_factory.mktemp("csv"))
    kinds = [pa.int64(), pa.decimal128(18, 2), pa.float64(), pa.date32(), pa.timestamp("us")]
    columns = dict(zip("infdt", map(list, zip(*texts, strict=True)), strict=True))
    path = large(ctx.base_dir / "t.csv", columns)
    schema = pa.schema([*zip("infdt", kinds, strict=True), ("long", pa.string())])
    quick = view(csv_source(path, schema), ctx)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "osiris.csv_scan", None)
        careful = view(csv_source(path, schema), ctx)
    session = Session(connect(), ctx)

    def values(sql: str, column: str) -> object:
        try:
            return session.execute(f"SELECT {column} FROM ({sql.partition(' AS ')[2].rstrip(';')})")
        except DriverError:
            return "refused"

    for column in columns:
        assert values(quick, column) == values(careful, column), (column, columns[column])
    session.close()


def test_parquet(ctx: Any) -> None:
    paths = []
    for part in range(3):
        table = pa.table({"i": pa.array(range(part * 10, part * 10 + 10), pa.int64()), "s": [f"x{part}"] * 10})
        paths.append(str(ctx.base_dir / f"{part}.parquet"))
        pq.write_table(table, paths[-1], row_group_size=4)
    source = FileSource(format="parquet", paths=tuple(paths), schema=SCHEMA)
    files = Files(source)
    assert run(ctx, "SELECT s, sum(i)::INT FROM t WHERE i > 14 GROUP BY s ORDER BY s", files) == [
        ("x1", 85),
        ("x2", 245),
    ]
    assert (files.streamed, [rows for rows, _ in files.reported]) == (0, [30])


def test_parquet_files_that_differ_are_streamed(ctx: Any) -> None:
    pq.write_table(pa.table({"i": pa.array([1], pa.int64())}), ctx.base_dir / "a.parquet")
    pq.write_table(pa.table({"i": pa.array([1.5], pa.float64())}), ctx.base_dir / "b.parquet")
    paths = (str(ctx.base_dir / "a.parquet"), str(ctx.base_dir / "b.parquet"))
    schema = pa.schema([("i", pa.int64())])
    session = Session(connect(), ctx)
    source = FileSource(format="parquet", paths=paths, schema=schema)
    assert push_down(session, Dataset(lambda: iter(()), schema, source=source), "t") is None
    session.close()


FIELDS = st.one_of(
    st.text(alphabet="a\",\n\r ;\t'é\\x00", max_size=6), st.sampled_from(["", "NA", "007", '"', '""', " ", "\r\n"])
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=8), quote_all=st.booleans(), crlf=st.booleans())
def test_any_text_is_the_same_as_in_the_stream(
    tmp_path_factory: pytest.TempPathFactory, new_context: Any, rows: list[tuple[str, str]], quote_all: bool, crlf: bool
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, quoting=quoting, lineterminator="\r\n" if crlf else "\n")
    writer.writerows([("a", "b"), *rows])
    path = folder / "t.csv"
    path.write_bytes(text.getvalue().encode())
    source = csv_source(path, pa.schema([("a", pa.string()), ("b", pa.string())]))
    try:
        expected = stream_csv(str(path), source).to_pylist()
    except pa.ArrowInvalid:
        with pytest.raises(pa.ArrowInvalid):
            run(new_context(folder), "FROM t", Files(source))
    else:
        assert run(new_context(folder), "FROM t", Files(source)) == [tuple(row.values()) for row in expected]


def test_which_files_are_read_by_duckdb_itself():
    from osiris.drivers.duckdb.processor_config import ProcessorConfig

    def formats(**options):
        return ProcessorConfig(query="FROM t", **options).pushed_formats

    assert formats() == formats(pushdown=True, memory_limit="100MB") == {"csv", "parquet"}
    assert formats(memory_limit="100MB") == {"parquet"}, "DuckDB's CSV reader takes memory beside the limit"
    assert formats(pushdown=False) == set()
