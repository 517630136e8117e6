"""One query on one session, as batches: by packets, or through PyMySQL's cursor where that does not go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.library import HAS_PACKETS
from osiris.drivers.mysql.selection import Query
from osiris.drivers.mysql.texts import TextDecoder
from osiris.drivers.mysql.types import ZeroDates
from osiris.drivers.mysql.values import RowDecoder

__all__ = ["Protocol", "Reading"]

Protocol = Literal["auto", "binary", "text"]

_CANNOT_PREPARE = frozenset({"mysql.not_supported", "mysql.too_many_statements", "mysql.protocol"})
"""What servers and proxies say that prepare no statements, or not this one."""


class Reading:
    """A query that has been started; :meth:`batches` gives its rows, once.

    Args:
        session: Whose; nothing else may run on it until the rows are read.
        query: What.
        zero_dates: What becomes of dates that are none.
        protocol: Which way to go.

    Raises:
        DriverError: ``mysql.*``.
    """

    def __init__(
        self, session: Session, query: Query, zero_dates: ZeroDates = "error", protocol: Protocol = "auto"
    ) -> None:
        self.path: Literal["binary", "text"] = "binary"
        """The way that was taken."""
        self._session = session
        self._decoder: RowDecoder | TextDecoder
        if protocol == "text" or not (HAS_PACKETS or protocol == "binary"):
            self._start_text(query, zero_dates)
            return
        try:
            start = session.prepare(query.sql, query.values, what=_WHAT)
        except DriverError as error:
            if protocol == "binary" or error.code not in _CANNOT_PREPARE:
                raise
            self._start_text(query, zero_dates)
            return
        self._decoder = RowDecoder(start(), zero_dates)
        self._blocks = session.rows(what=_WHAT)

    @property
    def schema(self) -> pa.Schema:
        """Of the batches."""
        return self._decoder.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows.

        Raises:
            DriverError: ``mysql.*``; with a connection that is lost, all that has been given counts for nothing.
        """
        for block in self._blocks:
            yield self._decoder.decode(block)  # type: ignore[arg-type]  # blocks and decoder were made for each other

    def _start_text(self, query: Query, zero_dates: ZeroDates) -> None:
        self.path = "text"
        sql = _run_with_variables(self._session, query) if query.values else _looked_at(self._session, query.sql)
        columns, self._blocks = self._session.fetch(sql, what=_WHAT)  # type: ignore[assignment]
        self._decoder = TextDecoder(columns, zero_dates)


def _looked_at(session: Session, sql: str) -> str:
    """The same SQL, once the server has found that it is a query and nothing else.

    A SELECT ... INTO OUTFILE would write a file in spite of the transaction; in parentheses, it is a mistake.
    """
    try:
        session.execute(f"SELECT * FROM (\n{sql}\n) AS osiris_query LIMIT 0", what=_WHAT)  # noqa: S608  # the user's own
    except DriverError as error:
        if error.code != "mysql.duplicate_column":  # which is told after the grammar was looked at
            raise
    return sql


def _run_with_variables(session: Session, query: Query) -> str:
    """SQL that runs the query with its values, which the server takes from variables of the session."""
    names = [f"@osiris_{number}" for number in range(len(query.values))]
    for name, value in zip(names, query.values, strict=True):
        session.execute(f"SET {name} = %s", [value])
    for sql in (f"SELECT * FROM (\n{query.sql}\n) AS osiris_query LIMIT 0", query.sql):  # noqa: S608  # the user's own
        try:
            session.execute("PREPARE osiris_query FROM %s", [sql], what=_WHAT)
        except DriverError as error:
            if error.code != "mysql.duplicate_column":
                raise
    return f"EXECUTE osiris_query USING {', '.join(names)}"


_WHAT = "query"
