"""``duckdb.processor``: SQL over the step's inputs, streaming in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.driver import Driver, StepContext
from osiris.drivers.duckdb import export
from osiris.drivers.duckdb.config import ProcessorConfig
from osiris.drivers.duckdb.database import Session, connect, quote_name, quote_text
from osiris.drivers.duckdb.inputs import Inputs
from osiris.drivers.duckdb.statement import check_query, find_uses

__all__ = ["Processor"]


class Processor(Driver):
    """Runs one query. Its rows are computed while the next step reads them."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """See :class:`~osiris.drivers.duckdb.config.ProcessorConfig`.

        Raises:
            DriverError: ``duckdb.*``, by the class of DuckDB's error; ``duckdb.input_not_used``.
            OsirisError: What an input raised while it was read, unchanged.
        """
        options = ProcessorConfig.model_validate(config)
        self._session = session = Session(connect(), ctx)
        self._configure(session, options, ctx)
        kind = check_query(session, options.query)
        given = Inputs(session, inputs)
        try:
            given.define(find_uses(session, options.query, options.setup, given.names))
            for statement in options.setup:
                session.execute(statement)
            query = options.query
            if kind == "MULTI":  # PIVOT without IN: DuckDB runs it in two steps, and only as a statement
                session.execute(f"CREATE TEMP TABLE pivoted_result AS {query}")
                query = "FROM pivoted_result"
            result = export.stream(session, export.exact_select(session, query), finish=given.close)
        except BaseException:
            given.close()
            raise
        return {"df": result}

    def close(self) -> None:
        """Close the in-memory database."""
        if self._session is not None:
            self._session.close()

    def _configure(self, session: Session, options: ProcessorConfig, ctx: StepContext) -> None:
        settings: dict[str, Any] = {
            # A name that is no table must be an error, not a Python variable that happens to be called so.
            "python_enable_replacements": False,
            "autoinstall_known_extensions": options.extensions,
            "autoload_known_extensions": options.extensions,
            "temp_directory": str(ctx.resolve_path(options.temp_directory) if options.temp_directory else ctx.temp_dir),
            "file_search_path": str(ctx.base_dir),
            "preserve_insertion_order": options.preserve_order,
            "TimeZone": "UTC",  # the same result on every machine
        }
        if options.memory_limit is not None:
            settings["memory_limit"] = options.memory_limit.strip()
        if options.threads is not None:
            settings["threads"] = options.threads
        for name, value in {**settings, **options.settings}.items():
            session.execute(f"SET {quote_name(name)} = {_literal(value)}")


def _literal(value: bool | int | float | str) -> str:
    return quote_text(value) if isinstance(value, str) else str(value).lower()
