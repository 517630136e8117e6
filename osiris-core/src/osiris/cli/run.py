"""``osiris run``: load, plan, run, show."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osiris.cli import failure, terminal
from osiris.cli.ending import await_threads
from osiris.cli.garbage import look_while_running
from osiris.cli.interruption import interruptible
from osiris.cli.loading import plan_pipeline
from osiris.cli.options import (
    AdapterOption,
    Checkpoint,
    ChosenAdapter,
    EnvFile,
    Fallback,
    Force,
    Json,
    MaxMemory,
    Parallel,
    Param,
    Pipeline,
    Profile,
    Resume,
    Timeout,
    read_path,
)
from osiris.cli.progress import Teller, choose_teller
from osiris.cli.project import find_pipeline, find_project, parse_pairs, read_env_file, sessions_root
from osiris.cli.resuming import Earlier, find_earlier
from osiris.cli.summary import nearby, write_summary
from osiris.cli.terminal import clean, styled, tell
from osiris.core.cancellation import Cancellation
from osiris.core.errors import UsageError

if TYPE_CHECKING:
    from osiris.cli.loading import PlannedPipeline
    from osiris.cli.settings import AdapterSettings
    from osiris.core.execution_adapter import ExecutionAdapter, RunOptions, RunResult
    from osiris.core.lifecycle import Fallback as LifecycleFallback
    from osiris.core.session import Session

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def run(
    pipeline: Pipeline = None,
    param: Param = None,
    profile: Profile = None,
    env_file: EnvFile = None,
    session_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", parser=read_path, help="Make the session folder below DIR.  [default: PROJECT/.osiris/runs]"
        ),
    ] = None,
    adapter: ChosenAdapter = None,
    adapter_option: AdapterOption = None,
    fallback: Fallback = None,
    checkpoint: Checkpoint = False,
    resume: Resume = None,
    force: Force = False,
    parallel: Parallel = None,
    timeout: Timeout = None,
    max_memory: MaxMemory = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    verbosity: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, help="Print every event, and tracebacks; twice: a worker's messages, too."
        ),
    ] = 0,
) -> int:
    """Run a pipeline.

    Without PIPELINE, runs pipeline.yaml of the current folder. The result goes to standard output,
    progress and errors to standard error. Ctrl-C stops the run cleanly; twice, at once.

    With --resume, goes on where an earlier run stopped: what had finished is not run again.

    Exit codes: 0 success, 1 bug, 2 usage, 3 invalid pipeline, 4 plugin, 5 the run failed, 130 or 143 interrupted.
    """
    verbose = verbosity > 0
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other", hint="leave one of them out")
    _set_up_libraries()
    if verbosity > 1:
        os.environ.setdefault("OSIRIS_RPC_TRACE", "-")  # see osiris.core.remote.trace
    cancellation = Cancellation()
    teller: Teller = Teller()
    at_once = failure.report_at_once if as_json else lambda error: None
    with interruptible(cancellation, restore=lambda: teller.restore(), report=at_once):
        how = _options(parallel, max_memory, resume=resume is not None)
        environment = read_env_file(env_file)
        params, given = parse_pairs(param, "--param"), parse_pairs(adapter_option, "--adapter-option")
        earlier = None if resume is None else find_earlier(resume, pipeline, session_dir)
        planned = _plan(pipeline, params, profile, environment, earlier, checkpoint=checkpoint)
        settings = _settings(planned.project)
        name = adapter or (earlier and earlier.adapter) or settings.default
        backend = _create_adapter(name, {**settings.options.get(name, {}), **given})
        fallbacks = [_fallback(other, settings) for other in fallback or settings.fallback if other != name]
        cancellation.raise_if_requested()
        session = _take_up(earlier, planned, force=force) or _create_session(planned, name, session_dir, checkpoint)
        teller = choose_teller({step.id: step.driver for step in planned.plan.steps}, quiet=quiet, verbose=verbose)
        if not quiet:
            _tell_start(planned, session)
        result = _run(
            planned, backend, session, teller, cancellation, name, fallbacks, environment, how, timeout, verbose
        )
    return _show(result, as_json=as_json, quiet=quiet, verbose=verbose)


def _set_up_libraries() -> None:
    # numpy's algebra has threads that wait for work at full load for the first tenth of a second, beside the one that
    # sets the run up; asleep after a thousandth, they are woken soon enough. In powers of two of processor cycles.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
    # Measured on streams of CSV files: a fifth less memory at its peak than with pyarrow's default, and with what is
    # free given back after 50 ms (not a second) a peak that stays the same however long the stream is; at once would
    # cost a quarter more time. Read when pyarrow is imported; only Linux has it for sure.
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
        os.environ.setdefault("JE_ARROW_MALLOC_CONF", "dirty_decay_ms:50,muzzy_decay_ms:0")


def _options(parallel: int | None, max_memory: str | None, *, resume: bool) -> RunOptions:
    from osiris.core.execution_adapter import RunOptions

    if max_memory is None:
        return RunOptions(parallel=parallel, resume=resume)
    from osiris.core.planning import read_size

    size = read_size(max_memory)
    if size is None:
        raise UsageError(f"--max-memory {max_memory!r} is no size", hint="write it as 500MB, 2GB or 1GiB")
    return RunOptions(parallel=parallel, max_memory=size, resume=resume)


def _settings(project: Path) -> AdapterSettings:
    from osiris.cli.settings import read_settings

    return read_settings(project).adapters


def _plan(
    pipeline: Path | None,
    params: Mapping[str, str],
    profile: str | None,
    environment: Mapping[str, str],
    earlier: Earlier | None,
    *,
    checkpoint: bool,
) -> PlannedPipeline:
    if earlier is None:
        file = find_pipeline(pipeline)
        return plan_pipeline(
            file, find_project(file), params, profile=profile, environment=environment, checkpoint=checkpoint
        )
    file = pipeline or earlier.file
    planned = plan_pipeline(
        file,
        find_project(file),
        # The values of then go before a variable of now, but not before a profile that is asked for.
        params if profile is not None else earlier.params(params),
        profile=profile,
        environment=environment,
        checkpoint=checkpoint or earlier.checkpoint,
    )
    return replace(planned, base_dir=earlier.base_dir or planned.base_dir)


def _take_up(earlier: Earlier | None, planned: PlannedPipeline, *, force: bool) -> Session | None:
    if earlier is not None:
        earlier.session.resume(planned.manifest, planned.plan, force=force)
        return earlier.session
    if force:
        raise UsageError("--force is for --resume", hint="add --resume, or leave it out")
    return None


def _create_adapter(name: str, options: Mapping[str, Any]) -> ExecutionAdapter:
    from osiris.core.adapter_factory import AdapterFactory

    return AdapterFactory.create(name, **options)


def _fallback(name: str, settings: AdapterSettings) -> LifecycleFallback:
    from osiris.core.adapter_factory import AdapterFactory

    AdapterFactory.spec(name)  # a name that nobody offers is a mistake now, not when it is needed
    return name, lambda: AdapterFactory.create(name, **settings.options.get(name, {}))


def _create_session(planned: PlannedPipeline, adapter: str, session_dir: Path | None, checkpoint: bool) -> Session:
    from osiris.core.session import Session

    return Session.create(
        sessions_root(planned.project, session_dir),
        pipeline=planned.manifest.name,
        manifest=planned.manifest,
        adapter=adapter,
        plan=planned.plan,
        # Without the options: values of --param and --adapter-option may be secrets.
        command=("osiris", "run", str(planned.file)),
        origin={"file": str(planned.file.resolve()), "base_dir": str(planned.base_dir), "checkpoint": checkpoint},
    )


def _tell_start(planned: PlannedPipeline, session: Session) -> None:
    from osiris.core.plugins import Catalog

    failure.tell_warnings(planned.plan.warnings)
    told = {problem.message for problem in planned.plan.warnings}  # a plan check that failed is among them
    for warning in (text for text in Catalog.current().warnings() if text not in told):
        tell(f"{styled('warning:', 'bold', 'yellow')} {clean(warning)}")
    tell(f"{styled(clean(planned.manifest.name), 'bold')}: session {clean(session.id)}")


def _run(
    planned: PlannedPipeline,
    backend: ExecutionAdapter,
    session: Session,
    teller: Teller,
    cancellation: Cancellation,
    adapter: str,
    fallbacks: Sequence[LifecycleFallback],
    environment: Mapping[str, str],
    how: RunOptions,
    timeout: float | None,
    verbose: bool,
) -> RunResult:
    from osiris.core.connections import install_log_filter, redacted_streams
    from osiris.core.lifecycle import run_pipeline

    install_log_filter()
    context = session.context(
        verbose=verbose,
        timeout=timeout,
        environment=environment,
        base_dir=planned.base_dir,
        project_dir=planned.project,
        options=how,
        cancellation=cancellation,
    )
    context.bus.subscribe(teller)
    look_while_running()
    await_threads()
    with terminal.kept_for_result(), teller, redacted_streams():
        result = run_pipeline(backend, planned.manifest, context, adapter_name=adapter, fallbacks=fallbacks)
    session.finish(result)
    return result


def _show(result: RunResult, *, as_json: bool, quiet: bool, verbose: bool) -> int:
    if as_json:
        terminal.write_json(result.to_dict())
    elif not quiet:
        write_summary(result.to_dict())
        terminal.flush()
    if not quiet:
        for warning in result.warnings:
            tell(f"{styled('warning:', 'bold', 'yellow')} {clean(warning)}")
    if result.error is None:
        return 0
    if not as_json or failure.handled(result.error) is None:
        failure.tell_error(result.error)
    if quiet and not as_json:
        tell(f"session: {nearby(result.session_dir)}")
    return failure.exit_code(result.error)
