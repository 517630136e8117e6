"""``osiris bench``: how long an adapter takes, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osiris.cli import failure, figures, terminal
from osiris.cli.ending import await_threads
from osiris.cli.garbage import look_while_running
from osiris.cli.interruption import interruptible
from osiris.cli.loading import PlannedPipeline, plan_pipeline
from osiris.cli.options import Adapter, AdapterOption, EnvFile, Json, Parallel, Param, Pipeline, Profile
from osiris.cli.project import find_pipeline, find_project, parse_pairs, read_env_file
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, tell, write
from osiris.core.cancellation import Cancellation

if TYPE_CHECKING:
    from osiris.core.benchmark import BenchmarkReport
    from osiris.core.execution_adapter import ExecutionContext

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def bench(
    pipeline: Pipeline = None,
    adapter: Adapter = "local",
    adapter_option: AdapterOption = None,
    runs: Annotated[int, typer.Option("--runs", "-n", metavar="N", min=1, help="How many runs count.")] = 5,
    param: Param = None,
    profile: Profile = None,
    env_file: EnvFile = None,
    parallel: Parallel = None,
    as_json: Json = False,
) -> None:
    """Measure an adapter with a pipeline, which really runs: once to warm up, then N times.

    Shows preparation time, time per step, overhead and memory; network latency and artifact transfer
    where the adapter is remote.
    """
    from osiris.core.benchmark import run_benchmark

    environment = read_env_file(env_file)
    params, options = parse_pairs(param, "--param"), parse_pairs(adapter_option, "--adapter-option")
    file = find_pipeline(pipeline)
    planned = plan_pipeline(file, find_project(file), params, profile=profile, environment=environment)
    cancellation = Cancellation()
    at_once = failure.report_at_once if as_json else lambda error: None
    with TemporaryDirectory(prefix="osiris-bench-") as folder, interruptible(cancellation, report=at_once):
        numbers = count(1)
        with terminal.kept_for_result():
            look_while_running()
            await_threads()
            report = run_benchmark(
                adapter,
                planned.manifest,
                runs=runs,
                adapter_options=options,
                context_factory=lambda: _context(
                    planned, Path(folder) / str(next(numbers)), environment, parallel, cancellation
                ),
                on_run=_tell_run,
            )
    if as_json:
        terminal.write_json({"status": "success", **report.to_dict()})
    else:
        _write(report)


def _context(
    planned: PlannedPipeline,
    folder: Path,
    environment: Mapping[str, str],
    parallel: int | None,
    cancellation: Cancellation,
) -> ExecutionContext:
    from osiris.core.connections import REDACTOR
    from osiris.core.events import EventBus
    from osiris.core.execution_adapter import ExecutionContext, RunOptions

    cancellation.raise_if_requested()
    context = ExecutionContext(
        "benchmark",
        folder,
        environment=environment,
        base_dir=planned.base_dir,
        project_dir=planned.project,
        options=RunOptions(parallel=parallel),
        bus=EventBus("benchmark", redact=REDACTOR),
        cancellation=cancellation,
    )
    context.plan = planned.plan
    return context


def _tell_run(number: int, sample: Mapping[str, float]) -> None:
    tell(f"run {number}: {figures.duration(sample.get('total_time_ms'))}")


def _write(report: BenchmarkReport) -> None:
    write(clean(f"{report.pipeline} on {report.adapter}: {figures.count(report.runs, 'run')}"))
    write()
    rows = [_cells(name.rpartition("_")[0].replace("_", " "), name, figure) for name, figure in report.figures.items()]
    rows += [_cells(f"step {step_id}", "_ms", figure) for step_id, figure in report.steps.items()]
    write_table(["figure", "median", "min", "max"], rows, right=[1, 2, 3])
    for name in report.unknown:
        write(clean(f"{name.rpartition('_')[0].replace('_', ' ')}: the adapter does not tell"))


def _cells(label: str, name: str, figure: Any) -> list[Cell]:
    def shown(value: float) -> str:
        return f"{value:,.1f} MB" if name.endswith("_mb") else f"{value:,.2f} ms"

    return [label, shown(figure.median), shown(figure.min), shown(figure.max)]
