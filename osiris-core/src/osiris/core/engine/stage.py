"""One stage: steps that stream into each other, upstream first. The unit of failure."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from osiris.core.connections import fill
from osiris.core.dataset import Dataset
from osiris.core.engine.report import RunReport
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.engine.step import StepRun, StepThread
from osiris.core.engine.step_context import EngineStepContext
from osiris.core.engine.store import DatasetStore
from osiris.core.errors import OsirisError, RunCancelledError, StepError
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import Edge, Plan, PlannedStep, Stage

__all__ = ["RunState", "StageRun"]

_STOP_PATIENCE = 10.0
"""Seconds that a step gets to return once its stream is not wanted any more."""


class RunState:
    """What all stages of a run share."""

    def __init__(
        self,
        plan: Plan,
        prepared: PreparedRun,
        settings: RunSettings,
        door: EventDoor,
        report: RunReport,
        store: DatasetStore,
    ) -> None:
        self.plan = plan
        self.prepared = prepared
        self.settings = settings
        self.door = door
        self.report = report
        self.store = store
        self.secrets = {f"${{{name}}}": value for name, value in prepared.environment.items()}
        self.temp_root = settings.session_dir / "tmp" / "steps"


class StageRun:
    """One execution of one stage."""

    def __init__(self, stage: Stage, state: RunState) -> None:
        self.stage = stage
        self._state = state
        self._runs: dict[str, StepRun] = {}
        self._threads: dict[str, StepThread] = {}
        self._streams: dict[str, Dataset] = {}
        self._lock = threading.Lock()
        self._blamed: tuple[PlannedStep, BaseException] | None = None
        self._current = state.plan.by_id[stage.steps[0]]
        self._stopped_by: str | None = None
        self._caused_by: str | None = None

    def stop(self, failed: str | None) -> None:
        """Stop, because step ``failed`` of another stage failed. Any thread."""
        self._stopped_by, self._caused_by = f"step {failed!r} failed", failed
        for run in list(self._runs.values()):
            run.ctx.cancellation.request(f"stopped: {self._stopped_by}")

    def _cancel(self) -> None:
        cancellation = self._state.settings.cancellation
        for run in list(self._runs.values()):
            run.ctx.cancellation.request(cancellation.reason or "cancelled", signal=cancellation.signal)

    def execute(self) -> BaseException | None:
        """Run the steps; None, or why the stage failed. Events, report and store say the rest."""
        error: BaseException | None = None
        with self._state.settings.cancellation.on_cancel(self._cancel):
            try:
                for step_id in self.stage.steps:
                    self._refuse_to_go_on()
                    self._start(self._state.plan.by_id[step_id])
                self._keep_side_outputs()
            except BaseException as raised:  # every way to fail ends in the report
                error = raised
            finally:
                for thread in self._threads.values():
                    if not thread.stop(_STOP_PATIENCE):
                        self._state.report.warnings.append(f"step {thread.run.step.id!r} did not stop when told to")
                for run in self._runs.values():
                    error = self._finished(run, error)
        error = self._cause(error)
        self._tell_ends(error)
        self._release_inputs()
        return error

    def _refuse_to_go_on(self) -> None:
        self._state.settings.cancellation.raise_if_requested()
        if self._stopped_by is not None:
            raise StepError(f"stopped: {self._stopped_by}", code="step.aborted")

    def _start(self, step: PlannedStep) -> None:
        self._current = step
        uses = self._state.plan.uses[step.id]
        run = self._open(step, uses)
        inputs = self._inputs(step, run)
        if any(edge.kind == "stream" for edge in uses):
            thread = StepThread(run, inputs, self._state.settings.options.prefetch_bytes)
            self._threads[step.id] = thread
            self._streams[step.id] = thread.start()
            return
        run.call(inputs)
        self._settle(run, "df", uses)
        self._refuse_lost_rows(run)

    def _open(self, step: PlannedStep, uses: tuple[Edge, ...]) -> StepRun:
        state = self._state
        report = state.report.steps[step.id]
        report.status = "running"
        config = dict(state.prepared.configs.get(step.id, step.config))
        connection = config.pop("resolved_connection", None)
        # Also without secrets: this is where `$${` becomes `${`.
        config, connection = fill(config, state.secrets), fill(connection, state.secrets)
        ctx = EngineStepContext(report, state.settings, state.door, state.temp_root, connection, state.report.outputs)
        run = StepRun(step, config, ctx, report, self._blame)
        run.used = frozenset(edge.output for edge in uses)
        self._runs[step.id] = run
        producers = [edge.producer for edge in step.inputs.values()]
        state.door.log_event("step_start", {"step_id": step.id, "driver": step.driver, "inputs": producers})
        if connection is not None:
            told = {"step_id": step.id, "family": step.spec.connection_family, "connection": _name(config)}
            state.door.log_event("connection_resolved", told)
        return run

    def _inputs(self, step: PlannedStep, run: StepRun) -> dict[str, Any]:
        inputs: dict[str, Any] = dict(step.values)
        for name, edge in step.inputs.items():
            if edge.kind == "stream":
                inputs[name] = run.input_stream(name, self._streams[edge.producer])
                if (thread := self._threads.get(edge.producer)) is not None:
                    run.upstream.append(thread.channel)
                continue
            kept = self._state.store.get(edge.producer, output=edge.output)
            if not isinstance(kept, Dataset):
                inputs[name] = kept
            elif step.spec.input_form == "stream":
                inputs[name] = run.input_stream(name, kept)
            else:
                inputs[name] = _whole(kept, step, run)
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
        if users:
            self._state.store.put(run.step.id, output, output=name, uses=len(users))
        elif isinstance(output, Dataset):
            for _ in output.batches():
                run.ctx.raise_if_cancelled()

    def _keep_side_outputs(self) -> None:
        # Only now: a driver may fill its "rejects" while its "df" is being read.
        for run in self._runs.values():
            for name in run.used - {"df"}:
                self._settle(run, name, self._state.plan.uses[run.step.id])
            self._refuse_lost_rows(run)

    def _refuse_lost_rows(self, run: StepRun) -> None:
        if run.step.spec.role == "writer" and run.unread:
            raise StepError(
                f"writer {run.step.id!r} returned without reading its input to the end",
                hint=f"driver {run.step.driver!r} must read every batch of {', '.join(sorted(run.unread))}",
                code="step.input_not_read",
                step_id=run.step.id,
            )

    def _blame(self, run: StepRun, error: BaseException) -> None:
        # First come: a failure upstream passes through every step below it, perhaps in another guise. And a step
        # that was told to stop, because nobody reads its stream any more, has not failed.
        with self._lock:
            if self._blamed is None and not run.ctx.cancelled:
                self._blamed = (run.step, error)

    def _cause(self, error: BaseException | None) -> BaseException | None:
        """What the stage failed of, as an error that names the step."""
        if error is None and self._blamed is None:
            return None
        cancellation = self._state.settings.cancellation
        if cancellation.requested:
            return cancellation.error()
        if self._blamed is not None:
            return _attributed(*self._blamed)
        if self._stopped_by is not None:
            return StepError(f"stopped: {self._stopped_by}", code="step.aborted")
        return _attributed(self._current, error) if error is not None else None

    def _finished(self, run: StepRun, error: BaseException | None) -> BaseException | None:
        """Finish a step; a close that fails is the error unless there already is one."""
        try:
            run.finish()
            run.ctx.remove_temporary_files()
        except BaseException as raised:  # must not keep the other steps from being finished
            self._blame(run, raised)
            return error or raised
        return error

    def _tell_ends(self, error: BaseException | None) -> None:
        failed = error.facts.get("step_id") if isinstance(error, StepError) else None
        self._caused_by = self._caused_by or failed
        reason = self._stopped_by or (f"step {failed!r} failed" if failed else "the run was cancelled")
        for step_id in self.stage.steps:
            run = self._runs.get(step_id)
            report = self._state.report.steps[step_id]
            if run is None:
                report.status = "skipped"
                report.reason = reason
                self._state.door.log_event("step_skipped", {"step_id": step_id, "reason": report.reason})
            elif error is None:
                report.status = "success"
                self._tell_complete(run)
            else:
                self._tell_failed(run, error, reason)

    def _tell_complete(self, run: StepRun) -> None:
        report, door = run.report, self._state.door
        for name, value in (("rows_read", report.rows_read), ("rows_written", report.rows_written)):
            if value is not None and name not in report.logged:
                door.log_metric(name, value, "rows", step_id=report.id)
        door.log_metric("step_duration_ms", round(report.duration_ms, 3), "ms", step_id=report.id)
        door.log_event(
            "step_complete",
            {
                "step_id": report.id,
                "driver": report.driver,
                "rows_in": report.rows_in,
                "rows_out": report.rows_out,
                "bytes_out": report.bytes_out,
                "duration_ms": round(report.duration_ms, 3),
            },
        )

    def _tell_failed(self, run: StepRun, error: BaseException, reason: str) -> None:
        report = run.report
        data: dict[str, Any] = {
            "step_id": report.id,
            "driver": report.driver,
            "duration_ms": round(report.duration_ms, 3),
        }
        if isinstance(error, StepError) and error.facts.get("step_id") == report.id:
            report.status, report.error = "failed", error
            data["error"] = error.to_dict()
            data["retryable"] = error.retryable
            data["traceback"] = "".join(traceback.format_exception(error))
        elif isinstance(error, RunCancelledError):
            report.status, report.reason = "cancelled", error.message
            data["error"] = error.to_dict()
        else:
            report.status, report.reason = "aborted", reason
            data["error"] = StepError(f"stopped: {reason}", code="step.aborted").to_dict()
            data["caused_by"] = self._caused_by
        self._state.door.log_event("step_failed", data)

    def _release_inputs(self) -> None:
        for step_id in self.stage.steps:
            for edge in self._state.plan.by_id[step_id].inputs.values():
                if edge.kind == "store":
                    self._state.store.release(edge.producer, output=edge.output)


def _attributed(step: PlannedStep, raised: BaseException) -> BaseException:
    """The error, naming its step; foreign exceptions are wrapped and stay the cause."""
    if isinstance(raised, OsirisError):
        if isinstance(raised, StepError):
            raised.facts.setdefault("step_id", step.id)
            return raised
        wrapped = StepError(
            raised.message, hint=raised.hint, code=raised.code, retryable=raised.retryable, **raised.facts
        )
    else:
        frame = traceback.extract_tb(raised.__traceback__)[-1:]
        place = f" ({frame[0].filename}:{frame[0].lineno})" if frame else ""
        text = f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__
        wrapped = StepError(
            f"step {step.id!r} ({step.driver}) raised {text}{place}",
            hint="the traceback is in events.jsonl of the session, and shown with --verbose",
            code="step.exception",
            exception=type(raised).__name__,
        )
    wrapped.facts["step_id"] = step.id
    wrapped.__cause__ = raised
    return wrapped


def _whole(kept: Dataset, step: PlannedStep, run: StepRun) -> Any:
    """A stored dataset as one table or frame; a fresh one for each user, so that nobody changes another's."""
    table: pa.Table = kept.table()
    run.report.rows_in += table.num_rows
    run.report.bytes_in += table.nbytes
    return Dataset.from_table(table).to_pandas() if step.spec.input_form == "pandas" else table


def _name(config: Mapping[str, Any]) -> str | None:
    name = config.get("connection")
    return name if isinstance(name, str) else None
