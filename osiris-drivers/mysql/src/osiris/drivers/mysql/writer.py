"""``mysql.writer``: a table of MySQL or MariaDB, written in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError, OsirisError
from osiris.drivers.mysql.check import check_connection
from osiris.drivers.mysql.client import Session, connect
from osiris.drivers.mysql.config import MySqlConnection
from osiris.drivers.mysql.connection import connection_of
from osiris.drivers.mysql.errors import LOST
from osiris.drivers.mysql.settling import Settling
from osiris.drivers.mysql.writer_config import MySqlWriterConfig
from osiris.drivers.mysql.writing import SQL_MODE, Write

__all__ = ["MySqlWriter"]


class MySqlWriter(Driver):
    """All rows or none; nobody sees one of them before the commit."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.mysql.writer_config.MySqlWriterConfig`.

        Raises:
            DriverError: ``mysql.*``; ``mysql.lock_wait``, ``mysql.deadlock``, ``mysql.connection_lost`` (unless rows
                could be doubled) and others are retryable.
            OsirisError: What the input raised, unchanged.
        """
        options = MySqlWriterConfig.model_validate(config)
        connection = connection_of(ctx)
        (dataset,) = inputs.values()
        try:
            with closing(_open(connection, options, ctx)) as session:
                write = Write(session, options, ctx)
                try:
                    written = write.run(dataset)
                except BaseException as error:
                    if write.is_staged:
                        _clean_up(connection, options, ctx)
                    if write.in_doubt and isinstance(error, DriverError):
                        raise _in_doubt(write, options) from error
                    raise
        finally:
            dataset.close()
        ctx.log_metric("rows_written", written.rows)
        ctx.log_metric("bytes_written", written.bytes, "bytes")
        ctx.add_output(_location(connection, write), rows=written.rows, **written.facts)
        return {}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """See :func:`~osiris.drivers.mysql.check.check_connection`."""
        return check_connection(ctx)

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """Looks for the step's row in ``_osiris_commits``; always None with ``commit_marker: false``."""
        options = MySqlWriterConfig.model_validate(config)
        if not options.commit_marker:
            return None
        connection = connection_of(ctx)
        with closing(_open(connection, options, ctx)) as session:
            write = Write(session, options, ctx)
            rows = write.committed()
            if rows is None:
                return None
            write.tidy()
            return {"rows": rows, "location": _location(connection, write)}


def _open(connection: MySqlConnection, options: MySqlWriterConfig, ctx: StepContext) -> Session:
    # A connection lost before the COMMIT leaves nothing behind; Write says where that is not so.
    return connect(connection, ctx, sql_mode=SQL_MODE, local_files=options.bulk != "insert", lost_is_retryable=True)


def _clean_up(connection: MySqlConnection, options: MySqlWriterConfig, ctx: StepContext) -> None:
    """Remove the staging table of a write that failed; with a connection of its own, since ours may be gone.

    Does nothing where it has become the target after all.
    """
    settling = Settling(ctx)
    with suppress(OsirisError), closing(_open(connection, options, settling)) as session:
        Write(session, options, settling).clean_up()


def _in_doubt(write: Write, options: MySqlWriterConfig) -> DriverError:
    """The error of a commit whose answer never came."""
    again = options.commit_marker or options.write_mode != "append"
    hint = "the rows are there or not, all or none; "
    return DriverError(
        f"table {write.table}: the connection was lost before the server answered the commit",
        hint=hint + ("a retry or --resume finds out" if again else "look before you run again: commit_marker is off"),
        code=LOST,
        retryable=again,
        table=str(write.table),
    )


def _location(connection: MySqlConnection, write: Write) -> str:
    place = connection.unix_socket or f"{connection.host}:{connection.port}"
    return f"{place}/{write.table}"
