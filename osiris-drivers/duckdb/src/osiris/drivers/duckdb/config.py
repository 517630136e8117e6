"""The options of the DuckDB drivers and of a ``duckdb`` connection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from osiris.core.one_or_more import OneOrMore

__all__ = ["DuckdbConnection", "ExtractorConfig", "ProcessorConfig", "WriterConfig"]


Names = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), OneOrMore()]
"""One name, or a list of names."""

Sql = Annotated[str, Field(min_length=1, pattern=r"\S")]
MemoryLimit = Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*[KMGTkmgt]?i?[Bb]\s*$")]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class DuckdbConnection(_Config):
    """A ``duckdb`` entry of ``osiris_connections.yaml``."""

    path: str = Field(min_length=1, description="The database file; relative paths start at the pipeline file's folder")
    read_only: bool = Field(default=False, description="Refuse to write: duckdb.writer will not use this connection")
    default: bool = Field(default=False, description="Whether `@duckdb` without an alias means this connection")


class ProcessorConfig(_Config):
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


class _DatabaseConfig(_Config):
    connection: str | None = Field(default=None, description="A connection of family duckdb, as `@duckdb.main`")
    database: str | None = Field(
        default=None, min_length=1, description="The database file, instead of a connection; relative to the pipeline"
    )
    memory_limit: MemoryLimit | None = Field(
        default=None,
        description="Memory that DuckDB may keep pages of the file and rows in, as `500MB`; default 80 % of the "
        "machine's",
    )

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        if (self.connection is None) == (self.database is None):
            raise ValueError("give either `connection` or `database`")
        return self


class ExtractorConfig(_DatabaseConfig):
    """Options of ``duckdb.extractor``."""

    query: Sql | None = Field(default=None, description="The SELECT to read, instead of `table`")
    table: str | None = Field(default=None, min_length=1, description="The table or view to read, as `t` or `schema.t`")
    columns: Names | None = Field(default=None, description="Which columns of `table`, in this order; default all")
    where: Sql | None = Field(default=None, description="An SQL condition on the rows of `table`")
    limit: int | None = Field(default=None, ge=0, description="At most so many rows")

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("give either `query` or `table`")
        if self.query is not None and (self.columns is not None or self.where is not None):
            raise ValueError("`columns` and `where` go with `table`; put them into the query")
        return self


class WriterConfig(_DatabaseConfig):
    """Options of ``duckdb.writer``."""

    table: str = Field(min_length=1, description="The table to write, as `t` or `schema.t`")
    write_mode: Literal["append", "replace", "upsert"] = Field(
        default="append",
        description="append adds rows; replace makes the table anew; upsert updates rows with the same primary_key",
    )
    primary_key: Names | None = Field(default=None, description="The columns that identify a row; needed for upsert")
    create_if_missing: bool = Field(default=True, description="Create the table (and its schema) if it is not there")
    commit_marker: bool = Field(
        default=True,
        description="Keep a row about this step in the table `_osiris_commits`, so that a resumed run does not write "
        "twice",
    )

    @model_validator(mode="after")
    def _upsert_has_key(self) -> Self:
        if self.write_mode == "upsert" and self.primary_key is None:
            raise ValueError("write_mode upsert needs `primary_key`")
        return self
