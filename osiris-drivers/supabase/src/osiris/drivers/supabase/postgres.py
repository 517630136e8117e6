"""PostgreSQL's own client: the one module that imports psycopg. Sessions, COPY both ways, cancel, errors.

psycopg and not ADBC: COPY with Arrow's parser and kernels at both ends is as fast (measured), and here every error has
its SQLSTATE, every row its line, and values of other types than the column's go as text, as the server reads any text.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.config import SupabaseConnection
from osiris.drivers.supabase.errors import from_postgres
from osiris.drivers.supabase.postgres_address import Address, explain_failure

__all__ = ["Described", "Session", "connect"]

# It warns, on stderr where nobody listens, of errors that we raise anyway.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

_CHUNK = 4 * 1024 * 1024
_GLANCE_MS = 200
_CANCEL_SECONDS = 3.0
# What is read as text has to look the same on every server, whatever role and database set.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
}


@dataclass(frozen=True)
class Described:
    """A column of a result: its name, and its type's number and modifier in PostgreSQL."""

    name: str
    oid: int
    modifier: int


def connect(ctx: StepContext, connection: SupabaseConnection) -> Session:
    """Open a session.

    Raises:
        DriverError: ``supabase.bad_dsn``, ``supabase.unreachable``, ``supabase.access_denied``, ...
    """
    ctx.raise_if_cancelled()
    address = _address(ctx, connection)
    begun = time.perf_counter()
    try:
        opened = psycopg.connect(**address.parameters, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        timed_out = isinstance(error, psycopg.errors.ConnectionTimeout)
        told = None if timed_out else _trace_refusal(address)
        raise explain_failure(address, str(error), timed_out=timed_out, trace=told) from None
    seconds = time.perf_counter() - begun
    return Session(opened, ctx, address, seconds, statement_timeout=connection.statement_timeout)


def _address(ctx: StepContext, connection: SupabaseConnection) -> Address:
    dsn = connection.pg_dsn.get_secret_value() if connection.pg_dsn is not None else ""
    try:
        parsed = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(dsn).items()}
    except (psycopg.Error, ValueError):
        raise DriverError(
            "pg_dsn is not a connection string of PostgreSQL",
            hint="write postgresql://user:password@host:5432/postgres; where the password holds @ / : # or %, give it "
            "as `password` beside pg_dsn",
            code="supabase.bad_dsn",
        ) from None  # the client's error shows the string, password included
    return Address.of(parsed, connection, ctx)


