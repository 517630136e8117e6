"""The options of the drivers for database files and of a ``duckdb`` connection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from osiris.core.one_or_more import OneOrMore
from osiris.drivers.duckdb.options import MemoryLimit, Options, Sql

__all__ = ["DuckdbConnection", "ExtractorConfig", "WriterConfig"]


Names = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), OneOrMore()]
"""One name, or a list of names."""


class DuckdbConnection(Options):
    """A ``duckdb`` entry of ``osiris_connections.yaml``."""

    path: str = Field(min_length=1, description="The database file; relative paths start at the pipeline file's folder")
    read_only: bool = Field(default=False, description="Refuse to write: duckdb.writer will not use this connection")
    default: bool = Field(default=False, description="Whether `@duckdb` without an alias means this connection")


class _DatabaseConfig(Options):
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
