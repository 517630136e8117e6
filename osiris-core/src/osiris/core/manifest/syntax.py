"""Text that is not YAML: where, and what was probably wrong."""

from __future__ import annotations

import re
from typing import Any

import yaml

from osiris.core.errors import ManifestError, Problem

__all__ = ["refuse_control_characters", "syntax_error"]

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what YAML counts as lines
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


def refuse_control_characters(text: str, file: str | None) -> None:
    """Raise ManifestError at the first character that YAML does not allow: a binary file is full of them."""
    found = _CONTROL.search(text)
    if found is None:
        return
    line = len(_LINE_BREAK.findall(text, 0, found.start())) + 1
    start = max((match.end() for match in _LINE_BREAK.finditer(text, 0, found.start())), default=0)
    problem = Problem(
        code="manifest.encoding",
        message=f"character U+{ord(found.group()):04X} is not allowed in YAML",
        hint="a pipeline file is UTF-8 text; is this the right file?",
        file=file,
        line=line,
        column=found.start() - start + 1,
    )
    raise ManifestError(problems=[problem])


def syntax_error(error: yaml.MarkedYAMLError, text: str, file: str | None) -> ManifestError:
    """The parser's error with its place and, where the usual mistakes show, with advice."""
    mark = error.problem_mark or error.context_mark
    parts = [part for part in (error.context, error.problem) if part]
    line, column, hint = None, None, None
    if mark is not None:
        lines = _LINE_BREAK.split(text)
        number = min(mark.line, len(lines) - 1)
        here = lines[number]
        column = min(mark.column, len(here)) + 1
        line = number + 1
        hint = _unclosed_quote(error.context_mark, lines) or _syntax_hint(here, column - 1)
    problem = Problem(
        code="manifest.yaml",
        message=f"not valid YAML: {', '.join(parts)}",
        hint=hint or "look at this line and the one before: quotes, brackets, colons, indentation",
        file=file,
        line=line,
        column=column,
    )
    return ManifestError(problems=[problem])


def _unclosed_quote(begun: Any, lines: list[str]) -> str | None:
    """A quote is where the parser began what it did not come to the end of."""
    if begun is None or begun.line >= len(lines):
        return None
    opening = lines[begun.line][begun.column : begun.column + 1]
    return f"the text that begins in line {begun.line + 1} has no closing {opening}" if opening in ("'", '"') else None


def _syntax_hint(line: str, column: int) -> str | None:
    at = line[column : column + 1]
    if at == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return "YAML does not allow tabs in the indentation: use spaces"
    if at in ("@", "`", "%"):
        return f"a text that begins with {at} needs quotes"
    if "${" in line:
        return "inside [ ] and { } a ${reference} needs quotes"
    if ": " in line[column:] or line.count(": ") > 1:
        return "a text with a colon and a space in it needs quotes"
    return None
