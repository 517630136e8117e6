"""The one run that a worker does: taken, executed, stopped, summed up."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osiris.core.cancellation import Cancellation
from osiris.core.errors import ExecutionError, OsirisError, PrepareError, RunCancelledError, UsageError
from osiris.core.events.bus import EventBus
from osiris.core.process import limit_memory
from osiris.core.remote.journal import Journal
from osiris.core.remote.outlet import Outlet
from osiris.core.remote.protocol import told_error

if TYPE_CHECKING:
    from osiris.core.engine import RunReport
    from osiris.core.execution_adapter import ExecutionContext, PreparedRun
    from osiris.core.remote.assignment import Assignment

__all__ = ["InvalidParamsError", "Job", "told_bug"]


class InvalidParamsError(Exception):
    """A method cannot take what it was given."""


class Job:
    """A run in this process, and the methods that are about it.

    Args:
        outlet: Where its events and metrics go.
    """

    def __init__(self, outlet: Outlet) -> None:
        self.cancellation = Cancellation()
        self._outlet = outlet
        self._thread: threading.Thread | None = None
        self._report: RunReport | None = None
        self._outcome: dict[str, Any] | None = None
        self._journal: Journal | None = None
        self._abandoned: float | None = None

    def start(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The method ``run``: plans and begins; how it ends is told by the notification ``finished``."""
        from osiris.core.connections import REDACTOR, install_log_filter
        from osiris.core.remote.assignment import Assignment

        if self._thread is not None:
            raise UsageError("this worker has its run already", hint="start another worker", code="worker.busy")
        try:
            assignment = Assignment.from_params(params)
            options = assignment.run_options()
        except ValueError as error:
            raise InvalidParamsError(str(error)) from None
        install_log_filter()
        bus = EventBus(assignment.session_id, redact=REDACTOR)
        bus.subscribe(self._outlet)
        prepared = _prepared(assignment)
        context = _context(assignment, bus, self.cancellation, options)
        self._open_journal(Path(assignment.worker_dir))
        self._thread = threading.Thread(target=self._execute, args=(prepared, context), name="osiris-run", daemon=True)
        self._thread.start()
        return {"accepted": True}

    def cancel(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The method ``cancel``."""
        reason, number = params.get("reason", "cancelled"), params.get("signal")
        if not isinstance(reason, str) or not isinstance(number, int | None):
            raise InvalidParamsError("reason is a string and signal a number")
        self.cancellation.request(reason, signal=number)
        return {}

    def summary(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The method ``summary``."""
        from osiris.core.remote.account import report_to_dict

        if self._report is None:
            return {"state": "idle", "seq": self._outlet.seq}
        state = "running" if self._outcome is None else "finished"
        told = report_to_dict(self._report)
        return {"state": state, "seq": self._outlet.seq, "report": told, "outcome": self._outcome}

    def end(self, patience: float) -> None:
        """Stop the run, if it goes, give it ``patience`` seconds, and remove the journal."""
        if self._thread is not None and self._thread.is_alive():
            self.cancellation.request("stopped: nobody waits for it any more")
            self._thread.join(patience)
        if self._journal is not None:
            self._journal.close(remove=True)

    def abandon(self, silence: float, patience: float) -> bool:
        """Stop the run because nobody has been heard for ``silence`` seconds; also one that would begin later.

        What it said is kept: whoever only slept finds out what became of it.

        Returns:
            Whether it has ended within ``patience`` seconds.
        """
        self._abandoned = silence
        self.cancellation.request("stopped: nobody is there any more")
        if self._thread is not None:
            self._thread.join(patience)
        return self._thread is None or not self._thread.is_alive()

    def _open_journal(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._journal = Journal(folder / "journal.jsonl")
        except OSError as error:
            raise PrepareError(
                f"the worker cannot write its journal: {folder}: {error.strerror or error}",
                hint="check permissions and free space of the session folder",
                code="worker.journal",
            ) from error
        self._outlet.keep_journal(self._journal)

    def _execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        from osiris.core import engine

        self._report = engine.RunReport()
        raised: BaseException | None = None
        try:
            memory = context.options.max_memory or prepared.package.limits.memory
            if memory:
                limit_memory(memory)
            engine.run(prepared, context, self._report)
        except BaseException as error:
            raised = error
        # Whatever the error is like: who waits for this waits for ever.
        try:
            self._outcome = self._told(raised)
        except BaseException as error:
            self._outcome = {"error": None, "bug": {"type": type(raised).__name__, "traceback": type(error).__name__}}
        self._outlet.tell("finished", self._outcome)

    def _told(self, raised: BaseException | None) -> dict[str, Any]:
        if raised is None:
            return {"error": None}
        if isinstance(raised, OsirisError):
            return {"error": told_error(self._why(raised))}
        return {"error": None, "bug": told_bug(raised)}  # the client shows its traceback

    def _why(self, error: OsirisError) -> OsirisError:
        if self._abandoned is None or not isinstance(error, RunCancelledError):
            return error
        return ExecutionError(
            f"the worker heard nothing for {self._abandoned:.0f} s and stopped its run",
            hint="this machine slept, or the network was away: go on with 'osiris run --resume'",
            code="worker.abandoned",
            retryable=True,
        )


def _prepared(assignment: Assignment) -> PreparedRun:
    """Plan the manifest here, with the drivers that are installed here."""
    from osiris.core.execution_adapter import PreparedRun
    from osiris.core.planning import make_plan
    from osiris.core.remote.assignment import Secrets

    # First of all, so that the file is gone whatever comes.
    secrets = Secrets.take(Path(assignment.secrets_file)).values if assignment.secrets_file else {}
    plan = make_plan(assignment.manifest)
    if plan.fingerprint != assignment.fingerprint:
        raise ExecutionError(
            "the worker plans this pipeline differently: its drivers are not the same",
            hint="install the same distributions in both places, or run without isolation",
            code="worker.other_plan",
            wanted=assignment.fingerprint,
            found=plan.fingerprint,
        )
    return PreparedRun(
        manifest=plan.manifest,
        configs=assignment.configs,
        environment=secrets,
        artifacts_dir=Path(assignment.artifacts_dir),
        run_id=assignment.session_id,
        package=plan,
    )


def _context(assignment: Assignment, bus: EventBus, cancellation: Cancellation, options: Any) -> ExecutionContext:
    from osiris.core.execution_adapter import ExecutionContext

    return ExecutionContext(
        assignment.session_id,
        assignment.session_dir,
        assignment.verbose,
        assignment.timeout,
        artifacts_dir=assignment.artifacts_dir,
        base_dir=assignment.base_dir,
        options=options,
        bus=bus,
        cancellation=cancellation,
    )


def told_bug(error: BaseException) -> dict[str, Any]:
    """An exception that is no OsirisError, as data."""
    from osiris.core.connections import redacted_traceback

    told = redacted_traceback(error) if error.__traceback__ else "".join(traceback.format_exception_only(error))
    return {"type": type(error).__name__, "traceback": told}
