"""Values of parameters: do they fit a type, how text becomes one, how they look inside a longer text."""

from __future__ import annotations

import re
from typing import Any, Literal

from osiris.core.manifest.report import describe, shortened

__all__ = ["TYPES", "ParamType", "as_text", "match", "read", "type_of"]

ParamType = Literal["integer", "number", "string", "boolean"]
TYPES: tuple[ParamType, ...] = ("integer", "number", "string", "boolean")

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,3})?")


def as_text(value: Any) -> str:
    """A parameter's value inside a longer text: as YAML would write it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def type_of(value: Any) -> str:
    """The type that a value has by itself; what is nothing is a text that was not given."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if value is None or isinstance(value, str) else type(value).__name__


def match(value: Any, kind: ParamType) -> Any:
    """``value``, if it is of that type.

    Raises:
        ValueError: It is not; the text says how.
    """
    fits = {
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
    }
    if not fits[kind]:
        raise ValueError(f"must be {_article(kind)}, but is {describe(value)}")
    return value


def read(text: str, kind: ParamType) -> Any:
    """The value that ``text`` is in that type, as it stands on a command line.

    Raises:
        ValueError: It is none; the text says how.
    """
    if kind == "string":
        return text
    if kind == "boolean":
        if text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
    elif _INTEGER.fullmatch(text):
        return int(text)
    elif kind == "number" and _NUMBER.fullmatch(text):
        number = float(text)
        if abs(number) != float("inf"):
            return number
    raise ValueError(f"must be {_article(kind)}, but is {shortened(text)!r}")


def _article(kind: str) -> str:
    return {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}[kind]
