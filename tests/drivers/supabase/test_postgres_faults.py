"""What goes wrong on the way: servers that die, answers that are lost, locks, rights, and processes that are killed."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from postgres_server import PostgresServer, running

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.supabase.extractor import SupabaseExtractor
from osiris.drivers.supabase.writer import SupabaseWriter

pytestmark = pytest.mark.service

SCHEMA = pa.schema({"id": pa.int64(), "text": pa.string()})


def batch(first: int, rows: int = 20_000) -> pa.RecordBatch:
    ids = pa.array(range(first, first + rows), pa.int64())
    return pa.record_batch([ids, pa.array(["x" * 100] * rows, pa.string())], schema=SCHEMA)


def write(ctx, batches, **config):
    writer = SupabaseWriter()
    given = {"connection": "@supabase", "table": "t", **config}
    try:
        writer.run("step", given, {"df": Dataset.from_batches(SCHEMA, batches)}, ctx)
    finally:
        writer.close()


def failure(*arguments, **config) -> DriverError:
    with pytest.raises(DriverError) as caught:
        write(*arguments, **config)
    assert caught.value.hint
    return caught.value


def committed(ctx, **config):
    return SupabaseWriter().committed("step", {"connection": "@supabase", "table": "t", **config}, ctx)


@pytest.fixture
def table(database):
    database.execute("create table t (id bigint primary key, text text); insert into t values (-1, 'old')")
    return database


@pytest.fixture
def fragile() -> Iterator[PostgresServer]:
    """A server of one test's own, to be killed."""
    with PostgresServer() as server:
        with server.connect() as admin:
            admin.execute("create schema app authorization postgres")
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("create table app.t (id bigint primary key, text text)")
            admin.execute("insert into app.t values (-1, 'old')")
        yield server


def rows_of(server: PostgresServer) -> list[int]:
    with server.connect() as admin:
        return [row[0] for row in admin.execute("select id from app.t order by id")]


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_a_server_that_dies_in_a_load_leaves_nothing(fragile, ctx, mode):
    ctx.connection = {"pg_dsn": fragile.dsn(), "schema": "app"}

    def batches(fatal: bool):
        for number in range(4):
            if fatal and number == 2:
                fragile.kill()
            yield batch(number * 20_000)

    with running(fragile):
        error = failure(ctx, batches(True), write_mode=mode, primary_key="id")
        assert (error.code, error.retryable) == ("supabase.connection_lost", True)
    assert rows_of(fragile) == [-1]
    assert committed(ctx) is None
    write(ctx, batches(False), write_mode=mode, primary_key="id")
    assert len(rows_of(fragile)) == 80_000 + (mode != "replace")
    assert committed(ctx)["rows"] == 80_000


def test_a_server_that_dies_in_a_read_is_an_error(fragile, ctx):
    ctx.connection = {"pg_dsn": fragile.dsn()}
    extractor = SupabaseExtractor()
    query = "select g, repeat('x', 1000) from generate_series(1, 1000000) g"
    batches = extractor.run("step", {"connection": "@supabase", "query": query}, {}, ctx)["df"].batches()
    next(batches)
    fragile.kill()
    with pytest.raises(DriverError) as caught:
        list(batches)
    assert (caught.value.code, caught.value.retryable) == ("supabase.connection_lost", True)


def test_a_session_that_is_ended_by_an_operator(table, ctx):
    others = (
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = 'postgres'"
    )
    ctx.connection = {"pg_dsn": table.dsn(), "ssl": "disable"}
    extractor = SupabaseExtractor()
    query = "select g, repeat('x', 1000) from generate_series(1, 1000000) g"
    batches = extractor.run("step", {"connection": "@supabase", "query": query}, {}, ctx)["df"].batches()
    next(batches)
    table.execute(others, user="supabase_admin")
    with pytest.raises(DriverError) as caught:
        list(batches)
    assert caught.value.retryable
    assert caught.value.code in ("supabase.server_shutdown", "supabase.connection_lost")

    def ended():
        yield batch(0)
        table.execute(others, user="supabase_admin")
        yield batch(20_000)

    assert failure(ctx, ended()).retryable
    assert table.execute("select count(*) from t") == [(1,)]


