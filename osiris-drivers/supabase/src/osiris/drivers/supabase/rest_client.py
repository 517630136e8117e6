"""The one module that speaks HTTP: requests to ``/rest/v1`` with retries that never do anything twice.

httpx alone, beneath the query builders of ``postgrest`` and ``supabase``: those tell no HTTP status, read NUMERIC as
a float, cannot send a Decimal, and repeat requests by rules of their own.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.rest_errors import AnswerLostError, Refusal, refused, unreachable

__all__ = ["CACHE_WAITS", "Answer", "RestClient", "role_of"]

Params = Sequence[tuple[str, str]]

_ATTEMPTS = 6
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_LONGEST_RETRY_AFTER = 60.0
CACHE_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between looks at a schema cache that may be behind."""

_PLAIN_IN_QUERY = "(),:.*"
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Answer:
    """A success."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    seconds: float


class RestClient:
    """A project's REST address, for one step. Threads may share it.

    Args:
        connection: With ``url`` and a key.
        ctx: Waits and requests under way end when this is cancelled.
        schema: Which schema's tables are meant.

    Raises:
        DriverError: ``supabase.insecure_url``: the key would cross a network unencrypted.
    """

    def __init__(self, connection: SupabaseConnection, ctx: StepContext, schema: str) -> None:
        key = connection.api_key or ""
        self.url = _rest_url(connection)
        self.role = role_of(key)
        self.bypasses_rls = self.role == "service_role"
        self._ctx = ctx
        self._stopped = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._exit = ExitStack()
        headers = {"apikey": key, "Accept": "application/json", "Accept-Profile": schema, "Content-Profile": schema}
        if _claims(key):  # the newer keys are none, and must not be sent as a bearer token
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(connection.request_timeout, connect=connection.connect_timeout),
            verify=_trust(connection, ctx) if self.url.startswith("https") else False,
            trust_env=not _is_loopback(self.url),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=40),
        )
        self._exit.callback(self._client.close)
        self._exit.enter_context(ctx.on_cancel(self._interrupt))

    def request(
        self,
        method: str,
        table: str,
        params: Params = (),
        *,
        what: str,
        content: bytes | None = None,
        prefer: str | None = None,
        repeatable: bool = True,
        waits_for_schema: bool = True,
    ) -> Answer:
        """Send one request until it is answered for good.

        Args:
            method: Of HTTP.
            table: Below ``/rest/v1/``; empty for the description of the schema.
            params: Of the query, in order.
            what: What the errors call it.
            content: The body, JSON.
            prefer: The header of this name.
            repeatable: Whether executing it twice gives the same as once.
            waits_for_schema: Whether what PostgREST does not know may be so new that it has not seen it yet.

        Raises:
            AnswerLostError: It is not repeatable, and may have been executed.
            DriverError: It was refused; nothing was changed by it. ``supabase.unreachable``: nobody answers.
            RunCancelledError: The run was asked to stop.
        """
        headers = {} if content is None else {"Content-Type": "application/json"}
        if prefer is not None:
            headers["Prefer"] = prefer
        attempt = lag = 0
        while True:
            attempt += 1
            try:
                answer = self._send(method, table, params, content, headers)
            except httpx.TransportError as error:
                self._ctx.raise_if_cancelled()
                if not repeatable and not isinstance(error, _NEVER_SENT):
                    raise AnswerLostError(f"{what}: the connection broke before the answer came") from error
                if attempt == _ATTEMPTS:
                    raise unreachable(self.url, error, attempt) from error
                self.wait(_backoff(attempt), what, type(error).__name__)
                continue
            except httpx.InvalidURL as error:
                raise unreachable(self.url, error, attempt) from error
            if 200 <= answer.status < 300:
                return answer
            refusal = Refusal.of(answer.status, answer.content)
            if waits_for_schema and refusal.is_cache_lag and lag < len(CACHE_WAITS):
                self.wait(CACHE_WAITS[lag], what, str(refusal.code))
                lag, attempt = lag + 1, attempt - 1
                continue
            if not repeatable and not refusal.was_not_executed:
                raise AnswerLostError(f"{what}: HTTP {answer.status} came in place of an answer") from None
            after = _retry_after(answer.headers)
            if not refusal.may_pass or attempt == _ATTEMPTS or (after or 0) > _LONGEST_RETRY_AFTER:
                raise refused(refusal, what, self.role, retry_after=after)
            # PostgREST itself says 0 while it starts, for longer than a few attempts take.
            self.wait(max(_backoff(attempt), after or 0), what, f"HTTP {answer.status}")

    def wait(self, seconds: float, what: str, reason: str) -> None:
        """Pause before asking again, and tell why.

        Raises:
            RunCancelledError: The run was asked to stop; the pause ends at once.
        """
        self._ctx.log_event("request_retry", {"what": what, "reason": reason, "wait_seconds": round(seconds, 3)})
        self._stopped.wait(seconds)
        self._ctx.raise_if_cancelled()

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self._exit.close()

    def _send(
        self, method: str, table: str, params: Params, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        self._ctx.raise_if_cancelled()
        url = f"{self.url}/{quote(table, safe='')}"
        if params:
            # httpx itself would leave characters that mean something, as + and &.
            url += "?" + "&".join(
                f"{quote(name, safe='')}={quote(value, safe=_PLAIN_IN_QUERY)}" for name, value in params
            )
        begun = time.perf_counter()
        response = self._client.request(
            method, url, content=content, headers=dict(headers), extensions={"trace": self._watch}
        )
        return Answer(response.status_code, response.headers, response.content, time.perf_counter() - begun)

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the sockets: shutting one down is what ends a read that another thread waits in."""
        if event == "connection.connect_tcp.complete":
            with self._lock:
                self._sockets = {known for known in self._sockets if known.fileno() != -1}
                self._sockets.add(info["return_value"].get_extra_info("socket"))
        elif event == "connection.start_tls.complete":
            with self._lock:
                self._sockets.add(info["return_value"].get_extra_info("socket"))

    def _interrupt(self) -> None:
        self._stopped.set()
        with self._lock:
            for known in self._sockets:
                with suppress(OSError):
                    # Not SSLSocket's own, which first forgets that it is encrypted: a reader would see ciphertext.
                    socket.socket.shutdown(known, socket.SHUT_RDWR)