def _trace_refusal(address: Address) -> bytes:
    """What the server said when it refused, as libpq traces it: the only place where its SQLSTATE can be read."""
    dsn = psycopg.conninfo.make_conninfo(**address.parameters)
    deadline = time.monotonic() + address.connect_timeout
    with tempfile.TemporaryFile() as trace:
        link = pq.PGconn.connect_start(dsn.encode())
        try:
            if link.status == pq.ConnStatus.BAD:
                return b""
            with suppress(psycopg.NotSupportedError):
                link.trace(trace.fileno())
            while (state := link.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
                poll = select.poll()
                poll.register(link.socket, select.POLLIN if state == pq.PollingStatus.READING else select.POLLOUT)
                if not poll.poll(max(0, (deadline - time.monotonic()) * 1000)):
                    break
        except psycopg.Error:
            return b""
        finally:
            with suppress(psycopg.Error):
                link.untrace()  # writes out what it holds
            link.finish()
        trace.seek(0)
        return trace.read()


class Session:
    """One connection and at most one transaction, for one step; errors come out as :class:`DriverError`.

    Everything is set within the transaction, so that poolers in transaction mode do. When the run is asked to stop,
    the server is told to cancel; where it does not answer any more, the socket is shut.
    """

    def __init__(
        self,
        opened: psycopg.Connection[Any],
        ctx: StepContext,
        address: Address,
        connect_seconds: float,
        *,
        statement_timeout: float | None,
    ) -> None:
        self._connection = opened
        self._ctx = ctx
        self._timeout = statement_timeout
        self._closed = False
        self.address = address
        self.connect_seconds = connect_seconds

    def begin(self, *, read_only: bool) -> None:
        """Start the transaction; a read-only one sees one state of the database and can change nothing."""
        mode = "ISOLATION LEVEL REPEATABLE READ READ ONLY" if read_only else "READ WRITE"
        settings = dict(_SETTINGS)
        if self._timeout is not None:
            settings["statement_timeout"] = f"{round(self._timeout * 1000)}ms"
        sets = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())
        self.execute(f"BEGIN TRANSACTION {mode}; {sets}")

    def commit(self) -> None:
        """Make it so. An error here may come after the server did: see ``committed``."""
        self.execute("COMMIT")

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None, *, what: str = ""
    ) -> list[tuple[Any, ...]]:
        """Run one statement to its end (without parameters: several) and give the last one's rows."""
        with self._working(what):
            cursor = self._connection.execute(_checked(sql), parameters)
            return cursor.fetchall() if cursor.description else []

    def run(self, sql: str, *, what: str = "") -> int:
        """Run one statement; how many rows it wrote."""
        with self._working(what):
            return self._connection.execute(_checked(sql)).rowcount

    def describe(self, sql: str) -> list[Described]:
        """The columns that one statement would give; runs nothing, and refuses more than one statement."""
        with self._working(""):
            link = self._connection.pgconn
            link.send_prepare(b"", _checked(sql).encode())
            self._next_result(link)
            link.send_describe_prepared(b"")
            result = self._next_result(link)
            return [
                Described((result.fname(at) or b"").decode(), result.ftype(at), result.fmod(at))
                for at in range(result.nfields)
            ]

    def copy_out(self, sql: str) -> Iterator[bytes]:
        """Rows as the server sends them, in chunks of whole rows; ``sql`` is a ``COPY ... TO STDOUT``."""
        link = self._connection.pgconn
        with self._working(""):
            link.send_query(_checked(sql).encode())
            self._wait_for_answer(link)
            _checked_result(link.get_result(), link)
        more = True
        while more:
            with self._working(""):
                chunk, more = self._copy_chunk(link)
            if chunk:
                yield chunk

    def copy_in(self, sql: str, chunks: Iterable[bytes]) -> None:
        """Send rows; ``sql`` is a ``COPY ... FROM STDIN``. What ``chunks`` raises comes out unchanged."""
        source = _Source(chunks)
        try:
            with self._working(""), self._connection.cursor() as cursor, cursor.copy(_checked(sql)) as copy:
                for chunk in source:
                    copy.write(chunk)
        except BaseException:
            if source.error is not None:
                raise source.error from None
            raise

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return bool(self._connection.pgconn.ssl_in_use)

    @property
    def server_version(self) -> int:
        """As ``150004``."""
        return self._connection.info.server_version

    @property
    def backend_pid(self) -> int:
        """The server process as the connection's other end calls it; a pooler has numbers of its own."""
        return self._connection.info.backend_pid

    def close(self) -> None:
        """End the connection; what was not committed never was. Idempotent."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    def _copy_chunk(self, link: Any) -> tuple[bytes, bool]:
        """Rows, and whether there may be more."""
        rows: list[bytes] = []
        take, keep, size = link.get_copy_data, rows.append, 0
        while size < _CHUNK:
            length, row = take(1)
            if length > 0:
                keep(bytes(row))
                size += length
            elif length == 0:
                self._wait(link)
            else:
                self._next_result(link)
                return b"".join(rows), False
        return b"".join(rows), True

    def _next_result(self, link: Any) -> Any:
        """The one result of what was sent."""
        self._wait_for_answer(link)
        result = link.get_result()
        while link.get_result() is not None:
            pass
        return _checked_result(result, link)

    def _wait_for_answer(self, link: Any) -> None:
        while link.flush():
            self._wait(link, select.POLLIN | select.POLLOUT)
        while link.is_busy():
            self._wait(link)

    def _wait(self, link: Any, events: int = select.POLLIN) -> None:
        poll = select.poll()
        poll.register(link.socket, events)
        while not poll.poll(_GLANCE_MS):
            self._ctx.raise_if_cancelled()
        link.consume_input()

    @contextmanager
    def _working(self, what: str) -> Iterator[None]:
        self._ctx.raise_if_cancelled()
        with _Interrupter(self._connection) as interrupter, self._ctx.on_cancel(interrupter.start):
            try:
                yield
            except psycopg.Error as error:
                self._ctx.raise_if_cancelled()
                raise from_postgres(error, what or self.address.server) from error


def _checked(sql: str) -> str:
    if "\0" in sql:
        raise DriverError(
            "a name or value of the config holds a NUL character, which PostgreSQL does not take",
            hint="take it out",
            code="supabase.bad_text",
        )
    return sql


def _checked_result(result: Any, link: Any) -> Any:
    if result is None:
        raise psycopg.OperationalError(link.get_error_message() or "the server closed the connection")
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise error_from_result(result)
    return result


class _Source:
    """Hands on what it is given, and keeps the error in which that ends."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except GeneratorExit:
            raise  # the reader has stopped: no failure of ours
        except BaseException as error:
            self.error = error
            raise


class _Interrupter:
    """Makes a call on a connection return, from another thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:  # the work may end at this very moment
            if self._thread is None and not self._done.is_set():
                self._thread = threading.Thread(target=self._interrupt, name="postgres-cancel", daemon=True)
                self._thread.start()

    def _interrupt(self) -> None:
        # Again, because a cancel that arrives just before a statement begins is forgotten by the server.
        for _ in range(3):
            with suppress(psycopg.Error, OSError):
                self._connection.cancel_safe(timeout=_CANCEL_SECONDS)
            if self._done.wait(_CANCEL_SECONDS / 3):
                return
        with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _Interrupter:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._done.set()
        if self._thread is not None:  # a cancel after this block would hit somebody else's statement
            self._thread.join()
