"""duckdb.extractor and duckdb.writer: whole tables or nothing, exact values, shared files."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pydantic import ValidationError

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, OsirisError
from osiris.drivers.duckdb import files
from osiris.drivers.duckdb.extractor import Extractor
from osiris.drivers.duckdb.file_config import ExtractorConfig, WriterConfig
from osiris.drivers.duckdb.writer import Writer

NUMBERS = itertools.count()


def write(ctx: Any, data: Any, **options: Any) -> None:
    ctx = ctx.but(session_id=f"run-{next(NUMBERS)}")
    config = {"database": "x.duckdb", "table": "t", **options}
    Writer().run("save", config, {"df": data if isinstance(data, Dataset) else Dataset.of(data)}, ctx)


def read(ctx: Any, **options: Any) -> list[tuple[Any, ...]]:
    extractor = Extractor()
    data = extractor.run("load", {"database": "x.duckdb", **options}, {}, ctx)["df"]
    rows = [tuple(row.values()) for row in data.table().to_pylist()]
    extractor.close()
    return rows


def rows(ctx: Any, sql: str) -> list[tuple[Any, ...]]:
    connection = duckdb.connect(str(ctx.base_dir / "x.duckdb"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


ONE = table(id=pa.array([1, 2], pa.int64()), name=pa.array(["a", None], pa.string()))
TWO = table(name=pa.array(["B", "c"], pa.string()), id=pa.array([2, 3], pa.int64()))


def test_append_makes_the_table_and_matches_columns_by_name(ctx: Any) -> None:
    write(ctx, ONE)
    write(ctx, TWO)
    assert read(ctx, table="t") == [(1, "a"), (2, None), (2, "B"), (3, "c")]
    assert ctx.outputs[-1] == (f"{ctx.base_dir / 'x.duckdb'}:t", {"rows": 2})
    assert ctx.metrics == [("rows_written", 2), ("rows_written", 2)]


def test_replace_makes_the_table_anew(ctx: Any) -> None:
    write(ctx, ONE)
    write(ctx, TWO.select(["name"]), write_mode="replace")
    assert read(ctx, table="t") == [("B",), ("c",)]


@pytest.mark.parametrize("has_index", [True, False])
def test_upsert_updates_and_adds(ctx: Any, has_index: bool) -> None:
    write(ctx, ONE, **({"primary_key": "id"} if has_index else {}))
    write(ctx, TWO, write_mode="upsert", primary_key="id")
    write(ctx, TWO, write_mode="upsert", primary_key=["ID"])
    assert sorted(read(ctx, table="t")) == [(1, "a"), (2, "B"), (3, "c")]


def test_upsert_creates_with_a_key_and_keeps_rows_that_are_all_key(ctx: Any) -> None:
    write(ctx, ONE.select(["id"]), write_mode="upsert", primary_key="id")
    write(ctx, TWO.select(["id"]), write_mode="upsert", primary_key="id")
    assert sorted(read(ctx, table="t")) == [(1,), (2,), (3,)]
    assert rows(ctx, "FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY' AND table_name = 't'")


def test_schemas_and_odd_names(ctx: Any) -> None:
    odd = pa.table({'a "b" c': pa.array([1], pa.int64()), "select": pa.array([2], pa.int64())})
    write(ctx, odd, table='raw."my.table"')
    assert read(ctx, table='raw."my.table"') == [(1, 2)]
    assert read(ctx, table='raw."my.table"', columns=["select"], where='"a ""b"" c" = 1', limit=5) == [(2,)]


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a.b.c", '"a', "a..b"])
def test_a_bad_table_name(ctx: Any, name: str) -> None:
    with pytest.raises((DriverError, ValidationError)):
        write(ctx, ONE, table=name)
    assert not (ctx.base_dir / "x.duckdb").exists()


@pytest.mark.parametrize(
    ("data", "options", "code"),
    [
        (table(id=[1]), {}, "duckdb.columns_differ"),
        (ONE.append_column("more", [[1, 2]]), {}, "duckdb.columns_differ"),
        (table(id=["x"], name=["a"]), {}, "duckdb.value_does_not_fit"),
        (table(id=[1.5], name=["a"]), {}, "duckdb.value_does_not_fit"),
        (table(id=[2.0**63], name=["a"]), {}, "duckdb.value_does_not_fit"),
        (table(id=["1.5"], name=["a"]), {}, "duckdb.value_does_not_fit"),
        (table(id=pa.array([2**63], pa.uint64()), name=["a"]), {}, "duckdb.value_does_not_fit"),
        (table(id=[1], name=["a"]), {"write_mode": "upsert", "primary_key": "nope"}, "duckdb.columns_differ"),
        (table(id=[5, 5], name=["a", "b"]), {"write_mode": "upsert", "primary_key": "id"}, "duckdb.duplicate_key"),
        (table(id=pa.array([None, 5], pa.int64()), name=["a", "b"]),
         {"write_mode": "upsert", "primary_key": "id"}, "duckdb.null_key"),
        (table(id=[1], ID=[2]), {}, "duckdb.columns_differ"),
        (ONE, {"table": "tt", "create_if_missing": False}, "duckdb.table_not_found"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_changes_nothing(ctx: Any, data: pa.Table, options: Any, code: str) -> None:
    write(ctx, ONE)
    before = rows(ctx, "FROM t")
    with pytest.raises(DriverError) as caught:
        write(ctx, data, **options)
    assert caught.value.code == code
    assert caught.value.hint
    assert rows(ctx, "FROM t") == before
    assert rows(ctx, "SELECT table_name FROM duckdb_tables() ORDER BY 1") == [("_osiris_commits",), ("t",)]


def test_the_value_that_does_not_fit_is_named(ctx: Any) -> None:
    write(ctx, table(day=pa.array([date(2024, 1, 1)], pa.date32())))
    with pytest.raises(DriverError) as caught:
        write(ctx, table(day=[datetime(2024, 1, 2), datetime(2024, 1, 2, 3)]))
    assert "row 2" in str(caught.value)
    assert "2024-01-02 03:00:00" in str(caught.value)
    assert "'day'" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "array"),
    [
        ("DOUBLE", pa.array([2**63 - 1])),  # as a double it is more than the integers that it came from
        ("TIME", pa.array([datetime(2024, 1, 2, 3, 4, 5)])),  # there is no cast back
    ],
)
def test_what_cannot_be_cast_back_does_not_fit(ctx: Any, target: str, array: pa.Array) -> None:
    rows(ctx, f"CREATE TABLE t (v {target})")
    with pytest.raises(DriverError) as caught:
        write(ctx, table(v=array))
    assert caught.value.code == "duckdb.value_does_not_fit"
    assert "row 1: column 'v'" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "array", "expected"),
    [
        ("DECIMAL(10,2)", pa.array(["1.1", " 2 "]), [Decimal("1.10"), Decimal("2.00")]),
        ("INTEGER", pa.array(["007", "-5"]), [7, -5]),
        ("DATE", pa.array([datetime(2024, 1, 2)]), [date(2024, 1, 2)]),
        ("DECIMAL(20,2)", pa.array([10**17]), [Decimal(10**17)]),
        ("DECIMAL(10,2)", pa.array([0.1]), [Decimal("0.10")]),
        ("SMALLINT", pa.array([32767], pa.int64()), [32767]),
        ("VARCHAR", pa.array([1.5]), ["1.5"]),
        ("TIMESTAMP", pa.array(["2024-01-02T03:04:05"]), [datetime(2024, 1, 2, 3, 4, 5)]),
        ("INTEGER", pa.array([None], pa.null()), [None]),
    ],
)
def test_what_fits_is_cast(ctx: Any, target: str, array: pa.Array, expected: list[Any]) -> None:
    rows(ctx, f"CREATE TABLE t (v {target})")
    write(ctx, table(v=array))
    assert [value for (value,) in rows(ctx, "FROM t")] == expected


@pytest.mark.parametrize(
    ("target", "keys"),
    [
        ("INTEGER", ["007", "7"]),
        ("DOUBLE", ["0.5", "0.50"]),
        ("INTEGER", [0.0, -0.0]),
        ("VARCHAR COLLATE NOCASE", ["a", "A"]),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_keys_are_told_apart_as_the_table_does(ctx: Any, target: str, keys: list[Any], known: bool) -> None:
    rows(ctx, f"CREATE TABLE t (K {target}, v INTEGER)")
    if known:
        rows(ctx, f"INSERT INTO t VALUES ('{keys[0]}', 0)")
    before = rows(ctx, "FROM t")
    with pytest.raises(DriverError) as caught:
        write(ctx, table(k=keys, v=[1, 2]), write_mode="upsert", primary_key="k")
    assert caught.value.code == "duckdb.duplicate_key"
    assert rows(ctx, "FROM t") == before


@pytest.mark.parametrize("name", ["osiris_stage", "osiris_input", "_osiris_commits_2", "temp.t", "x.x"])
def test_any_name_of_a_table_is_one_in_the_file(ctx: Any, name: str) -> None:
    for _ in range(2):
        write(ctx, ONE, table=name, write_mode="upsert", primary_key="id")
    assert rows(ctx, f"FROM x.{name if '.' in name else 'main.' + name}") == [(1, "a"), (2, None)]


@pytest.mark.parametrize(
    ("made", "mode"),
    [
        ("CREATE TABLE u (id BIGINT, name VARCHAR); CREATE VIEW t AS FROM u", "append"),
        ("CREATE VIEW t AS SELECT 1 AS id", "replace"),
        ("CREATE TABLE t (id BIGINT PRIMARY KEY); CREATE TABLE u (t BIGINT REFERENCES t (id))", "replace"),
    ],
)
def test_what_cannot_be_written_is_not_called_an_input(ctx: Any, made: str, mode: str) -> None:
    rows(ctx, made)
    with pytest.raises(DriverError) as caught:
        write(ctx, ONE, write_mode=mode)
    assert caught.value.code == "duckdb.catalog"
    assert "view" in str(caught.value.hint)


def test_a_column_with_a_default_may_be_left_out(ctx: Any) -> None:
    rows(ctx, "CREATE TABLE t (id BIGINT, name VARCHAR, seen INTEGER DEFAULT 7)")
    write(ctx, ONE)
    assert rows(ctx, "SELECT DISTINCT seen FROM t") == [(7,)]


class UpstreamError(OsirisError):
    code = "upstream.broke"


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failing_input_leaves_everything_as_it_was(ctx: Any, mode: str, exists: bool) -> None:
    if exists:
        write(ctx, ONE)
    error = UpstreamError("gone")

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(30):
            yield from ONE.to_batches()
        raise error

    with pytest.raises(UpstreamError) as caught:
        write(ctx, Dataset.from_batches(ONE.schema, batches()), write_mode=mode)
    assert caught.value is error
    if exists:
        assert read(ctx, table="t") == [(1, "a"), (2, None)]
    else:
        assert not (ctx.base_dir / "x.duckdb").exists()


def test_readers_see_the_old_table_until_the_commit(ctx: Any) -> None:
    write(ctx, ONE)
    seen: list[Any] = []
    holder = files.DatabaseFile.of("x.duckdb", ctx).open(ctx, write=True)  # so that reader and writer share the file

    def batches() -> Iterator[pa.RecordBatch]:
        yield from ONE.to_batches()
        seen.extend(read(ctx, table="t"))

    write(ctx, Dataset.from_batches(ONE.schema, batches()), write_mode="replace")
    holder.close()
    assert seen == [(1, "a"), (2, None)]


def test_two_writers_of_one_file_at_the_same_time(ctx: Any) -> None:
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def batches() -> Iterator[pa.RecordBatch]:
        start.wait(30)
        for _ in range(50):
            yield from ONE.to_batches()

    def save(name: str) -> None:
        try:
            write(ctx, Dataset.from_batches(ONE.schema, batches()), table=name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(ctx, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)") == [(100, 100)]


def test_a_table_streams_into_another_table_of_the_same_file(ctx: Any) -> None:
    write(ctx, ONE)
    extractor = Extractor()
    data = extractor.run("load", {"database": "x.duckdb", "table": "t"}, {}, ctx)["df"]
    write(ctx, data, table="copy")
    extractor.close()
    assert rows(ctx, "FROM copy") == [(1, "a"), (2, None)]


def test_a_writer_waits_for_a_reader_of_another_step(ctx: Any) -> None:
    write(ctx, ONE)
    extractor = Extractor()
    data = extractor.run("load", {"database": "x.duckdb", "table": "t"}, {}, ctx)["df"]
    writing = threading.Thread(target=write, args=(ctx, TWO))
    writing.start()
    assert data.table().num_rows == 2  # reading to the end lets the writer in
    writing.join(30)
    assert not writing.is_alive()
    assert len(read(ctx, table="t")) == 4


def test_a_reader_that_never_ends_is_an_error_that_says_so(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ctx, ONE)
    extractor = Extractor()
    extractor.run("load", {"database": "x.duckdb", "table": "t"}, {}, ctx)
    with pytest.raises(DriverError) as caught:
        files.DatabaseFile.of("x.duckdb", ctx).open(ctx, write=True, wait=0)
    extractor.close()
    assert (caught.value.code, caught.value.retryable) == ("duckdb.locked", True)


def test_another_process_locks_the_file(ctx: Any) -> None:
    write(ctx, ONE)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read(); c.close()"
    path = str(ctx.base_dir / "x.duckdb")
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        for attempt in (lambda: write(ctx, TWO), lambda: read(ctx, table="t")):
            with pytest.raises(DriverError) as caught:
                attempt()
            assert (caught.value.code, caught.value.retryable) == ("duckdb.locked", True)
        other.communicate("")
    write(ctx, TWO)
    assert len(read(ctx, table="t")) == 4


RESTLESS = """
import sys, threading
import duckdb

