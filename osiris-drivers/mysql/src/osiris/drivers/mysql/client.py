"""PyMySQL: the one module that imports it. Sessions, their settings, kills, and its errors in our words."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pymysql
from pymysql.connections import Connection as PyMySqlConnection

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.mysql.config import MySqlConnection, MySqlTls
from osiris.drivers.mysql.errors import LOST, explain

__all__ = ["SQL_MODE", "TIME_ZONE", "VERSION", "Result", "Server", "Session", "connect"]

VERSION: str = pymysql.__version__
TIME_ZONE = "+00:00"
SQL_MODE = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""Of every session: a value that does not fit is an error, on every server."""

_PATIENCE = 86_400
"""Seconds that the server waits for us while another step takes its time over a batch; its own default is 60."""

_KILL_TIMEOUT = 3.0

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
    raw = _log_in(options, local_files=local_files)
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
        self, raw: _Connection, options: MySqlConnection, ctx: StepContext, *, lost_is_retryable: bool
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
            with suppress(pymysql.MySQLError, OSError):
                self._raw.rollback()
            raise

    def kill(self) -> None:
        """End the session on the server, whatever it is doing, from a second connection; then here."""
        try:
            with suppress(DriverError, pymysql.MySQLError, OSError):
                helper = _log_in(self._options, timeout=_KILL_TIMEOUT)
                with helper:
                    helper.kill(self._raw.thread_id())
        finally:
            self._raw.shut_down()

    def close(self) -> None:
        """Close the connection; a result that was not read to its end is stopped on the server. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._busy:
            self.kill()
        with suppress(pymysql.MySQLError, OSError):
            self._raw.close()

    @contextmanager
    def working(self, what: str = "MySQL") -> Iterator[None]:
        """Around everything that talks to the server: errors in our words, and a cancel kills the statement."""
        self._ctx.raise_if_cancelled()
        killer = _Killer(self)
        with killer, self._ctx.on_cancel(killer.start):
            try:
                yield
            except pymysql.MySQLError as error:
                self._ctx.raise_if_cancelled()
                raise self._explained(error, what) from error
            except _DEAD as error:
                if not self._raw.is_dead:
                    raise
                self._ctx.raise_if_cancelled()
                raise explain(_LOST, "", what=what, lost_is_retryable=self._lost_is_retryable) from error

    def _explained(self, error: pymysql.MySQLError, what: str) -> DriverError:
        number, text = _number_and_text(error)
        if isinstance(error, pymysql.InterfaceError):  # used after it was lost
            number = number or _LOST
        told = explain(number, text, what=what, lost_is_retryable=self._lost_is_retryable)
        if told.code == LOST:
            self._busy = False  # there is nothing left to kill
        return told


class _Killer:
    """Kills a session from a thread of its own: whoever asks to stop may be a signal handler."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._session.kill, name="mysql-kill", daemon=True)
        self._thread.start()

    def __enter__(self) -> _Killer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:  # a process that ends at once would take the kill with it
            self._thread.join()


class _Connection(PyMySqlConnection):  # type: ignore[misc]  # PyMySQL has no types
    """PyMySQL's connection, which never opens a file because a server asks for it.

    PyMySQL serves whatever file the server names. Here the first packet of every answer is looked at before
    PyMySQL sees it: a request for a file is answered with what :meth:`serving` offers, or with an error.
    """

    _offer: tuple[str, Iterable[bytes]] | None = None
    _at_start = False

    @property
    def cipher(self) -> str | None:
        """Protocol and cipher, ``TLSv1.3 TLS_AES_256_GCM_SHA384``; None where nothing is encrypted."""
        if not isinstance(self._sock, ssl.SSLSocket):
            return None
        cipher = self._sock.cipher()
        return f"{self._sock.version()} {cipher[0]}" if cipher else self._sock.version()

    @property
    def is_dead(self) -> bool:
        """Whether the socket is closed."""
        return self._sock is None

    @contextmanager
    def serving(self, name: str, pieces: Iterable[bytes]) -> Iterator[None]:
        """While the block runs, the server may ask for ``name``, once."""
        self._offer = (name, pieces)
        try:
            yield
        finally:
            self._offer = None

    def shut_down(self) -> None:
        """Make a read or write of another thread return."""
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        self._at_start = True
        return super()._read_query_result(unbuffered=unbuffered)

    def _read_packet(self, *arguments: Any, **named: Any) -> Any:
        packet = super()._read_packet(*arguments, **named)
        if self._at_start:
            self._at_start = False
            if packet.is_load_local_packet():
                self._serve(packet.get_all_data()[1:].decode(self.encoding, "replace"))
                return super()._read_packet(*arguments, **named)
        return packet

    def _serve(self, asked: str) -> None:
        offer, self._offer = self._offer, None
        if offer is None or offer[0] != asked:
            self._force_close()
            raise DriverError(
                f"the server asked for the file {asked!r}, which was not offered; it got nothing",
                hint="somebody may have broken into the server, or stands between: tell who runs it",
                code="mysql.hostile_server",
            )
        try:
            for piece in offer[1]:
                if piece:  # an empty packet means the end
                    self.write_packet(piece)
        except BaseException:
            # An empty packet would make the server take the rows so far; without a connection it rolls back.
            self._force_close()
            raise
        self.write_packet(b"")


