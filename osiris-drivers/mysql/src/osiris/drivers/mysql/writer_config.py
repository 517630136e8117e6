"""The options of ``mysql.writer``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from osiris.core.one_or_more import OneOrMore

__all__ = ["MySqlWriterConfig"]


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), OneOrMore()]


class MySqlWriterConfig(BaseModel):
    """Options of ``mysql.writer``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    connection: str | None = Field(default=None, description="A connection of family mysql, as `@mysql.main`")
    table: str = Field(min_length=1, description="The table to write, as `t` or `db.t`")
    write_mode: Literal["append", "replace", "upsert", "truncate"] = Field(
        default="append",
        description="append adds rows; replace swaps in a new table of the same make; truncate deletes all rows and "
        "adds the new ones in one transaction; upsert treats rows whose primary_key is there as on_conflict says",
    )
    primary_key: Names | None = Field(
        default=None,
        description="The columns of the table that identify a row; needed for upsert. A table that is created gets "
        "them as its primary key",
    )
    on_conflict: Literal["update", "ignore", "error"] = Field(
        default="update",
        description="What upsert does with a row whose key is there: update it, leave what is there, or fail",
    )
    create_if_missing: bool = Field(
        default=True, description="Create the table, with types from Arrow, if it is not there"
    )
    columns: dict[Name, Name] | None = Field(
        default=None,
        description="Column of the input to column of the table, for those that are called differently; the others "
        "keep their names",
    )
    batch_rows: int = Field(
        default=50_000,
        ge=1,
        le=10_000_000,
        validation_alias=AliasChoices("batch_rows", "batch_size"),
        description="At most so many rows to one statement; `batch_size` means the same. All are one transaction",
    )
    bulk: Literal["auto", "load_data", "insert"] = Field(
        default="auto",
        description="load_data streams rows through LOAD DATA LOCAL, insert sends multi-row INSERTs; both store the "
        "same. auto takes the first where the server allows it",
    )
    commit_marker: bool = Field(
        default=True,
        description="Keep a row about this step in the table `_osiris_commits`, so that a resumed run does not write "
        "twice",
    )
    show_values: bool = Field(
        default=True,
        description="Whether errors show the value that was refused; false for data that logs must not hold",
    )

    @model_validator(mode="after")
    def _upsert_has_key(self) -> Self:
        if self.write_mode == "upsert" and self.primary_key is None:
            raise ValueError("write_mode upsert needs `primary_key`")
        if self.write_mode != "upsert" and "on_conflict" in self.model_fields_set:
            raise ValueError("`on_conflict` goes with write_mode: upsert")
        targets = list((self.columns or {}).values())
        twice = sorted({name for name in targets if targets.count(name) > 1})
        if twice:
            raise ValueError(f"`columns` sends two columns of the input to {', '.join(twice)}")
        return self
