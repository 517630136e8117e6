"""Names of tables and columns, as users write them and as SQL takes them."""

from __future__ import annotations

import re

from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass

__all__ = ["TableName", "quote_name"]

_PART = re.compile(r"`((?:[^`]|``)+)`|([^`.]+)")


def quote_name(name: str) -> str:
    """``name`` as an SQL identifier; in backticks, which every SQL mode understands.

    Raises:
        DriverError: ``mysql.bad_name``: it is empty, or holds a NUL character.
    """
    if not name or "\0" in name:
        raise DriverError(f"{name!r} is not a name", hint="give it another name", code="mysql.bad_name")
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True)
class TableName:
    """A table; ``database`` is None where the connection's is meant."""

    name: str
    database: str | None = None

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``t``, ``db.t``, or either part in backticks where it holds a dot.

        Raises:
            DriverError: ``mysql.bad_name``.
        """
        parts, at = [], 0
        while at <= len(text):
            match = _PART.match(text, at)
            if match is None:
                break
            parts.append(match[1].replace("``", "`") if match[1] else match[2].strip())
            at = match.end() + 1
            if match.end() < len(text) and text[match.end()] != ".":
                break
        if at <= len(text) or not 1 <= len(parts) <= 2 or not all(parts):
            raise DriverError(
                f"{text!r} is not a table name",
                hint="write table, database.table, or `a name.with dots`",
                code="mysql.bad_name",
            )
        return cls(parts[-1], parts[0] if len(parts) == 2 else None)

    @property
    def sql(self) -> str:
        """Quoted."""
        name = quote_name(self.name)
        return name if self.database is None else f"{quote_name(self.database)}.{name}"

    def __str__(self) -> str:
        return self.name if self.database is None else f"{self.database}.{self.name}"
