"""Workers that die, sandboxes that go, a provider that is busy, a host that is killed: said as it is, nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from e2b_server import E2BServer, Options

from osiris.core.cancellation import Cancellation
from osiris.core.errors import ExecutionError, OsirisError, PrepareError, UnreachableError
from osiris.core.events.bus import EventBus
from osiris.remote.e2b.failure import KNOWN

from .conftest import (
    InSandbox,
    Listener,
    Proxy,
    environment_of,
    names,
    only,
    pairs_are_complete,
    rogue_steps,
    wait_for,
)


def bus_with(name: str, act: Any) -> EventBus:
    bus = EventBus("run")
    bus.subscribe(Listener(name, act))
    return bus


@pytest.mark.parametrize(
    ("what", "code", "says"), [("exit", 3, "ended with exit code 3"), ("kill_itself", -9, "was killed by SIGKILL")]
)
def test_a_worker_that_dies(what: str, code: int, says: str, rogue: Path, run: InSandbox) -> None:
    result, context = run(rogue_steps({"do": "nothing"}, {"do": what}, {"do": "nothing"}))
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "worker.died"
    assert says in result.error.message
    assert result.error.facts["exit_code"] == code
    assert "of memory left" in result.error.facts["last_words"]
    if what == "exit":
        assert "my last words" in result.error.facts["last_words"]
    else:
        assert only(context, "about_to_die")
    assert [step["status"] for step in result.steps] == ["success", "failed", "skipped"]
    assert pairs_are_complete(context)


def test_a_worker_that_is_killed_for_want_of_memory(rogue: Path, cloud: E2BServer, run: InSandbox) -> None:
    def kill(event: Any) -> None:
        (sandbox,) = cloud.sandboxes
        cloud.faults.kill_for_memory(sandbox.sandbox_id, event["pid"])

    result, context = run(rogue_steps({"do": "ignore_cancel"}), context={"bus": bus_with("waiting", kill)})
    assert isinstance(result.error, ExecutionError)
    assert (result.error.code, result.error.facts["exit_code"]) == ("worker.died", -9)
    assert "killed for want of memory" in result.error.message
    assert pairs_are_complete(context)


def test_what_a_dead_worker_said_is_heard_although_its_stream_was_cut(
    rogue: Path, cloud: E2BServer, run: InSandbox
) -> None:
    """The journal says what nobody heard: the worker dies while no stream is open."""

    def cut(event: Any) -> None:
        cloud.faults.respond("process.Connect", 503, times=4)
        cloud.faults.cut_streams()

    steps = rogue_steps({"do": "tell", "times": 3000}, {"do": "kill_itself"})
    result, context = run(steps, context={"bus": bus_with("step_start", cut)})
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "worker.died"
    assert [event["number"] for event in context.events if event["event"] == "told"] == list(range(3000))
    assert only(context, "about_to_die")


def test_a_sandbox_that_somebody_kills(rogue: Path, cloud: E2BServer, run: InSandbox) -> None:
    def kill(event: Any) -> None:
        (sandbox,) = cloud.sandboxes
        cloud.faults.kill_sandbox(sandbox.sandbox_id)

    result, context = run(rogue_steps({"do": "wait"}), context={"bus": bus_with("waiting", kill)})
    assert isinstance(result.error, UnreachableError)
    assert result.error.code == "e2b.sandbox_gone"
    assert result.error.hint
    assert [step["status"] for step in result.steps] == ["failed"]
    assert pairs_are_complete(context)


def test_a_sandbox_whose_time_is_over_although_it_is_extended(rogue: Path, run: InSandbox) -> None:
    """The plan gives some seconds more, and the provider does not say so when more is asked for."""
    options = Options()

    def limit(event: Any) -> None:
        (sandbox,) = server.sandboxes
        options.max_lifetime = time.time() - sandbox.started_at + 7

    with E2BServer(options=options) as server:
        where = {"api_key": server.api_key, "api_url": server.api_url, "sandbox_url": server.sandbox_url}
        result, context = run(
            rogue_steps({"do": "wait"}), timeout=6, context={"bus": bus_with("waiting", limit)}, **where
        )
        assert [sandbox.ended_by for sandbox in server.history] == ["expired"]
    assert isinstance(result.error, UnreachableError)
    assert result.error.code == "e2b.sandbox_expired"
    assert only(context, "sandbox_limit_reached")["seconds_left"] < 7
    assert pairs_are_complete(context)


def test_a_sandbox_lives_on_while_its_run_does(rogue: Path, cloud: E2BServer, run: InSandbox) -> None:
    cancellation = Cancellation()
    lived: list[bool] = []

    def watch(begun: float) -> None:
        wait_for(lambda: time.time() - begun > 11)  # longer than it was given
        lived.append(cloud.history[-1].ended_by is None)
        cancellation.request()

    bus = bus_with("waiting", lambda event: threading.Thread(target=watch, args=(time.time(),), name="watch").start())
    result, _ = run(rogue_steps({"do": "wait"}), timeout=10, context={"bus": bus, "cancellation": cancellation})
    assert result.status == "cancelled"
    assert lived == [True]
    assert cloud.history[-1].ended_by == "killed"


OPERATIONS = ("sandbox.create", "sandbox.get", "files.write", "files.read", "process.Start", "process.SendInput")


@pytest.mark.parametrize("status", [429, 503])
def test_a_provider_that_is_busy_is_asked_again(status: int, cloud: E2BServer, run: InSandbox, project: Path) -> None:
    for operation in (*OPERATIONS, "sandbox.kill"):
        cloud.faults.respond(operation, status, times=2, retry_after=0.05)
    result, _ = run("csv-sql-csv")
    assert result.status == "success", result.error
    assert (project / "out" / "sums.csv").read_text().count("\n") == 8


def test_a_provider_that_stays_busy_is_an_error_that_may_pass(cloud: E2BServer, run: InSandbox) -> None:
    cloud.faults.respond("sandbox.create", 429, times=None, retry_after=0.01)
    result, context = run("csv-sql-csv")
    assert isinstance(result.error, UnreachableError)
    assert (result.error.code, result.error.retryable) == ("e2b.rate_limited", True)
    assert "execute_start" not in names(context)


def test_a_bad_key(run: InSandbox) -> None:
    result, _ = run("csv-sql-csv", api_key="e2b_ffffffffffffffffffffffffffffffffffffffff")
    assert isinstance(result.error, PrepareError)
    assert result.error.code == "e2b.unauthorized"
    assert "E2B_API_KEY" in str(result.error.hint)


def test_an_unknown_template(run: InSandbox) -> None:
    result, _ = run("csv-sql-csv", template="nobody-has-this")
    assert isinstance(result.error, PrepareError)
    assert result.error.code == "e2b.unknown_template"
    assert "nobody-has-this" in result.error.message


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [
        ("sandbox.create", 400, "e2b.refused"),
        ("sandbox.create", 402, "e2b.quota"),
        ("sandbox.create", 403, "e2b.quota"),
        ("files.write", 507, "e2b.disk_full"),
    ],
)
def test_what_the_account_or_the_disk_does_not_give(
    operation: str, status: int, code: str, cloud: E2BServer, run: InSandbox
) -> None:
    cloud.faults.respond(operation, status, times=None, message="no more of that")
    result, context = run("csv-sql-csv")
    assert isinstance(result.error, OsirisError)
    assert (result.error.code, result.error.retryable) == (code, False)
    assert "no more of that" in result.error.message
    assert result.error.hint
    assert "execute_start" not in names(context)


def test_nobody_there(run: InSandbox) -> None:
    result, _ = run("csv-sql-csv", api_url="http://127.0.0.1:9", sandbox_url="http://127.0.0.1:9")
    assert isinstance(result.error, UnreachableError)
    assert result.error.code == "e2b.unreachable"


def test_a_sandbox_whose_making_was_not_answered_does_not_stay(cloud: E2BServer, run: InSandbox) -> None:
    """It was made, but nobody told us: the same key gives the same sandbox, and one is all that ever was."""
    before = len(cloud.history)
    cloud.faults.drop("sandbox.create", after=True)
    result, _ = run("csv-sql-csv")
    assert result.status == "success", result.error
    assert len(cloud.history) == before + 1


def test_what_an_earlier_attempt_at_the_run_left_is_swept(
    cloud: E2BServer, proxy: Proxy, run: InSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = proxy(keep_sandbox=True)
    result, _ = run("csv-sql-csv", adapter=first)
    assert result.status == "success", result.error
    (left,) = cloud.sandboxes
    result, _ = run("csv-sql-csv")
    assert result.status == "success", result.error
    wait_for(lambda: left.ended_by == "killed")


HOST = """
import sys
from pathlib import Path
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.lifecycle import run_pipeline
from osiris.remote.e2b_transparent_proxy import E2BTransparentProxy