_LOST = 2013
_DEAD = (OSError, ValueError, AttributeError, struct.error)
"""What PyMySQL raises where another thread closed its socket."""


def _log_in(options: MySqlConnection, *, local_files: bool = False, timeout: float | None = None) -> _Connection:
    what = options.place
    settings: dict[str, Any] = {
        "user": options.user or None,
        # As bytes: PyMySQL would send a text as latin-1, which has not all characters.
        "password": options.password.get_secret_value().encode(),
        "host": options.host,
        "port": options.port,
        "unix_socket": options.unix_socket,
        "database": options.database,
        "charset": "utf8mb4",
        "autocommit": True,
        "local_infile": local_files,
        "connect_timeout": timeout or options.connect_timeout,
        # Until logged in: a server that accepts and then says nothing must not hold us for ever.
        "read_timeout": timeout or options.connect_timeout,
        "write_timeout": options.write_timeout,
        "program_name": "osiris",
    }
    tls = options.tls
    try:
        try:
            raw = _Connection(**settings, **_tls_settings(tls))
        except RuntimeError:
            # MySQL's newer logins need TLS, or else the package cryptography; on this machine TLS is off by default.
            if tls is not None or options.ssl is False:
                raise
            raw = _Connection(**settings, **_tls_settings(MySqlTls()))
    except pymysql.MySQLError as error:
        raise _login_error(error, what) from error
    except RuntimeError as error:
        hint = "give the connection `ssl: true`, or install the package cryptography"
        raise DriverError(
            f"{what}: the login needs an encrypted connection", hint=hint, code="mysql.login_method"
        ) from error
    raw._read_timeout = options.read_timeout
    return raw


def _tls_settings(tls: MySqlTls | None) -> dict[str, Any]:
    if tls is None:
        return {"ssl_disabled": True}
    verify = tls.ca is not None if tls.verify is None else tls.verify
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        # Certificates that servers make for themselves lack what Python 3.13 asks for.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(name for name in (tls.ca, tls.cert, tls.key) if name is not None)
        raise DriverError(
            f"the certificates of the connection cannot be used ({named}): {error}",
            hint="`ca`, `cert` and `key` are PEM files, `key` without a passphrase",
            code="mysql.tls_files",
        ) from error
    return {"ssl": context}


def _login_error(error: pymysql.MySQLError, what: str) -> DriverError:
    number, text = _number_and_text(error)
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DriverError(
            f"{what}: the server's certificate is not to be trusted: {cause.verify_message}",
            hint="give `ssl: {ca: file.pem}`, and the host by the name in the certificate",
            code="mysql.tls_certificate",
        )
    if isinstance(cause, ssl.SSLError):
        return explain(2026, text, what=what)
    if isinstance(cause, socket.gaierror):
        told = explain(2005, f"there is no host of this name: {cause.strerror}", what=what)
        told.retryable = False
        return told
    if isinstance(cause, OSError):
        return explain(2003, cause.strerror or "no answer in time", what=what)
    return explain(number, text, what=what, lost_is_retryable=True)  # nothing was asked of it yet


def _number_and_text(error: pymysql.MySQLError) -> tuple[int, str]:
    number, text = (*error.args, "", "")[:2] if error.args else (0, "")
    return (number, str(text)) if isinstance(number, int) else (0, str(number))
