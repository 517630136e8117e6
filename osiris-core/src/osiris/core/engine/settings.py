"""What the engine needs of an ExecutionContext, whoever made it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from osiris.core.cancellation import Cancellation
from osiris.core.engine.patience import bounded
from osiris.core.errors import UsageError
from osiris.core.execution_adapter import RunOptions
from osiris.core.quick_dataclass import dataclass

__all__ = ["EventDoor", "RunSettings"]


class EventDoor(Protocol):
    """The least that a context offers."""

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> object:
        """Tell an event."""

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> object:
        """Tell a number."""


@dataclass(frozen=True)
class RunSettings:
    """A run's surroundings.

    Adapters are also called with contexts of their users' own making, that have only an id, a folder and
    ``log_event``/``log_metric``; what is missing gets its default here.
    """

    session_id: str
    session_dir: Path
    artifacts_dir: Path
    base_dir: Path
    project_dir: Path
    environment: Mapping[str, str]
    options: RunOptions
    cancellation: Cancellation
    timeout: float | None = None

    @classmethod
    def of(cls, context: Any, artifacts_dir: object = None) -> RunSettings:
        """Read them off a context; ``artifacts_dir`` goes before the context's own.

        Raises:
            UsageError: The context's timeout is infinite, or no number at all.
        """
        base = _path(context, "base_dir") or Path.cwd()
        artifacts = Path(artifacts_dir) if isinstance(artifacts_dir, str | Path) else _path(context, "artifacts_dir")
        session = _path(context, "session_dir") or (artifacts.parent if artifacts else base / ".osiris" / "adhoc")
        environment = getattr(context, "environment", None)
        options = getattr(context, "options", None)
        cancellation = getattr(context, "cancellation", None)
        return cls(
            session_id=str(getattr(context, "session_id", "run")),
            session_dir=session,
            artifacts_dir=artifacts or session / "artifacts",
            base_dir=base,
            project_dir=_path(context, "project_dir") or base,
            environment=environment if isinstance(environment, Mapping) else {},
            options=options if isinstance(options, RunOptions) else RunOptions(),
            cancellation=cancellation if isinstance(cancellation, Cancellation) else Cancellation(),
            timeout=_timeout(context),
        )


def _path(context: Any, name: str) -> Path | None:
    value = getattr(context, name, None)
    return Path(value) if isinstance(value, str | Path) else None


def _timeout(context: Any) -> float | None:
    timeout = getattr(context, "timeout", None)
    if not isinstance(timeout, int | float):
        return None
    if isinstance(timeout, float) and not math.isfinite(timeout):
        raise UsageError(
            f"a run's timeout must be a finite number of seconds, but is {timeout}",
            hint="without one, a run takes as long as it takes: leave it out",
        )
    return float(bounded(timeout))
