"""DuckDB itself: the one module that imports it. Connections, interrupts, and its errors in our words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import pyarrow as pa

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass

__all__ = [
    "VERSION",
    "MemoryDatabase",
    "OpenError",
    "Refusal",
    "Session",
    "connect",
    "quote_name",
    "quote_text",
    "quote_texts",
    "refusal_of",
    "without_end",
]

ROWS_PER_BATCH = 65_536
VERSION: str = duckdb.__version__
OpenError = duckdb.Error
"""What :func:`connect` raises."""

# By class name, most special first: older DuckDB lacks some of the classes.
_CODES: Mapping[str, tuple[str, str]] = {
    "ParserException": ("syntax", "check the SQL at the marked place"),
    "SyntaxException": ("syntax", "check the SQL at the marked place"),
    "BinderException": ("binder", "check the names of columns and the types of arguments"),
    "CatalogException": ("catalog", "check what is called so: nothing is, or something of another kind"),
    "ConversionException": ("conversion", "use TRY_CAST where a value may not fit"),
    "OutOfRangeException": ("out_of_range", "cast to a wider type before the computation"),
    "TypeMismatchException": ("type_mismatch", "cast one side to the type of the other"),
    "ConstraintException": ("constraint", "a value breaks a constraint of the table"),
    "OutOfMemoryException": ("out_of_memory", "raise memory_limit, lower threads, or set preserve_order: false"),
    "TransactionException": ("transaction", "another connection changed the same rows; run again"),
    "DependencyException": ("dependency", "another object of the database depends on this one"),
    "PermissionException": ("permission", "the setting or the file is not open to this connection"),
    "HTTPException": ("http", "check the address and the network"),
    "IOException": ("io", "check that the file exists, can be read, and that the disk is not full"),
    "NotImplementedException": ("not_implemented", "DuckDB cannot do this; write it differently"),
    "InvalidInputException": ("invalid_input", "see the message"),
    "ConnectionException": ("connection", "the database is open in another way already"),
    "ResourceInUseException": ("busy", "run the steps that share this one after the other"),
    "SerializationException": ("corrupt", "the file was written by another version of DuckDB, or is damaged"),
    "FatalException": ("fatal", "the database was closed to protect it; run again"),
    "InternalException": ("internal", "a defect of DuckDB; simplify the query or try another version"),
}
_CLASSES: tuple[tuple[type[BaseException], str, str], ...] = tuple(
    (getattr(duckdb, name), f"duckdb.{code}", hint) for name, (code, hint) in _CODES.items() if hasattr(duckdb, name)
)
_RETRYABLE = frozenset({"duckdb.transaction", "duckdb.http", "duckdb.busy"})


def quote_name(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quote_texts(texts: Iterable[str]) -> str:
    """Texts as an SQL list."""
    return "[" + ", ".join(map(quote_text, texts)) + "]"


def without_end(statement: str) -> str:
    """A statement without the ``;`` at its end, so that it may stand in brackets (on lines of its own)."""
    text = statement.encode()  # where a token is, DuckDB says in bytes
    for start, kind in reversed(duckdb.tokenize(statement)):
        if kind == duckdb.token_type.comment:
            continue
        if text[start : start + 1] != b";":
            break
        text = text[:start]
    return text.decode()


def connect(path: str = ":memory:", *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a database, without any setting: steps that share a file must open it alike.

    Raises:
        OpenError: It cannot be opened.
    """
    return duckdb.connect(path, read_only=read_only)


class MemoryDatabase:
    """A database in memory that opens while others work: it takes 40 ms, all of them outside Python."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = threading.Thread(target=self._open, name="duckdb-open", daemon=True)
        self._thread.start()

    def take(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's own; from the second time on to a database that is opened now.

        Raises:
            OpenError: It cannot be opened.
        """
        self._wait()
        connection, self._connection = self._connection, None
        error, self._error = self._error, None
        if error is not None:
            raise error
        return connection if connection is not None else connect()

    def close(self) -> None:
        """Close it if nobody took it. Idempotent."""
        self._wait()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _open(self) -> None:
        try:
            self._connection = connect()
        except BaseException as error:  # for who takes it
            self._error = error


@dataclass(frozen=True)
class Refusal:
    """Why a file is not opened. ``errno`` is the system's number, None where the reason is in the file."""

    message: str
    errno: int | None


def refusal_of(path: str, *, read_only: bool) -> Refusal | None:
    """Ask DuckDB why it does not open a file; None where it does by now.

    ``connect`` has one class for all reasons. A connection that is there already can be told to give them as JSON,
    with the system's error number.
    """
    with duckdb.connect() as connection:
        connection.execute("SET errors_as_json = true")
        try:
            connection.execute(f"ATTACH {quote_text(path)} AS asked{' (READ_ONLY)' if read_only else ''}")
        except duckdb.Error as error:
            _, _, form = str(error).partition("{")
            facts = json.loads("{" + form)
            return Refusal(facts["exception_message"], int(facts["errno"]) if "errno" in facts else None)
    return None


