"""prepare, execute, collect, close: the order, the events, and which error wins."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from osiris.core.connections import REDACTOR
from osiris.core.errors import (
    CollectError,
    ExecutionError,
    PlanError,
    PluginBrokenError,
    PrepareError,
    Problem,
    UnreachableError,
    UsageError,
)
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.lifecycle import run_pipeline

MANIFEST = {"version": "1.0.0", "name": "orders", "steps": [{"id": "a", "driver": "x.y"}]}


class Scripted(ExecutionAdapter):
    """Does as told, and remembers the order."""

    def __init__(self, collected: dict[str, Any] | None = None, **raises: BaseException) -> None:
        self.order: list[str] = []
        self._raises = raises
        self._collected = collected or {"status": "success", "steps_completed": 1, "total_rows": 3, "zone": "eu"}

    def _do(self, phase: str) -> None:
        self.order.append(phase)
        if phase in self._raises:
            raise self._raises[phase]

    def prepare(self, manifest: Any, context: ExecutionContext) -> PreparedRun:
        self._do("prepare")
        return PreparedRun(manifest=manifest)

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        self._do("execute")

    def collect(self, prepared: PreparedRun, context: ExecutionContext) -> dict[str, Any]:
        self._do("collect")
        return self._collected

    def close(self) -> None:
        self._do("close")


def told(context: ExecutionContext) -> list[str]:
    return [event["event"] for event in context.events]


def test_success(context: ExecutionContext) -> None:
    adapter = Scripted()
    result = run_pipeline(adapter, MANIFEST, context, adapter_name="scripted")
    assert adapter.order == ["prepare", "execute", "collect", "close"]
    assert told(context) == [
        "run_start",
        "prepare_start", "prepare_complete",
        "execute_start", "execute_complete",
        "collect_start", "collect_complete",
        "cleanup_complete",
        "run_complete",
    ]  # fmt: skip
    assert (result.status, result.pipeline, result.adapter) == ("success", "orders", "scripted")
    assert (result.steps_completed, result.steps_total, result.total_rows) == (1, 1, 3)
    assert result.extras == {"zone": "eu"}
    assert result.raise_for_status() is result
    assert {m["metric"] for m in context.metrics} == {"execution_time_ms", "overhead_ms"}


def test_a_failed_execute_is_still_collected_and_stays_the_cause(context: ExecutionContext) -> None:
    first = ExecutionError("step a broke", code="test.broke")
    adapter = Scripted(execute=first, collect=ValueError("and this too"), close=OSError("and that"))
    result = run_pipeline(adapter, MANIFEST, context)
    assert adapter.order == ["prepare", "execute", "collect", "close"]
    assert result.status == "failed"
    assert result.error is first
    assert result.warnings == ("after the failure: and this too", "after the failure: and that")
    assert told(context)[-4:] == ["collect_start", "collect_failed", "cleanup_complete", "run_failed"]
    with pytest.raises(ExecutionError, match="step a broke"):
        result.raise_for_status()


def test_a_failed_prepare_ends_at_once_but_closes(context: ExecutionContext) -> None:
    adapter = Scripted(prepare=PrepareError("no room"))
    result = run_pipeline(adapter, MANIFEST, context)
    assert adapter.order == ["prepare", "close"]
    assert (result.status, type(result.error)) == ("failed", PrepareError)
    assert told(context) == ["run_start", "prepare_start", "prepare_failed", "cleanup_complete", "run_failed"]


def test_an_invalid_pipeline_keeps_its_kind(context: ExecutionContext) -> None:
    error = PlanError(problems=[Problem(code="plan.x", message="no such step")])
    result = run_pipeline(Scripted(prepare=error), MANIFEST, context)
    assert result.error is error
    assert result.to_dict()["error"]["facts"]["problems"][0]["message"] == "no such step"


def test_a_failed_collect_or_close_is_no_success(context: ExecutionContext) -> None:
    for phase in ("collect", "close"):
        result = run_pipeline(Scripted(**{phase: OSError("gone")}), MANIFEST, context)
        assert result.status == "failed"
        assert str(result.error) == "gone"


def test_an_adapter_that_claims_success_does_not_hide_the_error(context: ExecutionContext) -> None:
    result = run_pipeline(Scripted({"status": "success"}, execute=ExecutionError("no")), MANIFEST, context)
    assert result.status == "failed"


@pytest.mark.parametrize("claimed", ["failed", "", None, "ok?"])
def test_an_adapter_that_claims_anything_else_has_failed(context: ExecutionContext, claimed: Any) -> None:
    result = run_pipeline(Scripted({"status": claimed}), MANIFEST, context)
    assert result.status == "failed"
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "adapter.no_error"


def test_the_older_guides_completed_is_success(context: ExecutionContext) -> None:
    assert run_pipeline(Scripted({"status": "completed"}), MANIFEST, context).status == "success"


def test_collect_that_gives_nothing(context: ExecutionContext) -> None:
    class Bare(Scripted):
        def collect(self, prepared: PreparedRun, context: ExecutionContext) -> dict[str, Any]:
            return None  # type: ignore[return-value]  # as people write it

    assert run_pipeline(Bare(), MANIFEST, context).status == "success"


def test_ctrl_c_is_a_cancelled_run(context: ExecutionContext) -> None:
    adapter = Scripted(execute=KeyboardInterrupt())
    result = run_pipeline(adapter, MANIFEST, context)
    assert adapter.order == ["prepare", "execute", "collect", "close"]
    assert result.status == "cancelled"
    assert result.error is not None
    assert result.error.facts["signal"] == 2  # type: ignore[attr-defined]
    assert told(context)[-1] == "run_cancelled"
    assert context.cancellation.requested


def test_every_start_has_exactly_one_end(context: ExecutionContext) -> None:
    run_pipeline(Scripted(execute=ExecutionError("no")), MANIFEST, context)
    names = told(context)
    for phase in ("prepare", "execute", "collect"):
        assert names.count(f"{phase}_start") == 1
        assert names.count(f"{phase}_complete") + names.count(f"{phase}_failed") == 1


def test_each_phase_tells_its_own_error(context: ExecutionContext) -> None:
    run_pipeline(Scripted(execute=ExecutionError("first"), collect=ExecutionError("second")), MANIFEST, context)
    told_errors = {e["event"]: e["error"]["message"] for e in context.events if "error" in e}  # type: ignore[typeddict-item]
    assert told_errors == {"execute_failed": "first", "collect_failed": "second", "run_failed": "first"}


def test_a_failure_that_the_adapter_only_claims_is_told_with_an_error(context: ExecutionContext) -> None:
    run_pipeline(Scripted({"status": "failed"}), MANIFEST, context)
    (event,) = [e for e in context.events if e["event"] == "run_failed"]
    assert event["error"]["code"] == "adapter.no_error"  # type: ignore[typeddict-item]


def test_events_that_could_not_be_kept_are_a_warning(context: ExecutionContext) -> None:
    class Full:
        def on_event(self, event: Any) -> None:
            raise OSError("No space left on device")

        def on_metric(self, metric: Any) -> None: ...

        def close(self) -> None: ...

    context.bus.subscribe(Full())
    result = run_pipeline(Scripted(), MANIFEST, context)
    assert result.status == "success"
    assert any("No space left on device" in warning for warning in result.warnings)


def test_a_place_that_fails_is_replaced(context: ExecutionContext) -> None:
    broken, good = Scripted(prepare=PrepareError("no sandbox")), Scripted()
    result = run_pipeline(broken, MANIFEST, context, adapter_name="cloud", fallbacks=[("local", lambda: good)])
    assert (result.status, result.adapter, result.extras["fallback_from"]) == ("success", "local", "cloud")
    assert broken.order == ["prepare", "close"]
    assert good.order == ["prepare", "execute", "collect", "close"]
    assert any("'cloud' failed: no sandbox" in warning for warning in result.warnings)
    (event,) = [e for e in context.events if e["event"] == "adapter_fallback"]
    assert (event["from"], event["to"]) == ("cloud", "local")  # type: ignore[typeddict-item]
    names = told(context)
    assert names.count("run_start") == names.count("run_complete") == 1


def test_several_fallbacks_in_their_order(context: ExecutionContext) -> None:
    def none() -> ExecutionAdapter:
        raise PrepareError("not here either")

    good = Scripted()
    result = run_pipeline(
        Scripted(execute=UnreachableError("gone")),
        MANIFEST,
        context,
        adapter_name="a",
        fallbacks=[("b", none), ("c", lambda: good)],
    )
    assert (result.status, result.adapter, result.extras["fallback_from"]) == ("success", "c", "a")


def test_a_failure_of_the_pipeline_is_not_tried_elsewhere(context: ExecutionContext) -> None:
    errors = [ExecutionError("a step broke"), PlanError(problems=[Problem(code="plan.x", message="no")])]
    for error in errors:
        other = Scripted()
        result = run_pipeline(Scripted(execute=error), MANIFEST, context, fallbacks=[("local", lambda o=other: o)])  # type: ignore[misc]
        assert result.error is error
        assert other.order == []


def test_nor_what_was_already_written(context: ExecutionContext) -> None:
    class Writes(Scripted):
        def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
            context.log_event("output_written", {"step_id": "a", "location": "t"})
            raise UnreachableError("the network went away")

    other = Scripted()
    result = run_pipeline(Writes(), MANIFEST, context, fallbacks=[("local", lambda: other)])
    assert (result.status, other.order) == ("failed", [])


def test_the_last_error_counts_where_no_place_works(context: ExecutionContext) -> None:
    last = PrepareError("not here either")
    result = run_pipeline(
        Scripted(prepare=PrepareError("no")),
        MANIFEST,
        context,
        fallbacks=[("local", lambda: Scripted(prepare=last))],
    )
    assert result.error is last


TWO = {"version": "1.0.0", "steps": [{"id": "a", "driver": "x.y"}, {"id": "b", "driver": "x.y"}]}


class Telling(Scripted):
    """Tells events about steps while it executes."""

    def __init__(self, events: list[tuple[str, str]], collected: dict[str, Any]) -> None:
        super().__init__(collected)
        self._events = events

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        for event, step in self._events:
            context.log_event(f"step_{event}", {"step_id": step})


@pytest.mark.parametrize(
    ("events", "collected", "says"),
    [
        ([("start", "a"), ("failed", "a")], {}, "step 'a' failed"),
        ([], {"steps": [{"id": "b", "status": "failed"}]}, "step 'b' failed"),
        ([], {"steps": [{"id": "b", "status": "aborted"}]}, "step 'b' failed"),
        ([], {"steps_completed": 99}, "99 of 2 steps"),
        ([], {"steps_completed": 0}, "0 of 2 steps"),
        ([("restored", "a")], {"steps_completed": 0}, "0 of 2 steps"),
    ],
)
def test_success_that_the_facts_contradict_is_none(
    events: list[tuple[str, str]], collected: dict[str, Any], says: str, context: ExecutionContext
) -> None:
    result = run_pipeline(Telling(events, {"status": "success", **collected}), TWO, context, adapter_name="mine")
    assert result.status == "failed"
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "adapter.contradiction"
    assert "'mine'" in result.error.message
    assert says in result.error.message
    assert told(context)[-1] == "run_failed"


@pytest.mark.parametrize(
    ("events", "collected"),
    [
        ([], {"status": "success"}),
        ([("start", "a"), ("failed", "a"), ("start", "a"), ("complete", "a")], {"steps_completed": 2}),
        ([("restored", "a"), ("complete", "b")], {"steps_completed": 2}),
        ([("restored", "a"), ("complete", "b")], {"steps_completed": 1}),
        ([], {"steps_completed": 2.0, "total_rows": None, "steps": [{"id": "a"}], "warnings": "one", "environment": 5}),
    ],
)
def test_success_that_nothing_contradicts(
    events: list[tuple[str, str]], collected: dict[str, Any], context: ExecutionContext
) -> None:
    result = run_pipeline(Telling(events, collected), TWO, context)
    assert (result.status, result.error) == ("success", None)
    assert result.warnings == (("one",) if "warnings" in collected else ())


def test_what_another_adapter_told_before_is_not_held_against_it(context: ExecutionContext) -> None:
    class Lost(Telling):
        def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
            super().execute(prepared, context)
            raise UnreachableError("gone")

    lost, good = Lost([("start", "a"), ("failed", "a")], {}), Scripted()
    assert run_pipeline(lost, MANIFEST, context, fallbacks=[("local", lambda: good)]).status == "success"


KNOT: dict[str, Any] = {"status": "success"}
KNOT["knot"] = KNOT


@pytest.mark.parametrize(
    ("collected", "keys"),
    [
        (5, []),
        ([1], []),
        ({"steps_completed": "two"}, ["steps_completed"]),
        ({"total_rows": math.nan, "steps_completed": -1}, ["total_rows", "steps_completed"]),
        ({"outputs": [5], "steps": {"a": 1}, "artifacts": "x"}, ["outputs", "steps", "artifacts"]),
        ({"metrics": [1], "warnings": 5}, ["metrics", "warnings"]),
        (KNOT, ["knot"]),
    ],
)
def test_what_collect_gives_wrongly_is_one_error(collected: Any, keys: list[str], context: ExecutionContext) -> None:
    REDACTOR.add("hunter2-long")  # then what was collected is looked through
    try:
        result = run_pipeline(Scripted(collected), MANIFEST, context, adapter_name="mine")
    finally:
        REDACTOR.clear()
    assert result.status == "failed"
    assert isinstance(result.error, CollectError)
    assert result.error.code == "adapter.bad_result"
    assert result.error.facts["keys"] == keys
    assert all(repr(key) in result.error.message for key in ("mine", *keys))
    json.dumps(result.to_dict())


def test_what_collect_gives_wrongly_after_a_failure_is_a_warning(context: ExecutionContext) -> None:
    first = ExecutionError("step a broke")
    result = run_pipeline(Scripted({"total_rows": "many", "steps_completed": 0}, execute=first), MANIFEST, context)
    assert result.error is first
    assert "'total_rows' is 'many'" in result.warnings[0]


@pytest.mark.parametrize("given", [None, {"manifest": {}}])
def test_prepare_that_gives_no_prepared_run(given: Any, context: ExecutionContext) -> None:
    class Bare(Scripted):
        def prepare(self, manifest: Any, context: ExecutionContext) -> PreparedRun:
            return given  # type: ignore[no-any-return]  # as people write it

    adapter = Bare()
    result = run_pipeline(adapter, MANIFEST, context, adapter_name="mine")
    assert isinstance(result.error, PluginBrokenError)
    assert "'mine'" in result.error.message
    assert adapter.order == ["close"]


@pytest.mark.parametrize("manifest", [None, "pipeline.yaml", 5])
def test_what_is_no_manifest_is_refused_at_once(manifest: Any, context: ExecutionContext) -> None:
    adapter = Scripted()
    with pytest.raises(UsageError, match="needs a manifest"):
        run_pipeline(adapter, manifest, context)
    assert (adapter.order, told(context)) == ([], [])


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)

    __repr__ = __str__


@pytest.mark.parametrize("phase", ["prepare", "execute", "collect", "close"])
def test_an_error_that_cannot_be_printed(phase: str, context: ExecutionContext) -> None:
    adapter = Scripted(**{phase: UnprintableError()})
    result = run_pipeline(adapter, MANIFEST, context)
    assert adapter.order[-1] == "close"
    assert result.status == "failed"
    assert "UnprintableError" in repr(result.error)
    json.dumps(result.to_dict())
    assert told(context)[-2:] == ["cleanup_complete", "run_failed"]
