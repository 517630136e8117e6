"""Read-only transactions that see one state of the database, and what can be promised of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import Session

__all__ = ["begin", "begin_together"]

_BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_LOCK_PATIENCE = 3
"""Seconds to wait for a lock that others wait behind: a promise less is better than a stop for all."""

_NO_LOCK = frozenset({"mysql.not_allowed", "mysql.lock_wait", "mysql.access_denied", "mysql.not_supported"})


def begin(session: Session) -> None:
    """Begin a transaction in which the server itself refuses to write, and which sees one state."""
    # The default may be READ COMMITTED, in which each statement sees a state of its own.
    session.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    session.execute(_BEGIN)


def begin_together(
    sessions: Sequence[Session], open_session: Callable[[], Session], table: str | None
) -> dict[str, Any]:
    """Begin a transaction on each, all with the same state where a lock can be had for the moment.

    Args:
        sessions: Freshly opened.
        open_session: Gives one more, for the lock.
        table: The table that is read, quoted; None where it is a query.

    Returns:
        For an event: ``snapshot`` is ``one`` (all see the same state) or ``several``; ``lock`` what made it so;
        ``spread_ms`` the time between the first and the last snapshot.
    """
    if len(sessions) == 1:
        begin(sessions[0])
        return {"snapshot": "one", "lock": None}
    locker = open_session()
    try:
        lock = _lock(locker, table)
        begun = perf_counter()
        for session in sessions:
            begin(session)
        spread = round((perf_counter() - begun) * 1000, 3)
        if lock is not None:
            locker.execute("UNLOCK TABLES")
    finally:
        locker.close()
    return {"snapshot": "one" if lock else "several", "lock": lock, "spread_ms": spread}


def _lock(locker: Session, table: str | None) -> str | None:
    """Keep everybody from committing; which lock does it, None where none can be had."""
    locker.execute(f"SET SESSION lock_wait_timeout = {_LOCK_PATIENCE}")
    ways = ["FLUSH TABLES WITH READ LOCK"] + ([] if table is None else [f"LOCK TABLES {table} READ"])
    for way in ways:
        try:
            locker.execute(way)
        except DriverError as error:
            if error.code not in _NO_LOCK:
                raise
            continue
        return way
    with suppress(DriverError):
        locker.execute("UNLOCK TABLES")
    return None
