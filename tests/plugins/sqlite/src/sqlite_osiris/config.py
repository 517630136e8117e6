"""What users write: the options of each driver, and a connection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Connection", "ExtractorConfig", "WriterConfig"]

Name = Annotated[str, Field(min_length=1)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Connection(_Options):
    """An entry below `sqlite` in osiris_connections.yaml."""

    path: str = Field(min_length=1, description="The database file; relative paths start at the pipeline file's folder")
    timeout: float = Field(default=30.0, ge=0, description="Seconds to wait for a lock that somebody else holds")
    default: bool = Field(default=False, description="Whether `@sqlite` alone means this connection")


class ExtractorConfig(_Options):
    """Options of `sqlite.extractor`."""

    connection: str = Field(description="Which connection, as `@sqlite.main`")
    table: Name = Field(description="The table or view to read")
    columns: list[Name] | None = Field(default=None, min_length=1, description="Which columns, in this order; all")
    where: Name | None = Field(default=None, description="An SQL condition on the rows")


class WriterConfig(_Options):
    """Options of `sqlite.writer`."""

    connection: str = Field(description="Which connection, as `@sqlite.main`")
    table: Name = Field(description="The table to write; made if it is not there")
    write_mode: Literal["append", "replace", "upsert"] = Field(
        default="append",
        description="append adds rows; replace makes the table anew; upsert updates rows with the same primary_key",
    )
    primary_key: list[Name] | None = Field(
        default=None, min_length=1, description="The columns that identify a row, for upsert; they get a unique index"
    )
    commit_marker: bool = Field(
        default=True,
        description="Keep a row about this step in the table `_osiris_commits`: a resumed run does not write twice",
    )

    @model_validator(mode="after")
    def _upsert_has_key(self) -> Self:
        if self.write_mode == "upsert" and self.primary_key is None:
            raise ValueError("write_mode upsert needs `primary_key`")
        return self
