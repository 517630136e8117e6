"""What ends in the middle of a read is an error, never fewer rows; who asks to stop is heard, on the server too."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from mariadb_server import MariaDBServer

from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.mysql.client import connect
from osiris.drivers.mysql.connection import connection_of
from osiris.drivers.mysql.extractor import MySqlExtractor

PROTOCOLS = pytest.mark.parametrize("protocol", ["binary", "text"])
ROWS = 30_000


@pytest.fixture
def big(database):
    """A table ``big`` of more bytes than sockets hold, also where two of them share it: 120 MB."""
    database.execute("CREATE TABLE big (id INT PRIMARY KEY, v TEXT)")
    database.execute(f"INSERT INTO big SELECT seq, REPEAT('x', 4000) FROM seq_1_to_{ROWS}")


def sessions(database) -> list[int]:
    rows = database.execute(
        "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", [database.name]
    )
    return [row[0] for row in rows]


def wait_until(condition) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


@PROTOCOLS
@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("how", ["KILL", "KILL QUERY"])
def test_a_connection_that_is_killed(ctx, database, big, protocol, partitions, how):
    driver = MySqlExtractor()
    config = {"table": "big", "protocol": protocol, "partitions": partitions, "partition_by": "id"}
    batches = driver.run("read", config, {}, ctx)["df"].batches()
    rows = next(batches).num_rows
    for number in sessions(database):
        database.execute(f"{how} {number}")
    with pytest.raises(DriverError) as caught:
        rows += sum(batch.num_rows for batch in batches)
    driver.close()
    assert rows < ROWS
    if how == "KILL":
        assert caught.value.code == "mysql.connection_lost"
        assert caught.value.retryable, "reading again doubles nothing"
    else:
        assert caught.value.code in {"mysql.interrupted", "mysql.connection_lost"}
    wait_until(lambda: not sessions(database))


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "end"), [("binary", "kill"), ("text", "kill"), ("binary", "stop")])
def test_a_server_that_ends(tmp_path, new_context, protocol, end):
    ctx = new_context(tmp_path)
    with MariaDBServer(tmp_path / "server") as running:
        with closing(running.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE d")
            cursor.execute("USE d")
            cursor.execute("CREATE TABLE big SELECT seq, REPEAT('x', 2000) v FROM seq_1_to_20000")
        ctx.connection = {"host": running.host, "port": running.port, "user": "root", "database": "d"}
        driver = MySqlExtractor()
        batches = driver.run("read", {"table": "big", "protocol": protocol}, {}, ctx)["df"].batches()
        rows = next(batches).num_rows
        getattr(running, end)()
        with pytest.raises(DriverError) as caught:
            rows += sum(batch.num_rows for batch in batches)
        driver.close()
        assert rows < 20_000
        assert caught.value.code == "mysql.connection_lost"
        assert caught.value.retryable
        with pytest.raises(DriverError) as caught:
            MySqlExtractor().run("read", {"table": "big"}, {}, ctx)
        assert caught.value.code == "mysql.unreachable"
        assert caught.value.retryable
        running.start()
        again = MySqlExtractor()
        assert again.run("read", {"table": "big"}, {}, ctx)["df"].table().num_rows == 20_000
        again.close()


@PROTOCOLS
def test_a_cancel_kills_the_query_on_the_server(ctx, database, protocol):
    """Also one that has not given a row yet."""
    caught: list[BaseException] = []

    def run() -> None:
        driver = MySqlExtractor()
        try:
            driver.run("read", {"query": "SELECT SLEEP(100) AS a", "protocol": protocol}, {}, ctx)["df"].table()
        except BaseException as error:
            caught.append(error)
        finally:
            driver.close()

    thread = threading.Thread(target=run)
    thread.start()
    query = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s AND state = 'User sleep'"
    wait_until(lambda: database.execute(query, [database.name]) == [(1,)])
    begun = time.monotonic()
    ctx.cancellation.request("interrupted")
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 5
    assert [type(error) for error in caught] == [RunCancelledError]
    wait_until(lambda: not sessions(database))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_cancel_in_the_middle_of_the_rows(ctx, database, big, partitions):
    driver = MySqlExtractor()
    config = {"table": "big", "partitions": partitions, "partition_by": "id"}
    batches = driver.run("read", config, {}, ctx)["df"].batches()
    next(batches)
    ctx.cancellation.request("interrupted")
    with pytest.raises(RunCancelledError):
        list(batches)
    driver.close()
    wait_until(lambda: not sessions(database))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mysql-")]


def test_a_cancel_before_the_start(ctx):
    ctx.cancellation.request()
    with pytest.raises(RunCancelledError):
        MySqlExtractor().run("read", {"query": "SELECT 1"}, {}, ctx)


@PROTOCOLS
def test_a_query_that_takes_too_long(ctx, database, protocol):
    driver = MySqlExtractor()
    begun = time.monotonic()
    config = {"query": "SELECT SLEEP(1) FROM seq_1_to_100", "query_timeout": 0.3, "protocol": protocol}
    with pytest.raises(DriverError) as caught:
        driver.run("read", config, {}, ctx)["df"].table()
    driver.close()
    assert caught.value.code in {"mysql.timeout", "mysql.interrupted"}
    assert time.monotonic() - begun < 10
    wait_until(lambda: not sessions(database))


def test_a_server_that_falls_silent_within_a_query(ctx):
    ctx.connection = {**ctx.connection, "read_timeout": 0.3}
    with (
        closing(connect(connection_of(ctx), ctx, lost_is_retryable=True)) as session,
        pytest.raises(DriverError) as caught,
    ):
        session.execute("SELECT SLEEP(30)")
    assert caught.value.code == "mysql.connection_lost"
    assert caught.value.retryable


def test_a_reader_that_takes_its_time_is_waited_for(ctx, database, big):
    """The server gives up writing after its net_write_timeout, which is a minute, unless it is told otherwise."""
    database.execute("SET GLOBAL net_write_timeout = 1")
    try:
        driver = MySqlExtractor()
        rows = 0
        for batch in driver.run("read", {"table": "big"}, {}, ctx)["df"].batches():
            if not rows:
                time.sleep(2.5)
            rows += batch.num_rows
        driver.close()
    finally:
        database.execute("SET GLOBAL net_write_timeout = DEFAULT")
    assert rows == ROWS