class Proxy:
    """A line to the server that is cut as soon as the server has heard a word, before its answer comes back."""

    def __init__(self, port: int, word: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._target, self._word = port, word
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            cut = threading.Event()
            back = threading.Thread(target=self._back, args=(server, client, cut), daemon=True)
            back.start()
            with client, server:
                while data := client.recv(65536):
                    if self._word in data:
                        cut.set()
                        server.sendall(data)
                        back.join(120)  # until the server has done it
                        client.shutdown(socket.SHUT_RDWR)
                        break
                    server.sendall(data)
                server.shutdown(socket.SHUT_RDWR)
                back.join(120)

    def _back(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        try:
            while data := server.recv(65536):
                if cut.is_set():
                    return
                client.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        self.listener.close()


def test_a_commit_whose_answer_is_lost_is_not_repeated(table, ctx, postgres):
    proxy = Proxy(postgres.port, b"COMMIT\0")
    through = table.dsn().replace(str(postgres.port), str(proxy.port))
    ctx.connection = {"pg_dsn": table.dsn()}
    write(ctx, [batch(0, 5)], commit_marker=True, table="t")  # makes the table of commits, in a transaction of its own
    table.execute("delete from t; delete from _osiris_commits")
    try:
        ctx.connection = {"pg_dsn": through, "ssl": "disable"}
        error = failure(ctx, [batch(0, 10)])
    finally:
        proxy.close()
    assert (error.code, error.retryable) == ("supabase.connection_lost", True)
    ctx.connection = {"pg_dsn": table.dsn()}
    assert committed(ctx)["rows"] == 10
    assert table.execute("select count(*) from t") == [(10,)]
    twice = failure(ctx, [batch(100, 10)])
    assert twice.code == "supabase.already_written"
    assert table.execute("select count(*) from t") == [(10,)]


KILLED = """
import json, sys
from pathlib import Path
import pyarrow as pa
sys.path[:0] = json.loads(sys.argv[1])
from conftest import Context
from osiris.core.dataset import Dataset
from osiris.drivers.supabase.writer import SupabaseWriter

config = json.loads(sys.argv[3])
ctx = Context(Path(sys.argv[2]), config.pop("where"))
writer, schema = SupabaseWriter(), pa.schema({"id": pa.int64(), "text": pa.string()})

def batches():
    for number in range(20):
        ids = pa.array(range(number * 2000, (number + 1) * 2000), pa.int64())
        yield pa.record_batch([ids, pa.array(["x" * 50] * 2000, pa.string())], schema=schema)
        print(number, flush=True)

if writer.committed("step", config, ctx) is None:
    writer.run("step", config, {"df": Dataset.from_batches(schema, batches())}, ctx)
print("done", flush=True)
"""


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_a_process_that_is_killed_anywhere_writes_once(table, ctx, tmp_path, mode):
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    config = {"connection": "@supabase", "table": "t", "write_mode": mode, "primary_key": "id", "where": ctx.connection}
    here = Path(__file__).parent
    places = json.dumps([str(here), str(here.parents[1] / "services")])
    command = [sys.executable, "-c", KILLED, places, str(tmp_path), json.dumps(config)]
    expected = 40_000 + (mode != "replace")
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            last = chance.randrange(21)  # 20: until it is done
            for line in process.stdout:
                if line.strip() in (str(last), "done"):
                    break
            process.stdout.read(0)
            killed_after = chance.uniform(0, 0.2)
            try:
                process.wait(killed_after)
            except subprocess.TimeoutExpired:
                process.kill()
        assert table.execute("select count(*) from t")[0][0] in (1, expected)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("done\n"), done.stderr
    assert table.execute("select count(*), count(distinct id) from t") == [(expected, expected)]
    assert table.execute("select rows from _osiris_commits") == [(40_000,)]


def test_a_stop_in_the_middle_of_a_load(table, ctx):
    def batches():
        yield batch(0)
        ctx.cancellation.request()
        yield batch(20_000)

    with pytest.raises(RunCancelledError):
        write(ctx, batches())
    assert table.execute("select count(*) from t") == [(1,)]


def wait_for_a_lock(table) -> None:
    """Until somebody waits for one."""
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    deadline = time.monotonic() + 120
    while table.execute(waiting, user="supabase_admin") == [(0,)] and time.monotonic() < deadline:
        pass


def test_a_stop_while_it_waits_for_a_lock(table, ctx):
    with psycopg.connect(table.dsn()) as other:
        other.execute("lock table t")
        stopper = threading.Thread(target=lambda: (wait_for_a_lock(table), ctx.cancellation.request()))
        stopper.start()
        with pytest.raises(RunCancelledError):  # while the lock is held: nothing else would end the wait
            write(ctx, [batch(0, 10)], write_mode="replace")
        stopper.join()


def test_a_deadlock_is_retryable(table, ctx):
    table.execute("insert into t values (1, 'a'), (2, 'b')")
    with psycopg.connect(table.dsn(user="supabase_admin")) as other:
        other.execute("set deadlock_timeout = '60s'")
        other.execute("update t set text = 'other' where id = 2")

        def cross():
            wait_for_a_lock(table)
            other.execute("update t set text = 'other' where id = 1")
            other.commit()

        thread = threading.Thread(target=cross)
        thread.start()
        error = failure(ctx, [batch(1, 2)], write_mode="upsert", primary_key="id")
        thread.join()
    assert (error.code, error.retryable) == ("supabase.deadlock", True)
    write(ctx, [batch(1, 2)], write_mode="upsert", primary_key="id")


def test_two_upserts_at_once_do_not_lock_each_other_out(table, ctx, tmp_path):
    orders = [list(range(5000)), list(range(4999, -1, -1))]
    errors = []

    def one(ids: list[int], name: str) -> None:
        own = type(ctx)(base_dir=tmp_path, connection=ctx.connection, step_id=name)
        rows = pa.record_batch([pa.array(ids, pa.int64()), pa.array(["x"] * len(ids), pa.string())], schema=SCHEMA)
        try:
            write(own, [rows], write_mode="upsert", primary_key="id")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(ids, f"s{at}")) for at, ids in enumerate(orders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert table.execute("select count(*) from t") == [(5001,)]


def test_two_replaces_at_once_leave_one_of_them(table, ctx, tmp_path):
    def one(first: int) -> None:
        own = type(ctx)(base_dir=tmp_path, connection=ctx.connection, step_id=f"s{first}")
        write(own, [batch(first, 100)], write_mode="replace")

    threads = [threading.Thread(target=one, args=(first,)) for first in (0, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.execute("select min(id), count(*) from t") in ([(0, 100)], [(1000, 100)])


def check(ctx, **connection) -> DriverError:
    ctx.connection = connection
    begun = time.monotonic()
    with pytest.raises(DriverError) as caught:
        SupabaseExtractor().check({}, ctx)
    assert time.monotonic() - begun < 60
    assert caught.value.hint
    return caught.value


def test_a_server_that_cannot_be_reached(database, ctx, postgres):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dsn = database.dsn().replace(str(postgres.port), str(closed.getsockname()[1]))
        error = check(ctx, pg_dsn=dsn)
    assert (error.code, error.retryable) == ("supabase.unreachable", True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = database.dsn().replace(str(postgres.port), str(silent.getsockname()[1]))
        error = check(ctx, pg_dsn=dsn, connect_timeout=2)
    assert error.code == "supabase.unreachable"
    assert "within 2 seconds" in error.message
    assert check(ctx, pg_dsn="postgresql://u:p@no-such-host.invalid/x").code == "supabase.unreachable"


def test_a_server_that_refuses(database, ctx):
    assert check(ctx, pg_dsn=database.dsn(password="wrong")).code == "supabase.access_denied"
    assert check(ctx, pg_dsn=database.dsn(user="nobody_here")).code == "supabase.access_denied"
    assert check(ctx, pg_dsn=database.server.dsn("nope")).code == "supabase.no_database"
    database.execute("alter role dashboard connection limit 0", user="supabase_admin")
    try:
        error = check(ctx, pg_dsn=database.dsn(user="dashboard"))
    finally:
        database.execute("alter role dashboard connection limit -1", user="supabase_admin")
    assert (error.code, error.retryable) == ("supabase.too_many_connections", True)


def test_a_wrong_connection_string_does_not_tell_the_password(database, ctx, password):
    for dsn in (
        "postgresql://u:p@s3cr3t@h/db",
        "postgresql://u:s3cr3t@h:x/db",
        "nonsense s3cr3t",
        "postgresql://h",
        "mysql://u:s3cr3t@h/db",
    ):
        error = check(ctx, pg_dsn=dsn)
        assert error.code == "supabase.bad_dsn"
        assert "s3cr3t" not in error.message + error.hint
    error = check(ctx, pg_dsn="postgresql://u:s3cr3t@127.0.0.1:1/db")
    assert "s3cr3t" not in error.message
    unquoted = database.dsn(password="").replace("postgres:@", "postgres@")
    ctx.connection = {"pg_dsn": unquoted, "password": password}
    assert SupabaseExtractor().check({}, ctx)["role"] == "postgres"


def test_row_level_security_on_writes(table, ctx):
    table.execute(
        "alter table t enable row level security; grant all on t to dashboard; grant all on schema public to dashboard"
    )
    ctx.connection = {"pg_dsn": table.dsn(user="dashboard")}
    error = failure(ctx, [batch(0, 3)])
    assert (error.code, error.retryable) == ("supabase.forbidden", False)
    assert "policy" in error.hint
    table.execute("create policy p on t using (id >= 0) with check (id >= 0)")
    write(ctx, [batch(0, 3)])
    write(ctx, [batch(2, 3)], write_mode="upsert", primary_key="id", commit_marker=False)
    assert table.execute("select array_agg(id order by id) from t") == [([-1, 0, 1, 2, 3, 4],)]
    assert failure(ctx, [batch(0, 3)], write_mode="replace", commit_marker=False).code == "supabase.rows_hidden"


def test_rights(table, ctx):
    ctx.connection = {"pg_dsn": table.dsn(user="dashboard")}
    table.execute("revoke all on schema public from public; grant usage on schema public to dashboard")
    error = failure(ctx, [batch(0, 3)])
    assert error.code == "supabase.forbidden"
    assert "commit_marker: false" in error.hint
    error = failure(ctx, [batch(0, 3)], commit_marker=False)
    assert error.code == "supabase.forbidden"
    table.execute("grant insert on t to dashboard")
    write(ctx, [batch(0, 3)], commit_marker=False)
    assert committed(ctx, commit_marker=False) is None
    assert table.execute("select count(*) from t") == [(4,)]


def test_a_load_that_takes_too_long(table, ctx):
    ctx.connection = {**ctx.connection, "statement_timeout": 0.3}
    with psycopg.connect(table.dsn()) as other:
        other.execute("lock table t")
        error = failure(ctx, [batch(0, 3)])
    assert error.code == "supabase.timeout"
    assert "statement_timeout" in error.hint
