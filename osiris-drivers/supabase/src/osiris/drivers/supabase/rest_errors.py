"""What a refused request means, by HTTP status and by the code that PostgREST or PostgreSQL gave; never by text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.errors import STATES, from_sqlstate

__all__ = ["AnswerLostError", "Refusal", "refused", "unreachable"]

_SQLSTATE = re.compile(r"[0-9A-Z]{5}")

_CODES: Mapping[str, tuple[str, str]] = {
    "PGRST106": ("no_schema", "expose the schema in the project's API settings, or name another `schema`"),
    "PGRST202": ("no_function", "the table's name must not hold a path; check it"),
    "PGRST204": ("no_column", "check the names of columns, case too; after a change of the table wait a moment"),
    "PGRST205": ("no_table", "check the table's name and schema, case too; the schema must be exposed to the API"),
    "PGRST301": ("access_denied", "the key is no valid JWT of this project: copy it again from the API settings"),
    "PGRST302": ("access_denied", "the project wants a key: copy one from the API settings"),
    "PGRST303": ("access_denied", "the key has expired or is not valid yet: copy a new one from the API settings"),
}

_STATUSES: Mapping[int, tuple[str, str]] = {
    401: ("access_denied", "the key is not one of this project: copy it again from the project's API settings"),
    402: ("quota_exceeded", "the project's plan is used up; see its dashboard"),
    403: ("forbidden", "grant the key's role what it needs, add a policy, or use the secret key"),
    404: ("wrong_url", "url should be the project's address alone, as https://abc.supabase.co"),
    406: ("not_acceptable", "the server does not give JSON here; check url"),
    408: ("timeout", "the server waited too long for the request; run again"),
    409: ("conflict", "a row with this key is there already, or a row that is referred to is missing"),
    413: ("too_large", "the server takes no body of this size: lower batch_bytes"),
    414: ("too_large", "the filters are too long for an address: read less columns, or filter less values at once"),
    429: ("rate_limited", "the project's limit of requests is reached; run again later"),
    540: ("paused", "the project is paused: restore it in the dashboard"),
    544: ("timeout", "the database's own pooler did not answer in time; run again"),
}

_NOT_EXECUTED = frozenset({"PGRST000", "PGRST001", "PGRST002", "PGRST003"})
"""PostgREST had no connection to the database, so that nothing was executed."""

_CACHE_LAG = frozenset({"PGRST202", "PGRST204", "PGRST205"})
"""PostgREST has not yet seen a change of the schema, or the thing does not exist."""


class AnswerLostError(DriverError):
    """A request that must not be repeated was sent, and nobody knows whether it was executed."""

    code = "supabase.answer_lost"


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a success.

    Attributes:
        status: Of HTTP.
        code: PostgREST's or PostgreSQL's; None where the answer came from something in front of them.
        message, details, hint: As told; the beginning of the body where that is not JSON.
    """

    status: int
    code: str | None
    message: str
    details: str | None = None
    hint: str | None = None

    @classmethod
    def of(cls, status: int, body: bytes) -> Refusal:
        """Read an answer's body, whoever wrote it."""
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            return cls(status, None, _one_line(body[:200].decode("utf-8", "replace")))
        if status == 404 and not told:  # older PostgREST, asked to insert into a table that it does not know
            return cls(status, "PGRST205", "there is no such table")
        text = {key: _one_line(str(told[key])) for key in ("message", "details", "hint") if told.get(key)}
        code = told.get("code")
        return cls(
            status,
            code if isinstance(code, str) else None,
            text.get("message") or _one_line(str(told)),
            **{key: text.get(key) for key in ("details", "hint")},
        )

    @property
    def sqlstate(self) -> str | None:
        """PostgreSQL's code, where it was the database that refused."""
        return self.code if self.code is not None and _SQLSTATE.fullmatch(self.code) else None

    @property
    def is_cache_lag(self) -> bool:
        """Whether it may be gone when PostgREST has read the schema again."""
        return self.code in _CACHE_LAG

    @property
    def was_not_executed(self) -> bool:
        """Whether it is certain that the request changed nothing."""
        if self.status < 500 or self.code in _NOT_EXECUTED:
            return True
        return self.sqlstate is not None and not self.sqlstate.startswith("08")

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed a moment later."""
        if self.status == 540:
            return False
        if self.sqlstate is not None:
            known = STATES.get(self.sqlstate) or STATES.get(self.sqlstate[:2])
            return known is not None and known[2] and self.sqlstate[:2] != "XX"
        return self.status in (408, 425, 429) or self.status >= 500


def refused(refusal: Refusal, what: str, role: str, **facts: Any) -> DriverError:
    """The error for the user.

    Args:
        refusal: What came back.
        what: What was asked for: a table, or rows of one.
        role: The database role of the key, for the hint.
        facts: More to say, as ``retry_after``.
    """
    text = f"{what}: {refusal.message}" + (f" ({refusal.details})" if refusal.details else "")
    text += f" [HTTP {refusal.status}{f', {refusal.code}' if refusal.code else ''}]"
    facts = {key: value for key, value in facts.items() if value is not None}
    if refusal.sqlstate is not None:
        error = from_sqlstate(refusal.sqlstate, text, status=refusal.status, **facts)
        error.hint = _hint_of(refusal, error.hint or "", role)
        return error
    if refusal.code is not None and refusal.code in _CODES:
        name, hint = _CODES[refusal.code]
    elif refusal.status >= 500 and refusal.status not in _STATUSES:
        name, hint = "server_error", "the project or what stands in front of it has trouble; run again later"
    else:
        name, hint = _STATUSES.get(refusal.status, ("failed", "see the message"))
    if refusal.hint:
        hint += f"; the server says: {refusal.hint}"
    return DriverError(
        text,
        hint=hint,
        code=f"supabase.{name}",
        retryable=refusal.may_pass,
        status=refusal.status,
        **({"server_code": refusal.code} if refusal.code else {}),
        **facts,
    )


def _hint_of(refusal: Refusal, hint: str, role: str) -> str:
    if refusal.sqlstate == "42501":
        hint = (
            f"the key's role is {role}: it has no such right, or row-level security allows it no such row; "
            "grant it, add a policy, or use the secret key"
        )
    elif refusal.sqlstate == "57014":
        hint = "the role's statement_timeout was reached: raise it, or use smaller pages and batches"
    elif refusal.sqlstate == "3F000":
        hint = "check schema in the connection; it must be exposed in the project's API settings"
    return f"{hint}; the server says: {refusal.hint}" if refusal.hint else hint


def unreachable(url: str, reason: BaseException, attempts: int) -> DriverError:
    """Nobody answers there."""
    told = _one_line(str(reason)) or type(reason).__name__
    return DriverError(
        f"{url} does not answer: {told} ({attempts} attempts)",
        hint="check url in the connection, the network, and whether the project is paused",
        code="supabase.unreachable",
        retryable=True,
        url=url,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
