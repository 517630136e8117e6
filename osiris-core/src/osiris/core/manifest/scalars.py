"""Unquoted YAML scalars to values, by the core schema of YAML 1.2."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["resolve_plain"]

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_DIGITS = 1000


def resolve_plain(text: str) -> Any:
    """The value of an unquoted scalar in the core schema of YAML 1.2.

    Numbers with leading zeros stay text: YAML 1.1 and 1.2 disagree on what they are, and postcodes begin so.

    Raises:
        ValueError: It is a number that JSON cannot hold.
    """
    if text[:1] not in _NUMBER_STARTS:
        return _WORDS.get(text, text)
    if len(text) > _MAX_DIGITS and (_FLOAT.fullmatch(text) or _OTHER_BASE.fullmatch(text)):
        raise ValueError("has too many digits")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError("is too large a number")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a finite number")
    return text
