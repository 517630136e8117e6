"""PyMySQL: the one module that imports it. Logging in, and what of its inner parts we use.

PyMySQL has no prepared statements, and reads rows one value at a time. Both are had here by sending commands and
reading packets through its own connection (``_execute_command``, ``_read_packet``, ``_rfile``). Where a version of
PyMySQL lacks these, :data:`HAS_PACKETS` is False and rows come through its public cursor instead.
"""

from __future__ import annotations

import io
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
from pymysql.connections import Connection as PyMySqlConnection
from pymysql.constants import COMMAND
from pymysql.cursors import SSCursor

from osiris.core.errors import DriverError
from osiris.drivers.mysql.config import MySqlConnection, MySqlTls
from osiris.drivers.mysql.errors import explain
from osiris.drivers.mysql.parameters import encode_parameters
from osiris.drivers.mysql.types import Column

try:
    from pymysql.protocol import FieldDescriptorPacket
except ImportError:  # an inner part, which may move
    FieldDescriptorPacket = None

__all__ = ["HAS_PACKETS", "ClientError", "RawConnection", "is_misuse", "log_in", "number_and_text"]

ClientError = pymysql.MySQLError
"""What PyMySQL raises, whatever went wrong."""

HAS_PACKETS = FieldDescriptorPacket is not None and all(
    hasattr(PyMySqlConnection, name) for name in ("_execute_command", "_read_packet", "_rfile", "_sock")
)
"""Whether this PyMySQL has the inner parts that reading packets needs."""

_LOST = 2013
_BUFFER = io.DEFAULT_BUFFER_SIZE  # of PyMySQL's file over the socket


class RawConnection(PyMySqlConnection):  # type: ignore[misc]  # PyMySQL has no types
    """PyMySQL's connection, which never opens a file because a server asks for it.

    PyMySQL serves whatever file the server names. Here the first packet of every answer is looked at before
    PyMySQL sees it: a request for a file is answered with what :meth:`serving` offers, or with an error.
    """

    _offer: tuple[str, Iterable[bytes]] | None = None
    _at_start = False
    _may_hold = True

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

    def abandon(self) -> None:
        """Keep PyMySQL from reading the rest of a result, which it would do when its objects go away."""
        result = self._result
        if result is not None:
            result.unbuffered_active = False

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

    def prepare(self, sql: str) -> tuple[int, int, int]:
        """Let the server prepare one statement; its number there, how many columns it will give, and take values."""
        self._execute_command(COMMAND.COM_STMT_PREPARE, sql)
        data = self._read_packet().get_all_data()
        statement, columns, parameters = struct.unpack_from("<xIHH", data)
        for described in (parameters, columns):
            if described:
                self._read_columns(described)
        return int(statement), int(columns), int(parameters)

    def start(self, statement: int, values: Sequence[Any]) -> tuple[Column, ...]:
        """Run a prepared statement; its columns. The rows are waiting then, for :meth:`receive_into`."""
        self._execute_command(COMMAND.COM_STMT_EXECUTE, encode_parameters(statement, values))
        self._may_hold = True
        first = self._read_packet()
        if first.is_ok_packet():
            return ()
        return self._read_columns(first.read_length_encoded_integer())

    def receive_into(self, room: memoryview) -> int:
        """Put bytes of the waiting packets into ``room``, as many as have arrived; at least one.

        Raises:
            ClientError: The connection is lost.
        """
        small = len(room) <= _BUFFER
        if self._may_hold or small:
            # PyMySQL's buffer may hold bytes: those behind the packets that it read itself, or behind a small piece.
            # By readinto1() it would not do, which goes on to wait for more although it has some.
            held = self._rfile.read1(min(len(room), 2 * _BUFFER))
            received = len(held)
            room[:received] = held
            self._may_hold = small
        else:
            received = self._rfile.readinto1(room)
        if not received:
            self._force_close()
            raise pymysql.OperationalError(_LOST, "Lost connection to MySQL server during query")
        return int(received)

    def fetch(self, sql: str) -> tuple[tuple[Column, ...], SSCursor]:
        """Run a query by PyMySQL's own cursor, whose rows are left as the bytes of their text; its columns too."""
        kept = self.__dict__.copy()
        self.__dict__.update(decoders={}, use_unicode=False)
        try:
            cursor = self.cursor(SSCursor)
            cursor.execute(sql)
        finally:
            self.__dict__.update(decoders=kept["decoders"], use_unicode=kept["use_unicode"])
        # Only here does PyMySQL tell of charset and sign.
        result = cursor._result
        return tuple(map(_column, getattr(result, "fields", ()))), cursor

    def _read_columns(self, count: int) -> tuple[Column, ...]:
        columns = tuple(_column(self._read_packet(FieldDescriptorPacket)) for _ in range(count))
        self._read_packet()  # the end of the list
        return columns


def _column(field: Any) -> Column:
    return Column(
        name=field.name,
        type_code=field.type_code,
        flags=field.flags,
        charset=field.charsetnr,
        length=field.length,
        decimals=field.scale,
    )


def log_in(options: MySqlConnection, *, local_files: bool = False, timeout: float | None = None) -> RawConnection:
    """Connect, as the options say.

    Args:
        options: The connection.
        local_files: Whether :meth:`RawConnection.serving` will be used.
        timeout: Seconds, instead of the connection's.

    Raises:
        DriverError: ``mysql.access_denied``, ``mysql.unreachable``, ``mysql.tls``, ...
    """
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
    if options.unix_socket is not None:
        _look_at_socket(options.unix_socket, what)
    tls = options.tls
    try:
        try:
            raw = RawConnection(**settings, **_tls_settings(tls))
        except RuntimeError:
            # MySQL's newer logins need TLS, or else the package cryptography; on this machine TLS is off by default.
            if tls is not None or options.ssl is False:
                raise
            raw = RawConnection(**settings, **_tls_settings(MySqlTls()))
    except pymysql.MySQLError as error:
        raise _login_error(error, what) from error
    except (AssertionError, IndexError, UnicodeError, struct.error) as error:  # it did not understand the greeting
        raise explain(2027, "the greeting is not a MySQL server's", what=what) from error
    except RuntimeError as error:
        hint = "give the connection `ssl: true`, or install the package cryptography"
        raise DriverError(
            f"{what}: the login needs an encrypted connection", hint=hint, code="mysql.login_method"
        ) from error
    raw._read_timeout = options.read_timeout
    return raw


def _look_at_socket(path: str, what: str) -> None:
    # PyMySQL would leave its own socket open where it cannot connect.
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            raise explain(2002, error.strerror or "no answer", what=what) from error


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
    number, text = number_and_text(error)
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DriverError(
            f"{what}: the server's certificate is not to be trusted: {cause.verify_message}",
            hint="give `ssl: {ca: file.pem}`, and the host by the name in the certificate; "
            "`ssl: {verify: false}` encrypts without knowing who answers",
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


def number_and_text(error: pymysql.MySQLError) -> tuple[int, str]:
    """The number of the server or of the client library, 0 for none, and the text."""
    number, text = (*error.args, "", "")[:2] if error.args else (0, "")
    return (number, str(text)) if isinstance(number, int) else (0, str(number))


def is_misuse(error: pymysql.MySQLError) -> bool:
    """Whether the error only says that the connection was used after it had been lost."""
    return isinstance(error, pymysql.InterfaceError)
