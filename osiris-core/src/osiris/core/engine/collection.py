"""What a run left behind, in the form that adapters give to the lifecycle."""

from __future__ import annotations

from pathlib import Path

from osiris.core.artifacts import list_artifacts
from osiris.core.engine.report import RunReport
from osiris.core.execution_adapter import CollectedRun, PreparedRun

__all__ = ["collect"]


def collect(prepared: PreparedRun, report: RunReport, *, environment: str) -> CollectedRun:
    """Status, counts, outputs and artifacts of a run that the engine ran.

    Args:
        prepared: What was run.
        report: What :func:`osiris.core.engine.run` filled.
        environment: What to call the place.

    Raises:
        CollectError: An artifact cannot be read.
    """
    folder = prepared.artifacts_dir
    return CollectedRun(
        status=report.status,
        steps_completed=report.steps_completed,
        total_rows=report.total_rows,
        artifacts=list_artifacts(Path(folder)) if folder is not None else [],
        metrics=report.metrics(),
        environment=environment,
        outputs=list(report.outputs),
        steps=[step.to_dict() for step in report.steps.values()],
        warnings=list(report.warnings),
    )
