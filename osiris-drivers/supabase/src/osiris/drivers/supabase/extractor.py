"""``supabase.extractor``: a table or a query, as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import ExtractorConfig
from osiris.drivers.supabase.transport import Reader, choose, connection_of, reader_of

__all__ = ["SupabaseExtractor"]


class SupabaseExtractor(Driver):
    """Reads over the transport that config and connection choose."""

    def __init__(self) -> None:
        self._reader: Reader | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Dataset]:
        """See :class:`~osiris.drivers.supabase.config.ExtractorConfig`.

        Raises:
            DriverError: ``supabase.*``.
        """
        options, connection = ExtractorConfig.model_validate(config), connection_of(ctx)
        if options.query is not None and choose(options.transport, connection) == "rest":
            raise DriverError(
                "query needs Postgres, but the connection has no pg_dsn",
                hint="give the connection a pg_dsn, or read a table or view instead",
                code="supabase.needs_postgres",
            )
        self._reader = reader_of(options.transport, connection)
        return {"df": self._reader.read(ctx, options, connection)}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """Connects and changes nothing. Facts: ``transport``, ``latency_ms``, ``role``, ``server_version``, ..."""
        return check_connection(config, ctx)

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()


def check_connection(config: Mapping[str, Any], ctx: StepContext) -> dict[str, Any]:
    """Try the transport that would be taken, and tell about it.

    Raises:
        DriverError: ``supabase.*``.
    """
    connection = connection_of(ctx)
    transport = choose(config.get("transport", "auto"), connection)
    reader = reader_of(transport, connection)
    try:
        return {"transport": transport, **reader.check(ctx, connection, config.get("table"))}
    finally:
        reader.close()
