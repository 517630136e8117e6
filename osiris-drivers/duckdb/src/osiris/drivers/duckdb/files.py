"""Database files that are open in this process: steps that use one file share it.

DuckDB opens a file once per process, either read-only or for writing. So readers join whoever has it open; a writer
that finds it open read-only waits until the readers have finished.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.duckdb.database import OpenError, Refusal, Session, connect, quote_text, refusal_of
from osiris.drivers.duckdb.file_config import DuckdbConnection

__all__ = ["DatabaseFile", "is_open_for_reading"]

WAIT_SECONDS = 60.0
"""How long a writer waits for the readers of the same process."""

_ATTEMPTS = 20
"""How often a file is opened that is said to be free whenever it was not opened."""

_CONTENT = """
SELECT 1 FROM duckdb_tables() WHERE table_name <> '_osiris_commits' OR estimated_size > 0
UNION ALL SELECT 1 FROM duckdb_views() WHERE NOT internal LIMIT 1
"""
"""Gives nothing where nobody has written anything: the table of commits is made before the first of them."""

_EMPTY_DATABASE = 3 * 4096
"""Bytes of the headers that every database file has."""


@dataclass
class _Open:
    connection: Any
    read_only: bool
    users: int = 0


_OPEN: dict[str, _Open] = {}
_CHANGED = threading.Condition()


@dataclass(frozen=True)
class DatabaseFile:
    """One file, as a step names it.

    Attributes:
        path: Absolute, links resolved.
        read_only: Whether its connection forbids writing.
    """

    path: Path
    read_only: bool = False

    @classmethod
    def of(cls, database: str | None, ctx: StepContext) -> DatabaseFile:
        """The file that the option ``database``, or else the step's connection, means.

        Raises:
            DriverError: ``duckdb.no_connection``: there is neither.
        """
        if database is not None:
            return cls(ctx.resolve_path(database).resolve())
        if ctx.connection is None:
            raise DriverError(
                "the step has no resolved duckdb connection",
                hint="describe it in osiris_connections.yaml, or give `database: path/to/file.duckdb`",
                code="duckdb.no_connection",
            )
        known = {key: item for key, item in ctx.connection.items() if key in DuckdbConnection.model_fields}
        connection = DuckdbConnection.model_validate(known)
        return cls(ctx.resolve_path(connection.path).resolve(), connection.read_only)

    def open(
        self, ctx: StepContext, *, write: bool = False, memory_limit: str | None = None, wait: float = WAIT_SECONDS
    ) -> Session:
        """A session of its own on the file.

        Args:
            ctx: The step's.
            write: Whether it will write; the file is created where it is missing.
            memory_limit: What DuckDB may take, in its own form; of all sessions on the file, as it keeps one store
                of pages for them.
            wait: Seconds to wait for readers of this process, where they keep a writer out.

        Raises:
            DriverError: ``duckdb.not_found``, ``duckdb.locked`` (retryable), ``duckdb.not_a_database``,
                ``duckdb.permission``, ``duckdb.io``.
        """
        key = str(self.path)
        deadline = time.monotonic() + wait
        with _CHANGED:
            while (known := _OPEN.get(key)) is not None and known.read_only and write:
                ctx.raise_if_cancelled()
                if time.monotonic() >= deadline:
                    raise _locked(self.path, "other steps of this run still read it")
                _CHANGED.wait(0.1)  # wakes up by itself too, to see a cancel
            if known is None:
                known = _OPEN[key] = _Open(_connect(self.path, write), read_only=not write)
            known.users += 1
            cursor = known.connection.cursor()
        session = Session(cursor, ctx, release=lambda: _release(key))
        session.execute("SET TimeZone = 'UTC'")  # the same result on every machine
        session.execute("SET python_enable_replacements = false")
        if memory_limit is not None:
            session.execute(f"SET memory_limit = {quote_text(memory_limit.strip())}")
        return session

    def make_folder(self) -> None:
        """Make the folders above the file where they are missing.

        Raises:
            DriverError: ``duckdb.io``: they cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DriverError(
                f"the folder {self.path.parent} cannot be made: {error.strerror}",
                hint="check `path` of the connection, and who owns the folders above",
                code="duckdb.io",
                path=str(self.path),
            ) from error

    def check_folder(self) -> None:
        """Look whether the file could be made; makes nothing.

        Raises:
            DriverError: ``duckdb.io``: what should hold it is no folder, or may not be written.
        """
        place = next(folder for folder in self.path.parents if folder.exists())
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            raise DriverError(
                f"{self.path} cannot be made: {place} is {'not writable' if place.is_dir() else 'no folder'}",
                hint="check `path` of the connection, and who owns the folders above",
                code="duckdb.io",
                path=str(self.path),
            )

    def remove_empty(self) -> None:
        """Take away a file that a failed step may have made, unless somebody uses it or has written to it by now."""
        with _CHANGED:
            if str(self.path) in _OPEN:
                return
            if self.path.is_file():
                self._remove_without_tables()
            if not self.path.exists():
                # Where the disk is full, DuckDB leaves its log behind, and opens no new file beside that.
                _log_of(self.path).unlink(missing_ok=True)

    def _remove_without_tables(self) -> None:
        try:
            connection = connect(str(self.path))  # which keeps other processes out
        except OpenError:
            return  # one has it: it is not ours to take away
        try:
            with suppress(OpenError):  # what the step failed by is told, not this
                if not connection.execute(_CONTENT).fetchall():
                    self.path.unlink(missing_ok=True)
        finally:
            connection.close()

    def remove_stillborn(self) -> None:
        """Take away a file that a killed process had only begun to create: DuckDB opens no such file.

        Only for a step that has been at it before: whoever else creates the file at this moment would lose it.
        """
        with _CHANGED:
            if str(self.path) in _OPEN or not self.path.is_file():
                return
            with self.path.open("rb") as file:
                begin = file.read(_EMPTY_DATABASE)
            torn = not begin or (begin[8:12] == b"DUCK" and len(begin) < _EMPTY_DATABASE)
            if torn and not _is_locked(self.path):
                self.path.unlink()

    def remove_spilled(self) -> None:
        """Take away what killed processes had spilled beside the file. While it is open here for writing."""
        with _CHANGED:
            known = _OPEN.get(str(self.path))
            if known is None or known.read_only:
                return
            folder = self.path.with_name(f"{self.path.name}.tmp")
            for path in folder.glob("duckdb_temp_*"):
                if not path.name.startswith(f"duckdb_temp_{os.getpid()}_"):
                    path.unlink(missing_ok=True)
            with suppress(OSError):  # not there, or in use by another step
                folder.rmdir()


