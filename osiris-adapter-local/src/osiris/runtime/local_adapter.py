"""Runs a pipeline on this machine: in this process, or in a worker process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from osiris.core import engine
from osiris.core.driver import DriverRegistry
from osiris.core.errors import CollectError, UsageError
from osiris.core.execution_adapter import CollectedRun, ExecutionAdapter, ExecutionContext, PreparedRun

__all__ = ["LocalAdapter"]


class LocalAdapter(ExecutionAdapter):
    """The engine, here.

    Datasets that wait for their users are kept by the engine's :class:`~osiris.core.engine.DatasetStore`.

    Args:
        isolation: ``none``: the steps run in this process. ``process``: in a worker process, so that whatever a driver
            does to its process does not reach this one.
        cancel_patience: Seconds that a cancelled worker gets to stop by itself.

    Raises:
        UsageError: There is no such isolation.
    """

    def __init__(self, isolation: Literal["none", "process"] = "none", cancel_patience: float = 10.0) -> None:
        if isolation not in ("none", "process"):
            raise UsageError(f"there is no isolation {isolation!r}", hint="there are 'none' and 'process'")
        self.driver_registry = DriverRegistry()
        self._isolation = isolation
        self._cancel_patience = cancel_patience
        self._reports: dict[str, engine.RunReport] = {}

    def prepare(self, manifest: Mapping[str, Any], context: ExecutionContext) -> PreparedRun:
        """Plan the manifest, unfold connections, fetch the secrets it needs, make the artifacts folder.

        Raises:
            InvalidPipelineError: The manifest, a connection or a reference is wrong.
            PluginError: A driver is missing or broken.
        """
        return engine.prepare(manifest, context)

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        """Run the steps.

        Raises:
            StepError: A step failed.
            RunCancelledError: The run was asked to stop.
            ExecutionError: The worker process was lost (codes ``worker.*``).
        """
        report = self._reports[prepared.run_id] = engine.RunReport()
        if self._isolation == "none":
            engine.run(prepared, context, report)
            return
        # Here and not above: most runs have no worker.
        from osiris.core.remote import run_remotely
        from osiris.runtime.isolation import start_worker

        run_remotely(prepared, context, report, lambda: start_worker(prepared), patience=self._cancel_patience)

    def collect(self, prepared: PreparedRun, context: ExecutionContext) -> CollectedRun:
        """Say what the run did and left, also after a failure.

        Raises:
            CollectError: It was never executed here, or an artifact cannot be read.
        """
        report = self._reports.get(prepared.run_id)
        if report is None:
            raise CollectError(
                f"run {prepared.run_id!r} was not executed by this adapter",
                hint="call execute() before collect(), on the same adapter",
                code="collect.not_executed",
            )
        return engine.collect(prepared, report, environment="local")

    def close(self) -> None:
        """Forget the runs' reports; a worker has ended with its run."""
        self._reports.clear()
