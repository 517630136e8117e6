"""What a write leaves behind when something breaks: all rows, or none; and never twice."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mariadb_server import MariaDBServer

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.mysql.writer import MySqlWriter

BOTH = pytest.mark.parametrize("bulk", ["load_data", "insert"])
MODES = pytest.mark.parametrize("mode", ["append", "replace", "truncate", "upsert"])
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])
OLD = [(-1, "old"), (-2, "old")]


def options(mode: str, **more: Any) -> dict[str, Any]:
    key = {"primary_key": "id"} if mode == "upsert" else {}
    return {"table": "t", "write_mode": mode, "batch_rows": 100, **key, **more}


def rows(first: int, count: int) -> pa.RecordBatch:
    ids = pa.array(range(first, first + count), pa.int64())
    return pa.RecordBatch.from_arrays([ids, pa.array([f"n{number}" for number in range(count)])], schema=SCHEMA)


def stream(*items: pa.RecordBatch | Callable[[], object]) -> Dataset:
    """Batches, with something happening between them."""

    def batches() -> Iterator[pa.RecordBatch]:
        for item in items:
            if callable(item):
                item()
            else:
                yield item

    return Dataset.from_batches(SCHEMA, batches())


def run(ctx: Any, config: dict[str, Any], data: Dataset) -> None:
    MySqlWriter().run(ctx.step_id, config, {"df": data}, ctx)


def committed(ctx: Any, config: dict[str, Any]) -> Any:
    return MySqlWriter().committed(ctx.step_id, config, ctx)


def make_table(database: Any) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    database.execute("INSERT INTO t VALUES (-1, 'old'), (-2, 'old')")


def tables(database: Any) -> set[str]:
    return {name for (name,) in database.execute("SHOW TABLES")} - {"_osiris_commits"}


def found(database: Any) -> list[Any]:
    return sorted(database.execute("SELECT * FROM t"), reverse=True)


def expected(mode: str, data: pa.RecordBatch) -> list[Any]:
    new = [(row["id"], row["name"]) for row in data.to_pylist()]
    return sorted([*([] if mode in ("replace", "truncate") else OLD), *new], reverse=True)


@BOTH
@MODES
def test_an_input_that_breaks_in_the_middle(ctx: Any, database: Any, bulk: str, mode: str) -> None:
    make_table(database)

    def fail() -> None:
        raise ArithmeticError("the step before")

    with pytest.raises(ArithmeticError, match="the step before"):
        run(ctx, options(mode, bulk=bulk), stream(rows(1, 250), fail, rows(300, 1)))
    assert found(database) == OLD
    assert tables(database) == {"t"}
    assert committed(ctx, options(mode)) is None
    run(ctx, options(mode, bulk=bulk), stream(rows(1, 250)))
    assert found(database) == expected(mode, rows(1, 250))


def test_a_table_that_was_to_be_created_is_not_there_after_a_failure(ctx: Any, database: Any) -> None:
    def fail() -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        run(ctx, options("append"), stream(rows(1, 250), fail))
    assert tables(database) == set()


@BOTH
@MODES
def test_cancel_in_the_middle(ctx: Any, database: Any, bulk: str, mode: str) -> None:
    make_table(database)
    with pytest.raises(RunCancelledError):
        run(ctx, options(mode, bulk=bulk), stream(rows(1, 250), ctx.cancellation.request, rows(300, 500)))
    assert found(database) == OLD
    assert tables(database) == {"t"}


@BOTH
def test_cancel_while_the_server_waits_for_a_lock(ctx: Any, database: Any, bulk: str) -> None:
    make_table(database)
    with closing(database.connect(autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1, 'mine')")
        canceller = threading.Thread(target=lambda: _when_waiting(database, ctx.cancellation.request))
        canceller.start()
        with pytest.raises(RunCancelledError):
            run(ctx, options("append", bulk=bulk), stream(rows(1, 10)))
        canceller.join()
    assert found(database) == OLD


def _when_waiting(database: Any, then: Callable[[], object]) -> None:
    """Call ``then`` once some transaction waits for a lock."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
            if cursor.fetchall()[0][1] != "0":
                then()
                return
    raise AssertionError("nobody waits")


