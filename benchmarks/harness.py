"""Whole processes, timed: alternating rounds, medians, peak memory, and one table for every budget.

This module and the benchmarks import the standard library only. What a child inherits from its parent at
the moment of its start counts into its peak memory, so the parent has to stay small.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Benchmark", "Row", "Sample", "alternate", "osiris", "python", "run", "scratch", "table"]

Command = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one process took: wall-clock seconds from start to end, peak resident memory in MB, its stdout."""

    seconds: float
    peak_mb: float
    stdout: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured.
        measured: The figure.
        floor: What it is compared with, measured in the same rounds; None where the figure speaks for itself.
        unit: Of both.
        budget: The most that the ratio (without a floor: the figure) may be; None: shown, not judged.
    """

    what: str
    measured: float
    floor: float | None = None
    unit: str = "s"
    budget: float | None = None

    @property
    def ratio(self) -> float:
        """Measured by floor; the figure itself where there is no floor."""
        return self.measured if self.floor is None else self.measured / self.floor

    @property
    def kept(self) -> bool:
        """Whether the budget is kept; True where there is none."""
        return self.budget is None or self.ratio <= self.budget


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One file of this folder.

    Attributes:
        title: One line.
        measure: Gives the rows; its argument says whether the big sizes are wanted too.
    """

    title: str
    measure: Callable[[bool], list[Row]]


def osiris(*arguments: str | os.PathLike[str]) -> Command:
    """The ``osiris`` command of this environment."""
    return [Path(sys.executable).parent / "osiris", *arguments]


def python(*arguments: str | os.PathLike[str]) -> Command:
    """This environment's Python."""
    return [sys.executable, *arguments]


def run(command: Command, *, folder: Path | None = None) -> Sample:
    """Run one process to its end and measure it.

    Raises:
        SystemExit: It failed; with what it said.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        begin = time.perf_counter()
        # wait4 is the one call that gives the peak of this child alone, so Popen must not wait for it first.
        child = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if child.returncode != 0:
            said = (stdout.read() + stderr.read()).strip()
            sys.exit(f"{' '.join(map(str, command))} ended with {child.returncode}:\n{said}")
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        return Sample(seconds=seconds, peak_mb=usage.ru_maxrss / unit, stdout=stdout.read())


def _environment() -> dict[str, str]:
    # What pip installs is compiled; sources of a checkout would be compiled anew by every process under this variable.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def alternate(commands: Mapping[str, Command], *, rounds: int, folder: Path | None = None) -> dict[str, Sample]:
    """Run each command ``rounds`` times, in turns and in alternating order; gives the medians.

    One unmeasured round goes first, so that nobody pays for cold file caches.
    """
    for command in commands.values():
        run(command, folder=folder)
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(rounds):
        order = list(commands)[:: 1 if number % 2 == 0 else -1]
        for name in order:
            samples[name].append(run(commands[name], folder=folder))
    return {
        name: Sample(
            seconds=statistics.median(sample.seconds for sample in taken),
            peak_mb=statistics.median(sample.peak_mb for sample in taken),
            stdout=taken[-1].stdout,
        )
        for name, taken in samples.items()
    }


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="osiris-bench-") as folder:
        yield Path(folder)


def table(title: str, rows: Sequence[Row]) -> str:
    """The rows as text, with a verdict for each budget."""
    heads = ("", "measured", "floor", "ratio", "budget", "verdict")
    lines = [heads, *[_cells(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    text = [title]
    for first, *others in lines:
        text.append("  ".join([first.ljust(widths[0]), *[c.rjust(w) for c, w in zip(others, widths[1:], strict=True)]]))
    return "\n".join(line.rstrip() for line in text)


def _cells(row: Row) -> tuple[str, ...]:
    def figure(value: float) -> str:
        return f"{value:.0f} {row.unit}" if value >= 100 else f"{value:.3f} {row.unit}"

    compared = row.floor is not None
    return (
        row.what,
        figure(row.measured),
        figure(row.floor) if row.floor is not None else "",
        f"{row.ratio:.2f}x" if compared else "",
        "" if row.budget is None else (f"{row.budget:.2f}x" if compared else figure(row.budget)),
        "" if row.budget is None else ("kept" if row.kept else "OVER"),
    )
