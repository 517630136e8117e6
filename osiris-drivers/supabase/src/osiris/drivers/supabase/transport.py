"""The two ways to a project's tables, as the drivers see them, and the choice between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, Protocol

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import ExtractorConfig, SupabaseConnection, Transport, WriterConfig

__all__ = ["Reader", "TableWriter", "WriteResult", "choose", "connection_of", "reader_of", "writer_of"]


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What a writer did for good.

    Attributes:
        rows: How many rows of the input were taken in.
        location: The table, as people name it: ``public.orders``.
        facts: More to tell with the output, as ``inserted=...``.
    """

    rows: int
    location: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """Reads over one transport; a new object for each step."""

    def read(self, ctx: StepContext, config: ExtractorConfig, connection: SupabaseConnection) -> Dataset:
        """The rows as a stream with exact types; lazy, closed by the dataset's ``close``.

        Raises:
            DriverError: ``supabase.*``.
        """

    def check(self, ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
        """Connect, change nothing, tell facts: ``latency_ms``, ``role``, ``server_version``, ..."""

    def close(self) -> None:
        """Give back what is held. Idempotent."""


class TableWriter(Protocol):
    """Writes over one transport; a new object for each step."""

    def write(
        self, stream: Dataset, ctx: StepContext, config: WriterConfig, connection: SupabaseConnection
    ) -> WriteResult:
        """Write all rows of ``stream``; metrics and outputs are told by the caller.

        Raises:
            DriverError: ``supabase.*``.
            OsirisError: What the stream raised, unchanged.
        """

    def committed(
        self, step_id: str, ctx: StepContext, config: WriterConfig, connection: SupabaseConnection
    ) -> Mapping[str, Any] | None:
        """See :meth:`osiris.core.driver.Driver.committed`."""

    def check(self, ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
        """As :meth:`Reader.check`."""

    def close(self) -> None:
        """Give back what is held. Idempotent."""


def connection_of(ctx: StepContext) -> SupabaseConnection:
    """The step's connection.

    Raises:
        DriverError: ``supabase.no_connection``: there is none, or it holds what no connection can.
    """
    if ctx.connection is None:
        raise DriverError(
            f"step {ctx.step_id!r} has no connection",
            hint='write connection: "@supabase.main" and describe it in osiris_connections.yaml',
            code="supabase.no_connection",
        )
    from pydantic import ValidationError

    try:
        return SupabaseConnection.model_validate(dict(ctx.connection))
    except ValidationError as error:
        # By place and rule only: the values may be secrets.
        told = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'connection'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise DriverError(
            f"the connection of step {ctx.step_id!r} is not valid: {told}",
            hint="see the options of a supabase connection in docs/drivers/supabase.md",
            code="supabase.no_connection",
        ) from None


def choose(transport: Transport, connection: SupabaseConnection) -> Literal["rest", "postgres"]:
    """Which way to take.

    Raises:
        DriverError: ``supabase.no_dsn`` or ``supabase.no_key``: the connection lacks what that way needs.
    """
    if transport == "postgres" and connection.pg_dsn is None:
        raise DriverError(
            "transport postgres needs pg_dsn, which the connection does not have",
            hint="copy the connection string of the project's settings into pg_dsn, or use transport: rest",
            code="supabase.no_dsn",
        )
    if transport != "rest" and connection.pg_dsn is not None:
        return "postgres"
    if not connection.has_rest:
        raise DriverError(
            "transport rest needs url and a key, which the connection does not have",
            hint="copy the project's URL and an API key into url and key, or use transport: postgres",
            code="supabase.no_key",
        )
    return "rest"


def reader_of(transport: Transport, connection: SupabaseConnection) -> Reader:
    """The reader of the chosen transport; only its client is imported.

    Raises:
        DriverError: As :func:`choose`.
    """
    if choose(transport, connection) == "postgres":
        from osiris.drivers.supabase.postgres_extractor import PostgresExtractor

        return PostgresExtractor()
    from osiris.drivers.supabase.rest_extractor import RestExtractor

    return RestExtractor()


def writer_of(transport: Transport, connection: SupabaseConnection) -> TableWriter:
    """The writer of the chosen transport; only its client is imported.

    Raises:
        DriverError: As :func:`choose`.
    """
    if choose(transport, connection) == "postgres":
        from osiris.drivers.supabase.postgres_writer import PostgresWriter

        return PostgresWriter()
    from osiris.drivers.supabase.rest_writer import RestWriter

    return RestWriter()
