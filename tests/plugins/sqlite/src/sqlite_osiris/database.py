"""A SQLite file: opened, and its errors in words that say what to do. The one module that opens connections."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError

__all__ = ["database_file", "explained", "open_database", "quoted"]

_EXPLAINED = {  # by the client's own code, never by the text of its message
    "SQLITE_BUSY": ("sqlite.locked", "somebody else is writing; raise `timeout` of the connection, or wait"),
    "SQLITE_LOCKED": ("sqlite.locked", "another step of this run has the table open; order them with `needs`"),
    "SQLITE_CANTOPEN": ("sqlite.cannot_open", "correct `path` of the connection; its folder must exist"),
    "SQLITE_NOTADB": ("sqlite.not_a_database", "correct `path` of the connection"),
    "SQLITE_READONLY": ("sqlite.read_only", "check who may write to the file and its folder"),
    "SQLITE_FULL": ("sqlite.full", "free some space"),
    "SQLITE_CONSTRAINT": ("sqlite.constraint", "the rows break a rule of the table; see its definition"),
}
_RETRYABLE = {"sqlite.locked"}


def database_file(ctx: StepContext) -> Path:
    """The file that the step's connection names."""
    return ctx.resolve_path((ctx.connection or {})["path"])


def open_database(ctx: StepContext, *, write: bool = False) -> sqlite3.Connection:
    """Open the connection's file; for writing, it is made if it is not there.

    Raises:
        DriverError: `sqlite.cannot_open`, `sqlite.not_a_database`, `sqlite.locked` (retryable).
    """
    file = database_file(ctx)
    timeout = float((ctx.connection or {}).get("timeout", 30.0))
    # Not mode=ro for reading: who was killed while writing leaves a journal, and rolling that back is writing.
    url = f"file:{quote(str(file))}?mode={'rwc' if write else 'rw'}"
    with explained(f"{file} cannot be opened"):
        # Transactions are begun and ended by us; a stream may be closed by another thread than read it.
        connection = sqlite3.connect(url, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("select count(*) from sqlite_master")  # nothing is read before this
            connection.execute(f"pragma query_only = {not write}")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def explained(what: str, ctx: StepContext | None = None) -> Iterator[None]:
    """While the block runs, sqlite3's errors become DriverErrors; where the run was cancelled, that is the reason."""
    try:
        yield
    except sqlite3.Error as error:
        if ctx is not None:
            ctx.raise_if_cancelled()
        code, hint = _explanation(getattr(error, "sqlite_errorname", None) or "")
        raise DriverError(f"{what}: {error}", hint=hint, code=code, retryable=code in _RETRYABLE) from error


def _explanation(name: str) -> tuple[str, str]:
    """Code and hint for an error's name; extended ones, as SQLITE_CONSTRAINT_UNIQUE, begin with the plain one."""
    plain = "_".join(name.split("_")[:2])
    return _EXPLAINED.get(plain, ("sqlite.failed", "check table, columns and condition"))


def quoted(name: str) -> str:
    """An identifier in SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
