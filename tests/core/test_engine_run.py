"""The step loop: order, streaming, failure, cancellation, clean-up. Real drivers, registered at run time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from osiris.core import engine
from osiris.core.dataset import Dataset
from osiris.core.engine import RunReport
from osiris.core.errors import DriverError, RunCancelledError, StepError
from osiris.core.execution_adapter import ExecutionContext, RunOptions

Register = Callable[..., None]
SCHEMA = pa.schema([("n", pa.int64())])


def batch(start: int, rows: int = 10) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(range(start, start + rows), type=pa.int64())})


class Source:
    """Gives ``batches`` batches of ten rows, and says which it gave."""

    def __init__(self, batches: int = 5, fail_at: int | None = None) -> None:
        self.batches, self.fail_at = batches, fail_at
        self.given: list[int] = []
        self.closed = 0
        self.left_early = False

    def run(self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: Any) -> dict[str, Any]:
        return {"df": Dataset.from_batches(SCHEMA, self._rows())}

    def _rows(self) -> Iterator[pa.RecordBatch]:
        try:
            for number in range(self.batches):
                if number == self.fail_at:
                    raise DriverError("the source broke", hint="mend it", code="test.broke", retryable=True)
                self.given.append(number)
                yield batch(number * 10)
        except GeneratorExit:
            self.left_early = True
            raise


class Sink:
    """Keeps what it reads."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.seen: list[tuple[int, int]] = []
        self.source: Source | None = None

    def run(self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: Any) -> dict[str, Any]:
        for taken in inputs["df"].batches():
            self.rows += taken.column("n").to_pylist()
            if self.source:
                self.seen.append((len(self.rows), len(self.source.given)))
        ctx.add_output("memory", rows=len(self.rows))
        return {}


STREAM = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
WRITER = {"role": "writer", "outputs": (), **STREAM}


def run(steps: list[dict[str, Any]], context: ExecutionContext) -> RunReport:
    prepared = engine.prepare({"version": "1.0.0", "name": "t", "steps": steps}, context)
    return engine.run(prepared, context)


def failing(steps: list[dict[str, Any]], context: ExecutionContext) -> tuple[StepError, RunReport]:
    prepared = engine.prepare({"version": "1.0.0", "name": "t", "steps": steps}, context)
    report = RunReport()
    with pytest.raises(StepError) as caught:
        engine.run(prepared, context, report)
    return caught.value, report


def step(id: str, driver: str, **inputs: str) -> dict[str, Any]:
    return {"id": id, "driver": driver, "inputs": {name: f"${{{ref}}}" for name, ref in inputs.items()}}


def told(context: ExecutionContext, *names: str) -> list[tuple[str, str]]:
    return [(e["event"], e.get("step_id", "")) for e in context.events if e["event"] in names]


ENDS = ("step_start", "step_complete", "step_failed", "step_skipped")


def test_rows_flow_and_are_counted(register: Register, context: ExecutionContext) -> None:
    sink = Sink()
    register("test.source", Source(5))
    register("test.sink", sink, **WRITER)
    report = run([step("a", "test.source"), step("b", "test.sink", df="a.df")], context)
    assert sink.rows == list(range(50))
    assert (report.steps["a"].rows_out, report.steps["b"].rows_in, report.total_rows) == (50, 50, 50)
    assert report.steps["a"].bytes_out == report.steps["b"].bytes_in == 400
    assert report.steps_completed == 2
    assert report.outputs == [{"step_id": "b", "location": "memory", "rows": 50}]
    assert told(context, *ENDS) == [
        ("step_start", "a"), ("step_start", "b"), ("step_complete", "a"), ("step_complete", "b"),
    ]  # fmt: skip
    by_name = {(m["metric"], m.get("step_id")): m["value"] for m in context.metrics}
    assert by_name["rows_read", "a"] == by_name["rows_written", "b"] == 50


