"""A step's context as the engine gives it, over real folders and a real cancellation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from osiris.core.cancellation import Cancellation


@dataclass
class Context:
    base_dir: Path
    temp_dir: Path
    connection: Mapping[str, Any] | None = None
    step_id: str = "step"
    session_id: str = "run"
    cancellation: Cancellation = field(default_factory=Cancellation)
    events: list[tuple[str, Any]] = field(default_factory=list)
    metrics: list[tuple[str, float]] = field(default_factory=list)
    outputs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def artifacts_dir(self) -> Path:
        return self.base_dir

    @property
    def state_dir(self) -> Path:
        folder = self.base_dir / ".state" / self.session_id / self.step_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def cancelled(self) -> bool:
        return self.cancellation.requested

    def raise_if_cancelled(self) -> None:
        self.cancellation.raise_if_requested()

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        return self.cancellation.on_cancel(callback)

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        self.events.append((event, data))

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        self.metrics.append((metric, value))

    def add_output(self, location: str, **facts: Any) -> None:
        self.outputs.append((location, facts))

    def resolve_path(self, path: str | Path) -> Path:
        return self.base_dir / path


def make_context(folder: Path) -> Context:
    temp = folder / "tmp"
    temp.mkdir()
    return Context(base_dir=folder, temp_dir=temp)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return make_context(tmp_path)


@pytest.fixture(scope="session")
def new_context() -> Callable[[Path], Context]:
    """For property tests, which need one context per example."""
    return make_context