def is_open_for_reading(file: DatabaseFile) -> bool:
    """Whether steps of this process read the file, so that a writer would have to wait."""
    with _CHANGED:
        known = _OPEN.get(str(file.path))
        return known is not None and known.read_only


def _release(key: str) -> None:
    with _CHANGED:
        known = _OPEN[key]
        known.users -= 1
        if known.users == 0:
            del _OPEN[key]
            known.connection.close()
        _CHANGED.notify_all()


def _connect(path: Path, write: bool) -> Any:
    if not write and not path.is_file():
        raise DriverError(
            f"there is no database file {path}",
            hint="check `path` of the connection, or write the table first",
            code="duckdb.not_found",
            path=str(path),
        )
    for _ in range(_ATTEMPTS):
        if write and not path.exists():
            _create(path)
        before = _identity(path)
        try:
            connection = connect(str(path), read_only=not write)
            if not write or before in (None, _identity(path)):
                return connection
            connection.close()  # a file that another process has taken away between opening and locking it
        except OpenError as error:
            refusal = refusal_of(str(path), read_only=not write)
            if refusal is not None:
                raise _explained(path, refusal) from error
            # What kept us out has gone meanwhile: another process has closed the file.
    raise _locked(path, "other processes open it again and again")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _create(path: Path) -> None:
    """Make an empty database, all at once; or leave that to DuckDB, where something is in the way.

    DuckDB looks whether there is a file, and then makes a new one even if another process has made one meanwhile,
    and what that has written is lost. So it makes one where nobody else is, which then gets its name if that is free.
    """
    folder = path.with_name(f"{path.name}.tmp")  # DuckDB's own: what a killed process leaves there is taken away later
    made = folder / f"duckdb_temp_{os.getpid()}_{threading.get_ident()}_new"
    with suppress(OpenError, OSError):
        folder.mkdir(exist_ok=True)
        connect(str(made)).close()
        os.link(made, path)
    with suppress(OSError):
        made.unlink(missing_ok=True)
        folder.rmdir()


def _explained(path: Path, refusal: Refusal) -> DriverError:
    if refusal.errno == errno.EAGAIN:
        return _locked(path, "another process has it open")
    if refusal.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        code, hint = "duckdb.permission", "check who owns the file and its mode"
    elif refusal.errno is not None:
        code, hint = "duckdb.io", "check that the folder exists and can be written"
    elif not _is_database(path):
        code, hint = "duckdb.not_a_database", "check the path: the file is something else"
    elif _log_of(path).exists():
        code = "duckdb.io"
        hint = (
            f"the file may be damaged, of a newer DuckDB, or not the one that {_log_of(path).name} beside it belongs to"
        )
    else:
        code, hint = "duckdb.io", "the file may be damaged, or of a newer DuckDB"
    return DriverError(f"{path} cannot be opened: {refusal.message}", hint=hint, code=code, path=str(path))


def _log_of(path: Path) -> Path:
    """DuckDB's log of what is committed and not in the file yet."""
    return path.with_name(f"{path.name}.wal")


def _locked(path: Path, why: str) -> DriverError:
    return DriverError(
        f"the database {path} is locked: {why}",
        hint="let them finish first, or give the step `retry`",
        code="duckdb.locked",
        retryable=True,
        path=str(path),
    )


def _is_locked(path: Path) -> bool:
    # Only asked where this process does not have the file open: closing it here would drop our own lock.
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"
