"""Whether a writer has already written: asked before its step is done a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.connections import fill
from osiris.core.driver import DriverRegistry
from osiris.core.engine.drivers import close_driver
from osiris.core.engine.masking import Masking
from osiris.core.engine.progress import Finished
from osiris.core.engine.report import StepReport
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.engine.step_context import EngineStepContext
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import PlannedStep

__all__ = ["Configured", "committed", "find_commit"]


class Configured:
    """A step's config and connection, secrets filled in.

    Attributes:
        config: Without the connection.
        connection: None where the step has none.
        reference: The connection with its references, which tells connections apart without showing secrets.
        name: What the step calls it; None where it stands in the step itself.
        masking: What hides columns of its outputs; None where it masks none.
    """

    def __init__(self, step: PlannedStep, prepared: PreparedRun, secrets: Mapping[str, str]) -> None:
        config = dict(prepared.configs.get(step.id, step.config))
        self.reference = config.pop("resolved_connection", None)
        # Also without secrets: this is where `$${` becomes `${`.
        self.config: Mapping[str, Any] = fill(config, secrets)
        self.connection: Mapping[str, Any] | None = fill(self.reference, secrets)
        name = config.get("connection")
        self.name = name if isinstance(name, str) else None
        self.masking = Masking(step, secrets) if step.masks else None


def find_commit(
    step: PlannedStep, configured: Configured, settings: RunSettings, door: EventDoor
) -> Mapping[str, Any] | None:
    """What the step's driver says an earlier attempt wrote for good; None: nothing, or it cannot tell.

    Raises:
        BaseException: What the driver raised: it does not reach its place.
    """
    driver = DriverRegistry.get(step.driver)
    ask = getattr(driver, "committed", None)
    if ask is None:  # one registered at run time need not know of this
        return None
    temp_root = settings.session_dir / "tmp" / "steps"
    ctx = EngineStepContext(StepReport(step.id, step.driver), settings, door, temp_root, configured.connection, [])
    run_cancellation = settings.cancellation

    def stop() -> None:
        ctx.cancellation.request(run_cancellation.reason or "cancelled", signal=run_cancellation.signal)

    try:
        with run_cancellation.on_cancel(stop):
            found: Mapping[str, Any] | None = ask(step.id, configured.config, ctx)
        return found
    finally:
        close_driver(step, driver)
        ctx.tidy_up()


def committed(step_id: str, facts: Mapping[str, Any]) -> Finished:
    """What a driver said of its commit, in the form of a step that ended well."""
    told = facts.get("rows")
    rows = told if isinstance(told, int) and not isinstance(told, bool) else None
    outputs = [{"step_id": step_id, **facts}] if "location" in facts else []
    return Finished(
        fingerprint="",
        report={"rows_in": rows} if rows is not None else {},
        logged={"rows_written": rows} if rows is not None else {},
        outputs=outputs,
    )
