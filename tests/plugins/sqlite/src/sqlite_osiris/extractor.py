"""`sqlite.extractor`: a table as a stream."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError
from sqlite_osiris.config import ExtractorConfig
from sqlite_osiris.database import database_file, explained, open_database, quoted
from sqlite_osiris.table import schema_of
from sqlite_osiris.values import to_arrow

__all__ = ["Extractor"]

_ROWS = 5_000


class Extractor(Driver):
    """Reads one state of the table, whatever others write meanwhile: a SELECT is a transaction."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        options = ExtractorConfig.model_validate(config)
        self._database = database = open_database(ctx)
        with explained(f"table {options.table!r} cannot be looked at", ctx):
            schema = _chosen(schema_of(database, options.table), options, ctx)
        query = f"select {', '.join(map(quoted, schema.names))} from {quoted(options.table)}"
        if options.where is not None:
            query += f" where (\n{options.where}\n)"
        return {"df": Dataset(lambda: _batches(database, query, schema, ctx), schema, close=self.close)}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """Opens the file for reading. Facts: `version` of SQLite, `path`, `tables`."""
        database = open_database(ctx)
        try:
            (tables,) = database.execute("select count(*) from sqlite_master where type = 'table'").fetchone()
        finally:
            database.close()
        return {"version": sqlite3.sqlite_version, "path": str(database_file(ctx)), "tables": tables}

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _chosen(schema: pa.Schema | None, options: ExtractorConfig, ctx: StepContext) -> pa.Schema:
    if schema is None:
        raise DriverError(
            f"there is no table {options.table!r} in {database_file(ctx)}",
            hint="correct `table`, or the connection's `path`",
            code="sqlite.no_table",
        )
    if options.columns is None:
        return schema
    unknown = [name for name in options.columns if name not in schema.names]
    if unknown:
        raise DriverError(
            f"table {options.table!r} has no column {', '.join(map(repr, unknown))}",
            hint=f"its columns: {', '.join(schema.names)}",
            code="sqlite.no_column",
        )
    return pa.schema([schema.field(name) for name in options.columns])


def _batches(database: sqlite3.Connection, query: str, schema: pa.Schema, ctx: StepContext) -> Iterator[pa.RecordBatch]:
    with explained("the query failed", ctx):
        with ctx.on_cancel(database.interrupt):
            ctx.raise_if_cancelled()
            cursor = database.execute(query)
        while True:
            with ctx.on_cancel(database.interrupt):
                ctx.raise_if_cancelled()
                rows = cursor.fetchmany(_ROWS)
            if not rows:
                return
            columns = zip(*rows, strict=True)
            arrays = [to_arrow(values, field.type, field.name) for values, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
