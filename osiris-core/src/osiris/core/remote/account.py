"""What is known of a run that goes on elsewhere: its report as data, and what its events say when there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from osiris.core.connections import REDACTOR
from osiris.core.engine import RunReport, StepReport
from osiris.core.errors import OsirisError
from osiris.core.events.jsonable import jsonable
from osiris.core.planning import Plan

__all__ = ["Account", "fill_report", "report_to_dict"]

_NOT_SENT = frozenset({"error", "steps"})
_SAID = ("outputs", "warnings", "reason")
_COUNTS = ("rows_in", "rows_out", "bytes_out", "duration_ms")


def report_to_dict(report: RunReport) -> dict[str, Any]:
    """The report as JSON, secrets replaced; errors are left out, they travel by themselves."""
    told = {field.name: getattr(report, field.name) for field in fields(report) if field.name not in _NOT_SENT}
    steps = [
        {field.name: getattr(step, field.name) for field in fields(step) if field.name not in _NOT_SENT}
        for step in list(report.steps.values())
    ]
    plain: dict[str, Any] = jsonable({**told, "steps": steps})
    for holder in (plain, *plain["steps"]):
        # Only what drivers say: ids and states have to stay what they are.
        holder |= REDACTOR({key: holder[key] for key in _SAID if key in holder})
    return plain


def fill_report(report: RunReport, data: Mapping[str, Any]) -> None:
    """Make ``report`` what :func:`report_to_dict` was given."""
    for name in {field.name for field in fields(report)} - _NOT_SENT:
        if name in data:
            setattr(report, name, data[name])
    known = {field.name for field in fields(StepReport)} - _NOT_SENT
    for told in data.get("steps", ()):
        step = StepReport(**{key: value for key, value in told.items() if key in known})
        # JSON has no word for what is not finite; a sum with it stays what it is.
        sums: dict[str, float | None] = told.get("logged") or {}
        step.logged = {name: math.nan if value is None else value for name, value in sums.items()}
        report.steps[step.id] = step


class Account:
    """Follows a run by what it tells, so that a worker's death leaves a report and no start without an end.

    Args:
        plan: What is run.
        report: Filled while the run goes.
    """

    def __init__(self, plan: Plan, report: RunReport) -> None:
        self._report = report
        report.steps.update(
            (step.id, StepReport(step.id, step.driver, step.spec.role, has_inputs=bool(step.inputs)))
            for step in plan.steps
        )

    def note_event(self, event: str, data: Mapping[str, Any]) -> None:
        """Take in an event of the run."""
        if event == "output_written":
            self._report.outputs.append(dict(data))
        step = self._report.steps.get(str(data.get("step_id")))
        if step is None:
            return
        if event == "step_start":
            step.status = "running"
        elif event in ("step_complete", "step_restored"):
            step.status = "success"
            step.restored = event == "step_restored"
            for name in _COUNTS:
                setattr(step, name, data.get(name, 0))
            step.has_rows = step.rows_out > 0
        elif event == "step_failed":
            step.status = "aborted" if "caused_by" in data else "failed"
        elif event == "step_skipped":
            step.status, step.reason = "skipped", str(data.get("reason", ""))

    def note_metric(self, metric: str, value: float, tags: Mapping[str, Any]) -> None:
        """Take in a metric of the run."""
        step = self._report.steps.get(str(tags.get("step_id")))
        if step is not None and metric != "step_duration_ms":
            step.logged[metric] = step.logged.get(metric, 0) + value

    def end_the_rest(self, error: OsirisError, tell: Callable[[str, dict[str, Any]], object]) -> None:
        """The run is over for ``error`` and nobody will say how its steps ended: say it for them."""
        cancelled = self._report.status == "cancelled"
        begun = any(step.status != "pending" for step in self._report.steps.values())
        reason = "the run was cancelled" if cancelled else "the worker was lost" if begun else "the run did not begin"
        for step in self._report.steps.values():
            if step.status == "running":
                step.status = "cancelled" if cancelled else "failed"
                step.reason = error.message
                told = {"driver": step.driver, "duration_ms": 0.0, "error": error.to_dict()}
                tell("step_failed", {"step_id": step.id, **told, "retryable": error.retryable})
            elif step.status == "pending":
                step.status, step.reason = "skipped", reason
                tell("step_skipped", {"step_id": step.id, "reason": reason})
