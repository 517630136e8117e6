"""``table`` or ``schema.table``, as users write it."""

from __future__ import annotations

import re

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass

__all__ = ["TableName", "quote_name", "quote_text"]

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".\s][^".]*?))\s*(\.|$)')


def quote_name(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """``text`` as an SQL string, where ``standard_conforming_strings`` is on, as in every session of ours."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class TableName:
    """A table of a schema; names are taken as written, upper case too."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str, schema: str) -> TableName:
        """Read ``t``, ``schema.t``, or either part in double quotes where it holds a dot.

        Args:
            text: What the user wrote.
            schema: Where the table is when no schema is named.

        Raises:
            DriverError: ``supabase.bad_table_name``.
        """
        parts: list[str] = []
        at, end = 0, "."
        while end == "." and (match := _PART.match(text, at)) is not None:
            parts.append(match[1].replace('""', '"') if match[1] else match[2])
            at, end = match.end(), match[3]
        if end == "." or not 1 <= len(parts) <= 2 or "\0" in text:
            raise DriverError(
                f"{text!r} is not a table name",
                hint='write table, schema.table, or "a name.with dots"',
                code="supabase.bad_table_name",
            )
        return cls(parts[0] if len(parts) == 2 else schema, parts[-1])

    @property
    def sql(self) -> str:
        """Quoted."""
        return f"{quote_name(self.schema)}.{quote_name(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"
