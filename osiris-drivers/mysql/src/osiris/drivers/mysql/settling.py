"""A step's context for what has to be done after it was asked to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from osiris.core.driver import StepContext

__all__ = ["Settling"]


class Settling:
    """The same context, except that it was never asked to stop, and says nothing."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx
        self.cancelled = False

    step_id = property(lambda self: self._ctx.step_id)
    session_id = property(lambda self: self._ctx.session_id)
    base_dir = property(lambda self: self._ctx.base_dir)
    artifacts_dir = property(lambda self: self._ctx.artifacts_dir)
    temp_dir = property(lambda self: self._ctx.temp_dir)
    state_dir = property(lambda self: self._ctx.state_dir)
    connection = property(lambda self: self._ctx.connection)

    def raise_if_cancelled(self) -> None:
        """Never does."""

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """Never calls."""
        return nullcontext()

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        """Says nothing."""

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        """Says nothing."""

    def add_output(self, location: str, **facts: Any) -> None:
        """Says nothing."""

    def resolve_path(self, path: str | Path) -> Path:
        """As the step's."""
        return self._ctx.resolve_path(path)
