"""A step's context for tests: the whole of the contract over real folders, and everything that a driver told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from osiris.core.cancellation import Cancellation
from osiris.core.driver import StepContext

__all__ = ["RecordingStepContext", "contract_members"]


def contract_members() -> frozenset[str]:
    """The names that a driver may use of its context."""
    return frozenset(name for name in vars(StepContext) if not name.startswith("_"))


class RecordingStepContext:
    """A :class:`~osiris.core.driver.StepContext` that keeps what it is told.

    A test may look at :attr:`events`, :attr:`metrics`, :attr:`outputs` and :attr:`warnings`, and ask a driver to
    stop with ``ctx.cancellation.request()``. A driver may not: give it :meth:`for_driver` where that matters.

    Args:
        base_dir: Where relative paths begin; a folder that exists.
        connection: The resolved connection; None for a step without one.
        step_id: The step's id.
        session_id: The run's. Contexts of the same folder, session and step are attempts of one step.
        session_dir: Where the session's folders are; default ``.session/<session_id>`` below ``base_dir``.
    """

    def __init__(
        self,
        base_dir: Path,
        *,
        connection: Mapping[str, Any] | None = None,
        step_id: str = "step",
        session_id: str = "session",
        session_dir: Path | None = None,
    ) -> None:
        self.base_dir = base_dir
        self.connection = connection
        self.step_id = step_id
        self.session_id = session_id
        self._session_dir = session_dir
        self.cancellation = Cancellation()
        """The one that a run would set."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        """Name and data of every event."""
        self.metrics: list[tuple[str, float]] = []
        """Name and value of every metric."""
        self.outputs: list[tuple[str, dict[str, Any]]] = []
        """Location and facts of every output."""
        self.strange: list[str] = []
        """What a driver used, or tried to use, that is not of the contract."""

    @property
    def session_dir(self) -> Path:
        """Holds artifacts, temporary files and state: what a run would keep."""
        return self.base_dir / ".session" / self.session_id if self._session_dir is None else self._session_dir

    @property
    def artifacts_dir(self) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self._folder("artifacts")

    @property
    def temp_dir(self) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self._folder("tmp")

    @property
    def state_dir(self) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        return self._folder("state")

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
        self.events.append((event, dict(data or {})))

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        """See :class:`~osiris.core.driver.StepContext`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"metric {metric!r} is a {type(value).__name__}, not a number")
        self.metrics.append((metric, value))

    def add_output(self, location: str, **facts: Any) -> None:
        """See :class:`~osiris.core.driver.StepContext`."""
        self.outputs.append((str(location), facts))

    def resolve_path(self, path: str | Path) -> Path:
        """See :class:`~osiris.core.driver.StepContext`."""
        return (self.base_dir / Path(path).expanduser()).absolute()

    # for tests

    @property
    def warnings(self) -> list[str]:
        """The messages of all warnings, as a run would show them."""
        return [data["message"] for event, data in self.events if event == "warning" and "message" in data]

    def told(self, event: str) -> dict[str, Any]:
        """The data of the last event of that name.

        Raises:
            LookupError: There was none.
        """
        found = [data for name, data in self.events if name == event]
        if not found:
            raise LookupError(f"no event {event!r} was told; told were {[name for name, _ in self.events]}")
        return found[-1]

    def metric(self, name: str) -> float:
        """The sum of all values of a metric, as a run would count it; 0 where it was never told."""
        return sum(value for metric, value in self.metrics if metric == name)

    def for_driver(self) -> StepContext:
        """The same context with the contract's members and no others.

        Using another one raises AttributeError and is noted in :attr:`strange`.
        """
        return _ContractOnly(self)

    def _folder(self, name: str) -> Path:
        path = self.session_dir / name / self.step_id
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


class _ContractOnly:
    """A recording context as a driver sees it."""

    __slots__ = ("_context",)

    def __init__(self, context: RecordingStepContext) -> None:
        object.__setattr__(self, "_context", context)

    def __getattr__(self, name: str) -> Any:
        if name in contract_members():
            return getattr(self._context, name)
        if not name.startswith("__"):  # those are asked by Python itself, when it copies or prints
            self._context.strange.append(name)
        raise AttributeError(f"StepContext has no {name!r}; the contract is {', '.join(sorted(contract_members()))}")

    def __setattr__(self, name: str, value: object) -> None:
        self._context.strange.append(name)
        raise AttributeError(f"a driver cannot set {name!r} of its context")

    def __dir__(self) -> list[str]:
        return sorted(contract_members())
