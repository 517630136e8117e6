"""``mysql.extractor``: a table or a query, as a stream, from one state of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.drivers.mysql.check import check_connection
from osiris.drivers.mysql.client import Session, connect
from osiris.drivers.mysql.config import ExtractorConfig
from osiris.drivers.mysql.connection import connection_of
from osiris.drivers.mysql.names import TableName
from osiris.drivers.mysql.partitions import read_together
from osiris.drivers.mysql.reading import Reading
from osiris.drivers.mysql.selection import Query, bounds, divide, select
from osiris.drivers.mysql.snapshot import begin_together

__all__ = ["MySqlExtractor"]


class MySqlExtractor(Driver):
    """Reads in read-only transactions, which the server keeps to; changes no value, or fails."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Dataset]:
        """See :class:`~osiris.drivers.mysql.config.ExtractorConfig`.

        Raises:
            DriverError: ``mysql.*``; retryable where the connection was lost, because nothing was changed.
        """
        options = ExtractorConfig.model_validate(config)
        connection = connection_of(ctx)

        def open_session() -> Session:
            return connect(connection, ctx, lost_is_retryable=True)

        for _ in range(options.partitions):
            self._sessions.append(open_session())
        promise = self._begin(options, open_session)
        readings = self._divide(options)
        first = readings[0]()
        ctx.log_event(
            "mysql_read",
            {
                **self._sessions[0].server.facts(),
                "protocol": first.path,
                "connections": len(readings),
                **promise,
                "isolation": "REPEATABLE READ, READ ONLY",
            },
        )
        return {"df": Dataset(lambda: self._batches(first, readings, options), first.schema, close=self.close)}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """See :func:`~osiris.drivers.mysql.check.check_connection`."""
        return check_connection(ctx)

    def close(self) -> None:
        """Close the connections; what still runs is killed on the server."""
        for session in self._sessions:
            session.close()

    def _begin(self, options: ExtractorConfig, open_session: Callable[[], Session]) -> dict[str, Any]:
        for session in self._sessions:
            _limit(session, options)
        table = None if options.table is None else TableName.parse(options.table).sql
        return begin_together(self._sessions, open_session, table)

    def _divide(self, options: ExtractorConfig) -> list[Callable[[], Reading]]:
        """One for each connection that has something to do; the others are closed."""
        conditions: list[Query | None] = [None]
        if options.partitions > 1:
            key = options.partition_by or ""
            (batch,) = Reading(self._sessions[0], bounds(options), "null", options.protocol).batches()
            least, greatest = (column[0].as_py() for column in batch.columns)
            conditions = list(divide(key, least, greatest, options.partitions))
        for session in self._sessions[len(conditions) :]:
            session.close()
        return [
            partial(
                Reading,
                session,
                select(options) if condition is None else select(options, condition),
                options.zero_dates,
                options.protocol,
            )
            for session, condition in zip(self._sessions, conditions, strict=False)
        ]

    def _batches(
        self, first: Reading, readings: list[Callable[[], Reading]], options: ExtractorConfig
    ) -> Iterator[pa.RecordBatch]:
        if len(readings) > 1:
            yield from read_together(first, readings[1:], self._sessions)
            return
        left = options.limit
        for batch in first.batches():
            if left is None:
                yield batch
                continue
            yield batch.slice(0, left)
            left -= min(left, batch.num_rows)
            if not left:
                return


def _limit(session: Session, options: ExtractorConfig) -> None:
    if options.query_timeout is not None:
        if session.server.is_mariadb:
            session.execute(f"SET SESSION max_statement_time = {options.query_timeout:f}")
        else:
            session.execute(f"SET SESSION max_execution_time = {round(options.query_timeout * 1000)}")
    if options.limit is not None and options.query is not None:
        # Where the query has a LIMIT of its own, that one counts for the server, and ours afterwards.
        session.execute(f"SET SESSION sql_select_limit = {options.limit}")
