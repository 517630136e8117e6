"""What the engine knows of a run: filled while it goes, read when it is over."""

from __future__ import annotations

from dataclasses import field
from numbers import Integral
from typing import Any, Literal, SupportsInt, cast

from osiris.core.execution_adapter import Status
from osiris.core.quick_dataclass import dataclass

__all__ = ["RunReport", "StepReport", "StepStatus", "as_count"]

StepStatus = Literal["pending", "running", "success", "failed", "aborted", "cancelled", "skipped"]


def as_count(value: object) -> int | None:
    """A number of rows or bytes that a driver told; None for what cannot be one: a text, NaN, less than none."""
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, bool) or not (whole or isinstance(value, Integral)):
        return None
    number = int(cast("SupportsInt", value))
    return number if number >= 0 else None


@dataclass
class StepReport:
    """One step.

    ``rows_in`` and ``bytes_in`` count what it read from other steps, ``rows_out`` and ``bytes_out`` what others could
    read from it (bytes as Arrow holds them). ``duration_ms`` is from its start to the end of its stream,
    ``busy_ms`` that without waiting for other steps.
    """

    id: str
    driver: str
    role: str = "transform"
    status: StepStatus = "pending"
    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    duration_ms: float = 0.0
    busy_ms: float = 0.0
    logged: dict[str, float] = field(default_factory=dict)
    """Sums of the metrics the driver told itself, by name."""
    has_inputs: bool = False
    has_rows: bool = False
    """Whether it gave a dataset, be it an empty one."""
    error: BaseException | None = None
    reason: str | None = None
    cause: str | None = None
    """The step whose failure kept this one from success; itself where it failed."""
    attempts: int = 1
    memory_peak_mb: float = 0.0
    """The largest resident set of the process seen while the step ran, MB; 0 where it was not looked at meanwhile."""
    restored: bool = False
    """Whether it was not run, because it had ended well before, in the same session."""

    def restart(self) -> None:
        """Forget what a failed attempt counted."""
        fresh = StepReport(self.id, self.driver, self.role, has_inputs=self.has_inputs, attempts=self.attempts + 1)
        self.__dict__.update(fresh.__dict__)

    @property
    def rows_written(self) -> int | None:
        """Rows that left the pipeline here; None where the step is no writer."""
        logged = as_count(self.logged.get("rows_written"))
        return self.rows_in if logged is None and self.role == "writer" else logged

    @property
    def rows_read(self) -> int | None:
        """Rows that entered the pipeline here; None where the step has inputs or gives no rows."""
        logged = as_count(self.logged.get("rows_read"))
        return self.rows_out if logged is None and self.has_rows and not self.has_inputs else logged

    def to_dict(self) -> dict[str, Any]:
        """The form in ``result.json``."""
        found: dict[str, Any] = {
            "id": self.id,
            "driver": self.driver,
            "status": self.status,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "duration_ms": round(self.duration_ms, 3),
            "busy_ms": round(self.busy_ms, 3),
        }
        if self.rows_written is not None:
            found["rows_written"] = self.rows_written
        if self.memory_peak_mb:
            found["memory_peak_mb"] = self.memory_peak_mb
        if self.attempts > 1:
            found["attempts"] = self.attempts
        if self.restored:
            found["restored"] = True
        if self.reason is not None:
            found["reason"] = self.reason
        return found


@dataclass
class RunReport:
    """All steps, and what they left behind."""

    steps: dict[str, StepReport] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None
    status: Status = "success"
    warnings: list[str] = field(default_factory=list)

    @property
    def steps_completed(self) -> int:
        """How many steps finished."""
        return sum(step.status == "success" for step in self.steps.values())

    @property
    def total_rows(self) -> int:
        """Rows written; rows read where nothing writes."""
        done = [step for step in self.steps.values() if step.status == "success"]
        written = [step.rows_written for step in done if step.rows_written is not None]
        if written:
            return sum(written)
        return sum(step.rows_read for step in done if step.rows_read is not None)

    def metrics(self) -> dict[str, float]:
        """Sums over the steps, by metric name."""
        sums: dict[str, float] = {}
        for step in self.steps.values():
            own = {**step.logged, "step_duration_ms": round(step.duration_ms, 3)}
            if step.rows_written is not None:
                own["rows_written"] = step.rows_written
            if step.rows_read is not None:
                own["rows_read"] = step.rows_read
            for name, value in own.items():
                sums[name] = sums.get(name, 0) + value
        return sums