sys.path.insert(0, sys.argv[1])
manifest = {"version": "1.0.0", "name": "x", "steps": [{"id": "s", "driver": "rogue.actor", "config": {"do": "wait"}}]}

class Tell:
    def on_event(self, event):
        if event["event"] == "waiting":
            print("waiting", flush=True)
    def on_metric(self, metric): pass
    def close(self): pass

folder = Path(sys.argv[2])
context = ExecutionContext("host", folder / "session", base_dir=folder)
context.bus.subscribe(Tell())
run_pipeline(E2BTransparentProxy(template="base", timeout=6), manifest, context)
"""


def test_a_host_that_is_killed_leaves_a_sandbox_that_dies_by_itself(
    rogue: Path, cloud: E2BServer, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(HOST), str(rogue), str(tmp_path)]
    with subprocess.Popen(command, env=environment_of(cloud), stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "waiting\n"
        (sandbox,) = cloud.sandboxes
        os.kill(host.pid, signal.SIGKILL)
    wait_for(lambda: sandbox.ended_by)
    assert sandbox.ended_by == "expired"


def test_every_exception_that_is_known_exists() -> None:
    import connectrpc.errors
    import e2b
    import e2b.exceptions
    import httpx

    places: tuple[Any, ...] = (e2b, e2b.exceptions, httpx, connectrpc.errors)
    builtin = {"OSError"}
    assert [name for name in KNOWN if name not in builtin and not any(hasattr(place, name) for place in places)] == []
    for meaning in KNOWN.values():
        assert issubclass(meaning.kind, OsirisError)
        assert meaning.hint
