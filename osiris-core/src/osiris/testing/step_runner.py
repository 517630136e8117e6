"""Runs one driver as the engine would: config, inputs in its form, a context, and its output read to the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import DriverRegistry, DriverSpec
from osiris.core.quick_dataclass import dataclass
from osiris.testing.input_stream import InputStream, in_form
from osiris.testing.step_context import RecordingStepContext

__all__ = ["StepRunner"]


@dataclass(frozen=True)
class StepRunner:
    """Runs steps of one driver in one folder.

    Attributes:
        spec: The driver's.
        folder: Where relative paths begin, and the sessions are.
        config: What the steps run with.
        connection: The resolved connection; None without one.
    """

    spec: DriverSpec
    folder: Path
    config: Mapping[str, Any]
    connection: Mapping[str, Any] | None

    def context(self, *, step_id: str = "step", session_id: str = "session") -> RecordingStepContext:
        """The context of an attempt of a step."""
        return RecordingStepContext(self.folder, connection=self.connection, step_id=step_id, session_id=session_id)

    @contextmanager
    def driver(self) -> Iterator[Any]:
        """A new driver object; closed afterwards."""
        made = DriverRegistry.get(self.spec.name)
        try:
            yield made
        finally:
            close = getattr(made, "close", None)
            if close is not None:
                close()

    def run(
        self,
        streams: Mapping[str, InputStream],
        ctx: RecordingStepContext,
        config: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run a step to its end; its outputs, tabular ones as tables.

        Args:
            streams: The inputs by name.
            ctx: The step's context.
            config: Instead of the runner's own.

        Raises:
            Exception: Whatever the driver or an input raised.
        """
        inputs = {name: in_form(self.spec.input_form, stream) for name, stream in streams.items()}
        with self.driver() as driver:
            return self.call(driver, inputs, ctx, self.config if config is None else config)

    def call(
        self, driver: Any, inputs: Mapping[str, Any], ctx: RecordingStepContext, config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Call a driver as the engine does, and read what it gives."""
        result = driver.run(step_id=ctx.step_id, config=config, inputs=inputs, ctx=ctx.for_driver())
        return {name: _read(name, value) for name, value in (result or {}).items()}


def _read(name: str, value: Any) -> Any:
    if value is None or (name != "df" and isinstance(value, str | int | float | bool)):
        return value
    dataset = Dataset.of(value, name=name)
    try:
        table: pa.Table = dataset.table()
        return table
    finally:
        dataset.close()