over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
print("on", flush=True)
while not over.is_set():
    try:
        duckdb.connect(sys.argv[1]).close()
    except duckdb.IOException:
        pass
"""


def test_another_process_that_opens_and_closes_the_file_all_the_time(ctx: Any) -> None:
    """Its lock may be gone when we look for the reason, and our look must not keep it out for more than a moment."""
    write(ctx, ONE)
    path = str(ctx.base_dir / "x.duckdb")
    told = []
    with subprocess.Popen(
        [sys.executable, "-c", RESTLESS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "on\n"
        for _ in range(200):
            try:
                files.DatabaseFile.of("x.duckdb", ctx).open(ctx, write=True).close()
            except DriverError as error:
                told.append(error.code)
        other.communicate("")
    assert set(told) <= {"duckdb.locked"}


def test_what_cannot_be_opened(ctx: Any, tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("not a database, but long enough to look at " * 200)
    write(ctx, ONE)
    (tmp_path / "cut.duckdb").write_bytes((tmp_path / "x.duckdb").read_bytes()[:5000])
    for database, code in [
        ("cut.duckdb", "duckdb.io"),
        ("missing.duckdb", "duckdb.not_found"),
        ("text.duckdb", "duckdb.not_a_database"),
        (".", "duckdb.not_found"),
    ]:
        with pytest.raises(DriverError) as caught:
            read(ctx, database=database, table="t")
        assert caught.value.code == code


def test_an_extractor_cannot_write(ctx: Any) -> None:
    write(ctx, ONE)
    for query in ("INSERT INTO t VALUES (9, 'x')", "DROP TABLE t"):
        with pytest.raises(DriverError) as caught:
            read(ctx, query=query)
        assert caught.value.code == "duckdb.not_a_query"


def test_query_and_limit(ctx: Any) -> None:
    write(ctx, ONE)
    assert read(ctx, query="SELECT id FROM t ORDER BY id DESC; ") == [(2,), (1,)]
    assert read(ctx, query="SELECT id FROM t ORDER BY id DESC -- last", limit=1) == [(2,)]
    assert read(ctx, query="SELECT id FROM t ORDER BY id DESC; -- last", limit=1) == [(2,)]


def test_a_connection_names_the_file(ctx: Any) -> None:
    ctx = ctx.but(connection={"path": "x.duckdb", "default": True})
    Writer().run("save", {"connection": "@duckdb", "table": "t"}, {"orders": Dataset.of(ONE)}, ctx)
    extractor = Extractor()
    config = {"connection": "@duckdb", "table": "t"}
    assert extractor.run("load", config, {}, ctx)["df"].table().num_rows == 2
    assert extractor.check(config, ctx)["path"] == str(ctx.base_dir / "x.duckdb")
    extractor.close()
    read_only = ctx.but(connection={"path": "x.duckdb", "read_only": True})
    with pytest.raises(DriverError) as caught:
        Writer().run("save", config, {"df": Dataset.of(ONE)}, read_only)
    assert caught.value.code == "duckdb.read_only"


def test_check_says_when_the_file_will_be_made(ctx: Any) -> None:
    facts = Writer().check({"database": "new.duckdb", "table": "t"}, ctx)
    assert facts["size_bytes"] is None
    assert not (ctx.base_dir / "new.duckdb").exists()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (WriterConfig, {"table": "t"}),
        (WriterConfig, {"table": "t", "database": "x", "connection": "@duckdb"}),
        (WriterConfig, {"table": "t", "database": "x", "write_mode": "upsert"}),
        (WriterConfig, {"table": "t", "database": "x", "wirte_mode": "append"}),
        (ExtractorConfig, {"database": "x"}),
        (ExtractorConfig, {"database": "x", "table": "t", "query": "SELECT 1"}),
        (ExtractorConfig, {"database": "x", "query": "SELECT 1", "columns": ["a"]}),
    ],
)
def test_options_that_contradict_each_other(model: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(options)
