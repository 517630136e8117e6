"""The table that is written, as its server describes it."""

from __future__ import annotations

from difflib import get_close_matches

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.names import TableName

__all__ = ["Table", "TableColumn", "find_table", "full_name", "no_such_table", "table_exists"]


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """A column of the table.

    Attributes:
        name: Its name.
        kind: The type's bare word in lower case: ``int``, ``varchar``, ``datetime``.
        ddl: The whole type: ``int(10) unsigned``, ``enum('a','b')``.
        nullable: Whether it takes NULL.
        optional: Whether a row may leave it out.
        numbered: Whether the server numbers rows here (AUTO_INCREMENT).
        computed: Whether the server computes it from other columns.
        charset, collation: Of texts; None for others.
        length: In characters, or bytes; None where the type has none.
        precision: Digits of the second of times and dates with times, 0 for others.
    """

    name: str
    kind: str
    ddl: str
    nullable: bool
    optional: bool
    numbered: bool
    computed: bool
    charset: str | None
    collation: str | None
    length: int | None
    precision: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that exists.

    Attributes:
        name: With its database.
        kind: ``BASE TABLE``, ``VIEW``, ``SYSTEM VERSIONED``, ...
        engine: ``InnoDB``, ...; empty for a view.
        transactional: Whether the engine can undo.
        columns: In order.
    """

    name: TableName
    kind: str
    engine: str
    transactional: bool
    columns: tuple[TableColumn, ...]

    @property
    def by_name(self) -> dict[str, TableColumn]:
        """The columns by their names, in which case makes no difference."""
        return {column.name.casefold(): column for column in self.columns}


def full_name(session: Session, table: str) -> TableName:
    """The table's name with its database, from the connection where ``table`` has none.

    Raises:
        DriverError: ``mysql.bad_name``, ``mysql.no_database``.
    """
    name = TableName.parse(table)
    database = name.database or session.server.database
    if database is None:
        raise DriverError(
            f"nobody says in which database table {name} is",
            hint="give the connection a `database`, or write database.table",
            code="mysql.no_database",
        )
    return TableName(name.name, database)


def find_table(session: Session, name: TableName) -> Table | None:
    """What the server says of the table; None where there is none (or none that the user may see)."""
    found = session.execute(
        "SELECT t.TABLE_TYPE, COALESCE(t.ENGINE, ''), COALESCE(e.TRANSACTIONS, '') FROM information_schema.TABLES t"
        " LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE"
        " WHERE t.TABLE_SCHEMA = %s AND t.TABLE_NAME = %s",
        [name.database, name.name],
    ).rows
    if not found:
        return None
    ((kind, engine, transactions),) = found
    return Table(
        name=name,
        kind=str(kind),
        engine=str(engine),
        transactional=str(transactions).upper() == "YES",
        columns=_columns(session, name),
    )


def _columns(session: Session, name: TableName) -> tuple[TableColumn, ...]:
    rows = session.execute(
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, CHARACTER_SET_NAME,"
        " COLLATION_NAME, CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
        [name.database, name.name],
    ).rows
    columns = []
    for column, kind, ddl, nullable, default, extra, charset, collation, length, precision in rows:
        more = str(extra).lower()
        numbered, takes_null = "auto_increment" in more, str(nullable).upper() == "YES"
        computed = "virtual generated" in more or "stored generated" in more
        columns.append(
            TableColumn(
                name=str(column),
                kind=_text(kind).lower(),
                ddl=_text(ddl),
                nullable=takes_null,
                optional=takes_null or default is not None or numbered or computed,
                numbered=numbered,
                computed=computed,
                charset=charset,
                collation=collation,
                length=None if length is None else int(length),
                precision=int(precision or 0),
            )
        )
    return tuple(columns)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def table_exists(session: Session, name: TableName) -> bool:
    """Whether there is a table, or a view, of that name."""
    return bool(
        session.execute(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            [name.database, name.name],
        ).rows
    )


def no_such_table(session: Session, name: TableName) -> DriverError:
    """The error about a table that is not there, with the name that was perhaps meant."""
    rows = session.execute(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s ORDER BY 1 LIMIT 2000",
        [name.database],
    ).rows
    close = get_close_matches(name.name, [str(row[0]) for row in rows], n=1)
    return DriverError(
        f"there is no table {name}",
        hint=f"did you mean {close[0]!r}?" if close else "set create_if_missing: true",
        code="mysql.unknown_table",
        table=str(name),
    )
