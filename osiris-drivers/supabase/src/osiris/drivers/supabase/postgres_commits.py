"""The table ``_osiris_commits``: what was written for good, noted in the transaction that wrote it."""

from __future__ import annotations

from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.supabase.postgres import Session
from osiris.drivers.supabase.table_name import TableName, quote_text

__all__ = ["find_commit", "note_commit", "prepare_commits"]

_NAME = "_osiris_commits"
_LOCK = 0x6F7369726973  # "osiris"


def prepare_commits(session: Session, schema: str) -> None:
    """Make the table where it is not there, in a transaction of its own: others need not wait for the load.

    Raises:
        DriverError: ``supabase.forbidden``: the role may not; or the schema is not there.
    """
    if _exists(session, schema):
        return
    table = TableName(schema, _NAME)
    try:
        session.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})")
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {table.sql} (session_id text, step_id text, rows bigint NOT NULL,"
            " committed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (session_id, step_id));"
            # Nobody reads or writes it over the API.
            f" ALTER TABLE {table.sql} ENABLE ROW LEVEL SECURITY; COMMIT",
            what=f"creating {table}",
        )
    except DriverError as error:
        raise _explained(error) from error.__cause__


def note_commit(session: Session, schema: str, ctx: StepContext, rows: int) -> None:
    """Note it, as the last thing before the commit.

    Raises:
        DriverError: ``supabase.already_written``: another process has written this step meanwhile.
    """
    table = TableName(schema, _NAME)
    try:
        noted = session.run(
            f"INSERT INTO {table.sql} (session_id, step_id, rows)"  # noqa: S608
            f" VALUES ({quote_text(ctx.session_id)}, {quote_text(ctx.step_id)}, {rows})"
            " ON CONFLICT (session_id, step_id) DO NOTHING",
            what=f"noting the commit in {table}",
        )
    except DriverError as error:
        raise _explained(error) from error.__cause__
    if not noted:
        raise DriverError(
            f"step {ctx.step_id!r} of session {ctx.session_id} was written by another process meanwhile",
            hint="do not resume a session that is still running; nothing was written twice",
            code="supabase.already_written",
        )


def find_commit(session: Session, schema: str, ctx: StepContext) -> dict[str, Any] | None:
    """What this step has committed in this session; None: nothing."""
    if not _exists(session, schema):
        return None
    rows = session.execute(
        f"SELECT rows, committed_at::text FROM {TableName(schema, _NAME).sql}"  # noqa: S608
        f" WHERE session_id = {quote_text(ctx.session_id)} AND step_id = {quote_text(ctx.step_id)}"
    )
    return {"rows": rows[0][0], "committed_at": rows[0][1]} if rows else None


def _exists(session: Session, schema: str) -> bool:
    return bool(
        session.execute(
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s",
            [schema, _NAME],
        )
    )


def _explained(error: DriverError) -> DriverError:
    if error.code == "supabase.forbidden":
        error.hint = (
            "let the role create and fill the table _osiris_commits, or set commit_marker: false: then a resumed run "
            "cannot tell whether this step was written"
        )
    return error
