"""Benchmarks of adapters: the figures are those of the run, and steps that overlap are counted once."""

from __future__ import annotations

import json
import threading

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.benchmark import AdapterBenchmark, Figure, run_benchmark
from osiris.core.errors import StepError, UsageError
from osiris.core.execution_adapter import AdapterSpec, ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.session import Session

MANIFEST = {
    "version": "1.0.0",
    "name": "two",
    "steps": [{"id": "a", "driver": "test.rest"}, {"id": "b", "driver": "test.rest"}],
}


class Rest:
    """A driver that takes a moment."""

    def run(self, step_id, config, inputs, ctx):
        threading.Event().wait(0.02)
        return {}


class Script(ExecutionAdapter):
    """Tells what it was given to tell; remembers what was called."""

    closed = 0

    def __init__(self, tell=None, collected=None, **methods):
        self.tell = tell or (lambda context: None)
        self.collected = collected or {"status": "success"}
        self.contexts = []
        for name, method in methods.items():
            setattr(self, name, method)

    def prepare(self, manifest, context):
        self.contexts.append(context)
        return PreparedRun(manifest=manifest)

    def execute(self, prepared, context):
        self.contexts.append(context)
        self.tell(context)

    def collect(self, prepared, context):
        self.contexts.append(context)
        return self.collected

    def close(self):
        type(self).closed += 1


@pytest.fixture
def rest(register):
    register("test.rest", Rest)


def test_the_phases_of_the_local_adapter(rest):
    benchmark = AdapterBenchmark()
    adapter = AdapterFactory.create("local")
    prepared = benchmark.benchmark_prepare(adapter, MANIFEST)
    executed = benchmark.benchmark_execute(adapter, benchmark.prepared)
    collected = benchmark.benchmark_collect(adapter, benchmark.prepared)
    adapter.close()
    assert prepared["preparation_time_ms"] == prepared["duration_ms"] > 0
    assert executed["execution_time_ms"] == executed["duration_ms"] >= 20
    assert set(executed["steps"]) == {"a", "b"}
    assert all(20 <= duration <= executed["execution_time_ms"] for duration in executed["steps"].values())
    assert executed["time_per_step_ms"] == pytest.approx(sum(executed["steps"].values()) / 2)
    assert 0 <= executed["overhead_ms"] <= executed["execution_time_ms"] - 20
    assert executed["overhead_per_step_ms"] == pytest.approx(executed["overhead_ms"] / 2)
    assert collected["collection_time_ms"] > 0
    for figures in (prepared, executed, collected):
        assert figures["memory_peak_mb"] > 10
        assert 0 <= figures["memory_growth_mb"] < figures["memory_peak_mb"]
        json.dumps(figures)


def test_a_prepared_run_and_a_context_of_ones_own(rest, tmp_path):
    context = ExecutionContext("mine", tmp_path, base_dir=tmp_path)
    adapter = AdapterFactory.create("local")
    benchmark = AdapterBenchmark()
    prepared = adapter.prepare(MANIFEST, context)
    assert set(benchmark.benchmark_execute(adapter, prepared, context)["steps"]) == {"a", "b"}
    assert benchmark.benchmark_collect(adapter, prepared, context)["artifacts"] == 0


def test_one_context_is_made_and_its_folder_goes_with_the_benchmark():
    benchmark, adapter = AdapterBenchmark(), Script()
    benchmark.benchmark_prepare(adapter, MANIFEST)
    benchmark.benchmark_execute(adapter)
    benchmark.benchmark_collect(adapter)
    assert len({id(context) for context in adapter.contexts}) == 1
    folder = benchmark.context.session_dir
    assert folder.is_dir()
    del benchmark
    assert not folder.exists()


def test_executing_needs_something_prepared():
    with pytest.raises(UsageError, match="nothing was prepared"):
        AdapterBenchmark().benchmark_execute(Script())


def stamped(context, second, event, **data):
    """Tell an event as if it were ``second`` seconds after noon."""
    context.bus._events.append({"event": event, "ts": f"2026-01-01T12:00:{second:09.6f}Z", **data})


def test_steps_that_overlap_are_counted_once():
    def tell(context):
        stamped(context, 0, "step_start", step_id="a")
        stamped(context, 1, "step_start", step_id="b")
        stamped(context, 9, "step_complete", step_id="a", duration_ms=2000)
        stamped(context, 9, "step_complete", step_id="b", duration_ms=2000)
        stamped(context, 5, "step_start", step_id="c")
        stamped(context, 5.5, "step_complete", step_id="c")
        stamped(context, 6, "step_start", step_id="failed")

    from osiris.core.benchmark.spans import share_of_steps, step_spans

    context = ExecutionContext("x", "/nowhere")
    tell(context)
    spans = step_spans(context.events, ())
    durations = {step_id: round(end - start, 6) for step_id, (start, end) in spans.items()}
    assert durations == {"a": 2, "b": 2, "c": 0.5}
    assert share_of_steps(10_000, spans)["overhead_ms"] == pytest.approx(6_500)


