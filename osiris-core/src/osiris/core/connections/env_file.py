"""Files of variables: ``.env``, and what ``--env-file`` names."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from osiris.core.errors import ConnectionConfigError, Problem

if TYPE_CHECKING:
    from dotenv.parser import Original

__all__ = ["read_variables"]


def read_variables(file: Path) -> dict[str, str]:
    """The variables of a file with lines ``NAME=value``, taken literally; the last of a name counts.

    Raises:
        ConnectionConfigError: ``connection.dotenv``: it cannot be read, or says something that is no variable. The
            rest would go with that unnoticed, up to the end of the file where a quote is not closed.
    """
    from dotenv.parser import parse_stream  # dotenv_values() logs what it does not understand, and goes on

    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason, hint = _why_not(error)
        raise ConnectionConfigError(
            f"the env file '{file}' cannot be read: {reason}", hint=hint, code="connection.dotenv"
        ) from None
    bindings = list(parse_stream(StringIO(text)))
    wrong = [_line_of(binding.original) for binding in bindings if binding.error]
    if wrong:
        raise ConnectionConfigError(problems=[_no_variable(file, line) for line in wrong])
    return {found.key: found.value for found in bindings if found.key is not None and found.value is not None}


def _line_of(statement: Original) -> int:
    before = len(statement.string) - len(statement.string.lstrip())  # empty lines count as its beginning
    return statement.line + statement.string[:before].count("\n")


def _why_not(error: OSError | UnicodeDecodeError) -> tuple[str, str]:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start})", "save it as UTF-8 text with lines NAME=value"
    if isinstance(error, PermissionError):
        return "no permission", "check its permissions, and those of its folder"
    if isinstance(error, IsADirectoryError):
        return "it is a folder", "a text file with lines NAME=value is meant"
    if isinstance(error, FileNotFoundError):
        return "there is no such file", "check the path; a text file with lines NAME=value is meant"
    return str(error.strerror or error), "a text file with lines NAME=value is meant"


def _no_variable(file: Path, line: int) -> Problem:
    # Without the line's text: it may be a secret.
    return Problem(
        code="connection.dotenv",
        message="this line is no variable, or its quote is not closed",
        hint="write NAME=value; a value in quotes ends with the same quote",
        file=str(file),
        line=line,
    )
