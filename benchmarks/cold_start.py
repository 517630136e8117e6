"""How long ``osiris --help`` and ``osiris --version`` take, beside a process that only imports typer."""

from __future__ import annotations

from benchmarks.harness import Benchmark, Row, alternate, osiris, python

ROUNDS = 15


def measure(full: bool) -> list[Row]:
    """Both commands against the floor; the same whether full or not."""
    taken = alternate(
        {
            "floor": python("-c", "import typer"),
            "osiris --help": osiris("--help"),
            "osiris --version": osiris("--version"),
        },
        rounds=ROUNDS,
    )
    floor = taken.pop("floor").seconds
    return [Row(what=name, measured=sample.seconds, floor=floor, budget=2.5) for name, sample in taken.items()]


BENCHMARK = Benchmark(title="start-up, beside python -c 'import typer'", measure=measure)
