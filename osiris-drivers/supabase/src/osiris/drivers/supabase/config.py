"""The options of the Supabase drivers and of a ``supabase`` connection."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from osiris.core.one_or_more import OneOrMore

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler

__all__ = ["ExtractorConfig", "Filter", "Order", "SupabaseConnection", "Transport", "WriterConfig"]

Transport = Literal["auto", "rest", "postgres"]


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), OneOrMore()]
"""One name, or a list of names."""


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, populate_by_name=True)


def _as_mode(value: object) -> object:
    return {True: "require", False: "disable"}.get(value, value) if isinstance(value, bool) else value


class SupabaseConnection(_Config):
    """A ``supabase`` entry of ``osiris_connections.yaml``: ``pg_dsn``, or ``url`` and a key, or both."""

    url: str | None = Field(
        default=None, pattern=r"^https?://", description="The project's address, as `https://abc.supabase.co`"
    )
    key: SecretStr | None = Field(default=None, min_length=1, description="An API key, secret or publishable")
    service_role_key: SecretStr | None = Field(default=None, min_length=1, description="Older name of a secret `key`")
    anon_key: SecretStr | None = Field(default=None, min_length=1, description="Older name of a publishable `key`")
    pg_dsn: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The database's connection string: `postgresql://user:password@host:5432/postgres`, direct or of a "
        "pooler (session mode on port 5432, transaction mode on 6543)",
    )
    password: SecretStr | None = Field(
        default=None, description="The database's password as it is, where `pg_dsn` holds none or cannot quote it"
    )
    schema_name: Name = Field(default="public", alias="schema", description="Where tables are that name no schema")
    ssl: Annotated[
        Literal["disable", "require", "verify-ca", "verify-full"] | None,
        BeforeValidator(_as_mode),
    ] = Field(
        default=None,
        description="TLS. Default: `verify-full` off loopback and with `ssl_ca`, or what `pg_dsn` says in its "
        "`sslmode`; `require` (and true) encrypts without knowing who answers. "
        "`disable` is needed for an `http://` address off loopback",
    )
    ssl_ca: str | None = Field(
        default=None, min_length=1, description="File of the certificate authority; relative to the pipeline's folder"
    )
    connect_timeout: float = Field(default=10.0, gt=0, le=600, description="Seconds to wait for a connection")
    statement_timeout: float | None = Field(
        default=None,
        ge=0,
        description="Seconds that one statement may take on the server; 0 for no limit. Default: the role's own",
    )
    request_timeout: float = Field(default=60.0, gt=0, description="Seconds to wait for the answer to one REST request")
    default: bool = Field(default=False, description="Whether `@supabase` without an alias means this connection")

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        keys = [key for key in (self.key, self.service_role_key, self.anon_key) if key is not None]
        if self.key is not None and len(keys) > 1:
            raise ValueError("give `key`, or the older `service_role_key` and `anon_key`, not both")
        if self.url is None and self.pg_dsn is None:
            raise ValueError("give `pg_dsn`, or `url` and `key`")
        if self.url is not None and not keys and self.pg_dsn is None:
            raise ValueError("`url` needs a `key`")
        return self

    @property
    def api_key(self) -> str | None:
        """The key to use over REST: ``key``, else the secret one, else the publishable one."""
        found = self.key or self.service_role_key or self.anon_key
        return None if found is None else found.get_secret_value()

    @property
    def has_rest(self) -> bool:
        """Whether there is what REST needs."""
        return self.url is not None and self.api_key is not None


Scalar = bool | int | float | str | datetime | date


class Filter(_Config):
    """A condition on one column; the same over both transports, and all of them have to hold.

    A value is read as the column's type reads it, as in ``column = 'value'``.
    """

    column: Name = Field(description="The column")
    op: Literal["eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "like", "ilike"] = Field(
        default="eq",
        description="eq, neq, gt, gte, lt, lte; in (a list); is (null, true, false, not null); like, ilike (% and _)",
    )
    value: Scalar | list[Scalar] | None = Field(default=None, description="What to compare with")

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if self.op == "in":
            if not isinstance(self.value, list):
                raise ValueError("op `in` needs a list as its value")
        elif isinstance(self.value, list):
            raise ValueError(f"op `{self.op}` takes one value; use `in` for a list")
        elif self.op == "is":
            if self.value not in (None, "null", "not null") and not isinstance(self.value, bool):
                raise ValueError("op `is` takes null, true, false or `not null`")
        elif self.value is None:
            raise ValueError("use op `is` to look for null")
        elif self.op in ("like", "ilike") and not isinstance(self.value, str):
            raise ValueError(f"op `{self.op}` needs a text")
        return self

    @property
    def texts(self) -> list[str]:
        """The value, or each of the list, as PostgreSQL reads it; ``null`` and ``not null`` for those of ``is``."""
        values = self.value if isinstance(self.value, list) else [self.value]
        return [_text(value) for value in values]


def _text(value: Scalar | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


class Order(_Config):
    """A column to sort by; as text: ``name`` or ``name desc``."""

    column: Name = Field(description="The column")
    descending: bool = Field(default=False, description="Highest first")
    nulls: Literal["first", "last"] | None = Field(
        default=None, description="Where NULL goes; default last, or first where descending"
    )

    @property
    def nulls_first(self) -> bool:
        """Whether NULL comes before all values."""
        return self.descending if self.nulls is None else self.nulls == "first"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


def _as_order(value: object) -> object:
    if not isinstance(value, str):
        return value
    name, _, direction = value.strip().rpartition(" ")
    if name and direction.lower() in ("asc", "desc"):
        return {"column": name.strip(), "descending": direction.lower() == "desc"}
    return {"column": value.strip()}


class _StepConfig(_Config):
    connection: str | dict[str, Any] = Field(
        description="A connection of family supabase, as `@supabase.main`", repr=False
    )
    transport: Transport = Field(
        default="auto",
        description="`postgres` (needs `pg_dsn`), `rest` (needs `url` and a key), or `auto`: postgres where there is a "
        "`pg_dsn`",
    )


class ExtractorConfig(_StepConfig):
    """Options of ``supabase.extractor``."""

    table: Name | None = Field(default=None, description="The table or view to read, as `t` or `schema.t`")
    query: Annotated[str, Field(pattern=r"\S")] | None = Field(
        default=None, description="The SELECT to read, instead of `table`; only over postgres"
    )
    columns: Names | None = Field(default=None, description="Which columns of `table`, in this order; default all")
    filters: Annotated[list[Filter], OneOrMore()] = Field(
        default_factory=list, description="Conditions on the rows of `table`, all of which have to hold"
    )
    order: Annotated[list[Annotated[Order, BeforeValidator(_as_order)]], OneOrMore()] = Field(
        default_factory=list, description="How to sort `table`: `name`, `name desc`, or `{column, descending, nulls}`"
    )
    limit: int | None = Field(default=None, ge=0, description="At most so many rows")
    page_size: int = Field(default=1000, ge=1, le=1_000_000, description="Rows to ask for in one REST request")
    parallel_pages: int = Field(default=1, ge=1, le=32, description="REST requests under way at the same time")

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("give either `query` or `table`")
        if self.query is not None and (self.columns is not None or self.filters or self.order):
            raise ValueError("`columns`, `filters` and `order` go with `table`; put them into the query")
        if self.query is not None and self.transport == "rest":
            raise ValueError("`query` needs transport postgres: REST reads tables and views only")
        return self


class WriterConfig(_StepConfig):
    """Options of ``supabase.writer``."""

    table: Name = Field(description="The table to write, as `t` or `schema.t`")
    write_mode: Literal["append", "replace", "upsert"] = Field(
        default="append",
        description="append adds rows; replace puts the new rows in place of all old ones; upsert updates rows with "
        "the same primary_key and adds the others",
    )
    primary_key: Names | None = Field(default=None, description="The columns that identify a row; needed for upsert")
    on_conflict: Literal["update", "ignore"] = Field(
        default="update", description="What upsert does with a row whose key is there: update it, or leave it as it is"
    )
    create_if_missing: bool = Field(
        default=False,
        description="Create the table, with row-level security on, if it is not there; only over postgres",
    )
    batch_size: int = Field(default=1000, ge=1, le=1_000_000, description="At most so many rows in one REST request")
    batch_bytes: int = Field(
        default=1_000_000, ge=1_000, le=1_000_000_000, description="At most about so many bytes in one REST request"
    )
    parallel_batches: int = Field(default=1, ge=1, le=32, description="REST requests under way at the same time")
    commit_marker: bool = Field(
        default=True,
        description="Note what was written in the table `_osiris_commits`, so that a resumed run does not write twice",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.write_mode == "upsert" and self.primary_key is None:
            raise ValueError("write_mode upsert needs `primary_key`")
        if self.create_if_missing and self.transport == "rest":
            raise ValueError("`create_if_missing` needs transport postgres: REST cannot create tables")
        return self