def kill_sessions(database: Any) -> None:
    """As an administrator would, or a proxy that has had enough."""
    with closing(database.server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s AND ID <> CONNECTION_ID()", [database.name]
        )
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {number}")


@BOTH
@MODES
def test_a_connection_that_is_killed_in_the_middle(ctx: Any, database: Any, bulk: str, mode: str) -> None:
    make_table(database)
    kill = lambda: kill_sessions(database)  # noqa: E731
    with pytest.raises(DriverError) as caught:
        run(ctx, options(mode, bulk=bulk), stream(rows(1, 250), kill, rows(300, 250)))
    assert caught.value.code == "mysql.connection_lost"
    assert caught.value.retryable
    assert found(database) == OLD
    assert tables(database) == {"t"}
    assert committed(ctx, options(mode)) is None


def test_a_deadlock_is_retryable(ctx: Any, database: Any) -> None:
    make_table(database)
    database.execute("CREATE TABLE heavy (id INT)")
    with closing(database.connect(autocommit=False)) as other, other.cursor() as cursor:
        # The server ends whoever has changed less.
        cursor.execute("INSERT INTO heavy SELECT seq FROM seq_1_to_5000")
        cursor.execute("INSERT INTO t VALUES (500, 'theirs')")
        blocked = threading.Thread(target=lambda: cursor.execute("INSERT INTO t VALUES (1, 'theirs')"))

        def wait_for_us() -> None:
            blocked.start()
            _when_waiting(database, lambda: None)

        with pytest.raises(DriverError) as caught:
            run(ctx, options("append"), stream(rows(1, 100), wait_for_us, rows(500, 100)))
        blocked.join()
        other.rollback()
    assert caught.value.code == "mysql.deadlock"
    assert caught.value.retryable
    assert found(database) == OLD
    run(ctx, options("append"), stream(rows(1, 100), rows(500, 100)))
    assert len(found(database)) == 202


