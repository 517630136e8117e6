"""``supabase.extractor`` over Postgres: one read-only snapshot, streamed out by COPY."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import ExtractorConfig, SupabaseConnection
from osiris.drivers.supabase.postgres import Described, Session, connect
from osiris.drivers.supabase.postgres_check import check_connection, rls_of
from osiris.drivers.supabase.postgres_rows import RowParser
from osiris.drivers.supabase.postgres_select import select_of, wrap
from osiris.drivers.supabase.postgres_target import no_table
from osiris.drivers.supabase.postgres_types import Form, load_types
from osiris.drivers.supabase.table_name import TableName

__all__ = ["PostgresExtractor"]


class PostgresExtractor:
    """Reads one state of the database; the server itself refuses whatever would change it."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def read(self, ctx: StepContext, config: ExtractorConfig, connection: SupabaseConnection) -> Dataset:
        """See :class:`~osiris.drivers.supabase.transport.Reader`."""
        self._session = session = connect(ctx, connection)
        try:
            return self._open(session, ctx, config, connection)
        except BaseException:
            session.close()
            raise

    def check(self, ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.supabase.transport.Reader`."""
        self._session = connect(ctx, connection)
        return check_connection(self._session, connection, table)

    def close(self) -> None:
        """End the session. Idempotent."""
        if self._session is not None:
            self._session.close()

    def _open(
        self, session: Session, ctx: StepContext, config: ExtractorConfig, connection: SupabaseConnection
    ) -> Dataset:
        session.begin(read_only=True)
        query = select_of(config, connection.schema_name)
        columns = self._describe(session, query, config, connection)
        if not columns:
            raise DriverError(
                "the query gives no columns",
                hint="query is one SELECT (or WITH, VALUES, TABLE) that gives rows",
                code="supabase.not_a_query",
            )
        types = load_types(session, [(column.oid, column.modifier) for column in columns])
        expressions = [None if kind.form is Form.PLAIN else kind.expression("{}") for kind in types]
        what = config.table or "the query"
        parser = RowParser([(column.name, kind) for column, kind in zip(columns, types, strict=True)], what)
        sql = f"COPY (\n{wrap(query, expressions)}\n) TO STDOUT (FORMAT csv)"
        return Dataset(
            lambda: self._stream(session, sql, parser, ctx, config, connection), parser.schema, close=self.close
        )

    def _describe(
        self, session: Session, query: str, config: ExtractorConfig, connection: SupabaseConnection
    ) -> list[Described]:
        try:
            return session.describe(query)
        except DriverError as error:
            if config.table is None or error.code != "supabase.no_table":
                raise
            session.execute("ROLLBACK")
            session.begin(read_only=True)
            raise no_table(session, TableName.parse(config.table, connection.schema_name), error.hint) from None

    def _stream(
        self,
        session: Session,
        sql: str,
        parser: RowParser,
        ctx: StepContext,
        config: ExtractorConfig,
        connection: SupabaseConnection,
    ) -> Iterator[pa.RecordBatch]:
        rows = 0
        try:
            for chunk in session.copy_out(sql):
                batch = parser.parse(chunk)
                rows += batch.num_rows
                yield batch
            if rows == 0 and config.table is not None:
                _warn_of_hidden_rows(session, TableName.parse(config.table, connection.schema_name), ctx)
            session.commit()
        finally:
            session.close()


def _warn_of_hidden_rows(session: Session, table: TableName, ctx: StepContext) -> None:
    state = rls_of(session, table)
    if state is not None and state.applies:
        ctx.log_event(
            "warning",
            {
                "code": "supabase.rows_hidden",
                "message": f"{table} gave 0 rows to the role {state.role}: row-level security is on, and hides rows "
                "without an error",
                "hint": f"add a policy that lets {state.role} select, or use a role that bypasses it",
            },
        )
