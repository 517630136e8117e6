"""A step's context as the engine gives it, over a real folder and a real cancellation."""

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
    connection: None = None
    step_id: str = "step"
    session_id: str = "run"
    cancellation: Cancellation = field(default_factory=Cancellation)

    @property
    def artifacts_dir(self) -> Path:
        return self.base_dir

    @property
    def temp_dir(self) -> Path:
        return self.base_dir

    @property
    def cancelled(self) -> bool:
        return self.cancellation.requested

    def raise_if_cancelled(self) -> None:
        self.cancellation.raise_if_requested()

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        return self.cancellation.on_cancel(callback)

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None: ...

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None: ...

    def add_output(self, location: str, **facts: Any) -> None: ...

    def resolve_path(self, path: str | Path) -> Path:
        return self.base_dir / path


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path)
