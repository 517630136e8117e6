"""Runs a pipeline in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core import engine
from osiris.core.driver import DriverRegistry
from osiris.core.errors import CollectError
from osiris.core.execution_adapter import CollectedRun, ExecutionAdapter, ExecutionContext, PreparedRun

__all__ = ["LocalAdapter"]


class LocalAdapter(ExecutionAdapter):
    """The engine, here.

    Datasets that wait for their users are kept by the engine's :class:`~osiris.core.engine.DatasetStore`.
    """

    def __init__(self) -> None:
        self.driver_registry = DriverRegistry()
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
        """
        report = self._reports[prepared.run_id] = engine.RunReport()
        engine.run(prepared, context, report)

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
        """Forget the runs' reports."""
        self._reports.clear()
