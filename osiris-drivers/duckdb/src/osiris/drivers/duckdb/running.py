"""One query of ``duckdb.processor`` while it runs: started, read batch by batch, ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.database import VERSION, MemoryDatabase, Session, quote_name, quote_text
from osiris.drivers.duckdb.export import exact_select
from osiris.drivers.duckdb.inputs import Inputs
from osiris.drivers.duckdb.processor_config import ProcessorConfig
from osiris.drivers.duckdb.statement import check_query, find_uses, mentions

__all__ = ["RunningQuery"]

# What a value that does not fit, or a file that DuckDB reads differently, may end as.
_DATA_ERRORS = frozenset(
    {
        "duckdb.conversion",
        "duckdb.invalid_input",
        "duckdb.io",
        "duckdb.out_of_range",
        "duckdb.query_failed",
    }
)


class RunningQuery:
    """Starts at once; :meth:`batches` gives the rows.

    Where DuckDB reads an input's files itself and fails over their content, the query starts again over the
    stream: that either names file, line and value, or works. Once rows have been handed on it is too late for
    that, and the stream is read for its error only.

    Raises:
        DriverError: ``duckdb.*``.
        OsirisError: What an input raised, unchanged.
    """

    def __init__(
        self, options: ProcessorConfig, inputs: Mapping[str, Any], ctx: StepContext, database: MemoryDatabase
    ) -> None:
        self._options = options
        self._database = database
        self._inputs = Inputs(inputs)
        self._ctx = ctx
        self._reader: pa.RecordBatchReader | None = None
        try:
            self._start(formats=options.pushed_formats)
        except DriverError as error:
            self._recover(error)
        self.schema: pa.Schema = self._opened().schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows. Ends the query after the last one, or when the caller goes away."""
        started = False
        try:
            while (batch := self._read(started)) is not None:
                started = True
                yield batch
            self._inputs.report(self._session)
        finally:
            self.close()

    def close(self) -> None:
        """End the query and let go of inputs and memory. Idempotent."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._session.close()  # first: it still holds the iterators of the inputs
        self._inputs.close()

    def _read(self, started: bool) -> pa.RecordBatch | None:
        try:
            return self._session.read(self._opened())
        except DriverError as error:
            if started:
                self._explain(error)
            self._recover(error)
            return self._session.read(self._opened())

    def _opened(self) -> pa.RecordBatchReader:
        if self._reader is None:
            raise DriverError("the query was closed", hint="read its rows before the step ends", code="duckdb.closed")
        return self._reader

    def _start(self, *, formats: frozenset[str]) -> None:
        self._session = session = Session(self._database.take(), self._ctx)
        try:
            self._configure()
            self._open(session, formats)
        except BaseException:
            session.close()
            raise

    def _open(self, session: Session, formats: frozenset[str]) -> None:
        options, inputs = self._options, self._inputs
        try:
            kind = check_query(session, options.query)
            uses = find_uses(session, options.query, options.setup, inputs.names)
            for name in inputs.values:
                uses[name.casefold()] = sum(mentions(sql, name) for sql in (options.query, *options.setup))
            # Rows read by anything but the query itself would not be in its profile, so not be counted.
            alone = kind == "SELECT" and not any(mentions(sql, name) for sql in options.setup for name in inputs.names)
            inputs.define(session, uses, formats=formats if alone else frozenset())
            for statement in options.setup:
                session.execute(statement)
            query = options.query
            if kind == "MULTI":  # PIVOT without IN: DuckDB runs it in two steps, and only as a statement
                session.execute(f"CREATE TEMP TABLE osiris_pivot AS {query}")
                query = "FROM osiris_pivot"
            query = exact_select(session, query)
        except DriverError as error:
            if error.code == "duckdb.catalog":
                error.hint = "inputs are tables of their names; quote a name that is not a plain word"
            raise
        if inputs.pushed:
            session.execute("SET enable_profiling = 'no_output'")
        self._reader = session.open(query)

    def _configure(self) -> None:
        options, ctx = self._options, self._ctx
        spill = ctx.resolve_path(options.temp_directory) if options.temp_directory else ctx.temp_dir
        settings: dict[str, Any] = {
            # A name that is no table must be an error, not a Python variable that happens to be called so.
            "python_enable_replacements": False,
            "autoinstall_known_extensions": options.extensions,
            "autoload_known_extensions": options.extensions,
            "temp_directory": str(spill),
            "file_search_path": str(ctx.base_dir),
            "preserve_insertion_order": options.preserve_order,
            "TimeZone": "UTC",  # the same result on every machine
        }
        if options.memory_limit is not None:
            settings["memory_limit"] = options.memory_limit.strip()
        if options.threads is not None:
            settings["threads"] = options.threads
        for name, value in {**settings, **options.settings}.items():
            text = quote_text(value) if isinstance(value, str) else str(value).lower()
            try:
                self._session.execute(f"SET {quote_name(name)} = {text}")
            except DriverError as error:
                if error.code == "duckdb.catalog":
                    error.hint = f"there is no setting {name!r} in DuckDB {VERSION}: look at the names under settings"
                raise

    def _recover(self, error: DriverError) -> None:
        """Start again without pushdown, or raise."""
        # setup may have changed something outside: it must not run twice.
        if self._options.setup or not (self._is_about_files(error) and self._inputs.restartable):
            self._explain(error)
        self._session.close()
        try:
            self._start(formats=frozenset())
        except BaseException:
            self._inputs.close()
            raise

    def _explain(self, error: DriverError) -> None:
        """Raise the error that the stream has, or else the one there is."""
        if self._is_about_files(error):
            self._session.close()
            self._inputs.drain()
            error.hint = "set pushdown: false on this step: the file reads well as a stream, but not in DuckDB"
        self._inputs.close()
        raise error

    def _is_about_files(self, error: DriverError) -> bool:
        return self._inputs.pushed and error.code in _DATA_ERRORS