def translate(error: BaseException, what: str = "DuckDB") -> DriverError:
    """A DuckDB error in our words; the code follows its class, never its text."""
    code, hint = "duckdb.query_failed", "see the message"
    for kind, known_code, known_hint in _CLASSES:
        if isinstance(error, kind):
            code, hint = known_code, known_hint
            break
    return DriverError(f"{what}: {error}".strip(), hint=hint, code=code, retryable=code in _RETRYABLE)


class Session:
    """One connection, used by one step: cancel interrupts it, errors come out as :class:`DriverError`.

    An error that an input raised while DuckDB read it comes out as it was: see :meth:`guard_input`.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, ctx: StepContext, *, release: Callable[[], object] | None = None
    ) -> None:
        self._connection = connection
        self._ctx = ctx
        self._release = release
        self._input_error: BaseException | None = None
        self._closed = False

    def raise_if_cancelled(self) -> None:
        """As :meth:`~osiris.core.driver.StepContext.raise_if_cancelled`, of the step that uses the connection."""
        self._ctx.raise_if_cancelled()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement to its end and give its rows."""
        with self._working():
            result = self._connection.execute(sql, list(parameters) or None)
            rows: list[tuple[Any, ...]] = result.fetchall() if result.description else []
            return rows

    def columns(self, query: str) -> list[tuple[str, Any]]:
        """Names and DuckDB types of what ``query`` would give; reads nothing."""
        with self._working():
            relation = self._connection.sql(query)
            return list(zip(relation.columns, relation.types, strict=True))

    def statements(self, sql: str) -> list[tuple[str, str]]:
        """The statements in ``sql``: kind (``SELECT``, ``COPY``, ...) and text of each."""
        with self._working():
            return [(item.type.name, item.query) for item in self._connection.extract_statements(sql)]

    def register(self, name: str, reader: pa.RecordBatchReader) -> None:
        """Let ``name`` be a table that is read from ``reader``, once."""
        with self._working():
            self._connection.register(name, reader)

    def unregister(self, name: str) -> None:
        """Forget a registered name."""
        with self._working():
            self._connection.unregister(name)

    def discard(self, table: str) -> None:
        """Drop a temporary table, if the transaction still allows it; a rollback drops it too."""
        with suppress(duckdb.Error):
            self._connection.execute(f"DROP TABLE IF EXISTS temp.main.{quote_name(table)}")

    def open(self, query: str) -> pa.RecordBatchReader:
        """Start ``query``; its rows are computed as :meth:`read` pulls them."""
        with self._working():
            return self._connection.sql(query).to_arrow_reader(ROWS_PER_BATCH)

    def read(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        """The next batch of an opened query; None at its end."""
        with self._working():
            try:
                batch: pa.RecordBatch = reader.read_next_batch()
            except StopIteration:
                return None
            return batch

    def profile(self) -> Mapping[str, Any]:
        """What the operators of the last query did; needs the setting ``enable_profiling``."""
        with self._working():
            profile: Mapping[str, Any] = json.loads(self._connection.get_profiling_information())
            return profile

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing."""
        self.execute("BEGIN TRANSACTION")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # not by execute(): a cancelled run must roll back too
                self._connection.execute("ROLLBACK")
            raise

    def guard_input(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches; an error in them is kept, because DuckDB would hand on its text only."""
        try:
            yield from batches
        except Exception as error:
            self._input_error = error
            raise

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if not self._closed:
            self._closed = True
            with suppress(duckdb.Error):
                self._connection.close()
            if self._release is not None:
                self._release()

    @contextmanager
    def _working(self) -> Iterator[None]:
        self._ctx.raise_if_cancelled()
        with _Interrupter(self._connection) as interrupter, self._ctx.on_cancel(interrupter.start):
            try:
                yield
            # Errors in the middle of a stream pass through Arrow, which makes them OSError or ArrowException.
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                if self._input_error is not None:
                    raise self._input_error from None
                self._ctx.raise_if_cancelled()
                raise translate(error) from error


class _Interrupter:
    """Interrupts a connection again and again until its work has ended.

    Once is not enough: an interrupt that arrives just before a query starts is forgotten by DuckDB.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:  # the work may end at this very moment
            if self._thread is None and not self._done.is_set():
                self._thread = threading.Thread(target=self._interrupt, name="duckdb-interrupt", daemon=True)
                self._thread.start()

    def _interrupt(self) -> None:
        while not self._done.is_set():
            self._connection.interrupt()
            self._done.wait(0.05)

    def __enter__(self) -> _Interrupter:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._done.set()
        if self._thread is not None:  # an interrupt after this block would hit somebody else's query
            self._thread.join()
