"""Going on where a run stopped: what runs again, what does not, and what is reread. Real drivers, real folders."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from osiris.core import engine
from osiris.core.cancellation import Cancellation
from osiris.core.dataset import Dataset
from osiris.core.engine import RunReport
from osiris.core.errors import DriverError, OsirisError, RunCancelledError, UsageError
from osiris.core.execution_adapter import ExecutionContext, RunOptions
from osiris.core.process import held

Register = Callable[..., None]
STREAM = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
WRITER = {"role": "writer", "outputs": (), **STREAM}
ROWS = pa.record_batch({"n": pa.array([1, 2, 3], pa.int64())})


class Source:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.runs += 1
        return {"df": Dataset.from_batches(ROWS.schema, iter([ROWS])), "marks": 7}


class Passing:
    """Hands on what it gets; fails while it is ``broken``."""

    def __init__(self) -> None:
        self.runs = 0
        self.broken = False

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.runs += 1
        return {"df": Dataset.from_batches(ROWS.schema, self._rows(inputs["df"]))}

    def _rows(self, source: Dataset) -> Iterator[pa.RecordBatch]:
        yield from source.batches()
        if self.broken:
            raise DriverError("out of luck", code="test.luck", retryable=True)


class Table:
    """A place with transactions: rows and the marker of who wrote them appear together."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.commits: dict[tuple[str, str], int] = {}
        self.runs = self.asked = 0
        self.lose_answer = self.unreachable = False

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.runs += 1
        found = [n for batch in inputs["df"].batches() for n in batch.column("n").to_pylist()]
        self.rows += found
        self.commits[ctx.session_id, step_id] = len(found)
        if self.lose_answer:
            self.lose_answer = False
            raise DriverError("the answer was lost", code="test.lost", retryable=True)
        ctx.add_output("table", rows=len(found))
        return {}

    def committed(self, step_id: str, config: Any, ctx: Any) -> dict[str, Any] | None:
        self.asked += 1
        if self.unreachable:
            raise DriverError("nobody there", code="test.unreachable")
        rows = self.commits.get((ctx.session_id, step_id))
        return None if rows is None else {"rows": rows, "location": "table"}


@pytest.fixture
def source(register: Register) -> Source:
    driver = Source()
    register("t.source", driver, role="extractor", outputs=("df", "marks"))
    return driver


@pytest.fixture
def passing(register: Register) -> Passing:
    driver = Passing()
    register("t.pass", driver, **STREAM)
    return driver


@pytest.fixture
def table(register: Register) -> Table:
    driver = Table()
    register("t.table", driver, **WRITER)
    return driver


def chain(*, checkpoint: bool, query: str = "x", **extra: Any) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"id": "read", "driver": "t.source", "checkpoint": checkpoint, "config": {"query": query}},
        {"id": "pass", "driver": "t.pass", "inputs": {"df": "${read.df}"}, "checkpoint": checkpoint},
        {"id": "save", "driver": "t.table", "inputs": {"df": "${pass.df}"}, **extra},
    ]
    return {"version": "1.0.0", "steps": steps}


def run(folder: Path, manifest: dict[str, Any], *, resume: bool) -> tuple[RunReport, OsirisError | None, list[Any]]:
    context = ExecutionContext("s1", folder, options=RunOptions(resume=resume))
    report = RunReport()
    try:
        engine.run(engine.prepare(manifest, context), context, report)
    except OsirisError as error:
        return report, error, list(context.events)
    return report, None, list(context.events)


def names(events: list[Any], *wanted: str) -> list[tuple[str, str]]:
    return [(event["event"], event.get("step_id", "")) for event in events if event["event"] in wanted]


def test_what_finished_is_not_run_again_and_comes_from_the_checkpoint(tmp_path, source, passing, table):
    passing.broken = True
    report, error, events = run(tmp_path, chain(checkpoint=True), resume=False)
    assert error is not None
    assert report.steps["read"].status == "success"
    assert names(events, "checkpoint_saved") == [("checkpoint_saved", "read")]
    passing.broken = False
    report, error, events = run(tmp_path, chain(checkpoint=True), resume=True)
    assert error is None
    assert (source.runs, passing.runs, table.rows) == (1, 2, [1, 2, 3])
    assert names(events, "step_restored", "step_complete") == [
        ("step_restored", "read"), ("step_complete", "pass"), ("step_complete", "save"),
    ]  # fmt: skip
    assert (report.steps["read"].rows_out, report.steps["read"].restored, report.total_rows) == (3, True, 3)
    assert not (tmp_path / "checkpoints").exists()  # nobody will need them


