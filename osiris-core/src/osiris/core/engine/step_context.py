"""The engine's side of :class:`osiris.core.driver.StepContext`: what a driver may use while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from osiris.core.cancellation import Cancellation
from osiris.core.engine.report import StepReport, as_count
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.privacy import make_private, make_private_folder

__all__ = ["EngineStepContext", "make_step_context"]


def make_step_context(
    context: EventDoor, step_id: str, *, connection: Mapping[str, Any] | None = None
) -> EngineStepContext:
    """What a driver may use outside of a run: for its ``check``.

    Args:
        context: An ExecutionContext, or anything with ``log_event`` and ``log_metric``.
        step_id: What to call the step.
        connection: The connection, secrets filled in.
    """
    settings = RunSettings.of(context)
    report = StepReport(id=step_id, driver="")
    return EngineStepContext(report, settings, context, settings.session_dir / "tmp", connection, [])


class EngineStepContext:
    """One step's view of the run.

    Args:
        report: Where metrics and outputs are added up.
        settings: The run's surroundings.
        door: Where events and metrics go.
        temp_root: The run's folder for temporary files.
        connection: The step's connection, secrets filled in.
        outputs: Where what was written is noted.
        warnings: Where what the user should know is noted.
    """

    def __init__(
        self,
        report: StepReport,
        settings: RunSettings,
        door: EventDoor,
        temp_root: Path,
        connection: Mapping[str, Any] | None,
        outputs: list[dict[str, Any]],
        warnings: list[str] | None = None,
    ) -> None:
        self.step_id = report.id
        self.session_id = settings.session_id
        self.base_dir = settings.base_dir
        self.connection = connection
        self.cancellation = Cancellation()
        """The step's own: the run's cancellation reaches it, and the stage stops a stream that nobody reads."""
        self._report = report
        self._settings = settings
        self._door = door
        self._temp_root = temp_root
        self._temp_dir: Path | None = None
        self._kept_folders: set[Path] = set()
        self._outputs = outputs
        self._warnings = [] if warnings is None else warnings

    @property
    def artifacts_dir(self) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self._kept_folder(self._settings.artifacts_dir / self.step_id)

    @property
    def temp_dir(self) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        if self._temp_dir is None:
            self._temp_dir = self._temp_root / self.step_id
            make_private_folder(self._temp_dir)
        return self._temp_dir

    @property
    def state_dir(self) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self._kept_folder(self._settings.session_dir / "state" / self.step_id)

    @property
    def cancelled(self) -> bool:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self.cancellation.requested

    def raise_if_cancelled(self) -> None:
        """See :class:`~osiris.core.driver.StepContext`."""
        self.cancellation.raise_if_requested()

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self.cancellation.on_cancel(callback)

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        """See :class:`~osiris.core.driver.StepContext`."""
        self._door.log_event(event, {**(data or {}), "step_id": self.step_id})
        if event == "warning" and data and "message" in data:
            self._warnings.append(f"step {self.step_id!r}: {data['message']}")

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        """See :class:`~osiris.core.driver.StepContext`."""
        tags["step_id"] = self.step_id
        self._door.log_metric(metric, value, unit, **tags)  # refuses what is no number
        self._report.logged[metric] = self._report.logged.get(metric, 0) + value

    def add_output(self, location: str, **facts: Any) -> None:
        """See :class:`~osiris.core.driver.StepContext`."""
        output = {"step_id": self.step_id, "location": str(location), **facts}
        for name in ("rows", "bytes"):
            if (value := facts.get(name)) is None:
                continue
            output[name] = found = as_count(value)
            if found is None:
                # What is written is written: a wrong figure about it must not fail the step.
                told = f"add_output was given {name}={value!r} for {location}, which is no number of {name}"
                self.log_event("warning", {"message": told})
        self._outputs.append(output)
        self._door.log_event("output_written", output)

    def resolve_path(self, path: str | Path) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        # absolute(), not resolve(): a link the user made stays what the user sees in messages.
        return (self.base_dir / Path(path).expanduser()).absolute()

    def tidy_up(self) -> None:
        """Remove the step's temporary folder, and close to others what it keeps; those folders that were ever made."""
        if self._temp_dir is not None:
            shutil.rmtree(self._temp_dir, ignore_errors=True)
        for folder in self._kept_folders:
            make_private(folder)

    def _kept_folder(self, folder: Path) -> Path:
        if folder not in self._kept_folders:
            make_private_folder(folder)
            self._kept_folders.add(folder)
        return folder
