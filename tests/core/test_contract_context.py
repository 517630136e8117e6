"""What adapters are given and give: context, prepared run, result, cancellation."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from osiris.core.cancellation import Cancellation
from osiris.core.errors import CollectError, ExecutionError, PrepareError, RunCancelledError, StepError, UsageError
from osiris.core.events import EventBus
from osiris.core.execution_adapter import (
    AdapterSpec,
    ExecutionAdapter,
    ExecutionContext,
    PreparedRun,
    RunOptions,
    RunResult,
)

# --- ExecutionContext


def test_the_form_with_a_session_folder():
    context = ExecutionContext(
        session_id="run_1", session_dir="/tmp/run_1", verbose=True, timeout=300, environment={"PW": "hunter2"}
    )
    assert (context.session_id, context.session_dir) == ("run_1", Path("/tmp/run_1"))
    assert context.artifacts_dir == Path("/tmp/run_1/artifacts")
    assert (context.verbose, context.timeout, context.environment) == (True, 300, {"PW": "hunter2"})


def test_the_form_with_an_artifacts_folder():
    context = ExecutionContext("run_1", artifacts_dir=Path("/tmp/run_1/kept"))
    assert (context.artifacts_dir, context.session_dir) == (Path("/tmp/run_1/kept"), Path("/tmp/run_1"))
    assert (context.verbose, context.timeout, context.environment) == (False, None, {})


def test_both_folders_may_be_given():
    context = ExecutionContext("run_1", "/a", artifacts_dir="/b")
    assert (context.session_dir, context.artifacts_dir) == (Path("/a"), Path("/b"))


def test_a_context_needs_a_folder():
    with pytest.raises(UsageError, match="session_dir or an artifacts_dir"):
        ExecutionContext("run_1")


def test_relative_paths_begin_somewhere():
    assert ExecutionContext("x", "/a").base_dir == Path.cwd()
    context = ExecutionContext("x", "/a", base_dir="/p")
    assert (context.base_dir, context.project_dir) == (Path("/p"), Path("/p"))
    assert ExecutionContext("x", "/a", base_dir="/p", project_dir="/q").project_dir == Path("/q")


def test_two_contexts_share_nothing():
    one, two = ExecutionContext("x", "/a"), ExecutionContext("x", "/a")
    one.environment["A"] = "b"
    one.log_event("e")
    one.cancellation.request()
    assert (two.environment, two.events, two.cancellation.requested) == ({}, (), False)


def test_the_environment_is_a_copy():
    given = {"A": "b"}
    context = ExecutionContext("x", "/a", environment=given)
    given["A"] = "c"
    assert context.environment == {"A": "b"}


def test_what_is_told_can_be_read():
    context = ExecutionContext("x", "/a")
    assert context.log_event("e", {"a": 1}) is None
    assert context.log_metric("m", 2, "rows", step_id="s") is None
    assert [(event["event"], event["a"]) for event in context.events] == [("e", 1)]
    assert [(metric["metric"], metric["value"]) for metric in context.metrics] == [("m", 2)]


def test_an_empty_bus_is_still_the_given_one():
    bus = EventBus("x")
    assert ExecutionContext("x", "/a", bus=bus).bus is bus


def test_repr_names_variables_and_no_values():
    text = repr(ExecutionContext("x", "/a", environment={"PW": "hunter2"}))
    assert "PW" in text
    assert "hunter2" not in text


def test_making_a_context_writes_nothing(tmp_path):
    ExecutionContext("x", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# --- PreparedRun, specs, options


def test_a_prepared_run_does_not_show_values():
    prepared = PreparedRun(
        manifest={"steps": []},
        configs={"a": {"pw": "${PW}"}},
        environment={"PW": "hunter2"},
        package="hunter2",
        run_id="r",
    )
    assert "hunter2" not in repr(prepared)
    assert "hunter2" not in str(prepared)
    assert "${PW}" in repr(prepared)


def test_a_prepared_run_needs_nothing():
    one, two = PreparedRun(), PreparedRun()
    one.metadata["a"] = 1
    assert two.metadata == {}


def test_values_cannot_be_changed():
    for value, name in ((AdapterSpec(name="a", summary="", factory=""), "name"), (RunOptions(), "parallel")):
        with pytest.raises(AttributeError):
            setattr(value, name, "x")


def test_the_errors_of_the_contract_are_importable_where_the_guides_say():
    from osiris.core import execution_adapter

    assert execution_adapter.PrepareError is PrepareError
    assert execution_adapter.ExecutionError is ExecutionError
    assert execution_adapter.CollectError is CollectError


@pytest.mark.parametrize("missing", ["prepare", "execute", "collect"])
def test_an_adapter_without_a_phase_cannot_be_made(missing):
    phases = {name: lambda self, *args: None for name in ("prepare", "execute", "collect") if name != missing}
    with pytest.raises(TypeError, match=missing):
        type("Half", (ExecutionAdapter,), phases)()


def test_close_is_optional():
    phases = {name: lambda self, *args: None for name in ("prepare", "execute", "collect")}
    adapter = type("Whole", (ExecutionAdapter,), phases)()
    adapter.close()
    adapter.close()


# --- RunResult


def result(**changes):
    return RunResult(**{"status": "success", "session_id": "r", "session_dir": Path("/a"), **changes})


def test_a_success_raises_nothing():
    good = result()
    assert good.raise_for_status() is good


@pytest.mark.parametrize("error", [StepError("no"), ValueError("bug"), RunCancelledError("stop")])
def test_a_failure_raises_its_error(error):
    with pytest.raises(type(error)) as caught:
        result(status="failed", error=error).raise_for_status()
    assert caught.value is error


def test_a_failure_without_an_error_raises_all_the_same():
    with pytest.raises(ExecutionError, match="ended cancelled"):
        result(status="cancelled").raise_for_status()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, None),
        (ValueError("x"), {"type": "ValueError", "code": "bug", "message": "x"}),
        (StepError("x", hint="h", step_id="a"), StepError("x", hint="h", step_id="a").to_dict()),
    ],
)
def test_a_result_is_json(error, told):
    whole = result(
        error=error,
        duration_ms=1.23456,
        outputs=({"step_id": "a", "location": "out.csv"},),
        artifacts=({"path": "a", "size": 1, "sha256": "0"},),
        steps=({"id": "a", "status": "success"},),
        metrics={"rows_read": 3},
        warnings=("careful",),
        extras={"zone": "eu"},
    ).to_dict()
    assert json.loads(json.dumps(whole)) == whole
    assert (whole["error"], whole["duration_ms"], whole["zone"]) == (told, 1.235, "eu")
    assert (whole["session_dir"], whole["warnings"]) == ("/a", ["careful"])


# --- Cancellation


def test_a_stop_is_seen_once():
    flag, calls = Cancellation(), []
    with flag.on_cancel(lambda: calls.append("called")):
        assert not flag.requested
        flag.raise_if_requested()
        flag.request("stopped by Ctrl-C", signal=2)
        flag.request("again", signal=15)
    assert calls == ["called"]
    assert (flag.requested, flag.reason, flag.signal) == (True, "stopped by Ctrl-C", 2)
    with pytest.raises(RunCancelledError, match="the run was stopped by Ctrl-C") as caught:
        flag.raise_if_requested()
    assert caught.value.facts == {"signal": 2}


def test_a_callback_that_raises_does_not_keep_others_from_being_called():
    flag, calls = Cancellation(), []

    def bad():
        calls.append("bad")
        raise OSError("gone")

    with flag.on_cancel(bad), flag.on_cancel(lambda: calls.append("good")):
        flag.request()
    assert calls == ["bad", "good"]


def test_after_the_block_nothing_is_called():
    flag, calls = Cancellation(), []
    with flag.on_cancel(lambda: calls.append("called")):
        pass
    with pytest.raises(KeyError), flag.on_cancel(lambda: calls.append("called")):
        raise KeyError
    flag.request()
    assert calls == []


def test_a_stop_that_was_asked_for_before_is_told_at_once():
    flag, calls = Cancellation(), []
    flag.request()
    with flag.on_cancel(lambda: calls.append("called")):
        assert calls == ["called"]

    def bad():
        raise OSError

    with flag.on_cancel(bad):
        pass


def test_the_same_callback_may_be_registered_twice():
    flag, calls = Cancellation(), []

    def call():
        calls.append("called")

    with flag.on_cancel(call), flag.on_cancel(call):
        flag.request()
    assert len(calls) == 2


def test_a_callback_may_use_the_flag():
    flag, seen = Cancellation(), []

    def look():
        flag.request("again")
        with flag.on_cancel(lambda: seen.append("inner")):
            seen.append(flag.requested)

    with flag.on_cancel(look):
        flag.request()
    assert seen == ["inner", True]


def test_waiting_ends_with_the_stop():
    flag = Cancellation()
    assert flag.wait(0) is False
    threading.Thread(target=flag.request, daemon=True).start()
    assert flag.wait(60) is True


def test_many_askers_are_one():
    flag, calls, barrier = Cancellation(), [], threading.Barrier(8)

    def ask(number):
        barrier.wait()
        flag.request(f"asked by {number}", signal=number)

    with flag.on_cancel(lambda: calls.append("called")):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert calls == ["called"]
    assert flag.reason == f"asked by {flag.signal}"


def test_an_unnamed_stop():
    flag = Cancellation()
    flag.request()
    assert flag.error().message == "the run was cancelled"
    assert flag.error().facts == {}
