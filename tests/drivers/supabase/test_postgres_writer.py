"""The writer over Postgres: what each mode leaves in the table, and what the table keeps of its own."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.supabase.writer import SupabaseWriter

pytestmark = pytest.mark.service


def write(ctx, data, table="t", **config):
    writer = SupabaseWriter()
    given = {"connection": "@supabase", "table": table, **config}
    try:
        writer.run("step", given, {"df": Dataset.of(data)}, ctx)
    finally:
        writer.close()


def failure(*arguments, **config) -> DriverError:
    with pytest.raises(DriverError) as caught:
        write(*arguments, **config)
    return caught.value


@pytest.fixture
def items(database):
    """A table with everything that a careless replace would lose."""
    database.execute(
        "create table items (id bigint primary key, name text not null unique, price numeric(10,2) default 1.5,"
        " note text, created timestamptz not null default '2024-01-01', check (price >= 0));"
        "create index on items (note);"
        "alter table items enable row level security;"
        "create policy everyone on items for select to anon using (true);"
        "grant select on items to dashboard;"
        "create view cheap as select * from items where price < 5;"
        "insert into items (id, name) values (1, 'a'), (2, 'b'), (3, 'c')"
    )
    return database


def test_append(items, ctx):
    write(ctx, {"id": [4, 5], "name": ["d", "e"], "price": [Decimal("2.50"), None]}, "items")
    assert items.execute("select id, name, price, created::date from items where id > 3 order by id") == [
        (4, "d", Decimal("2.50"), dt.date(2024, 1, 1)),
        (5, "e", None, dt.date(2024, 1, 1)),
    ]
    assert ctx.metrics == [("rows_written", 2)]
    assert ctx.outputs == [("public.items", {"rows": 2, "changed": 2})]


def test_replace_keeps_all_that_belongs_to_the_table(items, ctx):
    facts = (
        "select (select relacl::text from pg_class where relname = 'items'),"
        " (select count(*) from pg_indexes where tablename = 'items'),"
        " (select count(*) from pg_policies where tablename = 'items'),"
        " (select count(*) from pg_constraint where conrelid = 'items'::regclass),"
        " (select oid from pg_class where relname = 'items')"
    )
    before = items.execute(facts)
    write(ctx, {"id": [2, 9], "name": ["b2", "z"], "price": [Decimal(7), Decimal(1)]}, "items", write_mode="replace")
    assert items.execute(facts) == before
    assert items.execute("select id, name, price, note from items order by id") == [
        (2, "b2", Decimal("7.00"), None),
        (9, "z", Decimal("1.00"), None),
    ]
    assert items.execute("select id from cheap") == [(9,)]


def test_replace_with_nothing_empties_the_table(items, ctx):
    write(
        ctx,
        pa.table({"id": pa.array([], pa.int64()), "name": pa.array([], pa.string())}),
        "items",
        write_mode="replace",
    )
    assert items.execute("select count(*) from items") == [(0,)]


def test_replace_of_a_table_that_others_refer_to(items, ctx):
    items.execute(
        "create table orders (id int primary key, item bigint not null references items on delete cascade);"
        "insert into orders values (10, 1), (20, 3)"
    )
    write(ctx, {"id": [1, 3, 4], "name": ["A", "C", "D"]}, "items", write_mode="replace")
    assert items.execute("select id, name, price from items order by id") == [
        (1, "A", Decimal("1.50")),
        (3, "C", Decimal("1.50")),
        (4, "D", Decimal("1.50")),
    ]
    assert items.execute("select id from orders order by id") == [(10,), (20,)]
    items.execute("alter table orders drop constraint orders_item_fkey, add foreign key (item) references items")
    error = failure(ctx, {"id": [1], "name": ["A"]}, "items", write_mode="replace")
    assert error.code == "supabase.foreign_key"
    assert items.execute("select count(*) from items") == [(3,)]


def test_readers_see_the_old_rows_and_then_the_new_ones(items, ctx):
    """A reader looks while all new rows are at the server, and with an older snapshot after the commit."""
    seen = []

    def batches():
        yield pa.record_batch({"id": pa.array([7], pa.int64()), "name": pa.array(["x"], pa.string())})
        seen.append(items.execute("select array_agg(id order by id) from items"))

    schema = pa.schema({"id": pa.int64(), "name": pa.string()})
    with psycopg.connect(items.dsn()) as older:
        older.execute("set transaction isolation level repeatable read")
        older.execute("select 1 from pg_class limit 1")
        write(ctx, Dataset.from_batches(schema, batches()), "items", write_mode="replace")
        assert older.execute("select array_agg(id order by id) from items").fetchall() == [([1, 2, 3],)]
    assert seen == [[([1, 2, 3],)]]
    assert items.execute("select array_agg(id) from items") == [([7],)]


def test_upsert_is_as_if_rows_came_one_after_another(items, ctx):
    data = {"id": [1, 5, 5, 1], "name": ["x", "p", "q", "y"]}
    write(ctx, data, "items", write_mode="upsert", primary_key="id")
    assert items.execute("select id, name, price from items order by id") == [
        (1, "y", Decimal("1.50")),
        (2, "b", Decimal("1.50")),
        (3, "c", Decimal("1.50")),
        (5, "q", Decimal("1.50")),
    ]
    assert ctx.outputs[-1] == ("public.items", {"rows": 4, "changed": 2})
    write(ctx, {"id": [1, 6, 6], "name": ["no", "first", "second"]}, "items", write_mode="upsert", primary_key="id",
          on_conflict="ignore", commit_marker=False)  # fmt: skip
    assert items.execute("select id, name from items where id in (1, 6) order by id") == [(1, "y"), (6, "first")]


def test_upsert_needs_a_unique_index_and_filled_keys(database, ctx):
    database.execute("create table t (a int, b int)")
    error = failure(ctx, {"a": [1], "b": [1]}, write_mode="upsert", primary_key="a")
    assert error.code == "supabase.no_unique_index"
    database.execute("create unique index on t (a)")
    error = failure(ctx, {"a": [1, None], "b": [1, 2]}, write_mode="upsert", primary_key="a")
    assert (error.code, error.facts["row"], error.facts["column"]) == ("supabase.not_null", 2, "a")
    write(ctx, {"a": [1, 1], "b": [1, 2]}, write_mode="upsert", primary_key=["a"])
    assert database.execute("select * from t") == [(1, 2)]


def test_a_table_is_created_closed_to_the_api(database, ctx):
    data = pa.table(
        {
            "id": pa.array([1], pa.int64()),
            "amount": pa.array([Decimal("1.50")], pa.decimal128(12, 2)),
            "tags": pa.array([["a"]], pa.list_(pa.string())),
            "doc": pa.array([{"x": 1}]),
            "at": pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("us", "UTC")),
        }
    )
    error = failure(ctx, data, "new")
    assert error.code == "supabase.no_table"
    write(ctx, data, "new", create_if_missing=True, primary_key="id")
    write(ctx, data, "new", create_if_missing=True, write_mode="upsert", primary_key="id", commit_marker=False)
    assert database.execute("select id, amount, tags, doc from new") == [(1, Decimal("1.50"), ["a"], {"x": 1})]
    assert database.execute(
        "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'new'::regclass and attnum > 0"
        " order by attnum"
    ) == [("bigint",), ("numeric(12,2)",), ("text[]",), ("jsonb",), ("timestamp with time zone",)]
    for table in ("new", "_osiris_commits"):
        assert database.execute(f"select relrowsecurity from pg_class where relname = '{table}'") == [(True,)]


def test_nothing_is_there_after_a_failure(database, ctx):
    def batches():
        yield pa.record_batch({"id": pa.array(range(50_000), pa.int64())})
        raise OSError("the source broke")

    schema = pa.schema({"id": pa.int64()})
    for mode in ("append", "replace", "upsert"):
        with pytest.raises(OSError, match="the source broke"):
            write(ctx, Dataset.from_batches(schema, batches()), "made", write_mode=mode, primary_key="id",
                  create_if_missing=True)  # fmt: skip
        assert database.execute("select to_regclass('made')") == [(None,)]
    assert database.execute("select count(*) from _osiris_commits") == [(0,)]


def test_serial_identity_and_generated_columns(database, ctx):
    database.execute(
        "create table t (id bigint generated always as identity primary key, n serial, a int, twice int generated"
        " always as (a * 2) stored); insert into t (a) values (1)"
    )
    write(ctx, {"a": [2]})
    for mode, first in (("append", 100), ("upsert", 200)):
        write(ctx, {"id": [first], "n": [first], "a": [3]}, write_mode=mode, primary_key="id", commit_marker=False)
        database.execute("insert into t (a) values (4)")
        assert database.execute("select id, n, a, twice from t order by id") == [
            (1, 1, 1, 2), (2, 2, 2, 4), (first, first, 3, 6), (first + 1, first + 1, 4, 8),
        ]  # fmt: skip
        database.execute("delete from t where id >= 100")
    error = failure(ctx, {"a": [1], "twice": [2]})
    assert (error.code, error.facts["column"]) == ("supabase.generated_column", "twice")


def test_names_that_need_quotes(database, ctx):
    schema, table, column = 'Odd "schema" %s', "a.b'; drop", 'Col "x" %d \\'
    quoted = [part.replace('"', '""') for part in (schema, table, column)]
    database.execute(
        'create schema "{0}"; create table "{0}"."{1}" ("{2}" text primary key, "žlutý 🐎" int)'.format(*quoted)
    )
    name = '"{}"."{}"'.format(*quoted)
    for mode in ("append", "upsert", "replace"):
        write(
            ctx,
            {column: [f"{mode} 🐎"], "žlutý 🐎": [1]},
            name,
            write_mode=mode,
            primary_key=column,
            commit_marker=mode == "append",
        )
    assert database.execute(f"select * from {name}") == [("replace 🐎", 1)]
    ctx.connection = {**ctx.connection, "schema": schema}
    write(ctx, {column: ["default schema"]}, f'"{table}"', commit_marker=False)
    assert database.execute(f"select count(*) from {name}") == [(2,)]


def test_columns_are_matched_by_name(items, ctx):
    write(ctx, {"name": ["x"], "id": [10]}, "items")
    assert items.execute("select name from items where id = 10") == [("x",)]
    error = failure(ctx, {"id": [1], "nme": ["x"]}, "items")
    assert error.code == "supabase.columns_differ"
    assert "lacks 'nme'" in error.message
    assert "lacks 'name'" in error.message
    assert "nme -> name" in error.hint
    twins = pa.Table.from_arrays([pa.array([1]), pa.array(["x"]), pa.array(["y"])], names=["id", "name", "name"])
    assert failure(ctx, twins, "items").code == "supabase.columns_differ"


def test_views_and_partitions(items, ctx):
    write(ctx, {"id": [8], "name": ["h"], "price": [Decimal(2)]}, "cheap")
    assert items.execute("select id from cheap where id = 8") == [(8,)]
    items.execute(
        "create table parts (id int, day date) partition by range (day);"
        "create table parts_2024 partition of parts for values from ('2024-01-01') to ('2025-01-01')"
    )
    days = [dt.date(2024, 5, 1), dt.date(2026, 1, 1)]
    write(ctx, {"id": [1], "day": days[:1]}, "parts", commit_marker=False)
    assert items.execute("select count(*) from parts_2024") == [(1,)]
    error = failure(ctx, {"id": [1, 2], "day": days}, "parts")
    assert (error.code, error.facts["row"]) == ("supabase.check_constraint", 2)


@pytest.mark.parametrize(
    ("data", "code", "row", "column"),
    [
        ({"id": [7, 8, 7], "name": ["x", "y", "z"]}, "supabase.duplicate_key", 3, None),
        ({"id": [7, 1], "name": ["x", "y"]}, "supabase.duplicate_key", 2, None),
        ({"id": [7, 8], "name": ["x\ny", None]}, "supabase.not_null", 2, "name"),
        ({"id": ["7", "x"], "name": ["x", "y"]}, "supabase.bad_value", 2, "id"),
        ({"id": ["7", "9" * 30], "name": ["x", "y"]}, "supabase.out_of_range", 2, "id"),
        ({"id": [7], "name": ["x"], "price": [Decimal(-1)]}, "supabase.check_constraint", 1, None),
        ({"id": [7, 8], "name": ["x", "a\0b"]}, "supabase.bad_text", 2, "name"),
        ({"id": [7, 8], "name": ["x", "y"], "price": [1.25, 1.255]}, "supabase.bad_value", 2, "price"),
        ({"id": [7, 8], "name": ["x", "y"], "price": [Decimal("1.25"), Decimal("123456789.12")]},
         "supabase.out_of_range", 2, "price"),
        ({"id": [7.0, 7.5], "name": ["x", "y"]}, "supabase.bad_value", 2, "id"),
        ({"id": [7], "name": [b"x"]}, "supabase.bad_value", 1, "name"),
    ],
)  # fmt: skip
def test_what_the_table_refuses_is_told_with_row_and_column(items, ctx, data, code, row, column):
    error = failure(ctx, data, "items")
    assert (error.code, error.facts.get("row"), error.facts.get("column")) == (code, row, column)
    assert f"row {row}" in error.message
    assert items.execute("select count(*) from items") == [(3,)]


def test_a_wrong_row_far_in_is_found(items, ctx):
    count = 50_000
    ids = [*range(10, count), 10]
    data = pa.table(
        {"id": pa.array(ids, pa.int64()), "name": pa.array([f"{'x' * 900}\n{at}" for at in range(len(ids))])}
    )
    error = failure(ctx, data, "items")
    assert (error.code, error.facts["row"]) == ("supabase.duplicate_key", len(ids))
