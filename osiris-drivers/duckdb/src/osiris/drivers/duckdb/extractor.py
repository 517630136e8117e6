"""``duckdb.extractor``: a table or a query of a database file, as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import VERSION, Session, quote_name, without_end
from osiris.drivers.duckdb.export import exact_select, stream
from osiris.drivers.duckdb.file_config import ExtractorConfig
from osiris.drivers.duckdb.files import DatabaseFile
from osiris.drivers.duckdb.statement import check_query
from osiris.drivers.duckdb.table_name import TableName

__all__ = ["Extractor"]


class Extractor(Driver):
    """Reads one state of the database, in a read-only transaction, whatever others write meanwhile."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Dataset]:
        """See :class:`~osiris.drivers.duckdb.file_config.ExtractorConfig`.

        Raises:
            DriverError: ``duckdb.*``; ``duckdb.locked`` is retryable.
        """
        options = ExtractorConfig.model_validate(config)
        self._session = session = DatabaseFile.of(options.database, ctx).open(ctx, memory_limit=options.memory_limit)
        session.execute("BEGIN TRANSACTION READ ONLY")
        query = exact_select(session, _select(session, options))
        return {"df": stream(session, query, finish=session.close)}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """Opens the file read-only. Facts: ``version``, ``path``, ``size_bytes``."""
        return check_file(DatabaseFile.of(config.get("database"), ctx), ctx)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()


def check_file(file: DatabaseFile, ctx: StepContext) -> dict[str, Any]:
    """Open the file for reading, ask it something, and tell about it.

    Raises:
        DriverError: As :meth:`DatabaseFile.open`.
    """
    session = file.open(ctx)
    try:
        session.execute("SELECT 1")
    finally:
        session.close()
    return {"version": VERSION, "path": str(file.path), "size_bytes": file.path.stat().st_size}


def _select(session: Session, options: ExtractorConfig) -> str:
    if options.query is not None:
        if check_query(session, options.query) != "SELECT":
            raise DriverError(
                "this PIVOT has to look at the data first, which a read-only query cannot",
                hint="list the values: PIVOT ... ON column IN ('a', 'b')",
                code="duckdb.not_a_query",
            )
        query = without_end(options.query)
        return query if options.limit is None else f"SELECT * FROM (\n{query}\n) LIMIT {options.limit}"  # noqa: S608
    columns = "*" if options.columns is None else ", ".join(map(quote_name, options.columns))
    query = f"SELECT {columns} FROM {TableName.parse(options.table or '').sql}"  # noqa: S608  # quoted
    if options.where is not None:
        query += f" WHERE (\n{options.where}\n)"
    return query if options.limit is None else f"{query} LIMIT {options.limit}"
