"""The extractor over Postgres: what it asks for, what the server holds it to, and how much memory it takes."""

from __future__ import annotations

import datetime as dt
import threading
import time
import tracemalloc

import psycopg
import pytest

from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.supabase.extractor import SupabaseExtractor

pytestmark = pytest.mark.service


def open_dataset(ctx, **config):
    extractor = SupabaseExtractor()
    return extractor.run("step", {"connection": "@supabase", **config}, {}, ctx)["df"]


def read(ctx, **config) -> list[tuple]:
    dataset = open_dataset(ctx, **config)
    try:
        return [tuple(row.values()) for batch in dataset.batches() for row in batch.to_pylist()]
    finally:
        dataset.close()


def failure(ctx, **config) -> DriverError:
    with pytest.raises(DriverError) as caught:
        read(ctx, **config)
    return caught.value


@pytest.fixture
def people(database):
    database.execute(
        "create table people (id int primary key, name text, age int, born date, ok bool);"
        "insert into people values (1, 'Ann', 30, '1994-01-01', true), (2, 'O''Neil', null, '1990-05-05', false),"
        " (3, 'Žofie', 41, null, null), (4, 'a\\b%c', 30, '2000-01-01', true)"
    )
    return database


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([{"column": "id", "value": 2}], [2]),
        ({"column": "name", "op": "eq", "value": "O'Neil"}, [2]),
        ([{"column": "name", "value": "a\\b%c"}], [4]),
        ([{"column": "name", "value": "x' or true or name = '"}], []),
        ([{"column": "age", "op": "neq", "value": 30}], [3]),
        ([{"column": "age", "op": "gt", "value": 30}], [3]),
        ([{"column": "age", "op": "gte", "value": 30}, {"column": "id", "op": "lt", "value": 4}], [1, 3]),
        ([{"column": "age", "op": "lte", "value": "30"}], [1, 4]),
        ([{"column": "id", "op": "in", "value": [1, 3, 99]}], [1, 3]),
        ([{"column": "id", "op": "in", "value": []}], []),
        ([{"column": "name", "op": "in", "value": ["O'Neil", "a\\b%c"]}], [2, 4]),
        ([{"column": "age", "op": "is", "value": None}], [2]),
        ([{"column": "age", "op": "is", "value": "not null"}], [1, 3, 4]),
        ([{"column": "ok", "op": "is", "value": True}], [1, 4]),
        ([{"column": "ok", "value": False}], [2]),
        ([{"column": "name", "op": "like", "value": "A%"}], [1]),
        ([{"column": "name", "op": "ilike", "value": "a%"}], [1, 4]),
        ([{"column": "name", "op": "like", "value": "%\\%%"}], [4]),
        ([{"column": "born", "op": "gte", "value": dt.date(1994, 1, 1)}], [1, 4]),
    ],
)
def test_filters(people, ctx, filters, ids):
    assert [row[0] for row in read(ctx, table="people", filters=filters, order="id")] == ids


def test_columns_order_and_limit(people, ctx):
    assert read(ctx, table="people", columns=["name", "id"], order=["age desc", "id"], limit=2) == [
        ("O'Neil", 2),
        ("Žofie", 3),
    ]
    last = {"column": "age", "descending": True, "nulls": "last"}
    assert read(ctx, table="public.people", columns="id", order=[last, "id desc"]) == [(3,), (4,), (1,), (2,)]
    assert read(ctx, table="people", columns="id", limit=0) == []
    assert read(ctx, query="select id from people order by id desc", limit=1) == [(4,)]


def test_a_query_cannot_change_anything(people, ctx):
    people.execute("create function sneak() returns int language sql as $$ delete from people returning id $$")
    for query, code in [
        ("with gone as (delete from people returning id) select * from gone", "supabase.read_only"),
        ("select sneak()", "supabase.read_only"),
        ("delete from people", "supabase.not_a_query"),
        ("select 1; delete from people", "supabase.syntax"),
        ("select 1) to stdout; commit; delete from people; copy (select 1", "supabase.syntax"),
        ("select set_config('transaction_read_only', 'off', true), sneak()", "supabase.transaction_state"),
    ]:
        assert failure(ctx, query=query).code == code, query
    assert people.execute("select count(*) from people") == [(4,)]


def test_one_snapshot(people, ctx):
    """Rows that others add while it is read are not in it."""
    people.execute("insert into people select g, repeat('x', 1000), g from generate_series(5, 20000) g")
    dataset = open_dataset(ctx, table="people", columns="id")
    batches = dataset.batches()
    rows = next(batches).num_rows
    people.execute("insert into people select g from generate_series(30000, 40000) g; delete from people where id < 9")
    rows += sum(batch.num_rows for batch in batches)
    assert rows == 20000


def test_memory_does_not_grow_with_rows(database, ctx):
    peaks = []
    for rows in (20_000, 200_000):
        query = f"select g, repeat('x', 200) from generate_series(1, {rows}) g"
        tracemalloc.start()
        assert sum(batch.num_rows for batch in open_dataset(ctx, query=query).batches()) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"table": "nope"}, "supabase.no_table"),
        ({"table": "nowhere.t"}, "supabase.no_schema_or_table"),
        ({"table": "people", "columns": ["nope"]}, "supabase.no_column"),
        ({"table": "people", "filters": [{"column": "id", "value": "x"}]}, "supabase.bad_value"),
        ({"table": "people", "filters": [{"column": "na\0me", "value": "x"}]}, "supabase.bad_text"),
        ({"table": "a.b.c"}, "supabase.bad_table_name"),
        ({"query": "select 1/0"}, "supabase.bad_value"),
        ({"query": "selec 1"}, "supabase.syntax"),
        ({"query": "select nope()"}, "supabase.no_function"),
        ({"query": "select"}, "supabase.not_a_query"),
    ],
)
def test_errors_have_codes_and_hints(people, ctx, config, code):
    error = failure(ctx, **config)
    assert error.code == code.replace("no_schema_or_table", "no_table")
    assert error.hint
    assert not error.retryable


