"""When the drivers of a stage are made, and that every one that was made is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from osiris.core import engine
from osiris.core.engine import RunReport, stage
from osiris.core.errors import OsirisError
from osiris.core.execution_adapter import ExecutionContext

Register = Callable[..., None]
STREAM = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
STEPS: list[dict[str, Any]] = [
    {"id": "read", "driver": "test.read"},
    {"id": "change", "driver": "test.change", "inputs": {"df": "${read}"}},
    {"id": "write", "driver": "test.write", "inputs": {"df": "${change}"}},
]


def drivers(register: Register, done: list[str], *, broken: str = "", failing: str = "") -> None:
    """Drivers that note when they are made, run and closed; the ``broken`` one cannot be made."""

    def maker(name: str) -> type:
        class Noting:
            def __init__(self) -> None:
                if name == broken:
                    raise ImportError("libfancy.so: cannot open shared object file")
                done.append(f"made {name}")

            def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
                done.append(f"ran {name}")
                if name == failing:
                    raise OSError("the place is gone")
                if name == "read":
                    return {"df": pa.table({"n": [1, 2, 3]})}
                table = inputs["df"].table()
                return {"df": table} if name == "change" else {}

            def close(self) -> None:
                done.append(f"closed {name}")

        return Noting

    register("test.read", maker("read"), role="extractor", max_inputs=0, input_names=())
    register("test.change", maker("change"), role="transform", **STREAM)
    register("test.write", maker("write"), role="writer", outputs=(), **STREAM)


def run(context: ExecutionContext, **of_the_last: Any) -> tuple[OsirisError | None, RunReport]:
    steps = [*STEPS[:-1], {**STEPS[-1], **of_the_last}]
    prepared = engine.prepare({"version": "1.0.0", "name": "t", "steps": steps}, context)
    report = RunReport()
    try:
        engine.run(prepared, context, report)
    except OsirisError as error:
        return error, report
    return None, report


def test_all_are_made_before_any_runs_the_transforms_first(register: Register, context: ExecutionContext) -> None:
    done: list[str] = []
    drivers(register, done)
    assert run(context)[0] is None
    assert done[:4] == ["made change", "made read", "made write", "ran read"]
    assert sorted(done) == sorted(
        f"{what} {name}" for what in ("made", "ran", "closed") for name in ("read", "change", "write")
    )


@pytest.mark.parametrize(("broken", "made"), [("change", []), ("read", ["change"]), ("write", ["change", "read"])])
def test_a_broken_one_fails_its_step_before_anything_is_read(
    register: Register, context: ExecutionContext, broken: str, made: list[str]
) -> None:
    done: list[str] = []
    drivers(register, done, broken=broken)
    error, report = run(context)
    assert error is not None
    assert error.facts["step_id"] == broken
    assert "libfancy.so" in error.message
    assert done == [*(f"made {name}" for name in made), *(f"closed {name}" for name in made)]
    others = {name: "skipped" for name in ("read", "change", "write") if name != broken}
    assert {name: step.status for name, step in report.steps.items()} == {**others, broken: "failed"}
    events = [(event["event"], event["step_id"]) for event in context.events if event["event"].startswith("step_")]
    assert sorted(events) == sorted(
        [("step_start", broken), ("step_failed", broken), *(("step_skipped", name) for name in others)]
    )


@pytest.mark.parametrize("failing", ["read", "change", "write"])
def test_those_that_never_ran_are_closed_too(register: Register, context: ExecutionContext, failing: str) -> None:
    done: list[str] = []
    drivers(register, done, failing=failing)
    error, _ = run(context)
    assert error is not None
    assert error.facts["step_id"] == failing
    assert sorted(what for what in done if what.startswith("closed")) == [
        "closed change",
        "closed read",
        "closed write",
    ]


def test_one_that_does_not_close_does_not_hide_why_the_stage_failed(
    register: Register, context: ExecutionContext
) -> None:
    done: list[str] = []
    drivers(register, done, failing="read")

    class Stuck:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            raise AssertionError("its input failed")

        def close(self) -> None:
            raise OSError("could not flush")

    register("test.write", Stuck, role="writer", outputs=(), **STREAM)
    error, _ = run(context)
    assert error is not None
    assert error.facts["step_id"] == "read"
    assert "the place is gone" in error.message


def test_one_that_takes_longer_to_make_than_its_step_may_is_left_behind(
    register: Register, context: ExecutionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_STOP_PATIENCE", 0.1)
    release = threading.Event()
    done: list[str] = []
    drivers(register, done)

    class Importing:
        def __init__(self) -> None:
            release.wait(60)

        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            raise AssertionError("too late")

    register("test.write", Importing, role="writer", outputs=(), **STREAM)
    error, report = run(context, timeout=0.05)
    release.set()
    assert error is not None
    assert (error.code, error.facts["step_id"]) == ("step.timeout", "write")
    assert any("did not stop" in warning and "write" in warning for warning in report.warnings)
    assert not [what for what in done if what.startswith("ran")]


def test_a_timeout_leaves_one_alone_that_is_made_in_time(register: Register, context: ExecutionContext) -> None:
    done: list[str] = []
    drivers(register, done)
    assert run(context, timeout=300)[0] is None
    assert "ran write" in done
