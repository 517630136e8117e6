"""``duckdb.processor``: SQL over the step's inputs, streaming in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.drivers.duckdb.database import MemoryDatabase
from osiris.drivers.duckdb.processor_config import ProcessorConfig
from osiris.drivers.duckdb.running import RunningQuery

__all__ = ["Processor"]


class Processor(Driver):
    """Runs one query in a database of its own in memory; rows are computed while the next step reads them."""

    def __init__(self) -> None:
        self._database = MemoryDatabase()  # ready when the input is
        self._running: RunningQuery | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.duckdb.processor_config.ProcessorConfig`.

        Raises:
            DriverError: ``duckdb.*``, by the class of DuckDB's error; ``duckdb.input_not_used``.
            OsirisError: What an input raised while it was read, unchanged.
        """
        options = ProcessorConfig.model_validate(config)
        self._running = running = RunningQuery(options, inputs, ctx, self._database)
        return {"df": Dataset(running.batches, running.schema, close=running.close)}

    def close(self) -> None:
        """End the query, if it has not."""
        if self._running is not None:
            self._running.close()
        self._database.close()
