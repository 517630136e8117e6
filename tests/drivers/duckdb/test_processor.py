"""duckdb.processor: what a query may do with its inputs, and what it is refused."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, OsirisError, RunCancelledError
from osiris.drivers.duckdb.database import MemoryDatabase
from osiris.drivers.duckdb.processor import Processor

SCHEMA = pa.schema([("i", pa.int64()), ("s", pa.string())])


def stream(rows: int = 3, *, per_batch: int = 1) -> Dataset:
    """Rows that can be read once only."""

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, per_batch):
            numbers = range(start, min(start + per_batch, rows))
            arrays = [pa.array(numbers, pa.int64()), pa.array([f"n{k}" for k in numbers], pa.string())]
            yield pa.record_batch(arrays, schema=SCHEMA)

    return Dataset.from_batches(SCHEMA, batches())


def run(ctx: Any, query: str, inputs: dict[str, Any] | None = None, **options: Any) -> pa.Table:
    processor = Processor()
    try:
        given = {"orders": stream()} if inputs is None else inputs
        return processor.run("step", {"query": query, **options}, given, ctx)["df"].table()
    finally:
        processor.close()


def values(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT count(*) FROM orders", 3),
        ("SELECT count(*) FROM ORDERS", 3),
        ("SELECT count(*) FROM df", 3),
        ("SELECT count(*) FROM input_df", 3),
        ("SELECT count(*) FROM orders a JOIN orders b USING (i)", 3),
        ("SELECT count(*) FROM orders a JOIN df b USING (i)", 3),
        ("SELECT count(*) FROM orders a, orders b", 9),
        ("SELECT count(*) FROM (FROM orders UNION ALL FROM orders)", 6),
        ("SELECT count(*) FROM (FROM orders UNION ALL FROM input_df)", 6),
        ("WITH x AS (FROM orders) SELECT count(*) FROM x", 3),
        ("WITH x AS (FROM orders) SELECT count(*) FROM x a, x b", 9),
        ("WITH x AS NOT MATERIALIZED (FROM orders) SELECT count(*) FROM x a, x b", 9),
        ("WITH x AS (FROM orders), y AS (FROM x), z AS (FROM x) SELECT count(*) FROM y, z", 9),
        ("WITH orders AS (FROM orders WHERE i > 0) SELECT count(*) FROM orders", 2),
        (
            "WITH RECURSIVE r AS (SELECT 0 n UNION ALL SELECT n + 1 FROM r, orders WHERE i = n) SELECT count(*) FROM r",
            4,
        ),
        ("SELECT count(*) FROM orders WHERE i > (SELECT min(i) FROM orders)", 2),
        ("SELECT count(*) FROM orders a WHERE EXISTS (FROM orders b WHERE b.i = a.i + 1)", 2),
        ("SELECT sum((SELECT max(b.i) FROM orders b WHERE b.i < a.i))::int FROM range(4) a(i)", 3),
        ("SELECT sum((SELECT max(b.i) FROM range(9) b(i) WHERE b.i < a.i))::int FROM orders a", 1),
        ("SELECT count(*) FROM orders a, LATERAL (SELECT a.i + 1) b", 3),
        ("SELECT count(*) FROM orders WHERE i IN (SELECT i FROM orders)", 3),
        ("SELECT count(*) FROM orders INTERSECT SELECT count(*) FROM orders", 3),
        ("SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY i) AS n FROM orders)", 3),
        ("SELECT sum(c) FROM (SELECT count(*) AS c FROM orders GROUP BY ROLLUP (s))", 6),
        ("SELECT count(*) FROM query_table('orders')", 3),
        ("SELECT count(*) FROM query('FROM orders a, orders b')", 9),
        ("SELECT count(*) FROM (SUMMARIZE orders)", 2),
    ],
)
def test_a_query_sees_every_row_however_often_it_reads_an_input(ctx: Any, query: str, expected: int) -> None:
    assert values(run(ctx, query)) == [(expected,)]


@pytest.mark.parametrize(
    ("setup", "query", "expected"),
    [
        ("CREATE VIEW v AS FROM orders", "SELECT count(*) FROM v a, v b", 9),
        ("CREATE MACRO m(x) AS TABLE SELECT i + x AS i FROM orders", "SELECT count(*) FROM m(1) a, m(2) b", 9),
        ("CREATE TEMP TABLE t AS FROM orders", "SELECT count(*) FROM t, orders", 9),
        ("CREATE MACRO f(x) AS (SELECT count(*) FROM orders) + x", "SELECT f(1) + f(2)", 9),
    ],
)
def test_setup_may_hide_how_often_an_input_is_read(ctx: Any, setup: str, query: str, expected: int) -> None:
    assert values(run(ctx, query, setup=[setup])) == [(expected,)]


def test_several_inputs_by_name_even_names_that_must_be_quoted(ctx: Any) -> None:
    inputs = {"a b": stream(2), "select": stream(3), 'q"q': stream(1)}
    assert values(run(ctx, 'SELECT count(*) FROM "a b", "select", "q""q"', inputs)) == [(6,)]


def test_pivot_describe_and_values_are_queries(ctx: Any) -> None:
    assert run(ctx, "PIVOT orders ON s USING sum(i)").column_names == ["n0", "n1", "n2"]
    assert run(ctx, "DESCRIBE orders").num_rows == 2
    assert values(run(ctx, "VALUES (1, 'a')", {})) == [(1, "a")]


def test_a_plain_value_is_a_variable(ctx: Any) -> None:
    table = run(ctx, "SELECT i FROM orders WHERE i > getvariable('least')", {"orders": stream(), "least": 1})
    assert values(table) == [(2,)]


@pytest.mark.parametrize("name", ["df_read", "df", "input_df"])
def test_the_names_of_one_need_count_as_one_input(ctx: Any, name: str) -> None:
    inputs = {"df_read": stream(), "df": stream(), "input_df": stream()}
    assert values(run(ctx, f"SELECT count(*) FROM {name}", inputs)) == [(3,)]


@pytest.mark.parametrize(
    ("query", "inputs", "code"),
    [
        ("SELECT 1", {"orders": None}, "duckdb.input_not_used"),
        ("SELECT 'orders'", {"orders": None}, "duckdb.input_not_used"),
        ("FROM df_a", {"df_a": None, "df_b": None}, "duckdb.input_not_used"),
        ("FROM orders", {"orders": None, "limit": 5}, "duckdb.input_not_used"),
        ("FROM a", {"a": None, "A": None}, "duckdb.ambiguous_input"),
        ("SELEC 1", {}, "duckdb.syntax"),
        ("FROM orders, nowhere", {"orders": None}, "duckdb.catalog"),
        ("SELECT nope FROM orders", {"orders": None}, "duckdb.binder"),
        ("SELECT sum(s::INT) FROM orders", {"orders": None}, "duckdb.conversion"),
        ("SELECT 9223372036854775807 + sum(i)::BIGINT FROM orders", {"orders": None}, "duckdb.out_of_range"),
        ("FROM read_csv('missing.csv')", {}, "duckdb.io"),
        ("SELECT 1; SELECT 2", {}, "duckdb.not_a_query"),
        ("CREATE TABLE t AS SELECT 1", {}, "duckdb.not_a_query"),
        ("-- nothing", {}, "duckdb.not_a_query"),
    ],
)
def test_mistakes_have_codes(ctx: Any, query: str, inputs: dict[str, Any], code: str) -> None:
    given = {name: stream() if value is None else value for name, value in inputs.items()}
    with pytest.raises(DriverError) as caught:
        run(ctx, query, given)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_python_variable_is_not_a_table(ctx: Any) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(DriverError) as caught:
        run(ctx, "FROM secret", {})
    assert caught.value.code == "duckdb.catalog"
    assert secret.num_rows == 1


def test_no_extension_is_fetched_unless_asked_for(ctx: Any) -> None:
    assert values(run(ctx, "SELECT current_setting('autoinstall_known_extensions')", {})) == [(False,)]


def test_an_unknown_setting_is_named(ctx: Any) -> None:
    with pytest.raises(DriverError) as caught:
        run(ctx, "SELECT 1", {}, settings={"threadz": 1})
    assert caught.value.code == "duckdb.catalog"
    assert "'threadz'" in str(caught.value.hint)


def test_settings_reach_duckdb(ctx: Any) -> None:
    query = "SELECT current_setting('threads'), current_setting('memory_limit'), current_setting('TimeZone')"
    table = run(ctx, query, {}, threads=1, memory_limit="64MiB", settings={"TimeZone": "Europe/Prague"})
    assert values(table) == [(1, "64.0 MiB", "Europe/Prague")]


class UpstreamError(OsirisError):
    code = "upstream.broke"


@pytest.mark.parametrize("query", ["FROM df", "SELECT sum(i) FROM df", "SELECT count(*) FROM df a, df b"])
def test_an_error_of_an_input_comes_out_as_it_was(ctx: Any, query: str) -> None:
    error = UpstreamError("row 7 is bad")

    def batches() -> Iterator[pa.RecordBatch]:
        yield from stream(200_000, per_batch=50_000).batches()
        raise error

    with pytest.raises(UpstreamError) as caught:
        run(ctx, query, {"df": Dataset.from_batches(SCHEMA, batches())})
    assert caught.value is error


def test_streaming_does_not_read_ahead_without_bound(ctx: Any) -> None:
    pulled = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal pulled
        for batch in stream(4_000_000, per_batch=10_000).batches():
            pulled += 1
            yield batch

    processor = Processor()
    out = processor.run("s", {"query": "FROM df"}, {"df": Dataset.from_batches(SCHEMA, batches())}, ctx)["df"]
    rows = out.batches()
    next(rows)
    assert pulled < 200  # of 400
    rows.close()
    processor.close()


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads that DuckDB has beside Python's")
def test_a_database_that_nobody_used_is_closed() -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    kept = MemoryDatabase()  # DuckDB's own threads are those of a database that is open
    kept.take().execute("SET threads = 4")
    before = threads()
    processors = [Processor() for _ in range(8)]
    for processor in processors:
        processor.close()
        processor.close()
    assert threads() < before + len(processors)  # the last of Python's own may still be on their way out


def test_a_query_that_starts_again_has_a_database_of_its_own() -> None:
    database = MemoryDatabase()
    one, two = database.take(), database.take()
    one.execute("CREATE TABLE t (i int)")
    with pytest.raises(duckdb.CatalogException):
        two.execute("FROM t")
    database.close()
    assert one.execute("SELECT 1").fetchall() == two.execute("SELECT 1").fetchall() == [(1,)], "they are the takers'"
    one.close()
    two.close()


def test_an_input_is_closed_when_the_reader_goes_away(ctx: Any) -> None:
    closed: list[str] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from stream(1_000_000, per_batch=1000).batches()
        finally:
            closed.append("batches")

    given = Dataset(batches, SCHEMA, close=lambda: closed.append("dataset"))
    out = Processor().run("s", {"query": "FROM df"}, {"df": given}, ctx)["df"]
    rows = out.batches()
    next(rows)
    rows.close()
    assert closed == ["batches", "dataset"]


def cancel_when(ctx: Any, started: threading.Event) -> threading.Thread:
    def cancel() -> None:
        started.wait(30)
        ctx.cancellation.request("cancelled by the test")

    thread = threading.Thread(target=cancel)
    thread.start()
    return thread


def test_cancel_interrupts_a_query(ctx: Any) -> None:
    started = threading.Event()

    def batches() -> Iterator[pa.RecordBatch]:
        started.set()
        yield from stream(10, per_batch=10).batches()

    thread = cancel_when(ctx, started)
    query = "SELECT count(*) FROM df, range(1000000000) a, range(1000000) b WHERE df.i + a.range + b.range = -1"
    with pytest.raises(RunCancelledError):
        run(ctx, query, {"df": Dataset.from_batches(SCHEMA, batches())})
    thread.join()


def test_a_cancelled_run_starts_no_query(ctx: Any) -> None:
    ctx.cancellation.request()
    with pytest.raises(RunCancelledError):
        run(ctx, "SELECT 1", {})


def test_a_small_memory_limit_spills_into_the_steps_folder(ctx: Any) -> None:
    table = run(ctx, "SELECT count(*) FROM (FROM df ORDER BY s DESC, i)", {"df": stream(600_000, per_batch=50_000)},
                memory_limit="40MB", threads=1)  # fmt: skip
    assert values(table) == [(600_000,)]


def test_a_query_that_cannot_fit_says_so(ctx: Any) -> None:
    with pytest.raises(DriverError) as caught:
        run(ctx, "SELECT list(i) FROM range(100000000) t(i)", {}, memory_limit="40MB", threads=1)
    assert caught.value.code == "duckdb.out_of_memory"


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        ("sum(x) FROM range(3) t(x)", pa.int64(), 3),
        ("-9223372036854775808::HUGEINT", pa.int64(), -(2**63)),
        ("NULL::HUGEINT", pa.int64(), None),
        ("10000000000000000000000000000000000000::HUGEINT::DECIMAL(38,0)", pa.decimal128(38, 0), Decimal(10) ** 37),
        ("[1::HUGEINT]", pa.list_(pa.field("l", pa.decimal128(38, 0))), [Decimal(1)]),
        ("12::UHUGEINT", pa.decimal128(38, 0), Decimal(12)),
        ("18446744073709551615::UBIGINT", pa.uint64(), 2**64 - 1),
        ("1.10::DECIMAL(4,2)", pa.decimal128(4, 2), Decimal("1.10")),
        ("'1010'::BIT", pa.string(), "1010"),
        ("'12:00:00+02'::TIMETZ", pa.string(), "12:00:00+02"),
        ("'b'::ENUM('a', 'b')", pa.string(), "b"),
        ("'00000000-0000-0000-0000-000000000001'::UUID", pa.string(), "00000000-0000-0000-0000-000000000001"),
        ("'\\xAA'::BLOB", pa.binary(), b"\xaa"),
        ("'{\"a\": 1}'::JSON", pa.string(), '{"a": 1}'),
        ("[1::UHUGEINT, NULL]", pa.list_(pa.field("l", pa.decimal128(38, 0))), [Decimal(1), None]),
        ("{'a': '01'::BIT}", pa.struct([("a", pa.string())]), {"a": "01"}),
        ("{'size': '01'::BIT}", pa.struct([("size", pa.string())]), {"size": "01"}),
        ("[NULL, DATE '2024-01-31']", pa.list_(pa.field("l", pa.date32())), [None, date(2024, 1, 31)]),
        ("MAP{'a': [TIME '10:00']}", pa.map_(pa.string(), pa.list_(pa.time64("us"))), [("a", [time(10)])]),
        ("NULL", pa.null(), None),
        ("1234567890123456789012345678901234567890::BIGNUM", pa.string(), "1234567890123456789012345678901234567890"),
    ],
)
def test_types_come_out_exactly(ctx: Any, sql: str, kind: pa.DataType, value: object) -> None:
    table = run(ctx, f"SELECT {sql.replace(' FROM', ' AS v FROM') if ' FROM' in sql else sql + ' AS v'}", {})
    assert table.schema.field("v").type == kind
    assert table["v"].to_pylist() == [value]


@pytest.mark.parametrize("end", ["; -- all;", "-- none", ";;", "; /* ž; */ ;\n-- ;", ""])
def test_a_query_may_end_in_comments(ctx: Any, end: str) -> None:
    table = run(ctx, f"SELECT sum(x) AS v, 'ž;' AS t FROM range(3) AS r(x) {end}", {})
    assert values(table) == [(3, "ž;")]


@pytest.mark.parametrize(
    "sql",
    [
        "9223372036854775808::HUGEINT",
        "[170141183460469231731687303715884105727::HUGEINT]",
        "340282366920938463463374607431768211455::UHUGEINT",
        "DATE 'infinity'",
        "TIMESTAMP '-infinity'",
        "TIMESTAMPTZ 'infinity'",
        "INTERVAL 3000000 HOUR",
        "[NULL, INTERVAL 3000000 HOUR]",
        "[INTERVAL 3000000 HOUR]::INTERVAL[1]",
        "{'a': [{'b': INTERVAL 3000000 HOUR}]}",
        "MAP{'a': INTERVAL 3000000 HOUR}",
        "row(1, INTERVAL 3000000 HOUR)",
        "union_value(b := INTERVAL 3000000 HOUR)",
        "[DATE 'infinity']",
        "{'a': TIMESTAMPTZ '-infinity'}",
        "row(170141183460469231731687303715884105727::HUGEINT)",
        "union_value(b := 170141183460469231731687303715884105727::HUGEINT)",
        "{'size': 170141183460469231731687303715884105727::HUGEINT}",
        "1::VARIANT",
    ],
)
def test_what_arrow_cannot_say_is_refused(ctx: Any, sql: str) -> None:
    with pytest.raises(DriverError):
        run(ctx, f"SELECT {sql} AS v", {})


@pytest.mark.parametrize(
    "array",
    [
        pa.array([2**63 - 1, None], pa.int64()),
        pa.array([2**64 - 1], pa.uint64()),
        pa.array([Decimal("1.10")], pa.decimal128(38, 10)),
        pa.array([Decimal("1.10")], pa.decimal256(20, 2)),
        pa.array([1577836800123456789], pa.timestamp("ns")),
        pa.array([1577836800123456789], pa.timestamp("ns", "UTC")),
        pa.array([3600123456789], pa.time64("ns")),
        pa.array([1.5], pa.float16()),
        pa.array(["x", "", None], pa.large_string()),
        pa.array(["x"], pa.string()).dictionary_encode(),
        pa.array([[1, None], None], pa.list_(pa.int8())),
        pa.array([[Decimal("1.10")]], pa.list_(pa.decimal256(20, 2))),
        pa.array([{"a": [1.5]}], pa.struct([("a", pa.list_(pa.float16(), 1))])),
        pa.array([[("a", Decimal(1))]], pa.map_(pa.string(), pa.decimal256(20, 0))),
        pa.array([Decimal("1.10")], pa.decimal256(20, 2)).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_types_go_through_exactly(ctx: Any, array: pa.Array) -> None:
    out = run(ctx, "FROM df", {"df": Dataset.from_table(pa.table({"v": array}))})
    assert out["v"].to_pylist() == array.to_pylist()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        pa.array([Decimal(1)], pa.decimal256(60, 0)),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.array([1999], pa.duration("ns")),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_that_duckdb_would_cut_is_refused(ctx: Any, array: pa.Array, nested: bool) -> None:
    if nested:
        array = pa.StructArray.from_arrays([pa.ListArray.from_arrays([0, 1], array)], names=["a"])
    with pytest.raises(DriverError) as caught:
        run(ctx, "FROM df", {"df": Dataset.from_table(pa.table({"v": array}))})
    assert caught.value.code == "duckdb.input_type"


def test_a_cancel_may_come_at_the_very_moment_at_which_a_query_ends():
    from osiris.drivers.duckdb.database import _Interrupter, connect

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    connection = connect()
    try:
        for _ in range(1000):
            interrupter = _Interrupter(connection)
            cancel = threading.Thread(target=interrupter.start)
            with interrupter:
                cancel.start()
            cancel.join()
            assert not any(thread.name == "duckdb-interrupt" for thread in threading.enumerate())
    finally:
        sys.setswitchinterval(before)
        connection.close()
