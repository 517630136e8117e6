"""What goes wrong between here and the database: nothing is lost by it, and nothing happens twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pyarrow as pa
import pytest
from supabase_gateway import Fault, gets, posts
from supabase_project import SupabaseProject

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.supabase.writer import SupabaseWriter

pytestmark = pytest.mark.service

BUSY = {"Retry-After": "0"}
MODES = [
    {"write_mode": "append"},
    {"write_mode": "append", "parallel_batches": 3},
    {"write_mode": "upsert", "primary_key": "id"},
    {"write_mode": "upsert", "primary_key": "id", "on_conflict": "ignore"},
    {"write_mode": "replace"},
]


def rows_of(start, end, value="v"):
    return pa.table({"id": pa.array(range(start, end + 1)), "v": pa.array([value] * (end + 1 - start))})


def make_target(rest, key=True):
    rest.project.make(f"create table target (id bigint{' primary key' if key else ''}, v text)")


def ids(rest):
    return [number for (number,) in rest.project.execute("select id from target order by id")]


def retries(ctx):
    return [data["reason"] for event, data in ctx.events if event == "request_retry"]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "headers": BUSY, "times": 3},
        {
            "kind": "status",
            "status": 503,
            "headers": BUSY,
            "times": 2,
            "body": b'{"code":"PGRST002","message":"starting"}',
        },
        {"kind": "drop_before"},
        {"kind": "drop_after"},
        {"kind": "status_after", "status": 502},
        {"kind": "status_after", "status": 504, "times": 2},
        {"kind": "status", "status": 500, "body": b'{"code":"40001","message":"could not serialize"}'},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_every_row_is_written_once_whatever_happens_to_a_request(rest, mode, fault):
    make_target(rest)
    rest.project.gateway.faults.append(Fault(**fault, fits=posts, skip=2))
    ctx = rest.write("target", rows_of(1, 1000), batch_size=200, **mode)
    assert ids(rest) == list(range(1, 1001))
    assert rest.project.gateway.faults == []
    assert ("rows_written", 1000) in ctx.metrics


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "headers": BUSY, "times": 4},
        {"kind": "status", "status": 503, "times": 2},
        {"kind": "status", "status": 500},
        {"kind": "drop_before"},
        {"kind": "drop_after", "times": 2},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_every_row_is_read_once_whatever_happens_to_a_request(rest, parallel, fault):
    make_target(rest)
    rest.project.execute("insert into target select i from generate_series(1, 4500) i")
    rest.project.gateway.faults.append(Fault(**fault, fits=gets, skip=2))
    assert rest.read("target", parallel_pages=parallel)["id"].to_pylist() == list(range(1, 4501))
    assert rest.project.gateway.faults == []


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_after"])
def test_without_a_key_a_lost_answer_is_an_error_that_says_which_rows(rest, kind):
    make_target(rest, key=False)
    rest.project.gateway.faults.append(Fault(kind, status=502, fits=posts, skip=2))
    ctx = rest.context()
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows_of(1, 1000), ctx=ctx, batch_size=200)
    assert caught.value.code == "supabase.answer_lost"
    assert not caught.value.retryable
    assert "rows 401 to 600 may be there, all or none of them" in caught.value.message
    assert "400 rows of this step are in the table" in caught.value.message
    assert len(ids(rest)) == (400 if kind == "drop_before" else 600)
    assert len([request for request in rest.project.gateway.requests if posts(request)]) == 3  # not sent again
    with pytest.raises(DriverError) as again:  # the same session: nothing has become clearer
        rest.write("target", rows_of(1, 1000), ctx=ctx, batch_size=200)
    assert again.value.code == "supabase.answer_lost"
    assert len(ids(rest)) == (400 if kind == "drop_before" else 600)


def test_without_a_key_what_was_surely_not_executed_is_sent_again(rest):
    make_target(rest, key=False)
    rest.project.gateway.faults += [
        Fault("status", status=429, headers=BUSY, fits=posts, skip=1),
        Fault("status", body=b'{"code":"PGRST000","message":"no connection to the database"}', fits=posts, skip=2),
    ]
    rest.write("target", rows_of(1, 1000), batch_size=200)
    assert ids(rest) == list(range(1, 1001))


def test_a_key_that_nothing_enforces_is_not_trusted(rest):
    make_target(rest, key=False)
    rest.project.gateway.faults.append(Fault("drop_after", fits=posts))
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows_of(1, 10), primary_key="id")
    assert caught.value.code == "supabase.answer_lost"
    assert ids(rest) == list(range(1, 11))


def test_a_lost_answer_beside_rows_of_others(rest):
    """The insert failed, and its answer was lost: that some keys are there does not make the rows ours."""
    make_target(rest)
    rest.project.execute("insert into target values (5, 'theirs')")
    rest.project.gateway.faults.append(Fault("drop_after", fits=posts))
    with pytest.raises(DriverError, match="9 rows were added, and 1 have keys that were there already") as caught:
        rest.write("target", rows_of(1, 10))
    assert caught.value.code == "supabase.duplicate_key"


class InFiveSeconds(dict):
    """Headers with a date that is reckoned when they are sent."""

    def items(self):
        return {"Retry-After": formatdate(time.time() + 5, usegmt=True)}.items()


def test_retry_after_is_kept_as_seconds_and_as_a_date(rest):
    make_target(rest)
    rest.project.gateway.faults += [
        Fault("status", status=429, headers=InFiveSeconds(), fits=posts),
        Fault("status", status=429, headers={"Retry-After": "1"}, fits=posts),
    ]
    begun = time.monotonic()
    ctx = rest.write("target", rows_of(1, 3))
    waits = [data["wait_seconds"] for event, data in ctx.events if event == "request_retry"]
    assert 0.5 < waits[0] <= 5
    assert waits[1] == 1
    assert time.monotonic() - begun >= sum(waits)
    assert retries(ctx) == ["HTTP 429", "HTTP 429"]


def test_a_long_retry_after_is_left_to_the_engine(rest):
    make_target(rest)
    rest.project.gateway.faults.append(Fault("status", status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows_of(1, 3))
    assert caught.value.code == "supabase.rate_limited"
    assert caught.value.retryable
    assert caught.value.facts["retry_after"] == 3600


def test_a_wait_ends_when_the_run_is_stopped(rest):
    make_target(rest)
    ctx = rest.context()
    rest.project.gateway.faults.append(Fault("status", status=429, headers={"Retry-After": "50"}, fits=posts))
    stopper = threading.Thread(target=lambda: (_wait_for_retry(ctx), ctx.cancellation.request("interrupted")))
    stopper.start()
    begun = time.monotonic()
    with pytest.raises(RunCancelledError):
        rest.write("target", rows_of(1, 3), ctx=ctx)
    stopper.join()
    assert time.monotonic() - begun < 45


def _wait_for_retry(ctx):
    deadline = time.monotonic() + 120
    while not retries(ctx) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_schema_cache_may_lag(rest):
    make_target(rest)
    lag = b'{"code":"PGRST205","message":"Could not find the table in the schema cache"}'
    rest.project.gateway.faults.append(Fault("status", status=404, body=lag, times=3, fits=posts))
    ctx = rest.write("target", rows_of(1, 3))
    assert retries(ctx) == ["PGRST205"] * 3
    assert ids(rest) == [1, 2, 3]


def test_an_unreachable_server_is_an_error(rest, tmp_path):
    from supabase_gateway import SupabaseGateway

    with SupabaseGateway(rest.project.postgrest.url) as gone:
        url = gone.url
    for work in (lambda ctx: rest.read("target", ctx=ctx), lambda ctx: rest.write("target", rows_of(1, 3), ctx=ctx)):
        with pytest.raises(DriverError) as caught:
            work(rest.context(url=url))
        assert caught.value.code == "supabase.unreachable"
        assert caught.value.retryable
        assert url in caught.value.message


def test_a_server_that_is_killed_in_the_middle_and_comes_back(postgres, tmp_path, rest):
    """PostgREST dies with a request in hand; the load goes on when it is back, each row once."""
    with SupabaseProject(postgres, tmp_path / "own") as project:
        project.make("create table target (id bigint primary key, v text)")

        def restart():
            project.postgrest.kill()
            threading.Thread(target=project.postgrest.start).start()

        project.gateway.faults.append(Fault("call", action=restart, fits=posts, skip=3))
        own = type(rest)(project, tmp_path)
        own.write("target", rows_of(1, 2000), batch_size=200)
        assert ids(own) == list(range(1, 2001))


def test_a_database_that_is_killed_in_the_middle_and_comes_back(tmp_path, rest):
    from postgres_server import PostgresServer

    with PostgresServer() as server, SupabaseProject(server, tmp_path / "own") as project:
        project.make("create table target (id bigint primary key, v text)")

        def restart():
            server.kill()
            server.restart()

        project.gateway.faults.append(Fault("call", action=restart, fits=posts, skip=3))
        own = type(rest)(project, tmp_path)
        own.write("target", rows_of(1, 2000), batch_size=200)
        assert ids(own) == list(range(1, 2001))


def test_a_server_that_stays_away_leaves_what_a_later_attempt_takes_up(postgres, tmp_path, rest):
    with SupabaseProject(postgres, tmp_path / "own") as project:
        project.make("create table target (id bigint primary key, v text)")
        project.gateway.faults.append(Fault("call", action=project.postgrest.kill, fits=posts, skip=3))
        own = type(rest)(project, tmp_path)
        ctx = own.context()
        with pytest.raises(DriverError) as caught:
            own.write("target", rows_of(1, 2000), ctx=ctx, batch_size=200)
        assert caught.value.retryable
        assert caught.value.facts["rows_written"] == 600
        assert ids(own) == list(range(1, 601))
        assert SupabaseWriter().committed("step", {"connection": "@s", "table": "target"}, ctx) is None
        project.postgrest.start()
        project.gateway.requests.clear()
        own.write("target", rows_of(1, 2000), ctx=ctx, batch_size=200)
        assert ids(own) == list(range(1, 2001))
        assert len([request for request in project.gateway.requests if posts(request)]) == 7
        told = SupabaseWriter().committed("step", {"connection": "@s", "table": "target"}, ctx)
        assert told == {"rows": 2000, "location": "public.target", "transport": "rest"}


CHILD = """
import sys, pathlib, importlib.util, pyarrow as pa
spec = importlib.util.spec_from_file_location("conftest", sys.argv[1]); module = importlib.util.module_from_spec(spec)
sys.modules["conftest"] = module; spec.loader.exec_module(module)
from osiris.drivers.supabase.writer import SupabaseWriter
from osiris.core.dataset import Dataset
ctx = module.Context(base_dir=pathlib.Path(sys.argv[2]), connection={"url": sys.argv[3], "key": sys.argv[4]})
rows = pa.table({"id": pa.array(range(1, 2001)), "v": pa.array(["v"] * 2000)})
SupabaseWriter().run("step", {"connection": "@s", "table": "target", "batch_size": 200, "write_mode": sys.argv[5]},
                     {"df": Dataset.of(rows)}, ctx)
