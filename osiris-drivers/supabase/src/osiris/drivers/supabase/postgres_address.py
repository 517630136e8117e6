"""Where a database is, how it is spoken to (TLS), and why it could not be reached; no client in here."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.errors import from_sqlstate

__all__ = ["Address", "explain_failure"]

_PORT = "5432"
_POOLER_MODES = {"5432": "session", "6543": "transaction"}
# A server that is gone without a word is noticed after half a minute, in the middle of a read too.
_KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_VERIFYING = ("verify-ca", "verify-full")


@dataclass(frozen=True)
class Address:
    """One server, and libpq's parameters for it (with the password: never shown)."""

    host: str
    port: str
    database: str
    user: str
    connect_timeout: float
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, parsed: Mapping[str, str], connection: SupabaseConnection, ctx: StepContext) -> Address:
        """From the parts of ``pg_dsn``.

        Raises:
            DriverError: ``supabase.bad_dsn``: no host, user or database in it.
        """
        missing = [name for name in ("host", "user", "dbname") if not parsed.get(name)]
        if missing:
            raise DriverError(
                f"pg_dsn names no {' and no '.join('database' if name == 'dbname' else name for name in missing)}",
                hint="write postgresql://user:password@host:5432/postgres",
                code="supabase.bad_dsn",
            )
        host, port = parsed["host"], parsed.get("port") or _PORT
        if "@" in host or not port.replace(",", "").isdigit():
            # Not shown: an unquoted password with an @ in it ends up in the host.
            raise DriverError(
                "pg_dsn cannot be taken apart: its host holds an @, or its port is no number",
                hint="where the password holds @ / : # or %, percent-encode it or give it as `password` beside pg_dsn",
                code="supabase.bad_dsn",
            )
        parameters: dict[str, Any] = {**_KEEPALIVES, **parsed, **_tls(parsed, connection, ctx, host)}
        parameters["port"] = port
        parameters["client_encoding"] = "UTF8"
        parameters["connect_timeout"] = str(max(1, round(connection.connect_timeout)))
        parameters.setdefault("gssencmode", "disable")
        parameters.setdefault("application_name", f"osiris {ctx.session_id} {ctx.step_id}"[:63])
        if connection.password is not None:
            parameters["password"] = connection.password.get_secret_value()
        return cls(host, port, parsed["dbname"], parsed["user"], connection.connect_timeout, parameters)

    @property
    def server(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def pooler_mode(self) -> str | None:
        """Of a pooler at this port, as Supabase has them; None: any other port."""
        return _POOLER_MODES.get(self.port)

    def __repr__(self) -> str:
        return f"Address({self.user}@{self.server})"


def _tls(parsed: Mapping[str, str], connection: SupabaseConnection, ctx: StepContext, host: str) -> dict[str, str]:
    authority = None if connection.ssl_ca is None else str(ctx.resolve_path(connection.ssl_ca))
    unknown = authority is None and not parsed.get("sslrootcert")
    default = "prefer" if unknown and _is_loopback(host) else "verify-full"
    mode = connection.ssl or parsed.get("sslmode") or default
    chosen = {"sslmode": mode}
    if authority is not None:
        chosen["sslrootcert"] = authority
    elif mode in _VERIFYING and "sslrootcert" not in parsed:
        chosen["sslrootcert"] = "system"
    return chosen


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# PgBouncer has the one for whatever it refuses, Supavisor the other for a user it does not know.
_POOLERS_REFUSALS = (b"08P01", b"XX000")
_REFUSAL = re.compile(rb'\tErrorResponse\t.* C "([0-9A-Z]{5})" M "(.*?)" (?:[A-Z] "|\\x00)')


def explain_failure(address: Address, told: str, *, timed_out: bool, trace: bytes | None) -> DriverError:
    """Why a connection could not be opened.

    Args:
        address: To where.
        told: The client's words.
        timed_out: Whether the time for connecting ran out.
        trace: What was said on the line when it was tried again.
    """
    if timed_out:
        return DriverError(
            f"{address.server} did not answer within {address.connect_timeout:g} seconds",
            hint="check host and port in pg_dsn, the network, and whether the project is paused; "
            "the direct address of a project is IPv6 only, that of its pooler is not",
            code="supabase.unreachable",
            retryable=True,
        )
    refusal = _REFUSAL.search(trace or b"")
    words = " ".join(told.split())
    said = f"{address.server}: {refusal[2].decode(errors='replace')}" if refusal is not None else ""
    if refusal is not None and refusal[1] in _POOLERS_REFUSALS:
        return DriverError(
            said,
            hint="check user, password and database in pg_dsn; a pooler wants the user postgres.<project>",
            code="supabase.no_session",
            user=address.user,
        )
    if refusal is not None:
        return from_sqlstate(refusal[1].decode(), said, user=address.user)
    unreachable = _why_unreachable(address)
    if unreachable is not None:
        return DriverError(
            f"{address.server} cannot be reached: {unreachable}",
            hint="check host and port in pg_dsn, the network, and whether the project is paused",
            code="supabase.unreachable",
            retryable=True,
        )
    return DriverError(
        f"{address.server} answers, but no session comes about: {words}",
        hint="check ssl and ssl_ca in the connection (Supabase's own authority has its certificate in the project's "
        "database settings), and whether the port is that of PostgreSQL or its pooler",
        code="supabase.no_session",
    )


def _why_unreachable(address: Address) -> str | None:
    """What the system says to a plain TCP connection; None: it works."""
    if address.host.startswith("/"):
        return None
    try:
        with closing(socket.create_connection((address.host, int(address.port)), address.connect_timeout)):
            return None
    except (OSError, ValueError) as error:
        return error.strerror or type(error).__name__ if isinstance(error, OSError) else "the port is no number"
