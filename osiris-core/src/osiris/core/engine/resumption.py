"""Where a resumed run begins: which stages are over, and where their outputs are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osiris.core.engine.checkpoints import Checkpoints
from osiris.core.engine.ending import tell_restored
from osiris.core.engine.progress import Finished, Kept
from osiris.core.engine.report import RunReport
from osiris.core.engine.settings import EventDoor
from osiris.core.engine.store import DatasetStore
from osiris.core.planning import Edge, Plan, Stage

__all__ = ["Resumption"]


class Resumption:
    """What earlier runs in the same session folder leave to do.

    A stage need not run where all its steps ended well, as the same steps as now, and where whatever a stage
    that does run wants of it can be had: from a checkpoint that is whole, or because it is a plain value. A writer
    that ended well does not write again, whatever else runs again and however it was changed.

    Args:
        plan: What is to run.
        finished: What ended well; see :func:`osiris.core.engine.progress.read_progress`.
        fingerprints: Of the steps as they are now.
        checkpoints: Where outputs were kept.
        door: Where it is told.
    """

    def __init__(
        self,
        plan: Plan,
        finished: Mapping[str, Finished],
        fingerprints: Mapping[str, str],
        checkpoints: Checkpoints,
        door: EventDoor,
    ) -> None:
        self._plan = plan
        self._finished = finished
        self._fingerprints = fingerprints
        self._checkpoints = checkpoints
        self._door = door
        self._stage_of = {step_id: stage.index for stage in plan.stages for step_id in stage.steps}
        self._found: dict[tuple[str, str], Any] = {}
        self.over: set[int] = set()
        """The stages that need not run, by index."""
        for stage in reversed(plan.stages):
            if self._is_over(stage):
                self.over.add(stage.index)

    def written(self) -> dict[str, Finished]:
        """The writers that have written, though their stage runs again."""
        return {
            step.id: self._finished[step.id]
            for step in self._plan.steps
            if step.spec.role == "writer" and step.id in self._finished and self._stage_of[step.id] not in self.over
        }

    def restore(self, report: RunReport, store: DatasetStore) -> None:
        """Put back what the stages that are over counted, wrote and gave."""
        for stage in self._plan.stages:
            if stage.index not in self.over:
                continue
            for step_id in stage.steps:
                before = self._finished[step_id]
                if before.fingerprint != self._fingerprints[step_id]:
                    report.warnings.append(f"step {step_id!r} was changed, but has written before: it does not again")
                before.restore(report.steps[step_id])
                report.outputs.extend(dict(output) for output in before.outputs)
                tell_restored(report.steps[step_id], self._door, "finished")
            uses: dict[tuple[str, str], int] = {}
            for edge in self._wanted(stage):
                uses[edge.producer, edge.output] = uses.get((edge.producer, edge.output), 0) + 1
            for (producer, output), count in uses.items():
                found = self._found[producer, output]
                if isinstance(found, Path):
                    rows = self._finished[producer].kept[output].rows
                    store.restore(producer, found, rows, output=output, uses=count)
                else:
                    store.put(producer, found, output=output, uses=count)

    def _is_over(self, stage: Stage) -> bool:
        if not all(self._ended_well(step_id) for step_id in stage.steps):
            return False
        return all(self._can_be_had(edge.producer, edge.output) for edge in self._wanted(stage))

    def _ended_well(self, step_id: str) -> bool:
        before = self._finished.get(step_id)
        if before is None:
            return False
        return before.fingerprint == self._fingerprints[step_id] or self._plan.by_id[step_id].spec.role == "writer"

    def _wanted(self, stage: Stage) -> list[Edge]:
        """The uses of the stage's outputs by stages that run; those come later, and are known already."""
        return [
            edge
            for step_id in stage.steps
            for edge in self._plan.uses[step_id]
            if edge.kind == "store" and self._stage_of[edge.consumer] not in self.over
        ]

    def _can_be_had(self, step_id: str, output: str) -> bool:
        if (step_id, output) in self._found:
            return True
        kept: Kept | None = self._finished[step_id].kept.get(output)
        if kept is None:
            return False
        if kept.file is None:
            self._found[step_id, output] = kept.value
            return True
        path = self._checkpoints.find(kept)
        if path is None:
            self._door.log_event("checkpoint_damaged", {"step_id": step_id, "output": output})
            return False
        self._found[step_id, output] = path
        return True
