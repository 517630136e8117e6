"""Sessions: their settings, statements, kills, and what goes wrong in our words."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.config import MySqlConnection
from osiris.drivers.mysql.errors import LOST, explain, not_a_query
from osiris.drivers.mysql.library import ClientError, RawConnection, is_misuse, log_in, number_and_text
from osiris.drivers.mysql.packets import Rows, read_rows
from osiris.drivers.mysql.types import Column

__all__ = ["SQL_MODE", "TIME_ZONE", "Result", "Server", "Session", "connect"]

TIME_ZONE = "+00:00"
SQL_MODE = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""Of every session: a value that does not fit is an error, on every server."""

_PATIENCE = 86_400
"""Seconds that the server waits for us while another step takes its time over a batch; its own default is 60."""

_FETCHED = 10_000
_KILL_TIMEOUT = 3.0
_LOST = 2013
_DEAD = (OSError, ValueError, AttributeError, struct.error)
"""What PyMySQL raises where another thread closed its socket."""

_SETTINGS = (
    "SELECT CONNECTION_ID(), VERSION(), @@max_allowed_packet, @@local_infile, @@time_zone, @@sql_mode, DATABASE()"
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """What a session found out about its server, and what it asked of it.

    Attributes:
        version: As the server says it, ``10.11.6-MariaDB``.
        is_mariadb: Whether it is MariaDB, not MySQL.
        connection_id: The session's number on the server.
        max_allowed_packet: The most bytes in one statement or row.
        local_infile: Whether LOAD DATA LOCAL is allowed.
        time_zone, sql_mode: Of the session, as set.
        database: The default one.
        tls: Protocol and cipher; None where nothing is encrypted.
    """

    version: str
    is_mariadb: bool
    connection_id: int
    max_allowed_packet: int
    local_infile: bool
    time_zone: str
    sql_mode: str
    database: str | None
    tls: str | None

    def facts(self) -> dict[str, Any]:
        """For events."""
        return {
            "server": "MariaDB" if self.is_mariadb else "MySQL",
            "version": self.version,
            "time_zone": self.time_zone,
            "sql_mode": self.sql_mode,
            "tls": self.tls,
        }


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a statement gave: ``rows`` where it gives rows, ``affected`` rows and ``warnings`` (a count) otherwise."""

    rows: Sequence[tuple[Any, ...]]
    affected: int
    warnings: int


def connect(
    options: MySqlConnection,
    ctx: StepContext,
    *,
    sql_mode: str = SQL_MODE,
    local_files: bool = False,
    lost_is_retryable: bool = False,
) -> Session:
    """Log in, and make the session the same on every server: UTC, strict mode, utf8mb4, autocommit.

    Args:
        options: The connection.
        ctx: The step's; a cancel kills what the session does on the server.
        sql_mode: The session's.
        local_files: Whether :meth:`Session.load` will be used; without it, no server can ask for anything.
        lost_is_retryable: Whether a connection lost later may be tried again: only where nothing can be doubled.

    Raises:
        DriverError: ``mysql.access_denied``, ``mysql.unreachable`` (retryable), ``mysql.unknown_database``,
            ``mysql.tls``, ``mysql.tls_certificate``, ``mysql.login_method``, ...
    """
    ctx.raise_if_cancelled()
    raw = log_in(options, local_files=local_files)
    session = Session(raw, options, ctx, lost_is_retryable=lost_is_retryable)
    try:
        session.execute(
            f"SET SESSION time_zone = '{TIME_ZONE}', sql_mode = %s, net_read_timeout = {_PATIENCE}, "
            f"net_write_timeout = {_PATIENCE}, wait_timeout = {_PATIENCE}",
            [sql_mode],
        )
        _ = session.server
    except BaseException:
        session.close()
        raise
    return session


class Session:
    """One connection to the server, used by one thread at a time; made by :func:`connect`."""

    def __init__(
        self, raw: RawConnection, options: MySqlConnection, ctx: StepContext, *, lost_is_retryable: bool
    ) -> None:
        self._raw = raw
        self._options = options
        self._ctx = ctx
        self._lost_is_retryable = lost_is_retryable
        self._busy = False
        self._closed = False

    @cached_property
    def server(self) -> Server:
        """The server, and the session's settings as it has them."""
        number, version, packet, infile, zone, mode, database = self.execute(_SETTINGS).rows[0]
        return Server(
            version=version,
            is_mariadb="mariadb" in version.lower(),
            connection_id=int(number),
            max_allowed_packet=int(packet),
            local_infile=bool(infile),
            time_zone=zone,
            sql_mode=mode,
            database=database,
            tls=self._raw.cipher,
        )

    def execute(self, sql: str, values: Sequence[Any] | None = None, *, what: str = "MySQL") -> Result:
        """Run one statement to its end.

        Args:
            sql: With ``%s`` for each of ``values``; without values, ``%`` means itself.
            values: Bound by the client library.
            what: Begins the message of an error.

        Raises:
            DriverError: ``mysql.*``; ``facts["number"]`` is the server's.
            RunCancelledError: The run was asked to stop; the statement was killed on the server.
        """
        with self.working(what), self._raw.cursor() as cursor:
            affected = cursor.execute(sql, values)
            rows = cursor.fetchall() if cursor.description else ()
            return Result(rows=rows, affected=int(affected), warnings=int(cursor.warning_count))

    def load(self, sql: str, name: str, pieces: Iterable[bytes], *, what: str = "MySQL") -> Result:
        """Run ``LOAD DATA LOCAL INFILE '<name>' ...``, feeding ``pieces``; no file is opened anywhere.

        The server gets what it asks for only if that is ``name``, only during this call, and only once.

        Args:
            sql: The statement.
            name: The name in the statement; any text.
            pieces: The content; pieces of up to some megabytes.
            what: Begins the message of an error.

        Raises:
            DriverError: As :meth:`execute`; ``mysql.hostile_server``: it asked for another file.
            Exception: What ``pieces`` raised; the statement has failed then, and the connection is closed.
        """
        with self.working(what), self._raw.serving(name, pieces), self._raw.cursor() as cursor:
            affected = cursor.execute(sql)
            return Result(rows=(), affected=int(affected), warnings=int(cursor.warning_count))

    def warnings(self) -> list[tuple[str, int, str]]:
        """What the server had to say about the last statement: level, number, text."""
        return [(str(level), int(number), str(text)) for level, number, text in self.execute("SHOW WARNINGS").rows]

    @contextmanager
    def transaction(self, begin: str = "START TRANSACTION") -> Iterator[None]:
        """All of the block, or nothing."""
        self.execute(begin)
        try:
            yield
            self.execute("COMMIT", what="COMMIT")
        except BaseException:
            # Not by execute(): a cancelled run must roll back too. Where the connection is gone, the server does.
            with suppress(ClientError, OSError):
                self._raw.rollback()
            raise

    def prepare(self, sql: str, values: Sequence[Any] = (), *, what: str = "MySQL") -> Callable[[], tuple[Column, ...]]:
        """Let the server prepare one query, with a ``?`` for each of the values.

        Returns:
            What runs it, and gives its columns. :meth:`rows` has to be read then before anything else runs.

        Raises:
            DriverError: ``mysql.*``; ``mysql.not_a_query``: it would give no rows; ``mysql.statement``: there are more
                or fewer values than ``?``. Nothing was run.
        """
        with self.working(what):
            statement, columns, marks = self._raw.prepare(sql)
        if not columns:
            raise not_a_query(what)
        if marks != len(values):
            raise explain(1210, f"there are {len(values)} params for {marks} marks `?`", what=what)

        def start() -> tuple[Column, ...]:
            with self.working(what):
                described = self._raw.start(statement, values)
            self._busy = True
            return described

        return start

    def rows(self, *, what: str = "MySQL") -> Iterator[Rows]:
        """The rows of the query that was started, some thousands at a time, to the end.

        Raises:
            DriverError: ``mysql.*``; a connection that is lost on the way is an error, never an early end.
        """
        blocks = read_rows(self._raw.receive_into)
        while True:
            with self.working(what):
                block = next(blocks, None)
            if block is None:
                self._busy = False
                return
            yield block

    def fetch(self, sql: str, *, what: str = "MySQL") -> tuple[tuple[Column, ...], Iterator[list[Any]]]:
        """Run a query through the public parts of PyMySQL; its columns, and rows of texts as bytes, or None.

        Raises:
            DriverError: ``mysql.*``; ``mysql.not_a_query``: it gives no rows.
        """
        with self.working(what):
            columns, cursor = self._raw.fetch(sql)
        if not columns:
            raise not_a_query(what)
        self._busy = True
        return columns, self._fetched(cursor, what)

    def _fetched(self, cursor: Any, what: str) -> Iterator[list[Any]]:
        try:
            while True:
                with self.working(what):
                    rows = cursor.fetchmany(_FETCHED)
                if not rows:
                    self._busy = False
                    return
                yield list(rows)
        finally:
            self._raw.abandon()

    def kill(self) -> None:
        """End the session on the server, whatever it is doing, from a second connection; then here."""
        try:
            with suppress(DriverError, ClientError, OSError):
                helper = log_in(self._options, timeout=_KILL_TIMEOUT)
                with helper:
                    helper.kill(self._raw.thread_id())
        finally:
            self._raw.abandon()
            self._raw.shut_down()

    def close(self) -> None:
        """Close the connection; a result that was not read to its end is stopped on the server. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._busy:
            self.kill()
        self._raw.abandon()
        with suppress(ClientError, OSError):
            self._raw.close()

    @contextmanager
    def working(self, what: str = "MySQL") -> Iterator[None]:
        """Around everything that talks to the server: errors in our words, and a cancel kills the statement."""
        self._ctx.raise_if_cancelled()
        killer = _Killer(self)
        with killer, self._ctx.on_cancel(killer.start):
            try:
                yield
            except ClientError as error:
                self._ctx.raise_if_cancelled()
                raise self._explained(error, what) from error
            except _DEAD as error:
                if not self._raw.is_dead:
                    raise
                self._ctx.raise_if_cancelled()
                raise explain(_LOST, "", what=what, lost_is_retryable=self._lost_is_retryable) from error

    def _explained(self, error: ClientError, what: str) -> DriverError:
        number, text = number_and_text(error)
        if is_misuse(error):  # used after it was lost
            number = number or _LOST
        told = explain(number, text, what=what, lost_is_retryable=self._lost_is_retryable)
        if told.code == LOST:
            self._busy = False  # there is nothing left to kill
        return told


class _Killer:
    """Kills a session from a thread of its own: whoever asks to stop may be a signal handler."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if not self._over:
                self._thread = threading.Thread(target=self._session.kill, name="mysql-kill", daemon=True)
                self._thread.start()

    def __enter__(self) -> _Killer:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
        if self._thread is not None:  # a process that ends at once would take the kill with it
            self._thread.join()
