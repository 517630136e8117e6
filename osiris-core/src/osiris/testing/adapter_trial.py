"""One pipeline of the corpus in the hands of one adapter, phase by phase."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from osiris.core.events.bus import Event, Metric
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, PreparedRun, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.quick_dataclass import dataclass
from osiris.testing.parity import make_context
from osiris.testing.reference import load_pipeline

__all__ = ["CANARY", "SECRET", "CancelledRun", "Trial", "begin_trial", "cancel_run"]

SECRET = "OSIRIS_CORPUS_SECRET"  # noqa: S105  # a variable's name
"""The variable that the corpus's connection ``@filesystem.guarded`` refers to."""

CANARY = "canary-7c1f4e-never-to-be-shown"
"""Its value in trials."""


@dataclass
class Trial:
    """An adapter, what it is to run, and where."""

    adapter: ExecutionAdapter
    manifest: Mapping[str, Any]
    context: ExecutionContext
    folder: Path

    def prepare(self) -> PreparedRun:
        """The first phase."""
        return self.adapter.prepare(self.manifest, self.context)

    def execute(self, prepared: PreparedRun) -> None:
        """The second phase."""
        self.adapter.execute(prepared, self.context)

    def collect(self, prepared: PreparedRun) -> Mapping[str, Any]:
        """The third phase."""
        return self.adapter.collect(prepared, self.context)

    def step_events(self) -> list[str]:
        """The events told of steps so far."""
        return [event["event"] for event in self.context.events if "step_id" in event]


def begin_trial(adapter: ExecutionAdapter, folder: Path, name: str, kind: str = "pipelines", **options: Any) -> Trial:
    """Make the corpus's project in ``folder``; nothing is prepared yet.

    Args:
        adapter: A fresh one.
        folder: An empty one.
        name: Of the pipeline.
        kind: ``pipelines`` or ``probes``.
        options: Of the context.
    """
    environment = {SECRET: CANARY, "OSIRIS_CORPUS_UNASKED": f"unasked-{CANARY}"}
    context = make_context(folder, environment=environment, **options)
    return Trial(adapter, load_pipeline(name, kind), context, folder)


@dataclass(frozen=True)
class CancelledRun:
    """How a run ended that was asked to stop.

    Attributes:
        result: Of the lifecycle.
        heard: Whether the step was told to have started while it ran.
        seconds: From the request to the end of the run.
    """

    result: RunResult
    heard: bool
    seconds: float


def cancel_run(trial: Trial, patience: float) -> CancelledRun:
    """Run a pipeline whose first step never ends, and ask it to stop once that is told to have started.

    Args:
        trial: Of the probe ``endless``.
        patience: Seconds after which it is asked to stop all the same.
    """
    begun = threading.Event()
    listener = _Listener(begun.set)
    trial.context.bus.subscribe(listener)
    asked_at: list[float] = []

    def ask() -> None:
        begun.wait(patience)
        asked_at.append(monotonic())
        trial.context.cancellation.request("cancelled by the conformance kit")

    asking = threading.Thread(target=ask, name="conformance-kit-cancel", daemon=True)
    asking.start()
    try:
        result = run_pipeline(trial.adapter, trial.manifest, trial.context)
    finally:
        heard = begun.is_set() and not (asked_at and listener.at > asked_at[0])
        ended = monotonic()
        begun.set()
        asking.join()
    return CancelledRun(result, heard, ended - asked_at[0])


class _Listener:
    """Notes when the first step is told to start."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self.at = math.inf

    def on_event(self, event: Event) -> None:
        if event["event"] == "step_start" and self.at == math.inf:
            self.at = monotonic()
            self._act()

    def on_metric(self, metric: Metric) -> None:
        pass

    def close(self) -> None:
        pass
