"""What ``osiris connections test`` finds out: whether the server answers, and what the user may do there."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from osiris.core.driver import StepContext
from osiris.drivers.mysql.client import connect
from osiris.drivers.mysql.connection import connection_of

__all__ = ["check_connection"]

_RIGHTS = (
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "ALTER",
    "DROP",
    "INDEX",
    "LOCK TABLES",
    "RELOAD",
    "ALL PRIVILEGES",
)
"""Those that the drivers can use."""


def check_connection(ctx: StepContext) -> dict[str, Any]:
    """Log in, ask one thing, change nothing.

    Returns:
        ``latency_ms`` (of one question), ``server``, ``version``, ``database``, ``tls``, ``rights`` (those that the
        drivers can use, anywhere), ``local_infile`` (whether LOAD DATA LOCAL is allowed), ``max_allowed_packet``
        (bytes), ``time_zone``, ``sql_mode``.

    Raises:
        DriverError: As :func:`osiris.drivers.mysql.client.connect`.
    """
    session = connect(connection_of(ctx), ctx)
    try:
        begun = perf_counter()
        session.execute("SELECT 1")
        latency = round((perf_counter() - begun) * 1000, 3)
        grants = [str(row[0]) for row in session.execute("SHOW GRANTS").rows]
    finally:
        session.close()
    server = session.server
    return {
        "latency_ms": latency,
        **server.facts(),
        "database": server.database,
        "rights": _rights(grants),
        "local_infile": server.local_infile,
        "max_allowed_packet": server.max_allowed_packet,
    }


def _rights(grants: list[str]) -> list[str]:
    """The names between GRANT and ON of every line, of those that matter."""
    found = set()
    for grant in grants:
        names, on, _ = grant.removeprefix("GRANT ").partition(" ON ")
        if on:
            found |= {name.partition("(")[0].strip() for name in names.split(",")}
    return [name for name in _RIGHTS if name in found]
