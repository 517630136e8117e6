"""How a step's begin and end are told, and how an exception becomes an error that names its step."""

from __future__ import annotations

import traceback
from collections.abc import Container, Iterable, Sequence
from typing import Any

from osiris.core.engine.config_error import config_error
from osiris.core.engine.masking import without_values
from osiris.core.engine.report import StepReport
from osiris.core.engine.settings import EventDoor
from osiris.core.errors import OsirisError, RunCancelledError, StepError
from osiris.core.planning import PlannedStep
from osiris.core.wording import text_of

__all__ = [
    "aborted",
    "attributed",
    "tell_complete",
    "tell_ends",
    "tell_failed",
    "tell_restored",
    "tell_skipped",
    "tell_start",
    "timed_out",
]

_MOST_WORDS = 2_000
_MOST_TRACEBACK = 100_000


def attributed(step: PlannedStep, raised: BaseException) -> StepError:
    """The error, naming its step; foreign exceptions are wrapped and stay the cause."""
    raised = without_values(step, raised)
    if isinstance(raised, StepError):
        raised.facts.setdefault("step_id", step.id)
        return raised
    if isinstance(raised, OsirisError):
        wrapped = StepError(
            raised.message, hint=raised.hint, code=raised.code, retryable=raised.retryable, **raised.facts
        )
    elif (refused := config_error(step, raised)) is not None:
        wrapped = refused
    elif isinstance(raised, MemoryError):
        wrapped = StepError(
            f"step {step.id!r} ({step.driver}) ran out of memory{': ' * bool(_said(raised))}{_said(raised)}",
            hint="raise --max-memory or limits.memory if the machine has more, or read in smaller parts",
            code="step.out_of_memory",
        )
    else:
        frame = traceback.extract_tb(raised.__traceback__)[-1:]
        place = f" ({frame[0].filename}:{frame[0].lineno})" if frame else ""
        said = _said(raised)
        text = f"{type(raised).__name__}: {said}" if said else type(raised).__name__
        wrapped = StepError(
            f"step {step.id!r} ({step.driver}) raised {text}{place}",
            hint="the traceback is in events.jsonl of the session, and shown with --verbose",
            code="step.exception",
            exception=type(raised).__name__,
        )
    wrapped.facts["step_id"] = step.id
    wrapped.__cause__ = raised
    return wrapped


def _said(raised: BaseException) -> str:
    """The exception's words; drivers' exceptions may have none, or a whole file of them."""
    return _shortened(text_of(raised), _MOST_WORDS)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... ({len(text):,} characters) ... {text[-most // 2 :]}"


def aborted(reason: str) -> StepError:
    """The error of a step that was stopped for something that is not its own doing."""
    return StepError(f"stopped: {reason}", code="step.aborted")


def timed_out(step: PlannedStep) -> StepError:
    """The error of a step that has a timeout and took longer."""
    return StepError(
        f"step {step.id!r} did not finish within {step.policy.timeout:g} s",
        hint="raise its timeout, or make it do less",
        code="step.timeout",
        retryable=True,
        step_id=step.id,
        timeout=step.policy.timeout,
    )


def tell_start(report: StepReport, door: EventDoor, inputs: Sequence[str] = (), attempt: int = 1) -> None:
    """The step begins; ``inputs`` are the steps that feed it."""
    told: dict[str, Any] = {"step_id": report.id, "driver": report.driver, "inputs": list(inputs)}
    if attempt > 1:
        told["attempt"] = attempt
    door.log_event("step_start", told)


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
        data["traceback"] = _shortened("".join(traceback.format_exception(error)), _MOST_TRACEBACK)
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


def tell_ends(
    reports: Iterable[StepReport],
    door: EventDoor,
    error: OsirisError | None,
    *,
    begun: Container[str],
    restored: Container[str],
    stopped: tuple[str, str | None] | None,
) -> None:
    """How the steps of a stage ended.

    Args:
        reports: Theirs.
        door: Hears it.
        error: What the stage failed of.
        begun: The steps that were started.
        restored: The steps that had been done before.
        stopped: Why it was stopped, and the step whose doing that is.
    """
    failed = error.facts.get("step_id") if isinstance(error, StepError) else None
    reason, caused_by = stopped or (f"step {failed!r} failed" if failed else "the run was cancelled", failed)
    for report in reports:
        if report.id in restored:
            tell_restored(report, door, "committed")
        elif report.id not in begun and report.id != failed:
            tell_skipped(report, door, reason, caused_by)
        elif error is None:
            tell_complete(report, door)
        else:
            if report.id not in begun:  # it did not answer whether it had committed
                tell_start(report, door)
            tell_failed(report, door, error, reason, caused_by)


def tell_restored(report: StepReport, door: EventDoor, reason: str) -> None:
    """The step is not run: an earlier run in the same session has ``finished`` it, or an attempt has ``committed``."""
    report.status, report.restored = "success", True
    told: dict[str, Any] = {"step_id": report.id, "driver": report.driver, "reason": reason}
    told |= {"rows_in": report.rows_in, "rows_out": report.rows_out, "bytes_out": report.bytes_out}
    door.log_event("step_restored", told)
