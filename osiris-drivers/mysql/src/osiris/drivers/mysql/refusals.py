"""Errors about single rows: which row, which column, which value, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.mysql.client import Session
from osiris.drivers.mysql.fitting import Fit
from osiris.drivers.mysql.names import TableName
from osiris.drivers.mysql.rendering import MisfitError, plain

__all__ = ["ROW_ERRORS", "Refusal", "Row", "misfit", "refusal", "unique_keys"]

ROW_ERRORS = frozenset(
    {
        "mysql.data_truncated",
        "mysql.out_of_range",
        "mysql.null_value",
        "mysql.duplicate_key",
        "mysql.check_failed",
        "mysql.foreign_key",
        "mysql.collation",
        "mysql.packet_too_large",
        "mysql.failed",
    }
)
"""Codes of errors that some row may have caused; ``mysql.failed`` is what a trigger's SIGNAL gives, among others."""

_LONGEST = 200
_REASONS = {
    1406: "is too long for",
    1264: "is out of the range of",
    1690: "is out of the range of",
    1366: "has a wrong form, or characters that are not in the charset, for",
    1292: "is nothing that exists for",
    1411: "is nothing that exists for",
    1265: "would be cut or rounded in",
    1048: "may not be NULL:",
    1263: "may not be NULL:",
    1416: "is no shape for",
    3140: "is not JSON:",
}
_HINTS = {
    "mysql.duplicate_key": "write_mode: upsert updates rows that are there; or leave such rows out in the step before",
    "mysql.foreign_key": "write the rows of the other table first",
    "mysql.check_failed": "leave such rows out in the step before, or change the table's CHECK",
    "mysql.packet_too_large": "raise max_allowed_packet on the server",
}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What the server said of one row: its number and text, and the code in our words."""

    number: int
    text: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the input.

    Attributes:
        batch: Holds it.
        index: Where in ``batch``.
        number: Where in the input, from 1.
        show: Whether its values may be shown.
    """

    batch: pa.RecordBatch
    index: int
    number: int
    show: bool

    def value(self, fit: Fit) -> str:
        """A column's value for people, cut where it is long."""
        array = plain(self.batch.column(fit.index).slice(self.index, 1))
        if array.null_count:
            return "NULL"
        if not self.show:
            return "a value (not shown)"
        try:
            text = repr(array[0].as_py())
        except (ValueError, OverflowError):  # nanoseconds, and years that Python does not have
            text = str(array.cast(pa.string())[0].as_py())
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def misfit(error: MisfitError, fit: Fit, row: Row) -> DriverError:
    """The error about a value that was refused before it was sent."""
    column, value = fit.column, row.value(fit)
    is_null = value == "NULL"
    return DriverError(
        f"row {row.number}: column {fit.source!r} holds {value}, which {error.reason} ({column.name}: {column.ddl})",
        hint=f"fill {fit.source!r} in the step before" if is_null else f"change {fit.source!r} in the step before",
        code="mysql.null_value" if is_null else "mysql.value_does_not_fit",
        row=row.number,
        column=fit.source,
    )


def refusal(said: Refusal, fits: Sequence[Fit], row: Row, keys: Mapping[str, Sequence[str]]) -> DriverError:
    """The error about a row that the server refused.

    Args:
        said: The server's words. The number decides; the text only shows which column or key is meant.
        fits: The columns.
        row: The row.
        keys: The table's unique keys and their columns.
    """
    if said.code == "mysql.duplicate_key":
        return _duplicate(said, fits, row, keys)
    named = _named_column(said.text, fits)
    hint = _HINTS.get(said.code)
    if named is not None and said.number in _REASONS:
        column = named.column
        return DriverError(
            f"row {row.number}: column {named.source!r} holds {row.value(named)}, which"
            f" {_REASONS[said.number]} {column.name} ({column.ddl})",
            hint=hint or f"change {named.source!r} in the step before, or the table's column",
            code="mysql.null_value" if said.code == "mysql.null_value" else "mysql.value_does_not_fit",
            row=row.number,
            column=named.source,
            number=said.number,
        )
    # Foreign keys and CHECKs are told by their names, never with values.
    is_safe = row.show or said.code in ("mysql.foreign_key", "mysql.check_failed")
    return DriverError(
        f"row {row.number}: {said.text if is_safe else 'the server refused it'} ({said.number})",
        hint=hint or "change the row in the step before",
        code=said.code,
        row=row.number,
        number=said.number,
    )


def _duplicate(said: Refusal, fits: Sequence[Fit], row: Row, keys: Mapping[str, Sequence[str]]) -> DriverError:
    name = next((key for key in keys if said.text.endswith((f"'{key}'", f".{key}'"))), None)
    by_column = {fit.column.name.casefold(): fit for fit in fits}
    columns = [column.casefold() for column in keys.get(name or "", ())]
    values = ", ".join(f"{by_column[c].source}={row.value(by_column[c])}" for c in columns if c in by_column)
    return DriverError(
        f"row {row.number}: there is a row with the same key {name or ''}{f' ({values})' if values else ''} already,"
        " in the table or earlier in the input",
        hint=_HINTS["mysql.duplicate_key"],
        code="mysql.duplicate_key",
        row=row.number,
        key=name,
        number=said.number,
    )


def _named_column(text: str, fits: Sequence[Fit]) -> Fit | None:
    """The column that stands last in the text, quoted: before it there may be a value, which comes from outside."""
    places = [
        (max(text.rfind(f"'{fit.column.name}'"), text.rfind(f"`{fit.column.name}`")), fit.index, fit) for fit in fits
    ]
    place, _, fit = max(places, key=lambda item: item[:2])
    return fit if place >= 0 else None


def unique_keys(session: Session, name: TableName) -> dict[str, list[str]]:
    """The table's unique keys by name, each with its columns."""
    keys: dict[str, list[str]] = {}
    rows = session.execute(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
        " AND NON_UNIQUE = 0 AND COLUMN_NAME IS NOT NULL ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        [name.database, name.name],
    ).rows
    for key, column in rows:
        keys.setdefault(str(key), []).append(str(column))
    return keys