def test_an_error_in_the_middle_of_the_rows(database, ctx):
    query = "select 1000 / (50000 - g), repeat('x', 300) from generate_series(1, 100000) g"
    batches = open_dataset(ctx, query=query).batches()
    assert next(batches).num_rows > 0
    with pytest.raises(DriverError) as caught:
        list(batches)
    assert (caught.value.code, caught.value.facts["sqlstate"]) == ("supabase.bad_value", "22012")


def test_statement_timeout(database, ctx):
    ctx.connection = {**ctx.connection, "statement_timeout": 0.2}
    error = failure(ctx, query="select pg_sleep(30)")
    assert (error.code, error.retryable) == ("supabase.timeout", False)
    assert "statement_timeout" in error.hint


def test_a_stop_reaches_the_query_on_the_server(database, ctx):
    sleeping = "select count(*) from pg_stat_activity where query like '%pg_sleep(300)%' and pid <> pg_backend_pid()"

    def stop() -> None:
        deadline = time.monotonic() + 120
        while database.execute(sleeping) == [(0,)] and time.monotonic() < deadline:
            pass
        ctx.cancellation.request()

    stopper = threading.Thread(target=stop)
    begun = time.monotonic()
    stopper.start()
    with pytest.raises(RunCancelledError):
        read(ctx, query="select pg_sleep(300)")
    stopper.join()
    assert time.monotonic() - begun < 250
    deadline = time.monotonic() + 120
    while database.execute(sleeping) != [(0,)]:
        assert time.monotonic() < deadline, "the query still runs on the server"


def test_a_cancel_that_comes_after_the_end_reaches_nobody_elses_statement(database):
    from osiris.drivers.supabase.postgres import _Interrupter

    with psycopg.connect(database.dsn()) as connection:
        with _Interrupter(connection) as interrupter:
            connection.execute("select 1")
        interrupter.start()
        connection.execute("select pg_sleep(0.3)")


def test_a_reader_that_has_enough_ends_the_query(database, ctx):
    dataset = open_dataset(ctx, query="select g, repeat('x', 500) from generate_series(1, 10000000) g")
    batches = dataset.batches()
    next(batches)
    batches.close()
    dataset.close()
    deadline = time.monotonic() + 120
    running = "select count(*) from pg_stat_activity where query like 'COPY%' and datname = current_database()"
    while database.execute(running) != [(0,)]:
        assert time.monotonic() < deadline, "the query still runs on the server"


def test_hidden_rows_are_warned_of(people, ctx):
    people.execute("alter table people enable row level security; grant select on people to dashboard")
    assert len(read(ctx, table="people")) == 4
    assert ctx.events == []
    ctx.connection = {"pg_dsn": people.dsn(user="dashboard")}
    assert read(ctx, table="people") == []
    ((event, told),) = ctx.events
    assert (event, told["code"]) == ("warning", "supabase.rows_hidden")
    assert "dashboard" in told["message"]
    people.execute("create policy adults on people using (age > 30)")
    assert read(ctx, table="people", columns="id") == [(3,)]
    assert len(ctx.events) == 1


def test_check_tells_what_there_is(people, ctx, postgres):
    extractor = SupabaseExtractor()
    facts = extractor.check({"connection": "@supabase"}, ctx)
    assert facts["transport"] == "postgres"
    assert facts["role"] == "postgres"
    assert facts["server_version"].split(".")[0].isdigit()
    assert facts["pooler"] == "none"
    assert facts["latency_ms"] > 0
    assert facts["row_level_security"] == "on for 0 of 1 tables"
    people.execute("alter table people enable row level security")
    assert extractor.check({"table": "people"}, ctx)["row_level_security"] == "on, but not for this role"
    ctx.connection = {"pg_dsn": people.dsn(user="dashboard")}
    hidden = extractor.check({"table": "people"}, ctx)
    assert hidden["row_level_security"] == "on, and hides rows from this role"
    with pytest.raises(DriverError) as caught:
        extractor.check({"table": "nope"}, ctx)
    assert caught.value.code == "supabase.no_table"
    ctx.connection = {"pg_dsn": people.dsn(), "schema": "nope"}
    with pytest.raises(DriverError) as caught:
        extractor.check({}, ctx)
    assert caught.value.code == "supabase.no_schema"
    extractor.close()


def test_tls(people, ctx, postgres, tmp_path):
    extractor = SupabaseExtractor()
    for ssl, tls in (("disable", False), ("require", True), (True, True), (False, False)):
        ctx.connection = {"pg_dsn": people.dsn(), "ssl": ssl}
        assert extractor.check({}, ctx)["tls"] is tls
    ctx.connection = {"pg_dsn": people.dsn(), "ssl_ca": str(postgres.certificate)}
    assert extractor.check({}, ctx)["tls"] is True
    ctx.connection = {"pg_dsn": people.dsn(), "ssl": "verify-full"}
    with pytest.raises(DriverError) as caught:
        extractor.check({}, ctx)
    assert caught.value.code == "supabase.no_session"
    extractor.close()
