"""What all stages of a run share."""

from __future__ import annotations

from collections.abc import Mapping

from osiris.core.dataset import Dataset
from osiris.core.engine.breaker import Breakers
from osiris.core.engine.checkpoints import Checkpoints
from osiris.core.engine.commits import Configured
from osiris.core.engine.progress import Finished, Kept, Progress
from osiris.core.engine.report import RunReport
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.engine.store import DatasetStore
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import Plan, PlannedStep, Stage

__all__ = ["RunState"]


class RunState:
    """The plan, the surroundings, and what was reached so far."""

    def __init__(
        self,
        plan: Plan,
        prepared: PreparedRun,
        settings: RunSettings,
        door: EventDoor,
        report: RunReport,
        store: DatasetStore,
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.prepared = prepared
        self.settings = settings
        self.door = door
        self.report = report
        self.store = store
        self.progress = progress
        self.checkpoints = Checkpoints(settings.session_dir)
        self.written: dict[str, Finished] = {}
        """The writers that have written in an earlier attempt or process, and must not be called."""
        self.breakers = Breakers(plan.breaker, door)
        self.secrets = {f"${{{name}}}": value for name, value in prepared.environment.items()}
        self.temp_root = settings.session_dir / "tmp" / "steps"

    def configured(self, step: PlannedStep) -> Configured:
        """The step's config, secrets filled in."""
        return Configured(step, self.prepared, self.secrets)

    def save_checkpoint(self, step_id: str, name: str, output: Dataset, uses: int) -> Kept:
        """Keep an output for its users, in a file that a resumed run reads again."""
        file = self.checkpoints.path(step_id, name)
        rows = self.store.keep(step_id, output, file, output=name, uses=uses)
        kept = self.checkpoints.seal(file, rows)
        told = {"step_id": step_id, "output": name, "rows": rows, "bytes": file.stat().st_size}
        self.door.log_event("checkpoint_saved", told)
        return kept

    def keep_progress(self, steps: tuple[str, ...], kept: Mapping[str, Mapping[str, Kept]]) -> None:
        """Note on disk that steps have ended well."""
        try:
            self.progress.note([self.report.steps[step_id] for step_id in steps], self.report.outputs, kept)
        except OSError as error:
            warning = f"progress cannot be noted, a resumed run will do finished steps again: {error.strerror or error}"
            if warning not in self.report.warnings:
                self.report.warnings.append(warning)

    def written_in(self, stage: Stage) -> list[str]:
        """The writers of a stage that have written."""
        return [step_id for step_id in stage.steps if step_id in self.written] if self.written else []

    def is_done(self, stage: Stage) -> bool:
        """Whether all that a stage is for has been written before: nobody waits for what it would give."""
        if not self.written:
            return False
        steps = [self.plan.by_id[step_id] for step_id in stage.steps]
        if len(self.written_in(stage)) < max(1, sum(step.spec.role == "writer" for step in steps)):
            return False
        return all(edge.kind == "stream" for step in steps for edge in self.plan.uses[step.id])