def test_without_checkpoints_the_stage_runs_again_from_its_sources(tmp_path, source, passing, table):
    passing.broken = True
    run(tmp_path, chain(checkpoint=False), resume=False)
    passing.broken = False
    _, error, _ = run(tmp_path, chain(checkpoint=False), resume=True)
    assert (error, source.runs, table.rows) == (None, 2, [1, 2, 3])


@pytest.mark.parametrize("harm", ["torn", "changed", "gone"])
def test_a_damaged_checkpoint_is_computed_again(tmp_path, source, passing, table, harm):
    passing.broken = True
    run(tmp_path, chain(checkpoint=True), resume=False)
    passing.broken = False
    file = tmp_path / "checkpoints" / "read.df.arrows"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if harm == "torn" else content)
    _, error, events = run(tmp_path, chain(checkpoint=True), resume=True)
    assert (error, source.runs, table.rows) == (None, 2, [1, 2, 3])
    assert names(events, "checkpoint_damaged") == [("checkpoint_damaged", "read")]


def test_a_torn_line_of_progress_does_not_count(tmp_path, source, passing, table):
    passing.broken = True
    run(tmp_path, chain(checkpoint=True), resume=False)
    passing.broken = False
    progress = tmp_path / "progress.jsonl"
    progress.write_bytes(progress.read_bytes()[:-1])
    _, error, _ = run(tmp_path, chain(checkpoint=True), resume=True)
    assert (error, source.runs, table.rows) == (None, 2, [1, 2, 3])
    assert all(json.loads(line) for line in progress.read_text().splitlines())


def test_a_step_that_changed_runs_again_and_all_after_it(tmp_path, source, passing, table):
    passing.broken = True
    run(tmp_path, chain(checkpoint=True), resume=False)
    passing.broken = False
    _, error, events = run(tmp_path, chain(checkpoint=True, query="y"), resume=True)
    assert (error, source.runs) == (None, 2)
    assert names(events, "step_restored") == []


def test_a_changed_timeout_is_no_other_step(tmp_path, source, passing, table):
    passing.broken = True
    run(tmp_path, chain(checkpoint=True), resume=False)
    passing.broken = False
    run(tmp_path, chain(checkpoint=True, timeout=60), resume=True)
    assert source.runs == 1


def test_a_writer_that_committed_without_a_note_does_not_write_again(tmp_path, source, passing, table):
    table.lose_answer = True
    _, error, _ = run(tmp_path, chain(checkpoint=False), resume=False)
    assert (error is not None, table.rows, table.asked) == (True, [1, 2, 3], 0)
    report, error, events = run(tmp_path, chain(checkpoint=False), resume=True)
    assert (error, table.rows, table.runs, table.asked, source.runs) == (None, [1, 2, 3], 1, 1, 1)
    assert names(events, "step_restored", "step_start") == [
        ("step_restored", "read"), ("step_restored", "pass"), ("step_restored", "save"),
    ]  # fmt: skip
    assert (report.total_rows, [output["location"] for output in report.outputs]) == (3, ["table"])
    run(tmp_path, chain(checkpoint=False), resume=True)
    assert table.asked == 1  # now it is noted


def test_a_retry_asks_first(tmp_path, source, passing, table):
    table.lose_answer = True
    retry = {"attempts": 3, "delay": 0, "jitter": 0}
    report, error, _ = run(tmp_path, chain(checkpoint=False, retry=retry), resume=False)
    assert (error, table.rows, table.runs, table.asked) == (None, [1, 2, 3], 1, 1)
    assert (report.total_rows, report.steps["save"].status) == (3, "success")


def test_a_writer_that_cannot_tell_fails_its_step_and_writes_nothing(tmp_path, source, passing, table):
    table.lose_answer = True
    run(tmp_path, chain(checkpoint=False), resume=False)
    table.unreachable = True
    _, error, events = run(tmp_path, chain(checkpoint=False), resume=True)
    assert (error and error.code, table.runs, source.runs) == ("test.unreachable", 1, 1)
    assert names(events, "step_start", "step_failed", "step_skipped") == [
        ("step_skipped", "read"), ("step_skipped", "pass"), ("step_start", "save"), ("step_failed", "save"),
    ]  # fmt: skip


