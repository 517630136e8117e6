"""Which stage runs when: independent ones at the same time, up to a limit."""

from __future__ import annotations

import heapq
import os
import shutil
import threading
from time import monotonic

from osiris.core.engine.report import RunReport, StepReport
from osiris.core.engine.resources import ResourceSampler
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.engine.stage import RunState, StageRun
from osiris.core.engine.store import DatasetStore
from osiris.core.errors import ExecutionError, RunCancelledError, UsageError
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import Plan, Stage

__all__ = ["run"]

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
    store = DatasetStore(temp_root / "store", settings.options.memory_budget)
    state = RunState(plan, prepared, settings, context, report, store)
    sampler = ResourceSampler(context)
    try:
        with sampler:
            _Scheduler(state).run()
    except ExecutionError as error:
        report.error = error
        report.status = "cancelled" if isinstance(error, RunCancelledError) else "failed"
        raise
    finally:
        store.clear()
        if temp_root.exists():
            shutil.rmtree(temp_root, ignore_errors=True)
    return report


class _Scheduler:
    """Worker threads take stages from a heap; the caller's thread only waits, so that signals reach it."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        stages = state.plan.stages
        self._waiting = {stage.index: len(stage.after) for stage in stages}
        self._followers: dict[int, list[int]] = {stage.index: [] for stage in stages}
        for stage in stages:
            for index in stage.after:
                self._followers[index].append(stage.index)
        self._stages: dict[int, Stage] = {stage.index: stage for stage in stages}
        self._ready = [index for index, count in self._waiting.items() if count == 0]
        heapq.heapify(self._ready)
        self._running: dict[int, StageRun] = {}
        self._error: BaseException | None = None
        self._abandoned = False
        # One lock, two waiting rooms: a step's end must not wake threads that have nothing to do.
        self._lock = threading.Lock()
        self._for_work = threading.Condition(self._lock)
        self._for_the_end = threading.Condition(self._lock)

    def run(self) -> None:
        limit = self._state.settings.options.parallel or min(4, os.cpu_count() or 1)
        for number in range(min(max(1, limit), len(self._stages))):
            threading.Thread(target=self._work, name=f"osiris-stage-{number}", daemon=True).start()
        cancellation = self._state.settings.cancellation
        with cancellation.on_cancel(self._wake):
            try:
                self._wait(None)
            except KeyboardInterrupt:  # where nobody turned Ctrl-C into a request: a script, a notebook
                cancellation.request("interrupted by Ctrl-C", signal=2)
            if cancellation.requested:
                self._state.door.log_event("execution_interrupted", {"reason": cancellation.reason})
                self._wait(monotonic() + _CANCEL_PATIENCE)
                self._leave_behind()
        self._skip_the_rest()
        if cancellation.requested and (self._error is not None or self._unfinished()):
            raise cancellation.error()
        if self._error is not None:
            raise self._error

    def _wait(self, deadline: float | None) -> None:
        """Until nothing runs and nothing can start; without a deadline also until a stop is asked for."""
        with self._lock:
            while not self._over():
                if deadline is None and self._state.settings.cancellation.requested:
                    return
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    return
                self._for_the_end.wait(left)

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
            run = self._take()
        while run is not None:
            try:
                error = run.execute()
            except BaseException as raised:  # a defect of ours must end the run, not hang it
                error = raised
            run = self._done(run.stage, error)

    def _done(self, stage: Stage, error: BaseException | None) -> StageRun | None:
        """A stage has ended; gives the next one, so that a chain of stages stays in one thread."""
        to_stop: list[StageRun] = []
        with self._lock:
            del self._running[stage.index]
            if error is not None:
                if self._error is None:
                    self._error, to_stop = error, list(self._running.values())
            else:
                for index in self._followers[stage.index]:
                    self._waiting[index] -= 1
                    if self._waiting[index] == 0:
                        heapq.heappush(self._ready, index)
            following = None if to_stop else self._take()
        for other in to_stop:
            other.stop(error.facts.get("step_id") if isinstance(error, ExecutionError) else None)
        return following

    def _take(self) -> StageRun | None:
        """The next stage, waiting for one; None when there will be none. With the lock held."""
        while not self._stopping() and not self._abandoned:
            if self._ready:
                index = heapq.heappop(self._ready)
                self._running[index] = StageRun(self._stages[index], self._state)
                self._for_work.notify(len(self._ready))
                return self._running[index]
            if not self._running:
                break
            self._for_work.wait()
        self._for_work.notify_all()
        self._for_the_end.notify_all()
        return None

    def _leave_behind(self) -> None:
        with self._lock:
            self._abandoned = True
            stuck = sorted(self._running)
        for index in stuck:
            names = ", ".join(self._stages[index].steps)
            self._state.report.warnings.append(f"did not stop within {_CANCEL_PATIENCE:.0f} s: {names}")

    def _skip_the_rest(self) -> None:
        cancelled = self._state.settings.cancellation.requested
        failed = self._error.facts.get("step_id") if isinstance(self._error, ExecutionError) else None
        reason = "the run was cancelled" if cancelled else f"step {failed!r} failed"
        for step in self._state.plan.steps:
            report = self._state.report.steps[step.id]
            if report.status == "pending":
                report.status, report.reason = "skipped", reason
                self._state.door.log_event("step_skipped", {"step_id": step.id, "reason": reason})
