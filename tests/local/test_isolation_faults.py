"""Drivers that behave as no driver should, in a worker: the run says what happened, nothing hangs or stays."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.core.cancellation import Cancellation
from osiris.core.connections import REDACTOR
from osiris.core.errors import ExecutionError, PluginNotFoundError, RunCancelledError, StepError, UsageError
from osiris.core.events.bus import EventBus
from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.runtime.local_adapter import LocalAdapter

Isolated = Callable[..., tuple[RunResult, ExecutionContext]]


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Every test: no process, no thread, no open file, no private folder stays."""
    processes, threads, files = children(), set(threading.enumerate()), len([*Path("/proc/self/fd").iterdir()])
    yield
    assert children() == processes
    assert set(threading.enumerate()) <= threads
    assert len([*Path("/proc/self/fd").iterdir()]) <= files
    assert not (tmp_path / "session" / "worker").exists()
    assert not (tmp_path / "session" / "tmp").exists()


def children(pid: int | None = None) -> set[int]:
    """The processes that a process started and that run."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_alive(int(entry.name)):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == (os.getpid() if pid is None else pid):
                found.add(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Until another process did something: nobody tells us, so we look."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen")


def names(context: ExecutionContext) -> list[str]:
    return [event["event"] for event in context.events]


def only(context: ExecutionContext, name: str) -> Any:
    (found,) = [event for event in context.events if event["event"] == name]
    return found


def assert_pairs_are_complete(context: ExecutionContext) -> None:
    told = names(context)
    for start in {name for name in told if name.endswith("_start")}:
        stem = start.removesuffix("_start")
        ends = sum(told.count(f"{stem}_{end}") for end in ("complete", "failed", "cancelled"))
        assert told.count(start) == ends, start


def test_what_drivers_print_does_not_break_the_protocol(isolated: Isolated, capfd: pytest.CaptureFixture[str]) -> None:
    result, context = isolated({"do": "print_garbage"})
    assert result.status == "success", result.error
    assert only(context, "survived")["still"] == "here"
    out, err = capfd.readouterr()
    assert out == ""
    for said in ("forged", "garbage", "finished", "from C", "from a child"):
        assert said in err


@pytest.mark.parametrize(
    ("what", "code", "says"), [("exit", 3, "ended with exit code 3"), ("kill_itself", -9, "was killed by SIGKILL")]
)
def test_a_worker_that_dies_is_an_error_with_its_last_words(
    what: str, code: int, says: str, isolated: Isolated
) -> None:
    result, context = isolated({"do": "nothing"}, {"do": what}, {"do": "nothing"})
    assert result.status == "failed"
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "worker.died"
    assert says in result.error.message
    assert result.error.facts["exit_code"] == code
    if what == "exit":
        assert "my last words" in result.error.message
        assert result.error.facts["last_words"] == "my last words"
    assert result.steps_completed == 1
    assert [step["status"] for step in result.steps] == ["success", "failed", "skipped"]
    assert only(context, "step_failed")["step_id"] == "step1"
    assert only(context, "step_skipped")["step_id"] == "step2"
    assert_pairs_are_complete(context)


def test_a_worker_that_is_killed_from_outside(isolated: Isolated) -> None:
    class Killer:
        def on_event(self, event: Any) -> None:
            if event["event"] == "waiting":
                os.kill(event["pid"], signal.SIGKILL)

        def on_metric(self, metric: Any) -> None:
            pass

        def close(self) -> None:
            pass

    bus = EventBus("run")
    bus.subscribe(Killer())
    result, context = isolated({"do": "ignore_cancel"}, bus=bus)
    assert isinstance(result.error, ExecutionError)
    assert (result.error.code, result.error.facts["exit_code"]) == ("worker.died", -9)
    assert_pairs_are_complete(context)


def test_leaving_python_is_a_failure_of_the_step(isolated: Isolated) -> None:
    result, _ = isolated({"do": "sys_exit"})
    assert isinstance(result.error, StepError)
    assert result.error.facts["step_id"] == "step0"


def test_an_exception_that_cannot_be_pickled(isolated: Isolated) -> None:
    result, context = isolated({"do": "fail_unpicklable"})
    assert isinstance(result.error, StepError)
    assert result.error.code == "step.exception"
    assert "one and two" in result.error.message
    assert "fail_unpicklable" in only(context, "step_failed")["traceback"]


@pytest.mark.parametrize(
    ("do", "code", "message"),
    [("fail_with_an_exception_as_message", "rogue.slip", "x"), ("fail_knotted", "driver.failed", "orders")],
)
def test_an_error_that_can_hardly_be_told(do: str, code: str, message: str, isolated: Isolated) -> None:
    try:  # with a secret, so that errors are looked through
        result, context = isolated({"do": do, "token": "${ROGUE_TOKEN}"}, environment={"ROGUE_TOKEN": "hunter2-long"})
    finally:
        REDACTOR.clear()
    assert isinstance(result.error, ExecutionError)
    assert (result.error.code, result.error.message) == (code, message)
    assert only(context, "step_failed")["error"]["message"] == message


def test_every_event_once_and_in_order(isolated: Isolated) -> None:
    result, context = isolated({"do": "tell", "times": 20_000})
    assert result.status == "success", result.error
    assert [event["number"] for event in context.events if event["event"] == "told"] == list(range(20_000))


def test_an_event_that_is_too_large_says_so(isolated: Isolated) -> None:
    result, context = isolated({"do": "tell_huge"})
    assert result.status == "success", result.error
    huge = only(context, "huge")
    assert (huge["step_id"], huge["number"]) == ("step0", 7)
    assert "longer than 4,194,304" in huge["truncated"]
    assert len(json.dumps(huge)) < 10_000
    assert "after" in names(context)


def test_numbers_that_json_does_not_know(isolated: Isolated) -> None:
    result, context = isolated({"do": "measure"})
    assert result.status == "success", result.error
    told = {metric["metric"]: dict(metric) for metric in context.metrics}
    assert math.isnan(told["odd"]["value"])
    assert (told["plain"]["value"], told["plain"]["unit"], told["plain"]["colour"]) == (3, "pieces", "red")
    assert only(context, "refused")["code"] == "metric.not_a_number"
    assert math.isnan(result.metrics["odd"])


class Canceller:
    """Asks to stop as soon as an event is told."""

    def __init__(self, event: str) -> None:
        self.cancellation = Cancellation()
        self._event = event

    def on_event(self, event: Any) -> None:
        if event["event"] == self._event:
            self.cancellation.request("stopped by SIGTERM", signal=15)

    def on_metric(self, metric: Any) -> None:
        pass

    def close(self) -> None:
        pass


def cancelled(isolated: Isolated, what: str, event: str, **more: Any) -> tuple[RunResult, ExecutionContext]:
    canceller = Canceller(event)
    bus = EventBus("run")
    bus.subscribe(canceller)
    result, context = isolated({"do": what}, {"do": "nothing"}, bus=bus, cancellation=canceller.cancellation, **more)
    assert result.status == "cancelled", result.error
    assert isinstance(result.error, RunCancelledError)
    assert result.error.facts["signal"] == 15
    assert_pairs_are_complete(context)
    assert names(context)[-1] == "run_cancelled"
    return result, context


def test_a_request_to_stop_reaches_the_worker(isolated: Isolated) -> None:
    result, context = cancelled(isolated, "wait", "waiting")
    assert [step["status"] for step in result.steps] == ["cancelled", "skipped"]
    assert "execution_interrupted" in names(context)


@pytest.mark.parametrize(("what", "event"), [("ignore_cancel", "waiting"), ("stop_the_world", "stopping_the_world")])
def test_a_driver_that_does_not_stop_is_stopped(what: str, event: str, isolated: Isolated) -> None:
    result, _ = cancelled(isolated, what, event, cancel_patience=0.3)
    assert [step["status"] for step in result.steps] == ["cancelled", "skipped"]


def test_a_request_to_stop_before_the_worker_is_there(isolated: Isolated) -> None:
    cancellation = Cancellation()
    cancellation.request("stopped", signal=2)
    result, context = isolated({"do": "nothing"}, cancellation=cancellation)
    assert result.status == "cancelled"
    assert "step_start" not in names(context)


def test_a_query_is_interrupted(tmp_path: Path) -> None:
    canceller = Canceller("step_start")
    bus = EventBus("run")
    bus.subscribe(canceller)
    query = "select sum(hash(a.range + b.range)) as s from range(10000000) a, range(10000000) b"
    manifest = manifest_from_dict(
        {
            "version": "1.0.0",
            "steps": [
                {"id": "slow", "driver": "duckdb.processor", "config": {"query": query}},
                {
                    "id": "save",
                    "driver": "filesystem.csv_writer",
                    "config": {"path": "never.csv"},
                    "inputs": {"df": "${slow.df}"},
                },
            ],
        }
    )
    context = ExecutionContext(
        "run", tmp_path / "session", base_dir=tmp_path, bus=bus, cancellation=canceller.cancellation
    )
    result = run_pipeline(LocalAdapter(isolation="process", cancel_patience=60), manifest, context)
    assert result.status == "cancelled"
    assert not list(tmp_path.glob("never*"))
    times = {event["event"]: event["ts"] for event in context.events}
    began, ended = (float(times[name][17:-1]) for name in ("step_start", "step_failed"))
    assert (ended - began) % 60 < 30, "the query would have taken hours"


def test_what_drivers_started_does_not_outlive_the_run(isolated: Isolated) -> None:
    result, context = isolated({"do": "start_child"})
    assert result.status == "success", result.error
    for pid in only(context, "started")["pids"]:
        wait_for(lambda pid=pid: not is_alive(pid))


def test_a_host_that_is_killed_takes_its_worker_along(rogue: Path, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from osiris.core.execution_adapter import ExecutionContext
        from osiris.core.lifecycle import run_pipeline
        from osiris.runtime.local_adapter import LocalAdapter

        class Teller:
            def on_event(self, event):
                if event["event"] == "waiting":
                    print(event["pid"], flush=True)
            def on_metric(self, metric): pass
            def close(self): pass

        context = ExecutionContext("run", "killed")
        context.bus.subscribe(Teller())
        steps = [{"id": "step0", "driver": "rogue.actor", "config": {"do": sys.argv[1]}}]
        run_pipeline(LocalAdapter(isolation="process"), {"version": "1.0.0", "name": "x", "steps": steps}, context)
        """)
    environment = {**os.environ, "PYTHONPATH": str(rogue)}
    for what in ("wait", "ignore_cancel"):
        command = [sys.executable, "-c", program, what]
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout is not None
            worker = int(host.stdout.readline())
            assert is_alive(worker)
            host.kill()
        wait_for(lambda worker=worker: not is_alive(worker))