def role_of(key: str) -> str:
    """The database role that a key stands for: ``service_role``, ``anon``, ...; ``unknown`` where it does not tell."""
    if key.startswith("sb_secret_"):
        return "service_role"
    if key.startswith("sb_publishable_"):
        return "anon"
    return str(_claims(key).get("role", "unknown"))


def _claims(key: str) -> Mapping[str, Any]:
    """What a JWT says; empty for anything else."""
    parts = key.split(".")
    if len(parts) != 3:
        return {}
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _rest_url(connection: SupabaseConnection) -> str:
    url = (connection.url or "").rstrip("/").removesuffix("/rest/v1")
    if url.startswith("http://") and not _is_loopback(url) and connection.ssl != "disable":
        raise DriverError(
            f"{url} is not encrypted: the key would cross the network in clear",
            hint="use https://, or say ssl: disable in the connection where the network is your own",
            code="supabase.insecure_url",
        )
    return f"{url}/rest/v1"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _trust(connection: SupabaseConnection, ctx: StepContext) -> ssl.SSLContext | bool:
    if connection.ssl_ca is None:
        return True
    file = ctx.resolve_path(connection.ssl_ca)
    try:
        return ssl.create_default_context(cafile=str(file))
    except OSError as error:  # an SSLError is one
        raise DriverError(
            f"{file} cannot be read as certificates of an authority: {error.strerror or type(error).__name__}",
            hint="ssl_ca should name a PEM file",
            code="supabase.bad_certificates",
        ) from error


def _backoff(attempt: int) -> float:
    longest: float = min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT)
    return longest * random.uniform(0.5, 1)  # noqa: S311  # so that many clients do not come back together


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from now, told as seconds or as an HTTP date."""
    told = headers.get("retry-after")
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None
