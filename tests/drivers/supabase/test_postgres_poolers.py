"""Through a pooler: in session mode, and in transaction mode, in which a session keeps no state and no statements."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import psycopg
import pyarrow as pa
import pytest
from pgbouncer_server import PgBouncer

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.supabase.extractor import SupabaseExtractor
from osiris.drivers.supabase.writer import SupabaseWriter

pytestmark = pytest.mark.service

SCHEMA = pa.schema({"id": pa.int64(), "text": pa.string()})
SETTINGS = ("TimeZone", "DateStyle", "bytea_output", "statement_timeout", "transaction_read_only", "work_mem")


@pytest.fixture(scope="module", params=["transaction", "session"])
def pooler(request, postgres):
    with PgBouncer(postgres, request.param) as running:
        yield running


@pytest.fixture
def pooled(pooler, database, ctx):
    """A step's context whose connection goes through the pooler, and a table."""
    database.execute("create table t (id bigint primary key, text text); insert into t values (-1, 'old')")
    ctx.connection = {"pg_dsn": pooler.dsn(database.name), "statement_timeout": 300}
    yield ctx
    with psycopg.connect(pooler.dsn(database.name), autocommit=True) as session:
        session.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'"
                        " and datname = current_database() and pid <> pg_backend_pid()")  # fmt: skip


def batches(first: int = 0, rows: int = 20_000, parts: int = 4):
    for number in range(parts):
        ids = pa.array(range(first + number * rows, first + (number + 1) * rows), pa.int64())
        yield pa.record_batch([ids, pa.array(["x" * 100] * rows, pa.string())], schema=SCHEMA)


def write(ctx, rows, step="step", **config):
    with closing(SupabaseWriter()) as writer:
        given = {"connection": "@supabase", "table": "t", **config}
        ctx.step_id = step
        writer.run(step, given, {"df": Dataset.from_batches(SCHEMA, rows)}, ctx)


def read(ctx, **config) -> pa.Table:
    with closing(SupabaseExtractor()) as extractor:
        return extractor.run("step", {"connection": "@supabase", **config}, {}, ctx)["df"].table()


def test_this_pooler_forgets_sessions_in_transaction_mode_alone(pooler, database):
    """Else the tests of this file would show nothing."""
    with psycopg.connect(pooler.dsn(database.name), autocommit=True, prepare_threshold=None) as one:
        first = one.execute("select pg_backend_pid()").fetchone()
        with psycopg.connect(pooler.dsn(database.name), autocommit=True, prepare_threshold=None) as other:
            other.execute("begin")
            other.execute("select pg_backend_pid()")
            pids = {first, *(one.execute("select pg_backend_pid()").fetchone() for _ in range(4))}
            other.execute("rollback")
    assert (len(pids) == 1) == (pooler.mode == "session")


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_a_load_and_its_marker(pooled, database, mode):
    key = {"primary_key": "id"} if mode == "upsert" else {}
    write(pooled, batches(), write_mode=mode, **key)
    kept = mode != "replace"
    assert database.execute("select count(*), min(id), max(id) from t") == [(80_000 + kept, -kept, 79_999)]
    config = {"connection": "@supabase", "table": "t", "write_mode": mode, **key}
    with closing(SupabaseWriter()) as writer:
        assert writer.committed("step", config, pooled)["rows"] == 80_000
    with pytest.raises(DriverError) as caught:
        write(pooled, batches(100_000), write_mode=mode, **key)
    assert caught.value.code == "supabase.already_written"


def test_a_table_that_is_created_and_filled_again(pooled, database):
    for step in ("one", "two"):
        write(pooled, batches(), step, table="fresh", write_mode="upsert", primary_key="id", create_if_missing=True)
    assert database.execute("select count(*) from fresh") == [(80_000,)]


def test_reading(pooled, database):
    database.execute("insert into t select g, repeat('x', 100) from generate_series(0, 79999) g")
    assert read(pooled, table="t", filters={"column": "id", "op": "gte", "value": 0}, order="id").num_rows == 80_000
    table = read(pooled, query="select id, now() as at, 1.50::numeric(9,2) as n from t where id < 100 order by id")
    assert table.num_rows == 101
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    with pytest.raises(DriverError) as caught:
        read(pooled, query="delete from t returning id")
    assert caught.value.code in ("supabase.read_only", "supabase.syntax")
    assert database.execute("select count(*) from t") == [(80_001,)]


def test_nothing_of_a_step_stays_in_the_sessions_of_others(pooler, pooled, database):
    """Also after a failure, which leaves its transaction to the pooler."""
    shown = " || '|' || ".join(f"current_setting('{name}')" for name in SETTINGS)
    with psycopg.connect(database.dsn()) as fresh:
        ((expected,),) = fresh.execute(f"select {shown}").fetchall()
    read(pooled, table="t")
    write(pooled, batches(0, 10, 1), "one")
    with pytest.raises(DriverError):
        write(pooled, batches(0, 10, 1), "two")  # the keys are there
    write(pooled, batches(0, 10, 1), "three", write_mode="upsert", primary_key="id")
    with psycopg.connect(pooler.dsn(database.name), autocommit=True, prepare_threshold=None) as other:
        for _ in range(6):  # each of the pooler's sessions
            assert other.execute(f"select {shown}").fetchall() == [(expected,)]
            assert other.execute("select to_regclass('pg_temp.osiris_stage')").fetchall() == [(None,)]
            assert other.execute("select count(*) from pg_prepared_statements").fetchall() == [(0,)]


def test_steps_at_the_same_time(pooled, tmp_path, database):
    errors = []

    def one(number: int) -> None:
        own = type(pooled)(base_dir=tmp_path, connection=pooled.connection, step_id=f"s{number}")
        try:
            for repeat in range(3):
                write(own, batches(number * 1000, 500, 2), f"s{number}-{repeat}", write_mode="upsert", primary_key="id")
                read(own, table="t", limit=10)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert database.execute("select count(*) from t") == [(4001,)]


def test_a_stop_ends_the_query_on_the_server(pooled, database):
    running = "select count(*) from pg_stat_activity where query like '%pg_sleep(3600)%' and pid <> pg_backend_pid()"

    def stop() -> None:
        deadline = time.monotonic() + 120
        while database.execute(running) == [(0,)] and time.monotonic() < deadline:
            pass
        pooled.cancellation.request()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(RunCancelledError):
        read(pooled, query="select pg_sleep(3600)")
    thread.join()
    deadline = time.monotonic() + 120
    while database.execute(running) != [(0,)]:
        assert time.monotonic() < deadline, "the query still runs"


def test_the_check_tells_of_the_pooler(pooled):
    with closing(SupabaseExtractor()) as extractor:
        facts = extractor.check({"table": "t"}, pooled)
    assert facts["pooler"] == "of unknown mode"  # which only Supabase's own ports tell
    assert facts["role"] == "postgres"
    assert facts["row_level_security"] == "off"


def test_a_wrong_password_is_refused_by_the_pooler(pooler, pooled, database):
    pooled.connection = {"pg_dsn": pooler.dsn(database.name), "password": "wrong"}
    with closing(SupabaseExtractor()) as extractor, pytest.raises(DriverError) as caught:
        extractor.check({}, pooled)
    # PgBouncer has one code for all that it refuses.
    assert (caught.value.code, caught.value.retryable) == ("supabase.no_session", False)
    assert "password" in caught.value.hint
    assert "wrong" not in caught.value.message
