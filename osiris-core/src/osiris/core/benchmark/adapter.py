"""How long an adapter takes, phase by phase, and what of it is the adapter's own doing.

::

    benchmark = AdapterBenchmark()
    adapter = AdapterFactory.create("local")
    prepared = adapter.prepare(manifest, benchmark.context)
    print(benchmark.benchmark_execute(adapter, prepared)["overhead_ms"])

:func:`run_benchmark` does whole runs, several times, and gives medians.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.benchmark.spans import share_of_steps, step_spans
from osiris.core.benchmark.watch import Watch
from osiris.core.errors import UsageError
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.quick_dataclass import dataclass

__all__ = ["AdapterBenchmark", "BenchmarkReport", "Figure", "run_benchmark"]

_LATENCY_PROBES = 5
_REMOTE_FIGURES = ("network_latency_ms", "artifact_transfer_ms")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number over several runs; its unit is the end of its name (``_ms``, ``_mb``)."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """The figure of at least one value."""
        return cls(median=statistics.median(values), min=min(values), max=max(values))


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """What :func:`run_benchmark` found.

    Attributes:
        adapter: The adapter's name.
        pipeline: The manifest's name.
        runs: How many runs the figures are over.
        remote: Whether steps run on another machine.
        figures: ``preparation_time_ms``, ``execution_time_ms``, ``collection_time_ms``, ``total_time_ms``,
            ``time_per_step_ms``, ``overhead_ms``, ``overhead_per_step_ms``, ``memory_peak_mb``, ``memory_growth_mb``,
            and ``network_latency_ms``, ``artifact_transfer_ms`` where the adapter tells them.
        steps: Duration of each step in ms, by id.
        unknown: Figures that a remote adapter should give and this one does not.
    """

    adapter: str
    pipeline: str
    runs: int
    remote: bool
    figures: Mapping[str, Figure]
    steps: Mapping[str, Figure]
    unknown: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The form of ``osiris bench --json``."""
        return {**asdict(self), "unknown": list(self.unknown)}


