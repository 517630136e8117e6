"""Which stage runs when: independent ones at the same time, up to a limit."""

from __future__ import annotations

import heapq
import os
import shutil
import threading
from collections.abc import Collection, Mapping
from contextlib import closing
from time import monotonic

from osiris.core.engine.attempts import StageAttempts
from osiris.core.engine.elsewhere import Elsewhere
from osiris.core.engine.ending import tell_skipped
from osiris.core.engine.landing import Landing
from osiris.core.engine.patience import bounded
from osiris.core.engine.progress import Progress, read_progress
from osiris.core.engine.report import RunReport, StepReport
from osiris.core.engine.resources import ResourceSampler
from osiris.core.engine.resumption import Resumption
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.engine.state import RunState
from osiris.core.engine.store import DatasetStore
from osiris.core.errors import ExecutionError, OsirisError, RunCancelledError, UsageError
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import Plan, Stage, driver_versions, step_fingerprints
from osiris.core.process import held

__all__ = ["run"]

_CROWDED = 0.005
"""Seconds after a stage's begin in which no other one is begun beside it."""

_LOCK_PATIENCE = 30.0
"""Seconds that a resumed run waits for the worker of a killed one to notice that nobody is there any more."""

_CANCEL_PATIENCE = 15.0
"""Seconds that running stages get to end after a request to stop; then they are left behind."""