"""


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_killed_process_is_taken_up_by_the_next(rest, mode, executed):
    """SIGKILL while a request is under way: whether it was executed or not, each row is there once."""
    make_target(rest)
    rest.project.execute("insert into target select 9000 + i, 'old' from generate_series(1, 50) i")
    ctx = rest.context()
    connection = ctx.connection
    here = Path(__file__).parent / "conftest.py"
    paths = os.pathsep.join(path for path in sys.path if path)
    child: list[subprocess.Popen] = []
    ready = threading.Event()

    def kill():
        ready.wait(300)
        child[0].send_signal(signal.SIGKILL)
        child[0].wait()

    fault = Fault("call", action=kill, fits=posts, skip=4) if not executed else Fault("drop_after", fits=posts, skip=4)
    rest.project.gateway.faults.append(fault)
    if executed:  # the request after the lost one finds the process dead
        rest.project.gateway.faults.append(Fault("call", action=kill, fits=posts, skip=4))
    command = [sys.executable, "-c", CHILD, here, str(ctx.base_dir), connection["url"], connection["key"], mode]
    child.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}))
    ready.set()
    assert child[0].wait(300) == -signal.SIGKILL
    rest.project.gateway.requests.clear()
    rest.write("target", rows_of(1, 2000), ctx=ctx, batch_size=200, write_mode=mode)
    old = [] if mode == "replace" else list(range(9001, 9051))
    assert ids(rest) == list(range(1, 2001)) + old
    assert len([request for request in rest.project.gateway.requests if posts(request)]) <= 7


def test_a_stream_that_fails_is_taken_up_and_compared(rest):
    make_target(rest)
    ctx = rest.context()

    def failing():
        yield from rows_of(1, 1000).to_batches()
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        rest.write("target", Dataset(failing, rows_of(1, 1).schema), ctx=ctx, batch_size=300)
    assert len(ids(rest)) in (600, 900)  # the last one under way may not have begun
    rest.write("target", rows_of(1, 1000), ctx=ctx, batch_size=300)
    assert ids(rest) == list(range(1, 1001))


@pytest.mark.parametrize("key", [True, False], ids=["key", "no key"])
def test_a_later_attempt_with_other_rows(rest, key):
    make_target(rest, key=key)
    ctx = rest.context()

    def failing():
        yield from rows_of(1, 1000).to_batches()
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        rest.write("target", Dataset(failing, rows_of(1, 1).schema), ctx=ctx, batch_size=300)
    backwards = rows_of(1, 1000).take(pa.array(range(999, -1, -1)))
    if key:
        rest.write("target", backwards, ctx=ctx, batch_size=300)
        assert ids(rest) == list(range(1, 1001))
        assert "supabase.rows_changed" in [data.get("code") for event, data in ctx.events if event == "warning"]
    else:
        with pytest.raises(DriverError) as caught:
            rest.write("target", backwards, ctx=ctx, batch_size=300)
        assert caught.value.code == "supabase.cannot_resume"
        assert len(ids(rest)) in (600, 900)  # the last one under way may not have begun


def test_halved_batches_are_found_again(rest):
    """An earlier attempt had to cut a batch; the next one knows where."""
    make_target(rest, key=False)
    ctx = rest.context()
    rest.project.gateway.max_body = 3000

    def failing():
        yield from rows_of(1, 1000).to_batches()
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        rest.write("target", Dataset(failing, rows_of(1, 1).schema), ctx=ctx, batch_size=300)
    assert len(ids(rest)) in (600, 900)  # the last one under way may not have begun
    rest.write("target", rows_of(1, 1000), ctx=ctx, batch_size=300)
    assert ids(rest) == list(range(1, 1001))
