"""Drivers that return rubbish, raise what nobody expects, or take all memory: an error that names the step, no hang.

What a driver may do to a worker process (die, print, hang, fork) is in ``tests/local/test_isolation_faults.py``.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from osiris.core.errors import ExecutionError, StepError
from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.core.plugins import Catalog
from osiris.runtime.local_adapter import LocalAdapter

Run = Callable[..., tuple[RunResult, ExecutionContext]]


@pytest.fixture
def rubbish(install: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(install("rubbish")))
    Catalog.reset()
    yield import_module("rubbish.driver")
    for name in ("rubbish.driver", "rubbish.plugin", "rubbish"):
        sys.modules.pop(name, None)
    Catalog.reset()


@pytest.fixture
def run(tmp_path: Path, rubbish: Any) -> Run:
    def go(
        isolation: str, source: dict[str, Any], memory: str = "4GB", **sink: Any
    ) -> tuple[RunResult, ExecutionContext]:
        context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path, project_dir=tmp_path)
        steps = [
            {"id": "source", "driver": "rubbish.source", "config": source},
            {"id": "sink", "driver": "rubbish.sink", "config": sink, "inputs": {"df": "${source.df}"}},
        ]
        manifest = manifest_from_dict(
            {"version": "1.0.0", "name": "rubbish", "steps": steps, "limits": {"memory": memory}}
        )
        threads = set(threading.enumerate())
        result = run_pipeline(LocalAdapter(isolation=isolation), manifest, context)
        assert set(threading.enumerate()) <= threads
        assert not (tmp_path / "session" / "tmp").exists()
        return result, context

    return go


def failure(result: RunResult, context: ExecutionContext) -> StepError:
    """The error; told once, of the step that is to blame, in events that JSON can hold."""
    assert result.status == "failed", result.error
    assert isinstance(result.error, StepError)
    assert result.error.facts["step_id"] == "source"
    failed = [event for event in context.events if event["event"] == "step_failed"]
    (told,) = [event for event in failed if event["step_id"] == "source"]
    assert told["error"]["code"] == result.error.code
    json.dumps(result.to_dict()).encode()
    for event in context.events:
        assert len(json.dumps(event).encode()) < 5_000_000
    return result.error


GIVEN = ["a text", "a number", "a list", "a class", "a coroutine", "a frame that is none", "a number as df",
         "nothing as df", "another name", "batches of another schema", "no batches",
         "a list of all kinds"]  # fmt: skip
RAISED = ["mute", "unpicklable", "odd", "the end of a generator", "the end of an iterator", "out of memory",
          "ctrl-c of its own", "many at once", "its own cause", "ten million letters", "half a character", "bytes",
          "deep"]  # fmt: skip


def test_all_are_tried(rubbish: Any) -> None:
    assert list(rubbish.GIVEN) == GIVEN
    assert list(rubbish.RAISED) == RAISED


@pytest.mark.parametrize("what", GIVEN)
def test_rubbish(what: str, run: Run) -> None:
    error = failure(*run("none", {"what": what}))
    assert error.hint


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("what", RAISED)
def test_strange_exceptions(what: str, late: bool, run: Run) -> None:
    if late and what == "the end of a generator":
        return  # raised inside of a generator it means that the reader has enough
    error = failure(*run("none", {"what": what, "late": late}))
    assert len(str(error)) < 20_000
    if what == "many at once":
        assert "several" in str(error)
    assert error.code == ("step.out_of_memory" if what == "out of memory" else "step.exception")


@pytest.mark.parametrize("what", ["a frame that is none", "mute", "ten million letters", "half a character", "deep"])
def test_the_same_in_a_worker(what: str, run: Run) -> None:
    failure(*run("process", {"what": what, "late": True}))


def peak_of(context: ExecutionContext) -> float:
    """Megabytes."""
    return max(metric["value"] for metric in context.metrics if metric["metric"].startswith("memory_"))


def test_a_leak_in_a_worker(run: Run) -> None:
    """The run is told to stop; the driver does not listen, but the system ends it."""
    result, context = run("process", {"what": "endless rows"}, memory="400MB", do="hoard")
    assert isinstance(result.error, ExecutionError)
    assert result.error.code == "run.memory_limit"
    assert peak_of(context) < 2_500


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_too_much_at_once_in_a_worker(run: Run) -> None:
    """Faster than anybody could look: the system refuses it."""
    result, context = run("process", {"what": "endless rows"}, memory="400MB", do="allocate", bytes=5_000_000_000)
    assert isinstance(result.error, StepError)
    assert (result.error.code, result.error.facts["step_id"]) == ("step.out_of_memory", "sink")
    assert "--max-memory" in result.error.hint
    assert peak_of(context) < 1_000
