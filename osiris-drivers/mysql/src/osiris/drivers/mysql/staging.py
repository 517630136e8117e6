"""A new table beside the target that takes its name in one step, once it is complete."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.dependents import foreign_keys, replace_refused
from osiris.drivers.mysql.errors import LOST
from osiris.drivers.mysql.names import TableName, quote_name
from osiris.drivers.mysql.target import Table, table_exists
from osiris.drivers.mysql.types import column_ddl

__all__ = ["Staging"]

_LOCK_SECONDS = 60


class Staging:
    """The tables of one step of one session: ``new`` becomes the target, which until it is dropped is ``old``.

    What an earlier attempt left as ``new`` is first renamed to ``gone``: after that, not even a RENAME of that attempt
    that the server is still busy with can make it the target. The names carry session and step, so that nobody
    else's are ever touched.
    """

    def __init__(self, session: Session, target: TableName, session_id: str, step_id: str) -> None:
        self._session = session
        self._target = target
        whole = "\0".join((session_id, step_id, str(target)))
        digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
        shown = re.sub(r"[^a-z0-9]+", "_", f"{session_id[-20:]}_{step_id[:16]}".lower())
        self.new, self.old, self.gone = (
            TableName(f"_osiris_{kind}_{shown}_{digest}", target.database) for kind in ("new", "old", "gone")
        )

    @property
    def is_pending(self) -> bool:
        """Whether there is a table that has not become the target."""
        return table_exists(self._session, self.new) or table_exists(self._session, self.gone)

    def discard(self, before_drop: Callable[[], object]) -> bool:
        """Remove what did not become the target; False where it has just become it after all.

        ``before_drop`` is called when it cannot become the target any more, and while the table is still there.

        Raises:
            DriverError: ``mysql.lock_wait`` (retryable): another attempt still writes it.
        """
        self._limit_waiting()
        if table_exists(self._session, self.new):
            self._drop(self.gone)
            try:
                self._session.execute(f"RENAME TABLE {self.new.sql} TO {self.gone.sql}", what=f"table {self.new}")
            except DriverError as error:
                if error.code != "mysql.unknown_table":
                    raise
                return False
        elif not table_exists(self._session, self.gone):
            return False
        before_drop()
        self._drop(self.gone)
        return True

    def tidy(self) -> None:
        """Remove the former target that an attempt which got as far as the swap could not remove."""
        if table_exists(self._session, self.old):
            if not table_exists(self._session, self._target):
                # Servers of old do not undo half a RENAME after a crash.
                self._session.execute(f"RENAME TABLE {self.old.sql} TO {self._target.sql}")
            else:
                self._drop(self.old)

    def _drop(self, table: TableName) -> None:
        # Looked for first: DROP ... IF EXISTS wants the right to drop even where there is nothing.
        if table_exists(self._session, table):
            self._session.execute(f"DROP TABLE IF EXISTS {table.sql}", what=f"table {table}")

    def _limit_waiting(self) -> None:
        # Everybody who wants to read waits behind us: not for a day, which is what some servers would wait.
        self._session.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")

    def create_like(self, table: Table) -> None:
        """Make ``new`` as the target is: columns, keys, checks, options; and its foreign keys."""
        self._session.execute(f"CREATE TABLE {self.new.sql} LIKE {table.name.sql}", what=f"table {self.new}")
        keys = foreign_keys(self._session, table.name)
        if keys:
            # Without names: those must be unique in a database, and the server renames its own with the table.
            adds = ", ".join(f"ADD {key}" for key in keys)
            self._session.execute(f"ALTER TABLE {self.new.sql} {adds}", what=f"table {self.new}")

    def create_from(self, fields: Sequence[pa.Field], primary_key: Sequence[str]) -> None:
        """Make ``new`` with types from Arrow; the key's columns do not take NULL.

        Raises:
            DriverError: ``mysql.no_mysql_type``.
        """
        keys = {name.casefold() for name in primary_key}
        parts = []
        for field in fields:
            is_key = field.name.casefold() in keys
            ddl = column_ddl(field.type, key=is_key)
            if is_key and ddl.startswith("VARCHAR"):
                ddl += " COLLATE utf8mb4_bin"  # otherwise `a` and `A` would be one key
            parts.append(f"{quote_name(field.name)} {ddl} {'NOT NULL' if is_key else 'NULL'}")
        if primary_key:
            parts.append(f"PRIMARY KEY ({', '.join(map(quote_name, primary_key))})")
        statement = f"CREATE TABLE {self.new.sql} ({', '.join(parts)}) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"
        self._session.execute(statement, what=f"table {self._target}")

    def swap(self, *, replaces: bool) -> None:
        """``new`` becomes the target, at once; others see the old rows or the new ones, nothing between.

        Args:
            replaces: Whether there was a target when the step began.

        Raises:
            DriverError: ``mysql.lock_wait`` (retryable): somebody keeps the target open; ``mysql.table_exists``
                (retryable): somebody made it meanwhile.
        """
        self._limit_waiting()
        moves = f"{self.new.sql} TO {self._target.sql}"
        if replaces:
            moves = f"{self._target.sql} TO {self.old.sql}, {moves}"
        try:
            self._session.execute(f"RENAME TABLE {moves}", what=f"table {self._target}")
        except DriverError as error:
            if error.code != "mysql.table_exists":
                raise
            raise DriverError(
                f"table {self._target} was made by somebody else while this step made it",
                hint="run again: then the rows go into that table",
                code=error.code,
                retryable=True,
                table=str(self._target),
            ) from error
        if replaces:
            self._drop_old()

    def _drop_old(self) -> None:
        try:
            self._session.execute(f"DROP TABLE {self.old.sql}", what=f"table {self._target}")
        except DriverError as error:
            if error.code != "mysql.foreign_key":
                if error.code == LOST:
                    raise
                return  # the target is there, which counts; the next attempt or committed() removes it
            # A table that the user may not see refers to it, and the server has pointed it to the old one.
            back = f"{self._target.sql} TO {self.new.sql}, {self.old.sql} TO {self._target.sql}"
            self._session.execute(f"RENAME TABLE {back}", what=f"table {self._target}")
            raise replace_refused(self._target, "a table that the user may not see refers to it") from error