@pytest.fixture
def impatient(database: Any) -> Iterator[None]:
    """The server waits a second for a lock."""
    ((before,),) = database.execute("SELECT @@GLOBAL.innodb_lock_wait_timeout")
    database.execute("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        yield
    finally:
        database.execute(f"SET GLOBAL innodb_lock_wait_timeout = {before}")


@pytest.mark.usefixtures("impatient")
def test_an_attempt_that_the_server_is_still_busy_with_keeps_the_next_one_out(ctx: Any, database: Any) -> None:
    make_table(database)
    run(ctx, options("append"), stream(rows(1, 10)))
    with closing(database.connect(autocommit=False)) as earlier, earlier.cursor() as cursor:
        cursor.execute("INSERT INTO _osiris_commits VALUES ('run', 'other', 0, NOW(6))")
        ctx.step_id = "other"
        with pytest.raises(DriverError) as caught:
            run(ctx, options("append"), stream(rows(20, 10)))
        assert caught.value.code == "mysql.lock_wait"
        assert caught.value.retryable
        cursor.execute("INSERT INTO t VALUES (77, 'theirs')")
        earlier.commit()
    assert committed(ctx, options("append")) == {"rows": 0, "location": ctx.outputs[-1][0]}
    run(ctx, options("append"), stream(rows(20, 10)))
    assert len(found(database)) == 13


class Cut:
    """A way to the server that breaks for good at a statement: before the server gets it, or before it answers."""

    def __init__(self, port: int, statement: bytes, *, deliver: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._to, self._statement, self._deliver = port, b"\x03" + statement, deliver
        self.happened = threading.Event()
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.happened.is_set():
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [client, server]
            cut = threading.Event()
            for source, target, watch in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._copy, args=(source, target, watch, cut))
                self._threads.append(thread)
                thread.start()

    def _copy(self, source: socket.socket, target: socket.socket, watch: bool, cut: threading.Event) -> None:
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            if watch and self._statement in data and not self.happened.is_set():
                if self._deliver:
                    cut.set()
                    target.sendall(data)
                    continue
                self.happened.set()
                data = b""
            if not watch and cut.is_set() and data:
                self.happened.set()
                data = b""
            if not data:
                _shut(source)
                _shut(target)
                return
            try:
                target.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        for end in self._ends:
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@contextmanager
def cut_at(ctx: Any, database: Any, statement: bytes, *, deliver: bool) -> Iterator[Cut]:
    if database.server.private is None:
        pytest.skip("the way to the server has to be without TLS")
    direct = database.options
    cut = Cut(database.server.private.port, statement, deliver=deliver)
    ctx.connection = {**direct, "port": cut.port}
    try:
        yield cut
    finally:
        ctx.connection = direct
        cut.close()


@pytest.mark.parametrize("deliver", [True, False], ids=["the answer is lost", "the request is lost"])
@pytest.mark.parametrize(
    ("mode", "statement"),
    [
        ("append", b"COMMIT"),
        ("truncate", b"COMMIT"),
        ("upsert", b"COMMIT"),
        ("replace", b"COMMIT"),
        ("replace", b"RENAME"),
        ("replace", b"DROP"),
    ],
)
def test_a_connection_lost_at_the_commit(ctx: Any, database: Any, mode: str, deliver: bool, statement: bytes) -> None:
    make_table(database)
    config = options(mode)
    with cut_at(ctx, database, statement, deliver=deliver) as cut:
        with pytest.raises(DriverError) as caught:
            run(ctx, config, stream(rows(1, 250)))
        assert cut.happened.is_set()
    assert caught.value.code == "mysql.connection_lost"
    assert caught.value.retryable
    done = committed(ctx, config)
    there = statement == b"DROP" or (deliver and not (mode == "replace" and statement == b"COMMIT"))
    assert (done is not None) == there
    assert found(database) == (expected(mode, rows(1, 250)) if there else OLD)
    if done is None:
        run(ctx, config, stream(rows(1, 250)))
    else:
        assert done["rows"] == 250
    assert found(database) == expected(mode, rows(1, 250))
    assert tables(database) == {"t"}
    assert committed(ctx, config)["rows"] == 250


def test_without_a_marker_a_lost_commit_of_an_append_is_not_retryable(ctx: Any, database: Any) -> None:
    make_table(database)
    for mode, retryable in (("append", False), ("upsert", True), ("truncate", True)):
        with cut_at(ctx, database, b"COMMIT", deliver=True), pytest.raises(DriverError) as caught:
            run(ctx, options(mode, commit_marker=False), stream(rows(1, 10)))
        assert (caught.value.code, caught.value.retryable) == ("mysql.connection_lost", retryable)


def test_a_server_that_dies_in_the_middle(ctx: Any, tmp_path: Path) -> None:
    with MariaDBServer(tmp_path / "server", {"local_infile": 1}) as server:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE d CHARACTER SET utf8mb4")
            cursor.execute("CREATE TABLE d.t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
            cursor.execute("INSERT INTO d.t VALUES (-1, 'old'), (-2, 'old')")
        ctx.connection = {"host": server.host, "port": server.port, "user": "root", "database": "d"}
        for number, mode in enumerate(("append", "replace", "truncate")):
            ctx.step_id = mode
            first = 1 + 1000 * number
            with pytest.raises(DriverError) as caught:
                run(ctx, options(mode), stream(rows(first, 250), server.kill, rows(first + 500, 1)))
            assert caught.value.code == "mysql.connection_lost"
            assert caught.value.retryable
            server.start()
            with closing(server.connect(database="d")) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT COUNT(*), MIN(name) FROM t")
                before = cursor.fetchall()[0]
                assert before[0] == (2 if mode == "append" else 252 if mode == "replace" else 250)
                assert committed(ctx, options(mode)) is None
                run(ctx, options(mode), stream(rows(first, 250)))
                cursor.execute("SELECT COUNT(*) FROM t")
                assert cursor.fetchall() == ((252 if mode == "append" else 250,),)
                cursor.execute("SHOW TABLES")
                assert sorted(cursor.fetchall()) == [("_osiris_commits",), ("t",)]


NURSERY = """\
import json, os, sys
from contextlib import nullcontext
from types import SimpleNamespace
import pyarrow as pa
from osiris.core.dataset import Dataset
from osiris.drivers.mysql.config import MySqlConnection
from osiris.drivers.mysql.writer import MySqlWriter
from osiris.drivers.mysql.writer_config import MySqlWriterConfig

def attempt(config, connection, session, count):
    nothing = lambda *arguments, **named: None
    ctx = SimpleNamespace(step_id="step", session_id=session, connection=connection, cancelled=False,
                          raise_if_cancelled=nothing, on_cancel=lambda callback: nullcontext(),
                          log_event=nothing, log_metric=nothing, add_output=nothing)
    if MySqlWriter().committed("step", config, ctx) is None:
        MySqlWriter().run("step", config, {"df": Dataset.of(DATA.slice(0, count))}, ctx)

DATA = pa.table({"id": pa.array(range(1, 5001), pa.int64()), "name": pa.array(["x"] * 5000, pa.string())})
MySqlWriterConfig.model_validate({"table": "t"})  # what takes long the first time
MySqlConnection.model_validate({})
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        attempt(*json.loads(line))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything, and forks one child for each line that it reads."""
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_if_there(child: int) -> None:
    """SIGKILL, unless the child ended by itself in the moment before."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def attempt_to_write(nursery: subprocess.Popen[str], arguments: str, patience: float | None) -> int:
    """The exit code of a write that is killed after ``patience`` seconds, unless it was done before."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{arguments}\n")
    nursery.stdin.flush()
    child = int(nursery.stdout.readline())
    killer = threading.Timer(patience or 0, kill_if_there, [child])
    if patience is not None:
        killer.start()
    code = int(nursery.stdout.readline())
    killer.cancel()
    if patience is not None:
        killer.join()
    return code


@BOTH
@MODES
def test_killed_at_random_moments_and_begun_again(
    database: Any, nursery: subprocess.Popen[str], bulk: str, mode: str
) -> None:
    """No row is lost and none doubled, wherever SIGKILL hits."""
    seed = int(os.environ.get("OSIRIS_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"OSIRIS_TEST_SEED={seed}")
    chance, count, killed, whole = random.Random(seed), 2_000, 0, 0.0
    for number in range(4):
        exists = number % 2 == 0
        database.execute("DROP TABLE IF EXISTS t")
        if exists:
            make_table(database)
        arguments = json.dumps([options(mode, bulk=bulk), database.options, f"run-{number}", count])
        begun = time.monotonic()
        # The first one is let through, and shows how long a write takes here and now.
        for patience in (*(chance.uniform(0, whole) for _ in range(3 if number else 0)), None):
            code = attempt_to_write(nursery, arguments, patience)
            assert code in (0, -signal.SIGKILL)
            killed += code != 0
            if code == 0:
                break
        whole = whole or time.monotonic() - begun
        old = 2 if exists and mode in ("append", "upsert") else 0
        assert database.execute("SELECT COUNT(*), COUNT(DISTINCT id), SUM(id > 0) FROM t") == [
            (count + old, count + old, count)
        ]
        assert tables(database) == {"t"}
    print(f"{killed} killed")


@pytest.fixture
def without_local_infile(database: Any) -> Iterator[Callable[[], None]]:
    """A function that switches LOAD DATA LOCAL off on the server."""
    try:
        yield lambda: database.execute("SET GLOBAL local_infile = 0") and None
    finally:
        database.execute("SET GLOBAL local_infile = 1")


def test_a_server_without_local_infile(ctx: Any, database: Any, without_local_infile: Callable[[], None]) -> None:
    make_table(database)
    without_local_infile()
    with pytest.raises(DriverError) as caught:
        run(ctx, options("append", bulk="load_data"), stream(rows(1, 10)))
    assert caught.value.code == "mysql.local_infile"
    run(ctx, options("append"), stream(rows(1, 250)))
    assert ctx.told("mysql_write_path")["path"] == "insert"
    assert "local_infile is off" in ctx.told("mysql_write_path")["reason"]
    assert len(found(database)) == 252


def test_local_infile_that_is_switched_off_in_the_middle(
    ctx: Any, database: Any, without_local_infile: Callable[[], None]
) -> None:
    make_table(database)
    run(ctx, options("append"), stream(rows(1, 100), without_local_infile, rows(200, 250)))
    assert [data["path"] for name, data in ctx.events if name == "mysql_write_path"] == ["load_data", "insert"]
    assert len(found(database)) == 352


@BOTH
def test_a_row_that_is_larger_than_a_packet(ctx: Any, database: Any, bulk: str) -> None:
    ((before,),) = database.execute("SELECT @@GLOBAL.max_allowed_packet")
    database.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        data = pa.table({"n": pa.array([1, 2], pa.int64()), "b": pa.array([b"x", b"x" * 1_100_000], pa.binary())})
        try:
            run(ctx, options("append", bulk=bulk, table="large"), Dataset.of(data))
        except DriverError as error:
            refused = error
        else:  # LOAD DATA is not one packet
            refused = None
        if refused is not None:
            assert refused.code == "mysql.packet_too_large"
            assert refused.facts["row"] == 2
            assert "max_allowed_packet" in str(refused.hint)
        else:
            assert bulk == "load_data"
            assert database.execute("SELECT LENGTH(b) FROM large ORDER BY n") == [(1,), (1_100_000,)]
        ctx.step_id = "text"
        text = pa.table({"n": pa.array([1] * 300, pa.int64()), "b": pa.array(["x" * 9_000] * 300, pa.string())})
        run(ctx, options("append", bulk=bulk), Dataset.of(text))
        assert database.execute("SELECT COUNT(*), SUM(LENGTH(b)) FROM t") == [(300, 2_700_000)]
    finally:
        database.execute(f"SET GLOBAL max_allowed_packet = {before}")


def test_a_full_disk(ctx: Any, tmp_path: Path) -> None:
    full = {
        "local_infile": 1,
        "innodb_file_per_table": 0,
        "innodb_data_file_path": "ibdata1:12M:autoextend:max:24M",
    }
    with MariaDBServer(tmp_path / "server", full) as server:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE d")
        ctx.connection = {"host": server.host, "port": server.port, "user": "root", "database": "d"}
        wide = pa.table({"v": pa.array(["x" * 10_000] * 4_000, pa.string())})
        for bulk in ("load_data", "insert"):
            with pytest.raises(DriverError) as caught:
                run(ctx, options("append", bulk=bulk), Dataset.of(wide))
            assert caught.value.code == "mysql.disk_full", caught.value
            assert caught.value.hint


def test_only_what_an_earlier_attempt_of_the_same_step_left_is_removed(ctx: Any, database: Any) -> None:
    make_table(database)
    database.execute("CREATE TABLE _osiris_new_somebody_else (id INT)")
    with cut_at(ctx, database, b"RENAME", deliver=False), pytest.raises(DriverError):
        run(ctx, options("replace"), stream(rows(1, 10)))
    assert len(tables(database)) == 3
    run(ctx, options("replace"), stream(rows(1, 10)))
    assert tables(database) == {"t", "_osiris_new_somebody_else"}