def test_a_writer_that_was_changed_does_not_write_again_either(tmp_path, register, source, passing, table):
    later = Passing()
    later.broken = True
    register("t.later", later, role="writer", outputs=(), **STREAM)
    manifest = chain(checkpoint=False, config={"table": "a"})
    manifest["steps"].append({"id": "fails", "driver": "t.fails", "needs": ["save"]})

    class Fails:
        def run(self, **_: Any) -> None:
            raise DriverError("no", code="test.no")

    register("t.fails", Fails())
    run(tmp_path, manifest, resume=False)
    manifest["steps"][2]["config"] = {"table": "b"}
    report, _, _ = run(tmp_path, manifest, resume=True)
    assert (table.runs, table.rows) == (1, [1, 2, 3])
    assert any("has written before" in warning for warning in report.warnings)


def test_side_outputs_are_had_again_without_a_second_write(tmp_path, register, source, table):
    """The writer's stage runs again for the rejects that it also gives, and the writer only looks on."""

    class Split:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            rejects = pa.table({"n": pa.array([9], pa.int64())})
            return {"df": Dataset.from_batches(ROWS.schema, iter(list(inputs["df"].batches()))), "rejects": rejects}

    class Reader:
        broken = True

        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            if self.broken:
                raise DriverError("not yet", code="test.not_yet")
            self.seen = inputs["df"].to_pydict()
            return {}

    reader = Reader()
    register("t.split", Split(), outputs=("df", "rejects"), **STREAM)
    register("t.reader", reader, input_form="arrow", outputs=())
    manifest = {
        "version": "1.0.0",
        "steps": [
            {"id": "read", "driver": "t.source"},
            {"id": "split", "driver": "t.split", "inputs": {"df": "${read.df}"}},
            {"id": "save", "driver": "t.table", "inputs": {"df": "${split.df}"}},
            {"id": "look", "driver": "t.reader", "inputs": {"df": "${split.rejects}"}},
        ],
    }
    run(tmp_path, manifest, resume=False)
    assert (table.runs, source.runs) == (1, 1)
    reader.broken = False
    report, error, _ = run(tmp_path, manifest, resume=True)
    assert (error, reader.seen, table.runs, table.rows, source.runs) == (None, {"n": [9]}, 1, [1, 2, 3], 2)
    assert (report.steps["save"].restored, report.total_rows) == (True, 3)


def test_plain_values_are_kept_without_a_checkpoint(tmp_path, register, source):
    class Number:
        broken = True

        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> None:
            if self.broken:
                raise DriverError("not yet", code="test.not_yet")
            self.seen = inputs["n"]

    number = Number()
    register("t.number", number, outputs=())
    manifest = {
        "version": "1.0.0",
        "steps": [
            {"id": "read", "driver": "t.source"},
            {"id": "count", "driver": "t.number", "inputs": {"n": "${read.marks}"}},
        ],
    }
    run(tmp_path, manifest, resume=False)
    number.broken = False
    _, error, _ = run(tmp_path, manifest, resume=True)
    assert (error, number.seen, source.runs) == (None, 7, 1)


def test_a_fresh_run_in_the_same_folder_forgets(tmp_path, source, passing, table):
    run(tmp_path, chain(checkpoint=True), resume=False)
    run(tmp_path, chain(checkpoint=True), resume=False)
    assert (source.runs, table.rows) == (2, [1, 2, 3, 1, 2, 3])


def test_two_engines_do_not_run_in_one_folder(tmp_path, source, passing, table):
    with held(tmp_path / "engine.lock"):
        _, error, _ = run(tmp_path, chain(checkpoint=False), resume=False)
    assert isinstance(error, UsageError)
    assert (error.code, source.runs) == ("session.in_use", 0)


def test_a_stop_is_heard_while_another_engine_is_waited_for(tmp_path, source, passing, table):
    run(tmp_path, chain(checkpoint=False), resume=False)
    cancellation = Cancellation()
    context = ExecutionContext("run", tmp_path, options=RunOptions(resume=True), cancellation=cancellation)
    prepared = engine.prepare(chain(checkpoint=False), context)
    stopper = threading.Timer(0.1, cancellation.request)
    stopper.start()
    begun = time.monotonic()
    with held(tmp_path / "engine.lock"), pytest.raises(RunCancelledError):
        engine.run(prepared, context)
    stopper.join()
    assert time.monotonic() - begun < 15, "it waited for the other to the end"
