"""Which texts a column of another type may take: those that say the very value that their cast gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from osiris.drivers.duckdb.database import quote_name, quote_text

__all__ = ["says_the_same"]

_DAY = "[0-9]{4,6}-[0-9]{2}-[0-9]{2}"
_OFFSET = "( ?(Z|UTC)|[+-][0-9]{2}(:?[0-9]{2}(:?[0-9]{2})?)?)"
_INTEGER = r"\s*[+-]?[0-9]+\s*"
_NUMBER = r"\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\s*"
_NO_NUMBER = r"(?i)\s*[+-]?(nan|inf|infinity)\s*"
# Whole units, and seconds with a fraction: of other units, nobody says how long a part is.
_SPAN = r"\s*([+-]?[0-9]+ *[a-zA-Z]+|[+-]?[0-9]*[.][0-9]{0,6}0* *(?i:s|sec|second|seconds)|[+-]?CLOCK)"
# An escape that JSON knows and DuckDB does not: it takes \n for n.
_FOREIGN_ESCAPE = r"""\\[^"'\\]"""


def says_the_same(text: str, kind: Any, depth: int = 0) -> str:
    """SQL that is true where the cast of a text loses nothing; NULL or false elsewhere.

    Lists, structs and maps are held to the rule member by member.

    Args:
        text: SQL of a VARCHAR that is not NULL.
        kind: The type that it becomes.
        depth: How many lambdas are around it.
    """
    value = f"TRY_CAST({text} AS {kind})"
    rule = _RULES.get(kind.id)
    if rule is not None:
        return f"{value} IS NOT NULL AND ({rule(text, value, kind, depth)})"
    return f"CAST({value} AS VARCHAR) = {text}"  # its own text


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {quote_text(pattern)})"


def _always(_text: str, _value: str, _kind: Any, _depth: int) -> str:
    return "true"


def _is_integer(text: str, _value: str, _kind: Any, _depth: int) -> str:
    return _matches(text, _INTEGER)


def _is_decimal(text: str, _value: str, kind: Any, _depth: int) -> str:
    return _matches(text, rf"\s*[+-]?[0-9]*([.][0-9]{{0,{dict(kind.children)['scale']}}}0*)?\s*")


def _is_floating(digits: int) -> Callable[[str, str, Any, int], str]:
    def rule(text: str, value: str, _kind: Any, _depth: int) -> str:
        own = f"CAST({value} AS VARCHAR)"
        return " OR ".join(
            [
                # So few digits are always those of the shortest text of what they become: looking at it takes longer.
                f"(strlen({text}) <= {digits} AND {_matches(text, '[0-9. +-]*')})",
                f"rtrim({own}, '0') = rtrim({text}, '0')",  # they are about the same number, so not ten times as much
                f"({_matches(text, _NUMBER)} AND {_number(text)} = {_number(own)})",
                f"({_matches(text, _INTEGER)} AND TRY_CAST({text} AS HUGEINT) = TRY_CAST({value} AS HUGEINT))",
                _matches(text, _NO_NUMBER),
            ]
        )

    return rule


def _number(text: str) -> str:
    """SQL of a text that two numbers share where they are equal as decimals: sign, digits, and where the point is."""
    names = "['sign', 'whole', 'part', 'power']"
    parts = rf"regexp_extract({text}, '^\s*([+-]?)([0-9]*)[.]?([0-9]*)[eE]?([+-]?[0-9]*)', {names})"
    digits = f"ltrim({parts}.whole || {parts}.part, '0')"
    point = f"strlen({digits}) - strlen({parts}.part) + coalesce(TRY_CAST({parts}.power AS BIGINT), 0)"
    sign = f"CASE WHEN {parts}.sign = '-' THEN '-' ELSE '' END"
    return f"({sign} || CASE WHEN {digits} = '' THEN '0' ELSE rtrim({digits}, '0') || 'e' || ({point}) END)"


def _is_time(pattern: str, fraction: int) -> Callable[[str, str, Any, int], str]:
    whole = pattern.replace("CLOCK", f"[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{0,{fraction}}}0*)?)?")

    def rule(text: str, value: str, _kind: Any, _depth: int) -> str:
        return f"CAST({value} AS VARCHAR) = {text} OR {_matches(text, whole)}"

    return rule


def _is_list(text: str, _value: str, kind: Any, depth: int) -> str:
    children = dict(kind.children)
    size = children.get("size", "")
    members = f"CAST(TRY_CAST({text} AS VARCHAR[{size}]) AS VARCHAR[])"
    return f"{_all_do(members, children['child'], depth)} AND {_known_escapes(text)}"


def _is_map(text: str, _value: str, kind: Any, depth: int) -> str:
    children = dict(kind.children)
    members = f"TRY_CAST({text} AS MAP(VARCHAR, VARCHAR))"
    keys = _all_do(f"map_keys({members})", children["key"], depth)
    values = _all_do(f"map_values({members})", children["value"], depth)
    return f"{keys} AND {values} AND {_known_escapes(text)}"


def _is_struct(text: str, _value: str, kind: Any, depth: int) -> str:
    members = f"TRY_CAST({text} AS STRUCT({', '.join(f'{quote_name(name)} VARCHAR' for name, _ in kind.children)}))"
    rules = []
    for name, child in kind.children:
        member = f"struct_extract({members}, {quote_text(name)})"
        rules.append(f"({member} IS NULL OR {says_the_same(member, child, depth)})")
    return " AND ".join([f"{members} IS NOT NULL", *rules, _known_escapes(text)])


def _all_do(members: str, kind: Any, depth: int) -> str:
    member = f"m{depth}"
    refused = f"{member} IS NOT NULL AND CASE WHEN {says_the_same(member, kind, depth + 1)} THEN false ELSE true END"
    return f"len(list_filter({members}, lambda {member}: {refused})) = 0"


def _known_escapes(text: str) -> str:
    return f"NOT regexp_matches({text}, {quote_text(_FOREIGN_ESCAPE)})"


_RULES: Mapping[str, Callable[[str, str, Any, int], str]] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint", "bignum", "varint"), _is_integer),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), _is_integer),
    "decimal": _is_decimal,
    "float": _is_floating(6),
    "double": _is_floating(15),
    **dict.fromkeys(("boolean", "uuid"), _always),  # DuckDB takes few words, and none for two values
    "timestamp_s": _is_time(rf"\s*{_DAY}([T ]CLOCK)?\s*", 0),
    "timestamp_ms": _is_time(rf"\s*{_DAY}([T ]CLOCK)?\s*", 3),
    "timestamp": _is_time(rf"\s*{_DAY}([T ]CLOCK)?\s*", 6),
    "timestamp_ns": _is_time(rf"\s*{_DAY}([T ]CLOCK)?\s*", 9),
    "timestamp with time zone": _is_time(rf"\s*{_DAY}[T ]CLOCK{_OFFSET}\s*", 6),
    "timestamptz_ns": _is_time(rf"\s*{_DAY}[T ]CLOCK{_OFFSET}\s*", 9),
    "time": _is_time(r"\s*CLOCK\s*", 6),
    "time_ns": _is_time(r"\s*CLOCK\s*", 9),
    "time with time zone": _is_time(rf"\s*CLOCK{_OFFSET}\s*", 6),
    "interval": _is_time(rf"({_SPAN})+\s*", 6),
    "list": _is_list,
    "array": _is_list,
    "map": _is_map,
    "struct": _is_struct,
}
