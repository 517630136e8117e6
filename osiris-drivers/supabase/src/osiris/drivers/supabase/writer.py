"""``supabase.writer``: a table, written over the transport that config and connection choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import SupabaseConnection, WriterConfig
from osiris.drivers.supabase.extractor import check_connection
from osiris.drivers.supabase.transport import TableWriter, choose, connection_of, writer_of

__all__ = ["SupabaseWriter"]


class SupabaseWriter(Driver):
    """Over Postgres all rows or none; over REST what :doc:`docs/drivers/supabase.md` says."""

    def __init__(self) -> None:
        self._writer: TableWriter | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.supabase.config.WriterConfig`.

        Raises:
            DriverError: ``supabase.*``.
            OsirisError: What the input raised, unchanged.
        """
        options, connection = _read_options(config, ctx)
        ((_, stream),) = inputs.items()
        self._writer = writer_of(options.transport, connection)
        try:
            result = self._writer.write(stream, ctx, options, connection)
        finally:
            stream.close()
        ctx.log_metric("rows_written", result.rows)
        ctx.add_output(result.location, rows=result.rows, **result.facts)
        return {}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """Connects and changes nothing. Facts: ``transport``, ``latency_ms``, ``role``, ``server_version``, ..."""
        return check_connection(config, ctx)

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """See :meth:`osiris.core.driver.Driver.committed`."""
        options, connection = _read_options(config, ctx)
        writer = writer_of(options.transport, connection)
        try:
            return writer.committed(step_id, ctx, options, connection)
        finally:
            writer.close()

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()


def _read_options(config: Mapping[str, Any], ctx: StepContext) -> tuple[WriterConfig, SupabaseConnection]:
    options, connection = WriterConfig.model_validate(config), connection_of(ctx)
    if options.create_if_missing and choose(options.transport, connection) == "rest":
        raise DriverError(
            "create_if_missing needs Postgres, but the connection has no pg_dsn",
            hint="give the connection a pg_dsn, or create the table yourself and take create_if_missing away",
            code="supabase.needs_postgres",
        )
    return options, connection
