"""The input's columns and the table's: matched by name, never by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import pyarrow as pa

from osiris.core.errors import DriverError
from osiris.drivers.mysql.fitting import Fit, fit
from osiris.drivers.mysql.target import Table

__all__ = ["check_keys", "match", "renamed"]


def renamed(schema: pa.Schema, columns: Mapping[str, str] | None) -> list[pa.Field]:
    """The input's columns with the names that they have in the table.

    Raises:
        DriverError: ``mysql.columns_differ``: a column that is not there is renamed, or a name comes twice.
    """
    given = columns or {}
    unknown = [name for name in given if name not in schema.names]
    if unknown:
        raise _differ(f"the input has no column {_listed(unknown)}, which `columns` names", schema.names, unknown[0])
    fields = [field.with_name(given.get(field.name, field.name)) for field in schema]
    times = Counter(field.name.casefold() for field in fields)
    twins = [field.name for field in fields if times[field.name.casefold()] > 1]
    if twins:
        raise DriverError(
            f"the input has columns that a table cannot tell apart: {_listed(twins)}",
            hint="give each a name of its own in the step before; case makes no difference",
            code="mysql.columns_differ",
        )
    if not fields:
        raise DriverError("the input has no columns", hint="select at least one", code="mysql.columns_differ")
    return fields


def check_keys(fields: Sequence[pa.Field], primary_key: Sequence[str]) -> None:
    """Refuse a key that the input does not have.

    Raises:
        DriverError: ``mysql.columns_differ``.
    """
    names = [field.name for field in fields]
    there = {name.casefold() for name in names}
    missing = [key for key in primary_key if key.casefold() not in there]
    if missing:
        raise _differ(f"the input has no column {_listed(missing)}, which primary_key names", names, missing[0])


def match(schema: pa.Schema, fields: Sequence[pa.Field], table: Table) -> list[Fit]:
    """Each column's way into the table.

    Args:
        schema: The input's.
        fields: Its columns as :func:`renamed` gives them, in the same order.
        table: Where they go.

    Raises:
        DriverError: ``mysql.columns_differ``, ``mysql.type_mismatch``.
    """
    known = table.by_name
    extra = [field.name for field in fields if field.name.casefold() not in known]
    there = {field.name.casefold() for field in fields}
    missing = [column.name for name, column in known.items() if name not in there and not column.optional]
    if extra or missing:
        parts = [f"the input lacks {_listed(missing)}"] if missing else []
        parts += [f"the table lacks {_listed(extra)}"] if extra else []
        message = f"the columns do not match those of table {table.name}: {'; '.join(parts)}"
        raise _differ(message, [column.name for column in table.columns], extra[0] if extra else None)
    computed = [field.name for field in fields if known[field.name.casefold()].computed]
    if computed:
        raise DriverError(
            f"table {table.name} computes {_listed(computed)} itself",
            hint="leave the column out in the step before",
            code="mysql.columns_differ",
        )
    return [
        fit(source, index, known[field.name.casefold()])
        for index, (source, field) in enumerate(zip(schema, fields, strict=True))
    ]


def _differ(message: str, names: Sequence[str], wrong: str | None) -> DriverError:
    close = get_close_matches(wrong, names, n=1) if wrong is not None else []
    hint = f"did you mean {close[0]!r}? there are" if close else "name them alike with `columns`; there are"
    return DriverError(message, hint=f"{hint} {', '.join(names)}", code="mysql.columns_differ")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