def run(prepared: PreparedRun, context: EventDoor, report: RunReport | None = None) -> RunReport:
    """Run all steps of a prepared run.

    Args:
        prepared: From :func:`osiris.core.engine.prepare`.
        context: An ExecutionContext, or anything with ``log_event`` and ``log_metric``.
        report: Filled while the run goes, so that it is there also after a failure.

    Returns:
        The report.

    Raises:
        StepError: A step failed; ``facts["step_id"]`` says which.
        RunCancelledError: The run was asked to stop.
        ExecutionError: ``run.timeout``, ``run.memory_limit``: a limit of the run was exceeded.
        UsageError: ``prepared`` was not made by the engine.
    """
    plan = prepared.package
    if not isinstance(plan, Plan):
        raise UsageError("this PreparedRun has no plan", hint="make it with osiris.core.engine.prepare")
    report = report if report is not None else RunReport()
    report.steps.update(
        (step.id, StepReport(step.id, step.driver, step.spec.role, has_inputs=bool(step.inputs))) for step in plan.steps
    )
    settings = RunSettings.of(context, prepared.artifacts_dir)
    temp_root = settings.session_dir / "tmp"
    limit = settings.options.max_memory or plan.limits.memory
    # A quarter of what the process may take: the rest is for libraries, streams and queries.
    budget = min(settings.options.memory_budget, limit // 4) if limit else settings.options.memory_budget
    store = DatasetStore(temp_root / "store", budget, plan.limits.disk)
    fingerprints = step_fingerprints(plan, driver_versions(plan))
    try:
        patience = _LOCK_PATIENCE if settings.options.resume else 0.0
        with held(settings.session_dir / "engine.lock", patience=patience, pause=settings.cancellation.pause):
            Elsewhere(settings.session_dir).wait(settings.cancellation, context.log_event)
            Landing(settings.session_dir).finish()
            if temp_root.exists():  # of a run that was killed
                shutil.rmtree(temp_root, ignore_errors=True)
            progress = Progress(settings.session_dir, fingerprints, fresh=not settings.options.resume)
            state = RunState(plan, prepared, settings, context, report, store, progress)
            over = _take_up(state, fingerprints) if settings.options.resume else set()
            scheduler = _Scheduler(state, over)
            sampler = ResourceSampler(
                context,
                limit,
                short=scheduler.save_memory,
                exceeded=scheduler.exceed_memory,
                disk=lambda: store.disk_bytes,
                running=scheduler.running_steps,
            )
            with closing(progress), sampler:
                scheduler.run()
            shutil.rmtree(state.checkpoints.folder, ignore_errors=True)  # nobody will need them
    except OsirisError as error:
        report.error = error
        report.status = "cancelled" if isinstance(error, RunCancelledError) else "failed"
        raise
    finally:
        store.clear()
        if temp_root.exists():
            shutil.rmtree(temp_root, ignore_errors=True)
    return report


def _take_up(state: RunState, fingerprints: Mapping[str, str]) -> set[int]:
    """Put back what earlier runs of the session have done; gives the stages that need not run."""
    finished = read_progress(state.settings.session_dir)
    resumption = Resumption(state.plan, finished, fingerprints, state.checkpoints, state.door)
    state.written.update(resumption.written())
    for before in state.written.values():
        state.report.outputs.extend(dict(output) for output in before.outputs)
    done = [step_id for stage in state.plan.stages if stage.index in resumption.over for step_id in stage.steps]
    state.door.log_event("run_resumed", {"steps_finished": len(done), "steps_total": len(state.plan.steps)})
    resumption.restore(state.report, state.store)
    return resumption.over


class _Scheduler:
    """Worker threads take stages from a heap; the caller's thread only waits, so that signals reach it."""

    def __init__(self, state: RunState, over: Collection[int]) -> None:
        self._state = state
        stages = [stage for stage in state.plan.stages if stage.index not in over]
        self._waiting = {stage.index: sum(index not in over for index in stage.after) for stage in stages}
        self._followers: dict[int, list[int]] = {stage.index: [] for stage in stages}
        for stage in stages:
            for index in stage.after:
                if index not in over:
                    self._followers[index].append(stage.index)
        self._stages: dict[int, Stage] = {stage.index: stage for stage in stages}
        self._ready = [index for index, count in self._waiting.items() if count == 0]
        heapq.heapify(self._ready)
        self._running: dict[int, StageAttempts] = {}
        self._begun: dict[int, float] = {}
        self._error: OsirisError | None = None
        self._passed_over: list[OsirisError] = []
        """Failures of steps that say ``on_error: continue``."""
        self._broken_off = False
        self._abandoned = False
        self._idle = 0
        """Threads that look again only when they are woken; to wake the others at every step costs more than a step."""
        # One lock, two waiting rooms: a step's end must not wake threads that have nothing to do.
        self._lock = threading.Lock()
        self._for_work = threading.Condition(self._lock)
        self._for_the_end = threading.Condition(self._lock)

    def run(self) -> None:
        limit = self._state.settings.options.parallel or min(4, os.cpu_count() or 1)
        for number in range(min(max(1, limit), len(self._stages))):
            threading.Thread(target=self._work, name=f"osiris-stage-{number}", daemon=True).start()
        cancellation = self._state.settings.cancellation
        timeout = self._state.settings.timeout or self._state.plan.limits.time
        with cancellation.on_cancel(self._wake):
            try:
                self._wait(None if timeout is None else monotonic() + timeout, until_stopped=True)
            except KeyboardInterrupt:  # where nobody turned Ctrl-C into a request: a script, a notebook
                cancellation.request("interrupted by Ctrl-C", signal=2)
            if cancellation.requested:
                self._state.door.log_event("execution_interrupted", {"reason": cancellation.reason})
            elif timeout is not None and not self._ended():
                self._time_out(timeout)
            if cancellation.requested or self._broken_off:
                self._wait(monotonic() + _CANCEL_PATIENCE)
                self._leave_behind()
        self._skip_the_rest()
        if cancellation.requested and (self._error is not None or self._unfinished()):
            raise cancellation.error()
        if self._error is not None:
            raise self._error
        if self._passed_over:
            for further in self._passed_over[1:]:
                self._state.report.warnings.append(f"failed too: {further.message}")
            raise self._passed_over[0]

    def _wait(self, deadline: float | None, *, until_stopped: bool = False) -> None:
        """Until nothing runs and nothing can start, or the deadline (of ``monotonic()``) has passed."""
        with self._lock:
            while not self._over():
                if until_stopped and (self._broken_off or self._state.settings.cancellation.requested):
                    return
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    return
                self._for_the_end.wait(None if left is None else bounded(left))

    def _ended(self) -> bool:
        with self._lock:
            return self._over()

    def running_steps(self) -> list[StepReport]:
        """The reports of the steps of the stages that run."""
        with self._lock:
            running = [self._stages[index] for index in self._running]
        return [self._state.report.steps[step_id] for stage in running for step_id in stage.steps]

    def save_memory(self) -> None:
        """Memory is short: what waits goes to disk."""
        try:
            self._state.store.spill()
        except ExecutionError as error:
            self._break_off(error)

    def exceed_memory(self, used: int) -> None:
        """The process takes more than it may: stop before the system kills it."""
        limit = self._state.settings.options.max_memory or self._state.plan.limits.memory or 0
        self._break_off(
            ExecutionError(
                f"the run took {used / 1e6:,.0f} MB of memory, more than its limit of {limit / 1e6:,.0f} MB",
                hint="raise --max-memory or limits.memory, read in smaller parts, or set the drivers' own limits",
                code="run.memory_limit",
                used=used,
                limit=limit,
            )
        )

    def _time_out(self, timeout: float) -> None:
        reason = f"the run did not finish within {timeout:g} s"
        hint = "raise its timeout, or make it do less"
        self._break_off(ExecutionError(reason, hint=hint, code="run.timeout", timeout=timeout))

    def _break_off(self, error: ExecutionError) -> None:
        """End the whole run with an error that is no step's."""
        with self._lock:
            self._error = self._error or error
            self._broken_off = True
            running = list(self._running.values())
        for attempts in running:
            attempts.stop(error.message)
        self._wake()

    def _over(self) -> bool:
        return not self._running and (not self._ready or self._stopping())

    def _stopping(self) -> bool:
        return self._error is not None or self._state.settings.cancellation.requested

    def _unfinished(self) -> bool:
        return any(step.status != "success" for step in self._state.report.steps.values())

    def _wake(self) -> None:
        with self._lock:
            self._for_work.notify_all()
            self._for_the_end.notify_all()

    def _work(self) -> None:
        with self._lock:
            attempts = self._take()
        while attempts is not None:
            try:
                error = attempts.execute()
            except BaseException as raised:  # a defect of ours must end the run, not hang it
                error = ExecutionError(f"{type(raised).__name__}: {raised}", code="engine.bug")
                error.__cause__ = raised
            attempts = self._done(attempts.stage, error)

    def _done(self, stage: Stage, error: OsirisError | None) -> StageAttempts | None:
        """A stage has ended; gives the next one, so that a chain of stages stays in one thread."""
        to_stop: list[StageAttempts] = []
        with self._lock:
            del self._running[stage.index], self._begun[stage.index]
            if error is None:
                for index in self._followers[stage.index]:
                    self._waiting[index] -= 1
                    if self._waiting[index] == 0:
                        heapq.heappush(self._ready, index)
            elif self._is_passed_over(error):
                self._passed_over.append(error)
            elif self._error is None:
                self._error, to_stop = error, list(self._running.values())
            following = self._take()
        failed = None if error is None else error.facts.get("step_id")
        for other in to_stop:
            other.stop(f"step {failed!r} failed", failed)
        return following

    def _is_passed_over(self, error: OsirisError) -> bool:
        step = self._state.plan.by_id.get(str(error.facts.get("step_id")))
        return step is not None and step.policy.on_error == "continue" and not isinstance(error, RunCancelledError)

    def _take(self) -> StageAttempts | None:
        """The next stage, waiting for one; None when there will be none. With the lock held."""
        while not self._stopping() and not self._abandoned:
            if self._ready and not self._is_crowded():
                index = heapq.heappop(self._ready)
                self._running[index] = StageAttempts(self._stages[index], self._state)
                self._begun[index] = monotonic()
                if self._idle and self._ready:
                    self._for_work.notify_all()
                return self._running[index]
            if not self._running:
                break
            if self._ready:
                self._for_work.wait(_CROWDED)
                continue
            self._idle += 1
            self._for_work.wait()
            self._idle -= 1
        self._for_work.notify_all()
        self._for_the_end.notify_all()
        return None

    def _is_crowded(self) -> bool:
        """Whether another stage has only just begun: it may be over before a second thread would help.

        Two threads that each run steps of microseconds take turns at the interpreter, and are slower than one.
        """
        now = monotonic()
        return any(now - begun < _CROWDED for begun in self._begun.values())

    def _leave_behind(self) -> None:
        with self._lock:
            self._abandoned = True
            stuck = [self._running[index] for index in sorted(self._running)]
        for attempts in stuck:
            late = attempts.give_up()
            if late:
                warning = f"did not stop within {_CANCEL_PATIENCE:.0f} s: {', '.join(late)}"
                self._state.report.warnings.append(warning)

    def _skip_the_rest(self) -> None:
        """Tell of the steps whose turn never came, each with the reason: what it waited for, or what ended the run."""
        reports = self._state.report.steps
        cancelled = self._state.settings.cancellation.requested
        for step in self._state.plan.steps:
            report = reports[step.id]
            if report.status != "pending":
                continue
            cause = next((reports[before].cause for before in step.after if reports[before].cause), None)
            if cause is None and self._error is not None:
                cause = self._error.facts.get("step_id")
            reason = f"step {cause!r} failed"
            if cancelled:
                reason = "the run was cancelled"
            elif cause is None and self._error is not None:
                reason = self._error.message
            tell_skipped(report, self._state.door, reason, cause)