class AdapterBenchmark:
    """Measures the phases of an adapter, each by itself.

    Each method does its phase for real, once, and returns numbers by name. The context may be left out: then it is
    :attr:`context`, in a temporary folder that goes with the benchmark.

    Args:
        context: What to use where a method is given none.
    """

    def __init__(self, context: ExecutionContext | None = None) -> None:
        self._context = context
        self.prepared: PreparedRun | None = None
        """What the last :meth:`benchmark_prepare` prepared."""

    @property
    def context(self) -> ExecutionContext:
        """The context of methods that are given none; made when first asked for."""
        if self._context is None:
            folder = tempfile.mkdtemp(prefix="osiris-bench-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._context = ExecutionContext("benchmark", folder)
        return self._context

    def benchmark_prepare(
        self, adapter: ExecutionAdapter, manifest: Mapping[str, Any], context: ExecutionContext | None = None
    ) -> dict[str, Any]:
        """Prepare, measured: ``duration_ms`` = ``preparation_time_ms``, ``memory_peak_mb``, ``memory_growth_mb``.

        The prepared run is kept as :attr:`prepared`.

        Raises:
            OsirisError: What the adapter's ``prepare`` raises.
        """
        with Watch() as watch:
            self.prepared = adapter.prepare(manifest, context or self.context)
        return {"phase": "prepare", "preparation_time_ms": watch.duration_ms, **watch.figures()}

    def benchmark_execute(
        self, adapter: ExecutionAdapter, prepared: PreparedRun | None = None, context: ExecutionContext | None = None
    ) -> dict[str, Any]:
        """Execute, measured.

        Returns:
            ``duration_ms`` = ``execution_time_ms``; ``steps``: duration of each step by id, as told by its events or
            its ``step_duration_ms``; ``time_per_step_ms``: their mean; ``overhead_ms``: the time in which no step
            ran; ``overhead_per_step_ms``; memory as in :meth:`benchmark_prepare`; ``network_latency_ms``: median
            round trip, where the adapter has ``measure_latency() -> milliseconds``. None where nothing tells.

        Raises:
            OsirisError: What the adapter's ``execute`` raises.
        """
        context = context or self.context
        known_events, known_metrics = len(context.events), len(context.metrics)
        with Watch() as watch:
            adapter.execute(self._given(prepared), context)
        spans = step_spans(context.events[known_events:], context.metrics[known_metrics:])
        found = {
            "phase": "execute",
            "execution_time_ms": watch.duration_ms,
            **watch.figures(),
            **share_of_steps(watch.duration_ms, spans),
        }
        latency = _latency(adapter)
        return found if latency is None else {**found, "network_latency_ms": latency}

    def benchmark_collect(
        self, adapter: ExecutionAdapter, prepared: PreparedRun | None = None, context: ExecutionContext | None = None
    ) -> dict[str, Any]:
        """Collect, measured.

        Returns:
            ``duration_ms`` = ``collection_time_ms``; memory as in :meth:`benchmark_prepare`; ``artifacts``: how many;
            ``network_latency_ms`` and ``artifact_transfer_ms`` where the adapter reports them, in what ``collect``
            gives or its ``metrics``.

        Raises:
            OsirisError: What the adapter's ``collect`` raises.
        """
        with Watch() as watch:
            collected = adapter.collect(self._given(prepared), context or self.context)
        told = {**(collected.get("metrics") or {}), **collected}
        return {
            "phase": "collect",
            "collection_time_ms": watch.duration_ms,
            **watch.figures(),
            "artifacts": len(collected.get("artifacts") or ()),
            **{name: float(told[name]) for name in _REMOTE_FIGURES if told.get(name) is not None},
        }

    def _given(self, prepared: PreparedRun | None) -> PreparedRun:
        given = prepared or self.prepared
        if given is None:
            raise UsageError("nothing was prepared", hint="call benchmark_prepare first, or pass a prepared run")
        return given


def run_benchmark(
    adapter_name: str,
    manifest: Mapping[str, Any],
    *,
    runs: int = 5,
    warmup: int = 1,
    context_factory: Callable[[], ExecutionContext] | None = None,
    adapter_options: Mapping[str, Any] | None = None,
    on_run: Callable[[int, Mapping[str, float]], object] | None = None,
) -> BenchmarkReport:
    """Run a manifest several times with fresh adapters and say what the time went into.

    Args:
        adapter_name: As :class:`~osiris.core.adapter_factory.AdapterFactory` knows it.
        manifest: What to run; its steps really run, each time.
        runs: How many runs count, at least 1.
        warmup: How many runs before that do not (the first one imports drivers).
        context_factory: Makes the context of one run; default: in a temporary folder, paths relative to the
            manifest's file, else to the current directory.
        adapter_options: For the adapter.
        on_run: Told the number (from 1) and the figures of each run that counts.

    Raises:
        UsageError: ``runs`` is less than 1.
        OsirisError: A run failed.
    """
    if runs < 1 or warmup < 0:
        raise UsageError(f"a benchmark needs at least one run, not {runs}", hint="give --runs 1 or more")
    remote = AdapterFactory.spec(adapter_name).remote
    samples: list[dict[str, float]] = []
    steps: dict[str, list[float]] = {}
    for number in range(1 - warmup, runs + 1):
        adapter = AdapterFactory.create(adapter_name, **(adapter_options or {}))
        sample, durations = _run_once(adapter, manifest, context_factory)
        if number < 1:
            continue
        samples.append(sample)
        for step_id, duration in durations.items():
            steps.setdefault(step_id, []).append(duration)
        if on_run is not None:
            on_run(number, sample)
    figures = _by_name(samples)
    return BenchmarkReport(
        adapter=adapter_name,
        pipeline=str(manifest.get("name") or ""),
        runs=runs,
        remote=remote,
        figures=figures,
        steps={step_id: Figure.of(values) for step_id, values in steps.items()},
        unknown=[name for name in _REMOTE_FIGURES if remote and name not in figures],
    )


def _run_once(
    adapter: ExecutionAdapter,
    manifest: Mapping[str, Any],
    context_factory: Callable[[], ExecutionContext] | None,
) -> tuple[dict[str, float], dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="osiris-bench-") as folder:
        file = getattr(manifest, "file", None)
        base_dir = None if file is None else Path(file).absolute().parent
        context = context_factory() if context_factory else ExecutionContext("benchmark", folder, base_dir=base_dir)
        benchmark = AdapterBenchmark(context)
        begun = perf_counter()
        try:
            phases = [
                benchmark.benchmark_prepare(adapter, manifest),
                benchmark.benchmark_execute(adapter),
                benchmark.benchmark_collect(adapter),
            ]
        finally:
            adapter.close()
            context.bus.close()
        total = (perf_counter() - begun) * 1000
    sample: dict[str, float] = {"total_time_ms": total}
    for phase in phases:
        sample.update({name: value for name, value in phase.items() if name.endswith("_ms") and value is not None})
    del sample["duration_ms"]
    sample["memory_peak_mb"] = max(phase["memory_peak_mb"] for phase in phases)
    sample["memory_growth_mb"] = max(phase["memory_growth_mb"] for phase in phases)
    return sample, dict(phases[1]["steps"])


def _by_name(samples: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: Figure.of([sample[name] for sample in samples if name in sample]) for name in names}


def _latency(adapter: ExecutionAdapter) -> float | None:
    measure = getattr(adapter, "measure_latency", None)
    if not callable(measure):
        return None
    return float(statistics.median(measure() for _ in range(_LATENCY_PROBES)))