def test_streaming_does_not_hold_the_whole(register: Register, context: ExecutionContext) -> None:
    context.options = RunOptions(prefetch_bytes=3 * 80)
    source, sink = Source(1000), Sink()
    sink.source = source
    register("test.source", source)
    register("test.sink", sink, **WRITER)
    run([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    ahead = [given - rows // 10 for rows, given in sink.seen]
    assert max(ahead) <= 3 + 2, "the source runs at most the prefetch ahead of the sink"
    assert sink.rows == list(range(10_000))


def test_one_output_with_several_users_is_given_whole_to_each(register: Register, context: ExecutionContext) -> None:
    source, sinks = Source(20), [Sink(), Sink(), Sink()]
    register("test.source", source)
    for number, sink in enumerate(sinks):
        register(f"test.sink{number}", sink, **WRITER)
    report = run([step("a", "test.source"), *(step(f"b{n}", f"test.sink{n}", df="a") for n in range(3))], context)
    assert [sink.rows for sink in sinks] == [list(range(200))] * 3
    assert source.given == list(range(20)), "extracted once"
    assert report.total_rows == 600


def test_a_small_budget_spools_and_cleans_up(register: Register, context: ExecutionContext) -> None:
    context.options = RunOptions(memory_budget=100)
    sinks = [Sink(), Sink()]
    register("test.source", Source(50))
    spooled: list[list[str]] = []

    class Watching(Sink):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            spooled.append([p.name for p in (context.session_dir / "tmp" / "store").iterdir()])
            return super().run(step_id, config, inputs, ctx)

    register("test.sink0", sinks[0], **WRITER)
    watching = Watching()
    register("test.sink1", watching, **WRITER)
    run([step("a", "test.source"), step("b", "test.sink0", df="a"), step("c", "test.sink1", df="a")], context)
    assert sinks[0].rows == watching.rows == list(range(500))
    assert spooled == [["spool-1.arrows"]]
    assert not (context.session_dir / "tmp").exists()


def test_pandas_is_what_a_driver_that_says_nothing_gets(register: Register, context: ExecutionContext) -> None:
    import pandas as pd

    class Shout:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            frame = inputs["df"]
            assert isinstance(frame, pd.DataFrame)
            frame["n"] = frame["n"] + config["add"]
            return {"df": frame}

    sink = Sink()
    register("test.source", Source(1))
    register("test.shout", Shout())
    register("test.sink", sink, **WRITER)
    steps = [step("a", "test.source"), step("b", "test.shout", df="a"), step("c", "test.sink", df="b")]
    steps[1]["config"] = {"add": 2**60}
    run(steps, context)
    assert sink.rows == [2**60 + n for n in range(10)]


def test_a_failure_belongs_to_the_step_that_raised(register: Register, context: ExecutionContext) -> None:
    register("test.source", Source(5, fail_at=3))
    sink = Sink()
    register("test.sink", sink, **WRITER)
    register("test.after", Sink(), **WRITER)
    error, report = failing(
        [step("a", "test.source"), step("b", "test.sink", df="a"), {**step("c", "test.source"), "needs": ["b"]}],
        context,
    )
    assert error.facts["step_id"] == "a"
    assert (error.code, error.retryable, error.hint) == ("test.broke", True, "mend it")
    assert {name: s.status for name, s in report.steps.items()} == {"a": "failed", "b": "aborted", "c": "skipped"}
    assert report.status == "failed"
    assert told(context, *ENDS) == [
        ("step_start", "a"), ("step_start", "b"), ("step_failed", "a"), ("step_failed", "b"), ("step_skipped", "c"),
    ]  # fmt: skip
    event = next(e for e in context.events if e["event"] == "step_failed")
    assert event["error"]["code"] == "test.broke"
    assert "the source broke" in event["traceback"]


def test_a_reader_that_wraps_the_failure_does_not_take_the_blame(register: Register, context: ExecutionContext) -> None:
    class Wrapping:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            try:
                list(inputs["df"].batches())
            except Exception as error:
                raise RuntimeError("something in C++") from error
            return {}

    register("test.source", Source(5, fail_at=3))
    register("test.sink", Wrapping(), **WRITER)
    error, _ = failing([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert (error.facts["step_id"], error.code) == ("a", "test.broke")


def test_a_reader_that_hides_the_failure_does_not_make_it_success(
    register: Register, context: ExecutionContext
) -> None:
    class Hiding:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            try:
                list(inputs["df"].batches())
            except Exception:
                return {}
            return {}

    register("test.source", Source(5, fail_at=3))
    register("test.sink", Hiding(), **WRITER)
    error, report = failing([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert error.facts["step_id"] == "a"
    assert report.status == "failed"


@pytest.mark.parametrize("lazy", [True, False])
def test_a_transform_that_hides_the_failure_does_not_end_its_stream_well(
    register: Register, context: ExecutionContext, *, lazy: bool
) -> None:
    """Or a writer behind it would take what there was for everything, and commit it."""

    class Hiding:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            def pass_on() -> Iterator[pa.RecordBatch]:
                with suppress(Exception):
                    yield from inputs["df"].batches()

            return {"df": pass_on() if lazy else pa.Table.from_batches(list(pass_on()))}

    sink = Sink()
    register("test.source", Source(5, fail_at=3))
    register("test.hide", Hiding(), **STREAM)
    register("test.sink", sink, **WRITER)
    steps = [step("a", "test.source"), step("b", "test.hide", df="a"), step("c", "test.sink", df="b")]
    error, report = failing(steps, context)
    assert (error.facts["step_id"], error.code) == ("a", "test.broke")
    assert report.outputs == []


def test_a_step_cannot_blame_another(register: Register, context: ExecutionContext) -> None:
    class Lying:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            raise DriverError("not me", code="test.lie", step_id="b")

    register("test.lie", Lying())
    register("test.sink", Sink(), **WRITER)
    error, report = failing([step("a", "test.lie"), step("b", "test.sink", df="a")], context)
    assert error.facts["step_id"] == "a"
    assert (report.steps["a"].status, report.steps["b"].status) == ("failed", "skipped")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -2])
def test_figures_that_are_none_do_not_fail_a_step(register: Register, context: ExecutionContext, wrong: float) -> None:
    class Wrong(Sink):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            super().run(step_id, config, inputs, ctx)
            ctx.log_metric("rows_written", wrong)
            ctx.add_output("table", rows=wrong, bytes="many")
            ctx.add_output("other", rows=np.int64(3), bytes=4.0)
            return {}

    register("test.source", Source(5))
    register("test.sink", Wrong(), **WRITER)
    report = run([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert report.steps["b"].rows_written == 50
    assert report.outputs[1:] == [
        {"step_id": "b", "location": "table", "rows": None, "bytes": None},
        {"step_id": "b", "location": "other", "rows": 3, "bytes": 4},
    ]
    assert len(report.warnings) == 2
    assert "which is no number of bytes" in report.warnings[1]


def test_a_foreign_exception_names_step_driver_and_place(register: Register, context: ExecutionContext) -> None:
    class Broken:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            raise KeyError("amount")

    register("test.broken", Broken())
    error, _ = failing([step("a", "test.broken")], context)
    assert error.code == "step.exception"
    assert "step 'a' (test.broken) raised KeyError: 'amount'" in error.message
    assert Path(__file__).name in error.message
    assert isinstance(error.__cause__, KeyError)


def test_a_writer_that_does_not_read_its_input_is_not_success(register: Register, context: ExecutionContext) -> None:
    class Lazy:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            next(inputs["df"].batches())
            return {}

    register("test.source", Source(5))
    register("test.sink", Lazy(), **WRITER)
    error, _ = failing([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert (error.code, error.facts["step_id"]) == ("step.input_not_read", "b")


def test_a_transform_may_leave_its_stream_early(register: Register, context: ExecutionContext) -> None:
    class Head:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {"df": next(inputs["df"].batches())}

    source, sink = Source(1000), Sink()
    register("test.source", source)
    register("test.head", Head(), **STREAM)
    register("test.sink", sink, **WRITER)
    context.options = RunOptions(prefetch_bytes=100)
    report = run([step("a", "test.source"), step("b", "test.head", df="a"), step("c", "test.sink", df="b")], context)
    assert sink.rows == list(range(10))
    assert source.left_early, "the source was told, and could give back what it held"
    assert len(source.given) < 10
    assert report.steps["a"].status == "success"


def test_a_lazy_transform_may_read_its_inputs_later(register: Register, context: ExecutionContext) -> None:
    class Lazy:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {"df": (taken for taken in inputs["df"].batches())}

    sink = Sink()
    register("test.source", Source(3))
    register("test.lazy", Lazy(), **STREAM)
    register("test.sink", sink, **WRITER)
    run([step("a", "test.source"), step("b", "test.lazy", df="a"), step("c", "test.sink", df="b")], context)
    assert sink.rows == list(range(30))


def test_each_step_stays_in_one_thread(register: Register, context: ExecutionContext) -> None:
    import sqlite3

    class Table:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            self.db = sqlite3.connect(":memory:")  # refuses to be used from another thread
            self.db.execute(
                "create table t as "
                "with recursive c(n) as (select 0 union all select n+1 from c where n<99) select n from c"
            )
            return {"df": ({"n": row[0]} for row in self.db.execute("select n from t"))}

        def close(self) -> None:
            self.db.close()

    sink = Sink()
    register("test.table", Table)
    register("test.sink", sink, **WRITER)
    run([step("a", "test.table"), step("b", "test.sink", df="a")], context)
    assert sink.rows == list(range(100))


def test_outputs_beside_df(register: Register, context: ExecutionContext) -> None:
    class Split:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            rejects: list[pa.RecordBatch] = []

            def good() -> Iterator[pa.RecordBatch]:
                for taken in inputs["df"].batches():
                    rejects.append(taken.slice(0, 1))
                    yield taken.slice(1)

            return {
                "df": Dataset.from_batches(SCHEMA, good()),
                "rejects": Dataset(lambda: iter(rejects), SCHEMA),
                "limit": 7,
            }

    class Limit:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            limits.append(inputs["limit"])
            return {}

    limits: list[int] = []
    good, bad = Sink(), Sink()
    register("test.source", Source(2))
    register("test.split", Split(), outputs=("df", "rejects", "limit"), **STREAM)
    register("test.good", good, **WRITER)
    register("test.bad", bad, **WRITER)
    register("test.limit", Limit())
    run(
        [
            step("a", "test.source"), step("b", "test.split", df="a"), step("c", "test.good", df="b.df"),
            step("d", "test.bad", df="b.rejects"), step("e", "test.limit", limit="b.limit"),
        ],
        context,
    )  # fmt: skip
    assert good.rows == [*range(1, 10), *range(11, 20)]
    assert bad.rows == [0, 10]
    assert limits == [7]


def test_an_output_that_is_used_but_not_given(register: Register, context: ExecutionContext) -> None:
    class Silent:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> None:
            return None

    register("test.silent", Silent())
    register("test.sink", Sink(), **WRITER)
    error, _ = failing([step("a", "test.silent"), step("b", "test.sink", df="a")], context)
    assert (error.code, error.facts["step_id"]) == ("driver.no_output", "a")


def test_a_result_that_is_no_mapping(register: Register, context: ExecutionContext) -> None:
    class Odd:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
            return [1, 2]

    register("test.odd", Odd())
    error, _ = failing([step("a", "test.odd")], context)
    assert error.code == "driver.bad_result"


def test_independent_stages_run_at_the_same_time(register: Register, context: ExecutionContext) -> None:
    context.options = RunOptions(parallel=2)
    together = threading.Barrier(2)

    class Meeting:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            together.wait(30)
            return {}

    register("test.meeting", Meeting())
    assert run([step("a", "test.meeting"), step("b", "test.meeting")], context).steps_completed == 2


def test_the_sources_of_a_stage_begin_together(register: Register, context: ExecutionContext) -> None:
    together = threading.Barrier(2)

    class Connecting(Source):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            together.wait(30)
            return super().run(step_id, config, inputs, ctx)

    class Join(Sink):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            for name in ("x", "y"):
                self.rows += [n for taken in inputs[name].batches() for n in taken.column("n").to_pylist()]
            return {}

    joined = Join()
    register("test.source", Connecting)
    register("test.join", joined, role="writer", outputs=(), input_form="stream", input_names=("x", "y"))
    run([step("a", "test.source"), step("b", "test.source"), step("c", "test.join", x="a", y="b")], context)
    assert joined.rows == [*range(50), *range(50)]
    assert told(context, "step_start") == [("step_start", "a"), ("step_start", "b"), ("step_start", "c")]


def test_parallel_1_means_one_after_the_other(register: Register, context: ExecutionContext) -> None:
    context.options = RunOptions(parallel=1)
    inside: list[int] = []

    class Alone:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            inside.append(1)
            assert len(inside) == 1
            inside.pop()
            return {}

    register("test.alone", Alone())
    run([step(f"s{n}", "test.alone") for n in range(50)], context)
    starts = [e.get("step_id") for e in context.events if e["event"] == "step_start"]
    assert starts == [f"s{n}" for n in range(50)]


def test_a_failure_stops_what_runs_beside_it(register: Register, context: ExecutionContext) -> None:
    context.options = RunOptions(parallel=2)
    waiting = threading.Event()

    class Waits:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            stopped = threading.Event()
            with ctx.on_cancel(stopped.set):
                waiting.set()
                assert stopped.wait(30)
            ctx.raise_if_cancelled()
            return {}

    class Fails:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            assert waiting.wait(30)
            raise DriverError("no", code="test.no")

    register("test.waits", Waits())
    register("test.fails", Fails())
    error, report = failing([step("a", "test.waits"), step("b", "test.fails"), step("c", "test.waits", x="b")], context)
    assert error.facts["step_id"] == "b"
    assert {name: s.status for name, s in report.steps.items()} == {"a": "aborted", "b": "failed", "c": "skipped"}
    assert report.steps["a"].reason == "step 'b' failed"


def test_cancel_reaches_a_blocked_driver(register: Register, context: ExecutionContext) -> None:
    blocked = threading.Event()

    class Blocks:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            interrupted = threading.Event()
            with ctx.on_cancel(interrupted.set):
                blocked.set()
                assert interrupted.wait(30)
            raise OSError("interrupted query")  # what a client raises then

    register("test.blocks", Blocks())
    prepared = engine.prepare(
        {"version": "1.0.0", "steps": [step("a", "test.blocks"), step("b", "test.blocks", x="a")]}, context
    )
    threading.Thread(
        target=lambda: (blocked.wait(30), context.cancellation.request("stopped by the test", signal=15))
    ).start()
    report = RunReport()
    with pytest.raises(RunCancelledError) as caught:
        engine.run(prepared, context, report)
    assert caught.value.facts["signal"] == 15
    assert report.status == "cancelled"
    assert {name: s.status for name, s in report.steps.items()} == {"a": "cancelled", "b": "skipped"}
    assert [e["event"] for e in context.events].count("execution_interrupted") == 1


def test_drivers_are_closed_also_after_a_failure(register: Register, context: ExecutionContext) -> None:
    closed: list[str] = []

    class Closing(Source):
        def close(self) -> None:
            closed.append("source")

    class Failing:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            next(inputs["df"].batches())
            raise DriverError("no", code="test.no")

        def close(self) -> None:
            closed.append("sink")

    register("test.source", Closing)
    register("test.sink", Failing, **WRITER)
    failing([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert sorted(closed) == ["sink", "source"]


def test_a_close_that_fails_fails_the_step(register: Register, context: ExecutionContext) -> None:
    class Leaky(Source):
        def close(self) -> None:
            raise OSError("could not flush")

    register("test.source", Leaky)
    register("test.sink", Sink(), **WRITER)
    error, _ = failing([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert error.facts["step_id"] == "a"
    assert "could not flush" in error.message


def test_temporary_files_are_gone_whatever_happened(register: Register, context: ExecutionContext) -> None:
    seen: list[Path] = []

    class Littering:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            seen.append(ctx.temp_dir)
            (ctx.temp_dir / "big").write_text("x")
            (ctx.artifacts_dir / "kept").write_text("y")
            raise ValueError("no")

    register("test.littering", Littering())
    failing([step("a", "test.littering")], context)
    assert len(seen) == 1
    assert not seen[0].exists()
    assert not (context.session_dir / "tmp").exists()
    assert (context.artifacts_dir / "a" / "kept").read_text() == "y"


def test_what_a_driver_tells_itself_is_not_told_twice(register: Register, context: ExecutionContext) -> None:
    class Counting(Sink):
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            super().run(step_id, config, inputs, ctx)
            ctx.log_metric("rows_written", 40, "rows")  # ten were duplicates
            return {}

    register("test.source", Source(5))
    register("test.sink", Counting(), **WRITER)
    report = run([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    assert [m["value"] for m in context.metrics if m["metric"] == "rows_written"] == [40]
    assert report.total_rows == 40


def test_an_unused_output_is_read_to_its_end(register: Register, context: ExecutionContext) -> None:
    source = Source(5)
    register("test.source", source)
    report = run([step("a", "test.source")], context)
    assert source.given == [0, 1, 2, 3, 4]
    assert report.total_rows == 50, "rows read, where nothing writes"


@pytest.mark.parametrize("shape", ["chain", "wide"])
def test_ten_thousand_steps(register: Register, context: ExecutionContext, shape: str) -> None:
    class Nothing:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {}

    register("test.nothing", Nothing())
    steps = [step(f"s{n}", "test.nothing") for n in range(10_000)]
    if shape == "chain":
        for before, after in pairwise(steps):
            after["needs"] = [before["id"]]
    assert run(steps, context).steps_completed == 10_000


def test_a_long_chain_of_streams(register: Register, context: ExecutionContext) -> None:
    class Pass:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {"df": inputs["df"]}

    sink = Sink()
    register("test.source", Source(3))
    register("test.pass", Pass(), **STREAM)
    register("test.sink", sink, **WRITER)
    chain = [step("s0", "test.source"), *(step(f"s{n}", "test.pass", df=f"s{n - 1}") for n in range(1, 300))]
    run([*chain, step("end", "test.sink", df="s299")], context)
    assert sink.rows == list(range(30))


def test_no_thread_is_left(register: Register, context: ExecutionContext) -> None:
    before = set(threading.enumerate())
    register("test.source", Source(5))
    register("test.sink", Sink(), **WRITER)
    run([step("a", "test.source"), step("b", "test.sink", df="a")], context)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert set(threading.enumerate()) <= before
