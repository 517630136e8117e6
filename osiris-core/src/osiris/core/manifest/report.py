"""Collecting every mistake of a file, each with its place, before any is reported."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import NoReturn

from osiris.core.errors import InvalidPipelineError, ManifestError, Problem
from osiris.core.manifest.paths import Path, format_path
from osiris.core.manifest.positions import Place, locate

__all__ = ["Path", "Report", "describe", "format_path", "in_order", "shortened", "suggest"]

_UNREADABLE = ("manifest.number", "manifest.tag")
_MAX_CANDIDATES = 500  # difflib compares with each one; a guess is not worth seconds


class Report:
    """The problems found so far in one file.

    Args:
        file: The name to show; None for data that did not come from a file.
        place: Where everything is, from :func:`osiris.core.manifest.positions.compose`.

    Attributes:
        moved: Where the text has what a translation put somewhere else: path in the text by path in the data.
    """

    def __init__(self, file: str | None = None, place: Place | None = None) -> None:
        self.file = file
        self.place = place
        self.moved: dict[Path, Path] = {}
        self.problems: list[Problem] = []
        self._unreadable: set[str] = set()

    def is_moved(self, path: Path) -> bool:
        """Whether a translation put there what the text has elsewhere."""
        return path in self.moved

    def add(self, code: str, message: str, path: Path, hint: str | None = None, *, at_key: bool = False) -> None:
        """Note a mistake at ``path``; ``at_key`` points at the key itself, not at its value."""
        problem = self.problem(code, message, path, hint, at_key=at_key)
        if at_key or problem.path not in self._unreadable:
            self.problems.append(problem)

    def take(self, problems: Sequence[Problem]) -> None:
        """Note what was found while the text was read; what cannot be read is not judged a second time."""
        self.problems.extend(problems)
        self._unreadable.update(problem.path for problem in problems if problem.code in _UNREADABLE)

    def is_unreadable(self, path: Path) -> bool:
        """Whether the text has at ``path`` what could not be read."""
        return bool(self._unreadable) and format_path(path) in self._unreadable

    def problem(self, code: str, message: str, path: Path, hint: str | None = None, *, at_key: bool = False) -> Problem:
        """A problem at ``path`` with file, line and column filled in, not noted."""
        line, column = locate(self.place, self._in_text(path), at_key=at_key) or (None, None)
        return Problem(
            code=code,
            message=message,
            hint=hint,
            path=format_path(path),
            file=self.file,
            line=line,
            column=column,
        )

    def _in_text(self, path: Path) -> Path:
        if self.moved:
            for length in range(len(path), 0, -1):
                if path[:length] in self.moved:
                    return (*self.moved[path[:length]], *path[length:])
        return path

    def stop(self, kind: type[InvalidPipelineError] = ManifestError) -> NoReturn:
        """Raise ``kind`` with all problems, in the order of the file."""
        raise kind(problems=in_order(self.problems))


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """The problems by file, line and column; those without a place first, in the order they were found."""
    return sorted(problems, key=lambda problem: (problem.file or "", problem.line or 0, problem.column or 0))


def suggest(word: str, known: Collection[str]) -> str | None:
    """The one of ``known`` that was probably meant; None where nothing is near."""
    folded = word.casefold().replace("-", "_")
    for name in known:
        if name.casefold().replace("-", "_") == folded:
            return name
    if len(known) > _MAX_CANDIDATES:
        return None
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def describe(value: object) -> str:
    """What a wrong value is, in the words of the file: ``a list``, ``the number 5``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {shortened(repr(value))}"
    if isinstance(value, str):
        return "an empty text" if not value else "a text"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"


def shortened(text: str, most: int = 40) -> str:
    """``text`` as it is shown in a message: its begin, where it is long."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
