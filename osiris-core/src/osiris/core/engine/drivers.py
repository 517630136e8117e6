"""The driver objects of a stage, made before its first step begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from osiris.core.driver import DriverRegistry
from osiris.core.engine.patience import start_timer
from osiris.core.planning import PlannedStep

__all__ = ["StageDrivers", "close_driver"]


class StageDrivers:
    """One object for each step of a stage, all made before any of them reads or writes.

    So a stage does not find after an hour of reading that the driver of its last step is broken.
    """

    def __init__(self) -> None:
        self._made: dict[str, tuple[PlannedStep, Any]] = {}

    def make(self, steps: Iterable[PlannedStep], expired: Callable[[PlannedStep], None]) -> Iterator[PlannedStep]:
        """Make the drivers of ``steps``; gives each step just before its driver is made.

        Transforms first: they bring engines, which open while the other drivers are imported and find their data.

        Args:
            steps: Those of the stage.
            expired: Called from another thread where making one driver takes as long as its step may.

        Raises:
            PluginError: Nobody offers a driver, or who does is broken.
            BaseException: What its constructor raised.
        """
        for step in sorted(steps, key=lambda step: step.spec.role != "transform"):
            yield step
            with _limited(step, expired):
                self._made[step.id] = (step, DriverRegistry.get(step.driver))

    def take(self, step: PlannedStep) -> Any:
        """The driver of a step; whoever takes it closes it."""
        return self._made.pop(step.id)[1]

    def close(self) -> None:
        """Close those that nobody took: the stage failed before their turn. Idempotent."""
        left, self._made = self._made, {}
        for step, driver in left.values():
            with suppress(Exception):  # why the stage failed is told
                close_driver(step, driver)


@contextmanager
def _limited(step: PlannedStep, expired: Callable[[PlannedStep], None]) -> Iterator[None]:
    if step.policy.timeout is None:
        yield
        return
    timer = start_timer(step.policy.timeout, expired, step)
    try:
        yield
    finally:
        timer.cancel()


def close_driver(step: PlannedStep, driver: Any) -> None:
    """Close a driver, unless it was registered as an object: that belongs to who registered it, and is used again."""
    if not DriverRegistry.is_shared(step.driver) and hasattr(driver, "close"):
        driver.close()
