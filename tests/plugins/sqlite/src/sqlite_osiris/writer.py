"""`sqlite.writer`: a table, written in one transaction, and never twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError
from sqlite_osiris.config import WriterConfig
from sqlite_osiris.database import database_file, explained, open_database, quoted
from sqlite_osiris.table import schema_of
from sqlite_osiris.values import arrow_type, declared_type, from_arrow

__all__ = ["Writer"]

_MARKS = """
create table if not exists _osiris_commits (
    session_id text not null, step_id text not null, rows integer not null,
    committed_at text not null default current_timestamp, primary key (session_id, step_id))
"""


class Writer(Driver):
    """All rows or none: the table, its rows and the mark of the step are one transaction."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        options = WriterConfig.model_validate(config)
        rows: Dataset = inputs["df"]
        columns = _declared(rows.schema)
        what = f"table {options.table!r} cannot be written"
        with closing(open_database(ctx, write=True)) as database, explained(what, ctx), _transaction(database):
            _make(database, options, columns)
            written = _insert(database, options, rows, ctx)
            if options.commit_marker:
                database.execute(_MARKS)
                mark = (ctx.session_id, ctx.step_id, written)
                database.execute("insert into _osiris_commits (session_id, step_id, rows) values (?, ?, ?)", mark)
        ctx.log_metric("rows_written", written, "rows")
        ctx.add_output(f"{database_file(ctx)}:{options.table}", rows=written)
        return {}

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """Looks for the step's mark, which is there if and only if its rows are."""
        options = WriterConfig.model_validate(config)
        if not options.commit_marker or not database_file(ctx).exists():
            return None
        with closing(open_database(ctx)) as database, explained("the commit marker cannot be read", ctx):
            if schema_of(database, "_osiris_commits") is None:
                return None
            find = "select rows from _osiris_commits where (session_id, step_id) = (?, ?)"
            found = database.execute(find, (ctx.session_id, ctx.step_id)).fetchone()
        return None if found is None else {"rows": found[0], "location": f"{database_file(ctx)}:{options.table}"}

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """Opens the file where it is there, else looks for its folder. Facts: `version`, `path`."""
        file = database_file(ctx)
        if file.exists():
            open_database(ctx).close()
        elif not file.parent.is_dir():
            hint = "correct `path` of the connection, or make the folder"
            raise DriverError(f"the folder {file.parent} does not exist", hint=hint, code="sqlite.cannot_open")
        return {"version": sqlite3.sqlite_version, "path": str(file)}


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("begin immediate")
    try:
        yield
        database.execute("commit")
    except BaseException:
        if database.in_transaction:
            database.execute("rollback")
        raise


def _declared(schema: pa.Schema) -> dict[str, str]:
    if not schema.names:
        hint = "let the step before give at least one"
        raise DriverError("the input has no columns; a table needs some", hint=hint, code="sqlite.no_columns")
    return {field.name: declared_type(field) for field in schema}


def _make(database: sqlite3.Connection, options: WriterConfig, columns: Mapping[str, str]) -> None:
    """Make the table where it is to be made; one that stays must be able to keep what comes."""
    table, there = quoted(options.table), schema_of(database, options.table)
    if there is not None and options.write_mode != "replace":
        _compare(options.table, there, columns)
    else:
        database.execute(f"drop table if exists {table}")
        parts = [f"{quoted(name)} {declared}" for name, declared in columns.items()]
        database.execute(f"create table {table} ({', '.join(parts)})")
    if options.primary_key is not None and (there is None or options.write_mode != "append"):
        # Not PRIMARY KEY: SQLite would give numbers to rows whose key is NULL.
        index = quoted(f"{options.table}_by_{'_'.join(options.primary_key)}")
        key = ", ".join(map(quoted, options.primary_key))
        database.execute(f"create unique index if not exists {index} on {table} ({key})")


def _compare(table: str, there: pa.Schema, columns: Mapping[str, str]) -> None:
    """SQLite keeps anything in any column: what does not fit is refused before it is in there."""
    for name, declared in columns.items():
        kind = arrow_type(declared)
        if name not in there.names or there.field(name).type != kind:
            found = f"is of type {there.field(name).type}" if name in there.names else "is not there"
            raise DriverError(
                f"column {name!r} of table {table!r} {found}; the input has it as {kind}",
                hint="change the step before, or replace the table with write_mode: replace",
                code="sqlite.columns_differ",
            )


def _insert(database: sqlite3.Connection, options: WriterConfig, rows: Dataset, ctx: StepContext) -> int:
    names = rows.schema.names
    statement = (
        f"insert into {quoted(options.table)} ({', '.join(map(quoted, names))}) values ({', '.join('?' * len(names))})"
    )
    if options.write_mode == "upsert":
        key = options.primary_key or []
        news = [f"{quoted(name)} = excluded.{quoted(name)}" for name in names if name not in key]
        action = f"update set {', '.join(news)}" if news else "nothing"
        statement += f" on conflict ({', '.join(map(quoted, key))}) do {action}"
    written = 0
    for batch in rows.batches():
        ctx.raise_if_cancelled()
        values = zip(*(from_arrow(column, name) for column, name in zip(batch, names, strict=True)), strict=True)
        with ctx.on_cancel(database.interrupt):
            database.executemany(statement, values)
        written += batch.num_rows
    return written