def test_an_adapter_that_tells_only_metrics_is_understood():
    adapter = Script(lambda context: context.log_metric("step_duration_ms", 0.001, "ms", step_id="a"))
    executed = AdapterBenchmark().benchmark_execute(adapter, PreparedRun())
    assert executed["steps"] == {"a": pytest.approx(0.001, abs=1e-3)}
    assert executed["overhead_ms"] <= executed["execution_time_ms"]


def test_an_adapter_that_tells_nothing_has_no_figures_about_steps():
    executed = AdapterBenchmark().benchmark_execute(Script(), PreparedRun())
    assert (executed["steps"], executed["time_per_step_ms"], executed["overhead_ms"]) == ({}, None, None)
    assert executed["execution_time_ms"] >= 0


def test_what_was_told_before_is_not_counted():
    context = ExecutionContext("x", "/nowhere")
    stamped(context, 0, "step_start", step_id="before")
    stamped(context, 1, "step_complete", step_id="before", duration_ms=1000)
    assert AdapterBenchmark(context).benchmark_execute(Script(), PreparedRun())["steps"] == {}


def test_latency_and_transfer_of_a_remote_adapter():
    answers = iter([30.0, 10.0, 20.0, 15.0, 500.0])
    adapter = Script(
        collected={"status": "success", "metrics": {"artifact_transfer_ms": 12}, "artifacts": ["a"]},
        measure_latency=lambda: next(answers),
    )
    benchmark = AdapterBenchmark()
    benchmark.benchmark_prepare(adapter, MANIFEST)
    assert benchmark.benchmark_execute(adapter)["network_latency_ms"] == 20.0
    collected = benchmark.benchmark_collect(adapter)
    assert (collected["artifact_transfer_ms"], collected["artifacts"]) == (12.0, 1)


def test_errors_of_a_phase_come_through(rest):
    class Broken(Script):
        closed = 0

        def execute(self, prepared, context):
            raise StepError("no")

    with pytest.raises(StepError, match="no"):
        AdapterBenchmark().benchmark_execute(Broken(), PreparedRun())
    assert "osiris-benchmark" not in {thread.name for thread in threading.enumerate()}


def test_several_runs_give_medians(rest):
    told = []
    report = run_benchmark("local", MANIFEST, runs=3, on_run=lambda number, figures: told.append((number, figures)))
    assert (report.adapter, report.pipeline, report.runs, report.remote) == ("local", "two", 3, False)
    assert [number for number, _ in told] == [1, 2, 3]
    for name in ("preparation_time_ms", "execution_time_ms", "collection_time_ms", "total_time_ms", "time_per_step_ms",
                 "overhead_ms", "overhead_per_step_ms", "memory_peak_mb", "memory_growth_mb"):  # fmt: skip
        values = sorted(figures[name] for _, figures in told)
        assert report.figures[name] == Figure(median=values[1], min=values[0], max=values[2]), name
    assert set(report.steps) == {"a", "b"}
    assert report.steps["a"].min >= 20
    assert report.unknown == []
    assert "duration_ms" not in report.figures
    again = json.loads(json.dumps(report.to_dict()))
    assert again["figures"]["overhead_ms"].keys() == {"median", "min", "max"}


def test_each_run_has_an_adapter_and_a_context_of_its_own(register_adapter, tmp_path):
    made, contexts = [], []

    def make(**options):
        made.append(options)
        return Script()

    def context():
        session = Session.create(tmp_path, pipeline="two", manifest=MANIFEST, adapter="script")
        contexts.append(session)
        return session.context()

    register_adapter("script", make)
    before = Script.closed
    report = run_benchmark(
        "script", MANIFEST, runs=2, warmup=1, context_factory=context, adapter_options={"zone": "eu"}
    )
    assert made == [{"zone": "eu"}] * 3
    assert len({session.id for session in contexts}) == 3
    assert Script.closed - before == 3
    assert "overhead_ms" not in report.figures


def test_a_remote_adapter_that_does_not_tell_is_said_to_be_silent(register_adapter, monkeypatch):
    register_adapter("far", Script)
    spec = AdapterSpec(name="far", summary="", factory="", remote=True)
    monkeypatch.setattr(AdapterFactory, "spec", classmethod(lambda cls, name: spec))
    report = run_benchmark("far", MANIFEST, runs=1, warmup=0)
    assert report.remote
    assert report.unknown == ["network_latency_ms", "artifact_transfer_ms"]


def test_a_run_that_fails_is_closed_and_raises(register_adapter):
    class Broken(Script):
        closed = 0

        def execute(self, prepared, context):
            raise StepError("no")

    register_adapter("broken", Broken)
    with pytest.raises(StepError):
        run_benchmark("broken", MANIFEST, runs=1)
    assert Broken.closed == 1


@pytest.mark.parametrize("bad", [{"runs": 0}, {"runs": -1}, {"warmup": -1}])
def test_a_benchmark_needs_a_run(bad):
    with pytest.raises(UsageError, match="at least one run"):
        run_benchmark("local", MANIFEST, **bad)
