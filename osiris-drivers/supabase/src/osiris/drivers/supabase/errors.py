"""What PostgreSQL says in our words: by SQLSTATE, never by text. Over REST the same codes come with an HTTP status.

The one table :data:`STATES` serves both transports: PostgREST hands on the SQLSTATE of what the database refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from osiris.core.errors import DriverError

__all__ = ["STATES", "PostgresError", "from_postgres", "from_sqlstate"]

STATES: Mapping[str, tuple[str, str, bool]] = {
    # SQLSTATE or its first two letters: (code after "supabase.", hint, whether a moment later it may work)
    "08": ("connection_lost", "check the network and the state of the project; then run again", True),
    "0A": ("not_supported", "PostgreSQL cannot do this; see the message", False),
    "0A000": ("not_supported", "PostgreSQL cannot do this; see the message", False),
    "21000": ("duplicate_in_input", "decide in the step before which row of a key counts", False),
    "22": ("bad_value", "cast or correct the value in the step before", False),
    "22001": ("value_too_long", "shorten the text in the step before, or widen the column", False),
    "22003": ("out_of_range", "the number does not fit the column's type: widen the column, or round before", False),
    "22007": ("bad_value", "write dates and times as 2024-01-31 and 2024-01-31T10:20:30+00", False),
    "22008": ("out_of_range", "the date or time does not fit the column's type", False),
    "22021": ("bad_text", "PostgreSQL holds no NUL character and only valid UTF-8: clean the text before", False),
    "22P02": ("bad_value", "the text cannot be read as the column's type: cast or correct it before", False),
    "22P05": ("bad_text", "PostgreSQL holds no NUL character and only valid UTF-8: clean the text before", False),
    "23": ("constraint", "a row breaks a constraint of the table", False),
    "23502": ("not_null", "fill the column in the step before, or give it a default in the table", False),
    "23503": ("foreign_key", "write the rows that are referred to first", False),
    "23505": ("duplicate_key", "use write_mode: upsert, or leave out rows that are there already", False),
    "23514": ("check_constraint", "correct the value in the step before, or change the check", False),
    "23P01": ("exclusion", "a row overlaps one that is there already", False),
    "25": ("transaction_state", "the query interferes with the transaction it runs in: take that out", False),
    "25006": ("read_only", "the query changes data, or the database accepts no writes just now (disk full?)", False),
    "25P03": ("transaction_timeout", "raise idle_in_transaction_session_timeout, or make the steps faster", True),
    "25P04": ("transaction_timeout", "raise transaction_timeout, or write less at once", False),
    "28": ("access_denied", "check user and password in pg_dsn; a pooler wants the user postgres.<project>", False),
    "28P01": ("access_denied", "check user and password in pg_dsn; a pooler wants the user postgres.<project>", False),
    "3D000": ("no_database", "check the database's name at the end of pg_dsn; Supabase calls it postgres", False),
    "3F000": ("no_schema", "check schema in the connection", False),
    "40": ("serialization", "others changed the same rows at the same time; run again", True),
    "40001": ("serialization", "others changed the same rows at the same time; run again", True),
    "40P01": ("deadlock", "others locked the same rows in another order; run again", True),
    "42": ("query", "see the message", False),
    "42501": ("forbidden", "grant the role what it needs, or add a policy for it", False),
    "42601": ("syntax", "check the SQL at the marked place", False),
    "42703": ("no_column", "check the names of columns; case matters", False),
    "42702": ("ambiguous_column", "say which table the column is of", False),
    "42804": ("type_mismatch", "cast the column in the step before", False),
    "42846": ("type_mismatch", "cast the column in the step before", False),
    "42883": ("no_function", "check names and types, and cast where they differ", False),
    "42P01": ("no_table", "check the table's name and schema; case matters", False),
    "42P10": ("no_unique_index", "upsert needs a primary key or unique index on exactly these columns", False),
    "42P17": ("bad_policy", "a row-level security policy refers to itself; correct it", False),
    "42P07": ("table_exists", "another run created it at the same time; run again", True),
    "428C9": ("generated_column", "the database computes this column: leave it out of the input", False),
    "53": ("no_resources", "the database is short of memory, disk or connections; see its dashboard", True),
    "53100": ("disk_full", "make room or enlarge the project's disk; until then it may be read-only", False),
    "53200": ("out_of_memory", "use a larger instance, or write less at once", True),
    "53300": ("too_many_connections", "use the pooler, or close other connections; then run again", True),
    "54": ("limit", "see the message", False),
    "55P03": ("locked", "another transaction holds the table; run again later", True),
    "57": ("interrupted", "an operator or the server stopped it; run again", True),
    "57014": ("timeout", "raise statement_timeout in the connection (0: none), or read or write less", False),
    "57P01": ("server_shutdown", "the server was stopped or restarted; run again", True),
    "57P02": ("server_shutdown", "the server crashed and restarts; run again", True),
    "57P03": ("server_starting", "the server is starting or shutting down; run again", True),
    "57P05": ("idle_timeout", "the server ended an idle session; run again", True),
    "58": ("server_io", "the server has trouble with its disk; see its logs", True),
    "P0": ("raised", "a function or trigger of the database refused it", False),
    "XX": ("server_error", "an internal error of the server or pooler; run again, and see its logs", True),
}


class PostgresError(Protocol):
    """What is read of an error of the client: ``sqlstate`` and PostgreSQL's diagnostic fields."""

    @property
    def sqlstate(self) -> str | None:
        """Five characters; None where the server said nothing."""

    @property
    def diag(self) -> Any:
        """``message_primary``, ``message_detail``, ``table_name``, ``column_name``, ``constraint_name``, ..."""


def from_sqlstate(state: str, message: str, **facts: Any) -> DriverError:
    """A refusal of the database, by its SQLSTATE."""
    name, hint, retryable = STATES.get(state) or STATES.get(state[:2]) or ("failed", "see the message", False)
    known = {key: value for key, value in facts.items() if value is not None}
    return DriverError(message, hint=hint, code=f"supabase.{name}", retryable=retryable, sqlstate=state, **known)


def from_postgres(error: PostgresError, what: str = "PostgreSQL") -> DriverError:
    """An error of the client: by SQLSTATE where the server gave one, else the connection broke.

    Args:
        error: What the client raised.
        what: Where it happened, for the message: a table, a server.
    """
    state, diag = error.sqlstate, error.diag
    if not state:
        return DriverError(
            f"{what}: the connection broke: {_one_line(str(error))}",
            hint="check the network and the state of the project; then run again",
            code="supabase.connection_lost",
            retryable=True,
        )
    text = _one_line(diag.message_primary or str(error))
    if diag.message_detail:
        text += f" ({_one_line(diag.message_detail)})"
    found = from_sqlstate(
        state,
        f"{what}: {text}",
        table=diag.table_name,
        column=diag.column_name,
        constraint=diag.constraint_name,
        detail=diag.message_detail,
        context=diag.context,
    )
    if diag.message_hint:
        found.hint = f"{found.hint}; PostgreSQL says: {_one_line(diag.message_hint)}"
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
