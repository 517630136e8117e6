"""``table`` or ``schema.table``, as users write it."""

from __future__ import annotations

import re

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.duckdb.database import quote_name

__all__ = ["TableName"]

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True)
class TableName:
    """A table of a database; its schema is ``main`` where none is named.

    Attributes:
        name: Of the table.
        schema: Its schema.
        catalog: What the connection calls the database. Without it, a temporary table of the same name goes first.
    """

    name: str
    schema: str = "main"
    catalog: str | None = None

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``t``, ``schema.t``, or either part in double quotes where it holds a dot.

        Raises:
            DriverError: ``duckdb.bad_table_name``.
        """
        parts, at = [], 0
        while at <= len(text):
            match = _PART.match(text, at)
            if match is None:
                break
            parts.append(match[1].replace('""', '"') if match[1] else match[2].strip())
            at = match.end() + 1
            if match.end() < len(text) and text[match.end()] != ".":
                break
        if at <= len(text) or not 1 <= len(parts) <= 2 or not all(parts):
            raise DriverError(
                f"{text!r} is not a table name",
                hint='write table, schema.table, or "a name.with dots"',
                code="duckdb.bad_table_name",
            )
        return cls(parts[-1], parts[0] if len(parts) == 2 else "main")

    @property
    def sql(self) -> str:
        """Quoted."""
        return f"{self.schema_sql}.{quote_name(self.name)}"

    @property
    def schema_sql(self) -> str:
        """The schema alone, quoted."""
        schema = quote_name(self.schema)
        return schema if self.catalog is None else f"{quote_name(self.catalog)}.{schema}"

    def __str__(self) -> str:
        return self.name if self.schema == "main" else f"{self.schema}.{self.name}"
