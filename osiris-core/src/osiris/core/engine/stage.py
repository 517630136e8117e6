"""One stage: steps that stream into each other, upstream first. The unit of failure."""

from __future__ import annotations

import threading
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.engine.commits import committed, find_commit
from osiris.core.engine.drivers import StageDrivers
from osiris.core.engine.ending import aborted, attributed, tell_ends, tell_start, timed_out
from osiris.core.engine.progress import Kept
from osiris.core.engine.report import StepReport
from osiris.core.engine.state import RunState
from osiris.core.engine.step import StepRun
from osiris.core.engine.step_context import EngineStepContext
from osiris.core.engine.step_thread import StepThread
from osiris.core.errors import OsirisError, RunCancelledError, StepError
from osiris.core.planning import Edge, PlannedStep, Stage

__all__ = ["StageRun"]

_STOP_PATIENCE = 10.0
"""Seconds that a step gets to return once its stream is not wanted any more."""


class StageRun:
    """One attempt at one stage.

    Args:
        stage: What to run.
        state: The run.
        attempt: Which attempt it is, from 1.
        again: Whether its writers may have written already, in an earlier attempt or process.
    """

    def __init__(self, stage: Stage, state: RunState, attempt: int, *, again: bool = False) -> None:
        self.stage = stage
        self._state = state
        self._attempt_number = attempt
        self._again = again
        self._kept: dict[str, dict[str, Kept]] = {}
        self._drivers = StageDrivers()
        self._runs: dict[str, StepRun] = {}
        self._threads: dict[str, StepThread] = {}
        self._streams: dict[str, Dataset] = {}
        self._lock = threading.Lock()
        self._blamed: tuple[PlannedStep, BaseException] | None = None
        self._current = state.plan.by_id[stage.steps[0]]
        self._stopped: tuple[str, str | None] | None = None
        self._entered: dict[str, tuple[Any, str | None]] = {}
        """The connections that its steps were let use, as references, with their names."""
        self._late: StepError | None = None
        self.left_behind = False
        """Whether a driver did not come back: it may still do its work, and must not be called again beside that."""
        self._told = False
        """Whether the ends of its steps are told, by itself or by who gave it up; changed with the lock held."""
        self._woken: threading.Event | None = None
        """Set where somebody waits for steps that may not come back."""

    def stop(self, reason: str, caused_by: str | None = None) -> None:
        """Stop for something that is not this stage's doing; ``caused_by`` is the step whose it is. Any thread."""
        self._stopped = (reason, caused_by)
        self._interrupt(f"stopped: {reason}")

    def give_up(self) -> list[str]:
        """Tell the ends of the steps though a driver has not come back; gives the steps whose driver that is.

        What it does afterwards is no part of the run: neither told nor kept.
        """
        if not self._take_telling():
            return []
        late = self._stop_clocks()
        self._tell_ends(self._cause(aborted("it did not come back")))
        return late

    def execute(self) -> OsirisError | None:
        """Run the steps; None, or why the stage failed. Events, report and store say the rest."""
        plan = self._state.plan
        error: BaseException | None
        with self._state.settings.cancellation.on_cancel(self._cancel):
            if any(plan.by_id[step_id].policy.timeout for step_id in self.stage.steps):
                error = self._go_within_time()
            else:
                error = self._go()
        cause = self._cause(error)
        if not self._take_telling():
            return cause or aborted("it was given up")
        for step_id in self._state.written_in(self.stage):
            self._state.written[step_id].restore(self._state.report.steps[step_id])
        if cause is None:  # on disk before anybody hears of it
            self._state.keep_progress(self.stage.steps, self._kept)
        self._tell_ends(cause)
        self._leave_connections(cause)
        if cause is not None:
            for step_id in self.stage.steps:
                self._state.store.discard(step_id)
        return cause

    def _leave_connections(self, cause: OsirisError | None) -> None:
        failed = None if cause is None else cause.facts.get("step_id")
        for step_id, (connection, name) in self._entered.items():
            # A step that was stopped for something else says nothing about its own connection.
            decided = cause is None or step_id == failed
            self._state.breakers.leave(connection, name, cause, decided=decided)

    def _go(self) -> BaseException | None:
        error: BaseException | None = None
        try:
            if self._again:
                self._find_commits()
            if not self._state.is_done(self.stage):
                steps = [self._state.plan.by_id[step_id] for step_id in self.stage.steps]
                for step in self._drivers.make(steps, self._time_out):
                    self._current = step
                for step in steps:
                    self._refuse_to_go_on()
                    self._start(step)
                self._keep_side_outputs()
        except BaseException as raised:  # every way to fail ends in the report
            error = raised
        finally:
            for thread in self._threads.values():
                if not thread.stop(_STOP_PATIENCE):
                    self.left_behind = True
                    self._state.report.warnings.append(f"step {thread.run.step.id!r} did not stop when told to")
            for run in self._runs.values():
                error = self._finished(run, error)
            self._drivers.close()
        return error

    def _go_within_time(self) -> BaseException | None:
        """As :meth:`_go`, in a thread that can be left behind where a driver does not come back."""
        ended: list[BaseException | None] = []
        over = threading.Event()

        def go() -> None:
            ended.append(self._go())
            over.set()
            self._wake()

        self._woken = woken = threading.Event()
        threading.Thread(target=go, name=f"osiris-stage-{self.stage.index}-timed", daemon=True).start()
        woken.wait()
        if over.wait(_STOP_PATIENCE):
            return ended[0]
        self.left_behind = True
        late = ", ".join(self._stop_clocks())
        self._state.report.warnings.append(f"did not stop when told to within {_STOP_PATIENCE:.0f} s: {late}")
        return aborted("it did not come back")

    def _take_telling(self) -> bool:
        with self._lock:
            told, self._told = self._told, True
        return not told

    def _stop_clocks(self) -> list[str]:
        """End the time of the steps whose driver has not come back; gives their ids."""
        late = [step_id for step_id, run in list(self._runs.items()) if run.stop_clock()]
        return late or [self._current.id]

    def _time_out(self, step: PlannedStep) -> None:
        self._late = timed_out(step)
        self._blame(step, self._late)
        self._interrupt(f"stopped: step {step.id!r} timed out")
        self._wake()

    def _interrupt(self, reason: str, signal: int | None = None) -> None:
        for run in list(self._runs.values()):
            run.ctx.cancellation.request(reason, signal=signal)
        for thread in list(self._threads.values()):
            thread.channel.abort(RunCancelledError(reason))  # wakes who waits for a step that does not answer

    def _cancel(self) -> None:
        cancellation = self._state.settings.cancellation
        self._interrupt(cancellation.reason or "cancelled", cancellation.signal)
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()

    def _refuse_to_go_on(self) -> None:
        self._state.settings.cancellation.raise_if_requested()
        if self._stopped is not None:
            raise aborted(self._stopped[0])
        if self._late is not None:  # a step that feeds others has run out of time
            raise self._late

    def _find_commits(self) -> None:
        """Ask the writers whether they have written; that is not asked of who is known to have."""
        state = self._state
        for step_id in self.stage.steps:
            step = state.plan.by_id[step_id]
            if step.spec.role != "writer" or step_id in state.written:
                continue
            self._current = step
            self._refuse_to_go_on()
            facts = find_commit(step, state.configured(step), state.settings, state.door)
            if facts is not None:
                state.written[step_id] = written = committed(step_id, facts)
                state.report.outputs.extend(dict(output) for output in written.outputs)

    def _start(self, step: PlannedStep) -> None:
        self._current = step
        # Only now: steps that wait for no stream call their drivers at the same time, to connect or to look at files.
        for edge in step.inputs.values():
            if edge.kind == "stream":
                self._streams[edge.producer] = self._threads[edge.producer].output()
        if self._told:
            raise aborted("it was given up")
        uses = self._state.plan.uses[step.id]
        if step.id in self._state.written:
            self._pass_by(step)
            return
        run = self._open(step, uses)
        inputs = self._inputs(step, run)
        if any(edge.kind == "stream" for edge in uses):
            thread = StepThread(run, inputs, self._state.settings.options.prefetch_bytes)
            self._threads[step.id] = thread
            thread.start()
            return
        run.call(inputs)
        self._settle(run, "df", uses)
        run.refuse_lost_rows()

    def _pass_by(self, step: PlannedStep) -> None:
        """A writer that has written: what streams to it is read to its end all the same, for who else reads it."""
        state, unseen = self._state, StepReport(step.id, step.driver)
        ctx = EngineStepContext(unseen, state.settings, state.door, state.temp_root, None, [])
        run = self._runs[step.id] = StepRun(step, {}, ctx, unseen, self._blame)
        for value in self._inputs(step, run).values():
            if isinstance(value, Dataset):
                for _ in value.batches():
                    ctx.raise_if_cancelled()

    def _open(self, step: PlannedStep, uses: tuple[Edge, ...]) -> StepRun:
        state = self._state
        report = state.report.steps[step.id]
        report.status = "running"
        configured = state.configured(step)
        connection, told = configured.connection, state.report
        ctx = EngineStepContext(
            report, state.settings, state.door, state.temp_root, connection, told.outputs, told.warnings
        )
        run = StepRun(step, configured.config, ctx, report, self._blame, self._drivers.take(step), configured.masking)
        run.used = frozenset(edge.output for edge in uses)
        self._runs[step.id] = run
        if state.settings.cancellation.requested or self._stopped is not None:
            # Whoever asked to stop did so between the last look and the line above, and did not see this step.
            ctx.cancellation.request("stopped before it began")
        tell_start(report, state.door, [edge.producer for edge in step.inputs.values()], self._attempt_number)
        if connection is not None:
            named = {"step_id": step.id, "family": step.spec.connection_family, "connection": configured.name}
            state.door.log_event("connection_resolved", named)
            state.breakers.enter(configured.reference, configured.name)
            self._entered[step.id] = (configured.reference, configured.name)
        if step.policy.timeout is not None:
            run.limit_time(step.policy.timeout, self._time_out)
        return run

    def _inputs(self, step: PlannedStep, run: StepRun) -> dict[str, Any]:
        inputs: dict[str, Any] = dict(step.values)
        for name, edge in step.inputs.items():
            if edge.kind == "stream":
                inputs[name] = run.input_stream(name, self._streams[edge.producer])
                run.upstream.append(self._threads[edge.producer].channel)
                continue
            kept = self._state.store.get(edge.producer, output=edge.output)
            if not isinstance(kept, Dataset):
                inputs[name] = kept
            elif step.spec.input_form == "stream":
                inputs[name] = run.input_stream(name, kept)
            else:
                inputs[name] = run.input_whole(self._state.store.whole(edge.producer, output=edge.output))
        return inputs

    def _settle(self, run: StepRun, name: str, uses: tuple[Edge, ...]) -> None:
        """An output is complete: keep it for its users, or read it to its end if nobody uses it."""
        users = [edge for edge in uses if edge.output == name]
        if users and name not in run.outputs:
            given = ", ".join(map(repr, run.outputs)) or "none"
            raise StepError(
                f"step {run.step.id!r} gave no {name!r} output, but step {users[0].consumer!r} uses it",
                hint=f"driver {run.step.driver!r} gave: {given}",
                code="driver.no_output",
                step_id=run.step.id,
            )
        output = run.outputs.get(name)
        if users and isinstance(output, Dataset) and run.step.policy.checkpoint:
            kept = self._state.save_checkpoint(run.step.id, name, output, len(users))
            self._kept.setdefault(run.step.id, {})[name] = kept
        elif users:
            self._state.store.put(run.step.id, output, output=name, uses=len(users))
            if not isinstance(output, Dataset):
                self._kept.setdefault(run.step.id, {})[name] = Kept(value=output)
        elif isinstance(output, Dataset):
            for _ in output.batches():
                run.ctx.raise_if_cancelled()

    def _keep_side_outputs(self) -> None:
        # Only now: a driver may fill its "rejects" while its "df" is being read.
        for run in list(self._runs.values()):
            for name in run.used - {"df"}:
                self._settle(run, name, self._state.plan.uses[run.step.id])
            run.refuse_lost_rows()

    def _blame(self, step: PlannedStep, error: BaseException) -> None:
        # First come: a failure upstream passes through every step below it, perhaps in another guise. And a step
        # that was told to stop, because nobody reads its stream any more, has not failed.
        with self._lock:
            run = self._runs.get(step.id)
            if self._blamed is None and not (run is not None and run.ctx.cancelled):
                self._blamed = (step, error)

    def _cause(self, error: BaseException | None) -> OsirisError | None:
        """What the stage failed of, as an error that names the step."""
        if error is None and self._blamed is None:
            return None
        cancellation = self._state.settings.cancellation
        if cancellation.requested:
            return cancellation.error()
        if self._blamed is not None:
            step, raised = self._blamed
            cause = attributed(step, raised)
            cause.facts["step_id"] = step.id  # whatever the driver says
            return cause
        if self._stopped is not None:
            return aborted(self._stopped[0])
        return attributed(self._current, error) if error is not None else None

    def _finished(self, run: StepRun, error: BaseException | None) -> BaseException | None:
        """Finish a step; a close that fails is the error unless there already is one."""
        try:
            run.finish()
            run.ctx.tidy_up()
        except BaseException as raised:  # must not keep the other steps from being finished
            self._blame(run.step, raised)
            return error or raised
        return error

    def _tell_ends(self, error: OsirisError | None) -> None:
        done = error is None and self._state.is_done(self.stage)
        reports = [self._state.report.steps[step_id] for step_id in self.stage.steps]
        over = self.stage.steps if done else self._state.written
        tell_ends(reports, self._state.door, error, begun=self._runs, restored=over, stopped=self._stopped)
