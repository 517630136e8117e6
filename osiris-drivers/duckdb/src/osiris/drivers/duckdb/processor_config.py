"""The options of ``duckdb.processor``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from osiris.core.one_or_more import OneOrMore
from osiris.drivers.duckdb.options import MemoryLimit, Options, Sql

__all__ = ["ProcessorConfig"]


class ProcessorConfig(Options):
    """Options of ``duckdb.processor``."""

    query: Sql = Field(description="The SELECT that gives the output; every input is a table of its name")
    setup: Annotated[list[Sql], OneOrMore()] = Field(
        [],
        description="Statements to run before the query, in order: macros, temporary tables, ATTACH, SET",
    )
    memory_limit: MemoryLimit | None = Field(
        default=None,
        description="Memory that DuckDB may use before it spills to disk, as `2GB`; default 80 % of the machine's",
    )
    threads: int | None = Field(default=None, ge=1, le=1024, description="Threads of the query; default one per core")
    temp_directory: str | None = Field(
        default=None, description="Where to spill; default the step's own temporary folder, which goes with the run"
    )
    preserve_order: bool = Field(
        default=True,
        description="Keep the order of rows where the query has no ORDER BY; false saves memory on large results",
    )
    pushdown: bool | None = Field(
        default=None,
        description="Let DuckDB read an input's files itself where the step before changes nothing: same rows, faster. "
        "Default: yes, but not CSV files where `memory_limit` is set, as its CSV reader takes memory beside the limit",
    )
    extensions: bool = Field(
        default=False, description="Let DuckDB download and load the extensions that a query needs (network)"
    )
    settings: dict[str, bool | int | float | str] = Field(
        {}, description="Further DuckDB settings by name, as `TimeZone: Europe/Prague`"
    )

    @property
    def pushed_formats(self) -> frozenset[str]:
        """The formats of files that DuckDB reads itself."""
        if self.pushdown is None:
            return frozenset({"parquet"} if self.memory_limit is not None else {"csv", "parquet"})
        return frozenset({"csv", "parquet"} if self.pushdown else ())