def test_ctrl_c_is_for_the_host_alone(rogue: Path, tmp_path: Path) -> None:
    """A terminal's Ctrl-C goes to the whole process group; the host decides what becomes of the run."""
    (tmp_path / "pipeline.yaml").write_text(
        "version: '1.0.0'\nname: x\nsteps:\n  - {id: step0, driver: rogue.actor, config: {do: wait}}\n"
    )
    command = [sys.executable, "-m", "osiris.cli", "run", "--verbose", "--adapter-option", "isolation=process"]
    environment = {**os.environ, "PYTHONPATH": str(rogue)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as host:
        assert host.stderr is not None
        told = ""
        while "waiting" not in told:
            line = host.stderr.readline()
            assert line, told
            told += line
        os.killpg(host.pid, signal.SIGINT)
        told += host.stderr.read()
    assert host.returncode == 130, told
    assert "Traceback" not in told


@pytest.mark.parametrize("failing", [False, True])
def test_secrets_stay_out_of_sight(
    failing: bool, rogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    canary = "c4n4ry-7d3f\n second line of the secret"
    monkeypatch.setenv("APP_TOKEN", canary)
    monkeypatch.setenv("APP_URL", f"https://user:{canary}@host")
    monkeypatch.setenv("APP_OTHER", "not a secret")
    config = {"do": "show_secret", "token": "${APP_TOKEN}", "session": str(tmp_path / "session"), "raise": failing}
    manifest = {"version": "1.0.0", "name": "x", "steps": [{"id": "s", "driver": "rogue.actor", "config": config}]}
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path, bus=EventBus("run", redact=dict))
    try:
        result = run_pipeline(LocalAdapter(isolation="process"), manifest_from_dict(manifest), context)
    finally:
        REDACTOR.clear()
    assert result.status == ("failed" if failing else "success"), result.error
    seen = only(context, "seen")
    assert seen["length"] == len(canary)
    assert seen["found"] is False
    assert seen["text"] == "it is ***"
    assert "APP_OTHER=not a secret" in seen["environ"]
    assert "APP_TOKEN" not in seen["environ"]
    assert "APP_URL" not in seen["environ"]
    assert seen["journal"].count('"step_start"') == 1
    assert not any(name.endswith("secrets.json") for name in seen["files"])
    printed = capfd.readouterr()
    everything = [repr(context.events), repr(context.metrics), str(result.to_dict()), printed.out, printed.err]
    everything += [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert [text for text in everything if "c4n4ry" in text] == []


def test_the_worker_finds_what_the_host_finds(isolated: Isolated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    _, context = isolated({"do": "tell_path"})
    where = only(context, "where")
    assert where["cwd"] == str(Path.cwd())
    assert where["python"] == "/nowhere", "what drivers start must get what the host was given"
    given = [entry for entry in where["path"] if entry in sys.path]
    assert list(dict.fromkeys(given)) == list(dict.fromkeys(entry for entry in sys.path if entry in given))
    assert {entry for entry in sys.path if entry} <= set(where["path"])


def test_a_driver_of_this_process_alone_is_refused(register: Any, tmp_path: Path) -> None:
    class Mine:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            raise AssertionError("must not run")

    register("test.mine", Mine())
    manifest = {"version": "1.0.0", "steps": [{"id": "s", "driver": "test.mine", "config": {}}]}
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path)
    result = run_pipeline(LocalAdapter(isolation="process"), manifest, context)
    assert isinstance(result.error, PluginNotFoundError)
    assert result.error.code == "plugin.not_in_worker"
    assert "'test.mine'" in result.error.message
    assert "without isolation" in (result.error.hint or "")
    assert_pairs_are_complete(context)


def test_an_unknown_isolation_is_refused() -> None:
    with pytest.raises(UsageError, match="isolation 'thread'"):
        LocalAdapter(isolation="thread")  # type: ignore[arg-type]


def test_a_session_folder_that_cannot_be_written(isolated: Isolated, tmp_path: Path) -> None:
    (tmp_path / "session").write_text("a file where a folder should be")
    result, _ = isolated({"do": "nothing"})
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "worker.folder"
