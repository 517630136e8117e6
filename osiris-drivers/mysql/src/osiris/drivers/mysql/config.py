"""The options of ``mysql.extractor`` and of a ``mysql`` connection."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, unquote

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from osiris.core.one_or_more import OneOrMore

__all__ = ["ExtractorConfig", "MySqlConnection", "MySqlTls"]

_CHARSETS = frozenset({"utf8mb4", "utf8mb3", "utf8"})
_SCHEMES = frozenset({"mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"})


def _as_text(value: object) -> object:
    # `password: 12345` is a number in YAML, but nobody means one.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), OneOrMore()]
"""One name, or a list of names."""

Sql = Annotated[str, Field(min_length=1, pattern=r"\S")]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class MySqlTls(_Config):
    """The ``ssl`` option of a connection."""

    ca: str | None = Field(default=None, description="File with the certificates that sign the server's, in PEM")
    cert: str | None = Field(default=None, description="File with the client's own certificate, in PEM")
    key: str | None = Field(default=None, description="File with the key of `cert`, in PEM, without a passphrase")
    verify: bool | None = Field(
        default=None,
        description="Check the server's certificate and host name; default: yes, unless the server is this machine and "
        "no `ca` is given. Without `ca`, the machine's own list of authorities decides",
    )

    @model_validator(mode="after")
    def _key_goes_with_cert(self) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError("`key` goes with `cert`")
        return self


class MySqlConnection(_Config):
    """A ``mysql`` entry of ``osiris_connections.yaml``."""

    host: str = Field(default="localhost", min_length=1, description="Where the server is; an IPv6 address as `::1`")
    port: int = Field(default=3306, ge=1, le=65_535, description="Its port")
    user: str = Field(
        default="",
        validation_alias=AliasChoices("user", "username"),
        description="Who logs in; `username` means the same",
    )
    password: Annotated[SecretStr, BeforeValidator(_as_text)] = Field(
        default=SecretStr(""), description="With any characters; never shown"
    )
    database: str | None = Field(default=None, min_length=1, description="The database that names without one mean")
    unix_socket: str | None = Field(default=None, min_length=1, description="The server's socket, instead of host")
    url: Annotated[SecretStr | None, BeforeValidator(_as_text)] = Field(
        default=None,
        validation_alias=AliasChoices("url", "dsn"),
        description="`mysql://user:password@host:port/database`; options beside it go before what it says; `dsn` "
        "means the same",
    )
    charset: str = Field(
        default="utf8mb4",
        description="Taken for compatibility: the driver always speaks utf8mb4, in which nothing is lost; the server "
        "converts to and from the charset of each column",
    )
    connect_timeout: Seconds = Field(default=10, description="Seconds until the server has to have answered")
    read_timeout: Seconds | None = Field(
        default=None, description="Seconds that the server may be silent within a query; default: any time"
    )
    write_timeout: Seconds | None = Field(
        default=None, description="Seconds that the server may leave sent data unread; default: any time"
    )
    ssl: MySqlTls | bool | None = Field(
        default=None,
        description="true: TLS; false: none; or a mapping. Default: TLS unless the server is this machine",
    )
    default: bool = Field(default=False, description="Whether `@mysql` without an alias means this connection")

    @model_validator(mode="before")
    @classmethod
    def _with_url(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        url = next((values[key] for key in ("url", "dsn") if isinstance(values.get(key), str)), None)
        if url is None or "${" in url:
            return values
        given = {"user" if key == "username" else key: value for key, value in values.items()}
        try:
            return {**_parse_url(url), **given}
        except ValueError:  # told by the field's own check, which says where it stands
            return values

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _parse_url(value.get_secret_value())
        return value

    @field_validator("charset")
    @classmethod
    def _check_charset(cls, value: str) -> str:
        if value.lower() not in _CHARSETS:
            raise ValueError(f"charset {value!r} would lose characters on the way: leave it out, or write utf8mb4")
        return "utf8mb4"

    @property
    def is_local(self) -> bool:
        """Whether the server is this very machine: no network in between."""
        if self.unix_socket is not None or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def tls(self) -> MySqlTls | None:
        """How to encrypt, and whether to verify; None: not at all."""
        chosen = self.ssl
        if not isinstance(chosen, MySqlTls):
            wanted = not self.is_local if chosen is None else chosen
            if not wanted or self.unix_socket is not None:
                return None
            chosen = MySqlTls()
        if chosen.verify is not None:
            return chosen
        return chosen.model_copy(update={"verify": chosen.ca is not None or not self.is_local})

    @property
    def place(self) -> str:
        """Who and where, for messages: no secrets."""
        where = self.unix_socket or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")
        return f"{self.user}@{where}" if self.user else where


def _parse_url(url: str) -> dict[str, Any]:
    """The options in ``mysql://user:password@host:port/database?charset=...``.

    The last ``@`` ends the password, so that one with ``@``, ``/``, ``#`` or ``?`` in it works as it is, too.

    Raises:
        ValueError: It is something else; the message does not repeat it.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme.lower() not in _SCHEMES:
        raise ValueError("url must look like mysql://user:password@host:port/database")
    login, at, place = rest.rpartition("@")
    values: dict[str, Any] = {}
    if at:
        user, colon, password = login.partition(":")
        values["user"] = unquote(user)
        if colon:
            values["password"] = unquote(password)
    place, _, query = place.partition("?")
    address, _, database = place.partition("/")
    if database:
        values["database"] = unquote(database)
    host, port = _split_address(address)
    if host:
        values["host"] = unquote(host)
    if port:
        if not port.isdigit():
            raise ValueError("the port in url must be a number")
        values["port"] = int(port)
    for key, value in parse_qsl(query):
        if key not in ("charset", "connect_timeout", "read_timeout", "write_timeout", "unix_socket"):
            raise ValueError(f"url has the unknown option {key!r}; write it beside the url")
        values[key] = value
    return values


