"""Plain data to YAML text: the same bytes for the same data, everywhere, and the same data when it is read.

Written without a library, whose line widths and quotes change from one version to the next. What a reader of YAML
1.1 or 1.2 could take for something else is in quotes; texts of several lines are block scalars where nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["write_yaml"]

_WIDTH = 100  # of a list in one line
_LONGEST_KEY = 900  # bytes of it in a line; YAML looks for the colon within 1,024

_PLAIN = re.compile(r"(?:\.{0,2}/|[A-Za-z_])[A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+()=<>*-]+)*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "_", "."})
_SPECIAL = re.compile(r"[\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_IN_BLOCK = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def write_yaml(value: Mapping[str, Any]) -> str:
    """``value``, of dicts, lists, texts, numbers, booleans and None, as one document in block style.

    Mappings keep their order. Lists of short scalars stand in one line.
    """
    return "".join(f"{line}\n" for line in _mapping(value, ""))


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        written = _quote(key) if not _WORD.fullmatch(key) or _is_reserved(key) else key
        if len(written.encode()) > _LONGEST_KEY:
            yield f"{indent}? {written}"
            yield from _after(f"{indent}:", item, indent)
        else:
            yield from _after(f"{indent}{written}:", item, indent)


def _after(start: str, value: Any, indent: str) -> Iterator[str]:
    """``value`` behind ``start``, which ends in a colon."""
    if isinstance(value, Mapping) and value:
        yield start
        yield from _mapping(value, f"{indent}  ")
    elif isinstance(value, list) and value and (line := _one_line(value)) is None:
        yield start
        yield from _list(value, f"{indent}  ")
    elif isinstance(value, list) and value:
        yield f"{start} {line}"
    elif isinstance(value, str) and _is_block(value):
        yield f"{start} {'|' if value.endswith(chr(10)) else '|-'}"
        yield from _block(value, f"{indent}  ")
    else:
        yield f"{start} {_scalar(value)}"


def _list(value: Sequence[Any], indent: str) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            yield from _in_first(_mapping(item, f"{indent}  "), indent)
        elif isinstance(item, list) and item:
            line = _one_line(item)
            yield from [f"{indent}- {line}"] if line else _in_first(_list(item, f"{indent}  "), indent)
        elif isinstance(item, str) and _is_block(item):
            yield f"{indent}- {'|' if item.endswith(chr(10)) else '|-'}"
            yield from _block(item, f"{indent}  ")
        else:
            yield f"{indent}- {_scalar(item)}"


def _in_first(lines: Iterator[str], indent: str) -> Iterator[str]:
    """``lines``, two columns deeper than ``indent``, with a dash in front of the first."""
    yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
    yield from lines


def _one_line(value: Sequence[Any]) -> str | None:
    if any(isinstance(item, Mapping | list) and item for item in value):
        return None
    line = f"[{', '.join(_scalar(item) for item in value)}]"
    return line if len(line) <= _WIDTH else None


def _is_block(text: str) -> bool:
    """Whether a block scalar holds the text exactly: several lines, none of which an editor or reader would change."""
    if "\n" not in text or _IN_BLOCK.search(text) or text.endswith("\n\n"):
        return False
    lines = text.removesuffix("\n").split("\n")
    return (
        lines[0][:1] not in ("", " ", "\t") and not any(line and not line.strip() for line in lines) and bool(lines[-1])
    )


def _block(text: str, indent: str) -> Iterator[str]:
    for line in text.removesuffix("\n").split("\n"):
        yield f"{indent}{line}" if line else ""


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and not _is_reserved(value) else _quote(value)
    return "[]" if isinstance(value, list) else "{}"


def _float(value: float) -> str:
    digits, exponent, power = repr(value).partition("e")
    # YAML 1.1 takes 1e+16 for a text.
    return f"{digits}{'' if '.' in digits else '.0'}{exponent}{power}"


def _is_reserved(text: str) -> bool:
    return text.casefold().lstrip(".") in _RESERVED or text in _RESERVED or not text.strip("._-")


def _quote(text: str) -> str:
    if ('"' in text or "\\" in text) and "'" not in text and not _SPECIAL.search(text):
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_SPECIAL.sub(_escape, escaped)}"'


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")
