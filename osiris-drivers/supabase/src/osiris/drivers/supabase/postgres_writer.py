"""``supabase.writer`` over Postgres: one transaction for the whole load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.config import SupabaseConnection, WriterConfig
from osiris.drivers.supabase.postgres import Session, connect
from osiris.drivers.supabase.postgres_check import check_connection
from osiris.drivers.supabase.postgres_commits import find_commit, note_commit, prepare_commits
from osiris.drivers.supabase.postgres_create import create_table
from osiris.drivers.supabase.postgres_key_order import KeyOrder
from osiris.drivers.supabase.postgres_load import load
from osiris.drivers.supabase.postgres_sequences import advance_sequences
from osiris.drivers.supabase.postgres_staging import NUMBER, STAGE, insert, make_stage, replace, upsert
from osiris.drivers.supabase.postgres_target import Column, Target, find_target, matched, no_table
from osiris.drivers.supabase.table_name import TableName
from osiris.drivers.supabase.transport import WriteResult

__all__ = ["PostgresWriter"]


class PostgresWriter:
    """All rows or none; nobody sees any of them before the commit."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def write(
        self, stream: Dataset, ctx: StepContext, config: WriterConfig, connection: SupabaseConnection
    ) -> WriteResult:
        """See :class:`~osiris.drivers.supabase.transport.TableWriter`."""
        table = TableName.parse(config.table, connection.schema_name)
        self._session = session = connect(ctx, connection)
        if config.commit_marker:
            prepare_commits(session, table.schema)
        session.begin(read_only=False)
        target = _target(session, table, stream, config)
        columns = matched(target, stream.schema, tuple(config.primary_key or ()))
        rows, changed = _write(session, stream, target, columns, config)
        advance_sequences(session, target, columns)
        if config.commit_marker:
            note_commit(session, table.schema, ctx, rows)
        session.commit()
        return WriteResult(rows=rows, location=str(table), facts={"changed": changed})

    def committed(
        self, step_id: str, ctx: StepContext, config: WriterConfig, connection: SupabaseConnection
    ) -> Mapping[str, Any] | None:
        """See :class:`~osiris.drivers.supabase.transport.TableWriter`."""
        if not config.commit_marker:
            return None
        table = TableName.parse(config.table, connection.schema_name)
        self._session = session = connect(ctx, connection)
        session.begin(read_only=True)
        found = find_commit(session, table.schema, ctx)
        session.commit()
        return None if found is None else {**found, "location": str(table)}

    def check(self, ctx: StepContext, connection: SupabaseConnection, table: str | None) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.supabase.transport.TableWriter`."""
        self._session = connect(ctx, connection)
        return check_connection(self._session, connection, table)

    def close(self) -> None:
        """End the session; what was not committed never was. Idempotent."""
        if self._session is not None:
            self._session.close()


def _target(session: Session, table: TableName, stream: Dataset, config: WriterConfig) -> Target:
    target = find_target(session, table)
    if target is None:
        if not config.create_if_missing:
            raise no_table(session, table, "set create_if_missing: true, or create it")
        create_table(session, table, stream.schema, config.primary_key or ())
        target = find_target(session, table)
    if target is None:
        raise DriverError(
            f"{table} was created and is not there", hint="does an event trigger drop it?", code="supabase.no_table"
        )
    return target


def _write(
    session: Session, stream: Dataset, target: Target, columns: Sequence[Column], config: WriterConfig
) -> tuple[int, int]:
    """How many rows came in, and how many of the table were added or changed."""
    what = str(target.table)
    if config.write_mode == "append" and target.is_plain:
        rows = load(session, stream, columns, target.table.sql, what)
        return rows, rows
    key = config.primary_key or () if config.write_mode == "upsert" else ()
    order = KeyOrder(columns, key) if key else None
    make_stage(session, columns, key)
    rows = load(session, stream, columns, STAGE, what, number=NUMBER if key else None, order=order)
    if config.write_mode == "append":
        return rows, insert(session, target, columns)
    if config.write_mode == "replace":
        return rows, replace(session, target, columns)
    return rows, upsert(session, target, columns, config, ascending=order is not None and order.ascends)
