"""How a step's end is told, and how an exception becomes an error that names its step."""

from __future__ import annotations

import traceback
from typing import Any

from osiris.core.engine.report import StepReport
from osiris.core.engine.settings import EventDoor
from osiris.core.errors import OsirisError, RunCancelledError, StepError
from osiris.core.planning import PlannedStep

__all__ = ["aborted", "attributed", "tell_complete", "tell_failed", "tell_skipped"]


def attributed(step: PlannedStep, raised: BaseException) -> StepError:
    """The error, naming its step; foreign exceptions are wrapped and stay the cause."""
    if isinstance(raised, StepError):
        raised.facts.setdefault("step_id", step.id)
        return raised
    if isinstance(raised, OsirisError):
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


def aborted(reason: str) -> StepError:
    """The error of a step that was stopped for something that is not its own doing."""
    return StepError(f"stopped: {reason}", code="step.aborted")


def tell_complete(report: StepReport, door: EventDoor) -> None:
    """The step succeeded: its metrics, then the event."""
    report.status = "success"
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


def tell_failed(report: StepReport, door: EventDoor, error: OsirisError, reason: str, caused_by: str | None) -> None:
    """The step did not succeed: its own fault (``error`` names it), another step's, or the end of the run."""
    data: dict[str, Any] = {
        "step_id": report.id,
        "driver": report.driver,
        "duration_ms": round(report.duration_ms, 3),
    }
    if isinstance(error, StepError) and error.facts.get("step_id") == report.id:
        report.status, report.error, report.cause = "failed", error, report.id
        data["error"] = error.to_dict()
        data["retryable"] = error.retryable
        data["traceback"] = "".join(traceback.format_exception(error))
    elif isinstance(error, RunCancelledError):
        report.status, report.reason = "cancelled", error.message
        data["error"] = error.to_dict()
    else:
        report.status, report.reason, report.cause = "aborted", reason, caused_by
        data["error"] = aborted(reason).to_dict()
        data["caused_by"] = caused_by
    door.log_event("step_failed", data)


def tell_skipped(report: StepReport, door: EventDoor, reason: str, caused_by: str | None) -> None:
    """The step was never started."""
    report.status, report.reason, report.cause = "skipped", reason, caused_by
    door.log_event("step_skipped", {"step_id": report.id, "reason": reason})
