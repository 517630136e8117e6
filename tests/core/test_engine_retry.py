"""Retry, timeout, on_error: what is tried again, what is interrupted, what runs on. Real drivers, real threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from osiris.core import engine
from osiris.core.dataset import Dataset
from osiris.core.engine import RunReport
from osiris.core.errors import DriverError, ExecutionError, OsirisError, RunCancelledError, UsageError
from osiris.core.execution_adapter import ExecutionContext, RunOptions

Register = Callable[..., None]
SCHEMA = pa.schema([("n", pa.int64())])
STREAM = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
WRITER = {"role": "writer", "outputs": (), **STREAM}
AT_ONCE = {"attempts": 4, "delay": 0, "jitter": 0}


class Flaky:
    """A source that breaks in the middle the first ``failures`` times."""

    def __init__(self, failures: int, **facts: Any) -> None:
        self.failures, self.facts = failures, facts
        self.runs = 0

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.runs += 1
        return {"df": Dataset.from_batches(SCHEMA, self._rows(self.runs <= self.failures))}

    def _rows(self, breaks: bool) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": pa.array([1, 2], pa.int64())})
        if breaks:
            facts = {"retryable": True, **self.facts}
            raise DriverError("the line went dead", code="test.dead", **facts)
        yield pa.record_batch({"n": pa.array([3], pa.int64())})


class Atomic:
    """Keeps what it read only when it read all, as writers do."""

    def __init__(self, tells: bool = True) -> None:
        self.kept: list[list[int]] = []
        self.tells = tells

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        rows = [n for batch in inputs["df"].batches() for n in batch.column("n").to_pylist()]
        self.kept.append(rows)
        if self.tells:
            ctx.add_output("memory", rows=len(rows))
        return {}


def step(id: str, driver: str, **keys: Any) -> dict[str, Any]:
    inputs = {name: f"${{{ref}}}" for name, ref in keys.pop("inputs", {}).items()}
    return {"id": id, "driver": driver, "inputs": inputs, **keys}


def run(steps: list[dict[str, Any]], context: ExecutionContext, **top: Any) -> tuple[RunReport, OsirisError | None]:
    prepared = engine.prepare({"version": "1.0.0", "name": "t", "steps": steps, **top}, context)
    report = RunReport()
    try:
        engine.run(prepared, context, report)
    except OsirisError as error:
        return report, error
    return report, None


def told(context: ExecutionContext, *names: str) -> list[tuple[str, str | None]]:
    return [(e["event"], e.get("step_id")) for e in context.events if e["event"] in names]


def test_a_stage_is_run_again_as_a_whole(register: Register, context: ExecutionContext) -> None:
    source, sink = Flaky(2), Atomic()
    register("test.flaky", source)
    register("test.sink", sink, **WRITER)
    report, error = run([step("a", "test.flaky", retry=AT_ONCE), step("b", "test.sink", inputs={"df": "a"})], context)
    assert error is None
    assert sink.kept == [[1, 2, 3]]
    assert source.runs == 3
    assert (report.steps["a"].attempts, report.steps["a"].rows_out, report.total_rows) == (3, 3, 3)
    one = [("step_start", "a"), ("step_start", "b"), ("step_failed", "a"), ("step_failed", "b"), ("step_retry", "a")]
    last = [("step_start", "a"), ("step_start", "b"), ("step_complete", "a"), ("step_complete", "b")]
    assert told(context, "step_start", "step_failed", "step_complete", "step_retry") == [*one, *one, *last]
    retries = [e for e in context.events if e["event"] == "step_retry"]
    assert [(e["attempt"], e["attempts"]) for e in retries] == [(1, 4), (2, 4)]  # type: ignore[typeddict-item]
    assert retries[0]["error"]["code"] == "test.dead"  # type: ignore[typeddict-item]


def test_attempts_end(register: Register, context: ExecutionContext) -> None:
    source = Flaky(100)
    register("test.flaky", source)
    report, error = run([step("a", "test.flaky", retry=AT_ONCE)], context)
    assert error is not None
    assert error.code == "test.dead"
    assert source.runs == 4
    assert report.steps["a"].status == "failed"


@pytest.mark.parametrize(
    ("retry", "facts", "runs"),
    [
        (None, {}, 1),
        (AT_ONCE, {"retryable": False}, 1),
        ({**AT_ONCE, "on": ["test.dead"]}, {"retryable": False}, 4),
        ({**AT_ONCE, "on": ["test.*"]}, {"retryable": False}, 4),
        ({**AT_ONCE, "on": ["other.code"]}, {}, 1),
        ({**AT_ONCE, "attempts": 1}, {}, 1),
    ],
)
def test_what_is_tried_again(
    register: Register, context: ExecutionContext, retry: Any, facts: dict[str, Any], runs: int
) -> None:
    source = Flaky(100, **facts)
    register("test.flaky", source)
    keys = {} if retry is None else {"retry": retry}
    run([step("a", "test.flaky", **keys)], context)
    assert source.runs == runs


def test_a_default_for_all_steps(register: Register, context: ExecutionContext) -> None:
    source = Flaky(1)
    register("test.flaky", source)
    _, error = run([step("a", "test.flaky")], context, defaults={"retry": AT_ONCE})
    assert error is None
    assert source.runs == 2


def test_kept_inputs_are_there_for_the_next_attempt(register: Register, context: ExecutionContext) -> None:
    class FailsOnce(Atomic):
        failed = False

        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            if not self.failed:
                self.failed = True
                next(inputs["df"].batches())
                raise DriverError("lock wait", code="test.lock", retryable=True)
            return super().run(step_id, config, inputs, ctx)

    context.options = RunOptions(memory_budget=1)  # on disk, and still there
    source, flaky, other = Flaky(0), FailsOnce(), Atomic()
    register("test.source", source)
    register("test.flaky", flaky, **WRITER)
    register("test.other", other, **WRITER)
    _, error = run(
        [
            step("a", "test.source"),
            step("b", "test.flaky", inputs={"df": "a"}, retry=AT_ONCE),
            step("c", "test.other", inputs={"df": "a"}),
        ],
        context,
    )
    assert error is None
    assert flaky.kept == other.kept == [[1, 2, 3]]
    assert source.runs == 1, "its output was kept, it is not run again"


def test_what_is_there_for_good_is_not_written_again(register: Register, context: ExecutionContext) -> None:
    class Breaks(Atomic):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            super().run(step_id, config, inputs, ctx)
            raise DriverError("the connection was lost after the commit", code="test.lost", retryable=True)

    sink = Breaks()
    register("test.source", Flaky(0))
    register("test.sink", sink, **WRITER)
    _, error = run([step("a", "test.source"), step("b", "test.sink", inputs={"df": "a"}, retry=AT_ONCE)], context)
    assert error is not None
    assert len(sink.kept) == 1


def test_the_server_says_when(register: Register, context: ExecutionContext) -> None:
    register("test.flaky", Flaky(1, retry_after=0.2))
    run([step("a", "test.flaky", retry=AT_ONCE)], context)
    (event,) = [e for e in context.events if e["event"] == "step_retry"]
    assert event["delay_ms"] == 200  # type: ignore[typeddict-item]


def test_delays_grow_up_to_their_limit(register: Register, context: ExecutionContext) -> None:
    register("test.flaky", Flaky(4))
    retry = {"attempts": 5, "delay": "10ms", "backoff": 2, "max_delay": "25ms", "jitter": 0}
    run([step("a", "test.flaky", retry=retry)], context)
    delays = [e["delay_ms"] for e in context.events if e["event"] == "step_retry"]  # type: ignore[typeddict-item]
    assert delays == [10, 20, 25, 25]


def test_a_wait_ends_when_the_run_is_cancelled(register: Register, context: ExecutionContext) -> None:
    class Waiting(Flaky):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            threading.Thread(target=self._cancel_when_it_waits).start()
            return super().run(step_id, config, inputs, ctx)

        def _cancel_when_it_waits(self) -> None:
            while not told(context, "step_retry"):
                threading.Event().wait(0.001)
            context.cancellation.request("stopped by the test")

    source = Waiting(100)
    register("test.flaky", source)
    _, error = run([step("a", "test.flaky", retry={"attempts": 3, "delay": "1h"})], context)
    assert isinstance(error, RunCancelledError)
    assert source.runs == 1


class Sleeper:
    """Blocks until it is told to stop; deaf ones until the test ends."""

    def __init__(self, deaf: bool = False) -> None:
        self.deaf = deaf
        self.release = threading.Event()
        self.runs = 0

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.runs += 1
        if self.deaf:
            self.release.wait(60)
            return {}
        with ctx.on_cancel(self.release.set):
            self.release.wait(60)
        raise OSError("query interrupted")


def test_a_step_is_interrupted_at_its_timeout(register: Register, context: ExecutionContext) -> None:
    register("test.sleeper", Sleeper())
    report, error = run([step("a", "test.sleeper", timeout="50ms"), step("b", "test.sleeper", needs=["a"])], context)
    assert error is not None
    assert (error.code, error.retryable, error.facts["step_id"]) == ("step.timeout", True, "a")
    assert "0.05 s" in error.message
    assert "timeout" in (error.hint or "")
    assert {name: s.status for name, s in report.steps.items()} == {"a": "failed", "b": "skipped"}


def test_a_timeout_is_tried_again_if_asked_for(register: Register, context: ExecutionContext) -> None:
    sleeper = Sleeper()
    register("test.sleeper", sleeper)
    run([step("a", "test.sleeper", timeout=0.05, retry={**AT_ONCE, "attempts": 2})], context)
    assert sleeper.runs == 2


def test_a_source_that_feeds_others_is_timed_too(register: Register, context: ExecutionContext) -> None:
    class Slow:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            def rows() -> Iterator[pa.RecordBatch]:
                yield pa.record_batch({"n": pa.array([1], pa.int64())})
                released = threading.Event()
                with ctx.on_cancel(released.set):
                    released.wait(60)
                ctx.raise_if_cancelled()

            return {"df": Dataset.from_batches(SCHEMA, rows())}

    sink = Atomic()
    register("test.slow", Slow())
    register("test.sink", sink, **WRITER)
    report, error = run([step("a", "test.slow", timeout=0.05), step("b", "test.sink", inputs={"df": "a"})], context)
    assert error is not None
    assert (error.code, error.facts["step_id"]) == ("step.timeout", "a")
    assert sink.kept == [], "nothing was committed"
    assert report.steps["b"].status == "aborted"


def test_a_driver_that_does_not_listen_is_left_behind(
    register: Register, context: ExecutionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osiris.core.engine import stage

    monkeypatch.setattr(stage, "_STOP_PATIENCE", 0.1)
    deaf = Sleeper(deaf=True)
    register("test.deaf", deaf)
    report, error = run([step("a", "test.deaf", timeout=0.05, retry=AT_ONCE)], context)
    deaf.release.set()
    assert deaf.runs == 1, "it may still be writing: not called again beside that"
    assert error is not None
    assert error.code == "step.timeout"
    assert any("did not stop" in warning for warning in report.warnings)


@pytest.mark.parametrize("timed_out", [False, True])
def test_a_driver_that_does_not_come_back_is_given_up(
    register: Register, context: ExecutionContext, monkeypatch: pytest.MonkeyPatch, timed_out: bool
) -> None:
    from osiris.core.engine import scheduler

    monkeypatch.setattr(scheduler, "_CANCEL_PATIENCE", 0.1)
    deaf = Sleeper(deaf=True)
    register("test.source", Flaky(0))
    register("test.deaf", deaf)
    register("test.sink", Atomic(), **WRITER)
    if timed_out:
        context.timeout = 0.2

    def cancel_when_it_sleeps() -> None:
        while not deaf.runs:
            threading.Event().wait(0.001)
        context.cancellation.request("stopped by the test")

    if not timed_out:
        threading.Thread(target=cancel_when_it_sleeps).start()
    steps = [
        step("a", "test.source"),
        step("b", "test.deaf", inputs={"df": "a"}),
        step("c", "test.sink", inputs={"df": "b"}),
    ]
    report, error = run(steps, context)
    assert error is not None
    assert error.code == ("run.timeout" if timed_out else "run.cancelled")
    end = "aborted" if timed_out else "cancelled"
    assert {name: s.status for name, s in report.steps.items()} == {"a": "success", "b": end, "c": "skipped"}
    assert report.steps["b"].duration_ms >= 100
    assert report.warnings == ["did not stop within 0 s: b"]
    ends = [("step_complete", "a"), ("step_failed", "b"), ("step_skipped", "c")]
    assert told(context, "step_complete", "step_failed", "step_skipped") == ends
    known = len(context.events)
    deaf.release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("osiris-"):
            thread.join(10)
    assert len(context.events) == known, "what it does afterwards is no part of the run"


def test_a_run_is_interrupted_at_its_timeout(register: Register, context: ExecutionContext) -> None:
    context.timeout = 0.05
    register("test.sleeper", Sleeper())
    report, error = run([step("a", "test.sleeper"), step("b", "test.sleeper", needs=["a"])], context)
    assert isinstance(error, ExecutionError)
    assert error.code == "run.timeout"
    assert report.status == "failed"
    assert {name: s.status for name, s in report.steps.items()} == {"a": "aborted", "b": "skipped"}
    assert report.steps["b"].reason == "the run did not finish within 0.05 s"


def test_a_run_in_time_is_left_alone(register: Register, context: ExecutionContext) -> None:
    context.timeout = 300
    register("test.source", Flaky(0))
    assert run([step("a", "test.source", timeout="5m")], context)[1] is None


def test_times_longer_than_a_thread_can_wait(register: Register, context: ExecutionContext) -> None:
    context.timeout = 99_999_999_999
    register("test.source", Flaky(0))
    report, error = run([step("a", "test.source", timeout="999999999999h")], context, limits={"time": 10**11})
    assert (error, report.status) == (None, "success")


def test_a_delay_longer_than_a_thread_can_wait(register: Register, context: ExecutionContext) -> None:
    register("test.source", Flaky(100, retry_after=1e15))

    def cancel_when_it_waits() -> None:
        while not told(context, "step_retry"):
            threading.Event().wait(0.001)
        context.cancellation.request("stopped by the test")

    threading.Thread(target=cancel_when_it_waits).start()
    _, error = run([step("a", "test.source", retry=3)], context)
    assert isinstance(error, RunCancelledError)


@pytest.mark.parametrize("timeout", [float("inf"), float("nan")])
def test_a_run_cannot_take_for_ever(register: Register, context: ExecutionContext, timeout: float) -> None:
    context.timeout = timeout
    register("test.source", Flaky(0))
    with pytest.raises(UsageError) as caught:
        engine.prepare({"version": "1.0.0", "steps": [step("a", "test.source")]}, context)
    assert "must be a finite number of seconds" in caught.value.message


class Failing:
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        raise DriverError(f"{step_id} broke", code="test.broke")


def test_on_error_continue_runs_what_does_not_depend(register: Register, context: ExecutionContext) -> None:
    register("test.failing", Failing())
    register("test.source", Flaky(0))
    register("test.sink", Atomic(), **WRITER)
    context.options = RunOptions(parallel=1)
    report, error = run(
        [
            step("a", "test.failing", on_error="continue"),
            step("b", "test.sink", inputs={"df": "a"}),
            step("c", "test.source", needs=["b"]),
            step("d", "test.source"),
            step("e", "test.sink", inputs={"df": "d"}),
            step("f", "test.failing", on_error="continue"),
        ],
        context,
    )
    assert error is not None
    assert error.message == "a broke"
    assert report.status == "failed"
    assert {name: s.status for name, s in report.steps.items()} == {
        "a": "failed", "b": "aborted" if report.steps["b"].status == "aborted" else "skipped", "c": "skipped",
        "d": "success", "e": "success", "f": "failed",
    }  # fmt: skip
    assert report.steps["c"].reason == "step 'a' failed", "also through b, which was skipped itself"
    assert report.warnings == ["failed too: f broke"]


def test_on_error_stop_is_the_rule(register: Register, context: ExecutionContext) -> None:
    register("test.failing", Failing())
    register("test.source", Flaky(0))
    context.options = RunOptions(parallel=1)
    report, _ = run([step("a", "test.failing"), step("b", "test.source")], context)
    assert report.steps["b"].status == "skipped"


@pytest.mark.parametrize(
    ("keys", "told_of"),
    [
        ({"retry": "often"}, "retry must be a number or a mapping"),
        ({"retry": 0}, "retry.attempts must be a whole number from 1 to 100, but is 0"),
        ({"retry": {"attemps": 3}}, "unknown key 'attemps' in retry"),
        ({"retry": {"delay": "soon"}}, "retry.delay must be a time, but is 'soon'"),
        ({"retry": {"backoff": 0.5}}, "retry.backoff must be a number from 1 to 100"),
        ({"retry": {"on": [1]}}, "retry.on must be a list of error codes"),
        ({"timeout": -1}, "timeout must be a time, but is -1"),
        ({"timeout": True}, "timeout must be a time"),
        ({"timeout": "9" * 400}, "timeout must be a time, but is '999999"),
        ({"timeout": 10**400}, "timeout must be a time, but is 100000"),
        ({"on_error": "ignore"}, "on_error must be stop or continue"),
    ],
)
def test_mistakes_in_a_policy(
    register: Register, context: ExecutionContext, keys: dict[str, Any], told_of: str
) -> None:
    register("test.source", Flaky(0))
    with pytest.raises(OsirisError) as caught:
        engine.prepare({"version": "1.0.0", "steps": [step("a", "test.source", **keys)]}, context)
    assert caught.value.exit_code == 3
    assert told_of in caught.value.message
