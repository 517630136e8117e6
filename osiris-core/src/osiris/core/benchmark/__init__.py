"""How long an adapter takes, phase by phase: :class:`AdapterBenchmark`, and :func:`run_benchmark` for whole runs."""

from osiris.core.benchmark.adapter import AdapterBenchmark, BenchmarkReport, Figure, run_benchmark

__all__ = ["AdapterBenchmark", "BenchmarkReport", "Figure", "run_benchmark"]