def _split_address(address: str) -> tuple[str, str]:
    if address.startswith("["):  # [::1]:3306
        host, _, rest = address[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = address.partition(":")
    return host, port


class ExtractorConfig(_Config):
    """Options of ``mysql.extractor``."""

    connection: str | None = Field(default=None, description="A connection of family mysql, as `@mysql.main`")
    query: Sql | None = Field(
        default=None, description="The SELECT to read, instead of `table`; `?` stands for each of `params`"
    )
    table: str | None = Field(default=None, min_length=1, description="The table or view to read, as `t` or `db.t`")
    columns: Names | None = Field(default=None, description="Which columns of `table`, in this order; default all")
    where: Sql | None = Field(
        default=None, description="An SQL condition on the rows of `table`; `?` stands for each of `params`"
    )
    limit: int | None = Field(default=None, ge=0, description="At most so many rows")
    params: list[bool | int | float | str | None] = Field(
        default_factory=list, description="Values for the `?` in `query` or `where`, in order; bound by the server"
    )
    partition_by: str | None = Field(
        default=None,
        min_length=1,
        description="A column of whole numbers, dates or times; its range is divided among `partitions` connections",
    )
    partitions: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many connections read at a time; more than one needs partition_by",
    )
    query_timeout: Seconds | None = Field(
        default=None, description="Seconds until the server stops the query, reading included; default: never"
    )
    zero_dates: Literal["null", "error", "text"] = Field(
        default="error",
        description="Dates such as `0000-00-00` or `2026-02-00`: NULL; an error; or all dates and times as text",
    )

    protocol: Literal["auto", "binary", "text"] = Field(
        default="auto",
        description="binary: prepared statements, rows taken from packets; text: rows by PyMySQL's cursor, the same "
        "values several times slower; auto: binary, or text where the server or a proxy prepares no statements",
    )

    @field_validator("zero_dates", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: object) -> object:
        return "null" if value is None else value

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("give either `query` or `table`")
        if self.query is not None and (self.columns is not None or self.where is not None):
            raise ValueError("`columns` and `where` go with `table`; put them into the query")
        if self.partitions > 1 and self.partition_by is None:
            raise ValueError("`partitions` needs `partition_by`: the column whose range is divided")
        if self.partitions > 1 and self.limit is not None:
            raise ValueError("`limit` and `partitions` exclude each other: which rows would be left is up to chance")
        return self
