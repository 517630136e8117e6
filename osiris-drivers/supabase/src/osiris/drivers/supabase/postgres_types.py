"""PostgreSQL's types as Arrow's: which one holds every value exactly, and text for all others."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import pyarrow as pa

from osiris.core.quick_dataclass import dataclass
from osiris.drivers.supabase.postgres import Session

__all__ = ["Form", "PgType", "load_types"]


class Form(Enum):
    """How a column travels and becomes Arrow."""

    PLAIN = "its text, which Arrow reads as the type"
    HEX = "bytes as hexadecimal digits"
    LIST = "a JSON list of its members' texts"
    MONEY = "a decimal, because the text of money depends on the server's language"


@dataclass(frozen=True)
class PgType:
    """A type of a column.

    Attributes:
        name: As PostgreSQL calls it: ``numeric``, ``int4``, ``mood``.
        arrow: What holds it.
        form: How it gets there.
        kind: The ``typtype`` letter: ``b`` base, ``e`` enum, ``c`` composite, ``d`` domain, ``r`` range, ...
        member: Of an array.
        modifier: As in ``atttypmod``; -1 for none.
    """

    name: str
    arrow: pa.DataType
    form: Form = Form.PLAIN
    kind: str = "b"
    member: PgType | None = None
    modifier: int = -1

    def expression(self, sql: str) -> str:
        """What to select for a column or value ``sql`` of this type."""
        if self.form is Form.HEX:
            return f"encode({sql}, 'hex')"
        if self.form is Form.LIST:
            return f"to_json({sql}::text[])::text"
        if self.form is Form.MONEY:
            return f"({sql})::numeric(21, 2)"
        return sql

    @property
    def seconds_digits(self) -> int:
        """Of a time or timestamp: digits after the second's point, 0 to 6."""
        return 6 if self.modifier < 0 else self.modifier

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Declared precision and scale of a numeric; None: every value has its own."""
        if self.name != "numeric" or self.modifier < 4:
            return None
        packed = self.modifier - 4
        scale = packed & 0x7FF
        return packed >> 16 & 0xFFFF, scale - 0x800 if scale >= 0x400 else scale


_UTC = "UTC"
_ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", _UTC),
}
_BASE_OIDS = {
    16: "bool", 17: "bytea", 18: "char", 19: "name", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid",
    114: "json", 700: "float4", 701: "float8", 790: "money", 1042: "bpchar", 1043: "varchar", 1082: "date",
    1083: "time", 1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1266: "timetz", 1700: "numeric",
    2950: "uuid", 3802: "jsonb",
}  # fmt: skip
"""The types whose numbers are the same in every database, so that they need not be asked for."""


def make_type(name: str, modifier: int = -1, *, kind: str = "b", member: PgType | None = None) -> PgType:
    """A type by its name in ``pg_type``."""
    if member is not None:
        return PgType(name, pa.list_(member.arrow), Form.LIST, kind, member, modifier)
    if name == "bytea":
        return PgType(name, pa.binary(), Form.HEX, kind)
    if name == "money":
        return PgType(name, pa.decimal128(21, 2), Form.MONEY, kind)
    if name == "numeric":
        found = PgType(name, pa.string(), modifier=modifier)
        return PgType(name, _decimal_type(found.decimal), modifier=modifier)
    return PgType(name, _ARROW.get(name, pa.string()) if kind == "b" else pa.string(), Form.PLAIN, kind, None, modifier)


def _decimal_type(declared: tuple[int, int] | None) -> pa.DataType:
    if declared is None:
        return pa.string()
    precision, scale = declared
    width = max(precision - min(scale, 0), scale)
    if width > 76:
        return pa.string()
    return pa.decimal128(width, max(scale, 0)) if width <= 38 else pa.decimal256(width, max(scale, 0))


def load_types(session: Session, wanted: Iterable[tuple[int, int]]) -> list[PgType]:
    """The types with these numbers and modifiers; asks the server for those that are not the same everywhere."""
    wanted = list(wanted)
    unknown = {oid for oid, _ in wanted} - _BASE_OIDS.keys()
    described: dict[int, tuple[str, str, int, str | None, str | None]] = {}
    if unknown:
        numbers = ", ".join(map(str, sorted(unknown)))
        rows = session.execute(
            "SELECT t.oid::bigint, t.typname, t.typtype, e.oid::bigint, e.typname, e.typtype FROM pg_type t"  # noqa: S608
            " LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid AND e.typtype <> 'd'"
            f" WHERE t.oid IN ({numbers})"
        )
        described = {oid: (name, kind, *member) for oid, name, kind, *member in rows}
    found = []
    for oid, modifier in wanted:
        if oid in _BASE_OIDS:
            found.append(make_type(_BASE_OIDS[oid], modifier))
            continue
        name, kind, member_oid, member_name, member_kind = described.get(oid, ("unknown", "p", 0, None, None))
        member = None
        if member_name is not None:
            # Members without a declared precision are texts, as numeric columns without one are.
            member = make_type(_BASE_OIDS.get(member_oid, member_name), modifier, kind=member_kind or "b")
            if member.form is not Form.PLAIN and member.name != "bytea":
                member = make_type("text")
        found.append(make_type(name, modifier, kind=kind, member=member))
    return found
