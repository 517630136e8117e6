"""Pieces of secrets in texts that a library has shortened: the redactor knows whole values, an excerpt holds half.

Libraries cut in two ways. Most mark it: ``LINE 1: ...EXAMPLEKEY'`` (DuckDB, PostgreSQL), ``'eyJhb...R8U'`` (pydantic).
Beside a mark, the end, the beginning or the middle of a secret is known by four characters. Some do not (MySQL quotes
the first 80 characters after a mistake): without a mark, only the beginning of a long secret is recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Fragments"]

_MARK = re.compile(r"\.{3}|…")
_SHORTEST = 4  # of a piece beside a mark: fewer characters say nothing, and would be found by chance
_BEGINNING = 16  # of a piece without one
_LONG = 24  # only of such secrets a beginning is looked for


class Fragments:
    """Replaces pieces of ``secrets``.

    Args:
        secrets: Every form of every value, as it may stand in a text.
        telling: Those of them whose beginning alone is a secret; not those of addresses and paths, which begin
            as many others do.
        mask: What stands for a piece.
    """

    def __init__(self, secrets: Iterable[str], telling: Iterable[str], mask: str) -> None:
        self._secrets = tuple(secret for secret in secrets if len(secret) > _SHORTEST)
        self._mask = mask
        self._beginnings: dict[str, list[str]] = {}
        for secret in telling:
            if len(secret) >= _LONG:
                self._beginnings.setdefault(secret[:_BEGINNING], []).append(secret)

    def masked(self, text: str) -> str:
        """``text`` without pieces of secrets; whole ones are gone already."""
        for beginning, secrets in self._beginnings.items():
            if beginning in text:
                text = self._without_beginning(text, beginning, secrets)
        if "..." in text or "…" in text:
            text = self._without_pieces(text)
        return text

    def _without_beginning(self, text: str, beginning: str, secrets: list[str]) -> str:
        kept: list[str] = []
        position = 0
        while (start := text.find(beginning, position)) >= 0:
            kept += [text[position:start], self._mask]
            position = start + max(_same(text[start : start + len(secret)], secret) for secret in secrets)
        return "".join([*kept, text[position:]])

    def _without_pieces(self, text: str) -> str:
        kept: list[str] = []
        position = 0
        marks = [found.span() for found in _MARK.finditer(text)]
        ends = [start for start, _ in marks[1:]] + [len(text)]
        for (start, stop), end in zip(marks, ends, strict=True):
            before = self._length_before(text, position, start)
            kept.append(text[position : start - before] + self._mask * bool(before) + text[start:stop])
            after = self._length_after(text, stop, end, cut_again=end < len(text))
            kept.append(self._mask * bool(after))
            position = stop + after
        return "".join([*kept, text[position:]])

    def _length_before(self, text: str, first: int, start: int) -> int:
        """How many characters before ``start``, none before ``first``, a secret begins with."""
        if start - first < _SHORTEST:
            return 0
        last = text[start - _SHORTEST : start]
        lengths = (
            at + _SHORTEST
            for secret in self._secrets
            for at in _places(secret, last)
            if text.endswith(secret[: at + _SHORTEST], first, start)
        )
        return max(lengths, default=0)

    def _length_after(self, text: str, stop: int, end: int, *, cut_again: bool) -> int:
        """How many characters after ``stop`` a secret ends with, or consists of up to the next mark at ``end``."""
        if end - stop < _SHORTEST:
            return 0
        if cut_again and any(text[stop:end] in secret for secret in self._secrets):
            return end - stop
        begin = text[stop : stop + _SHORTEST]
        lengths = (
            len(secret) - at
            for secret in self._secrets
            for at in _places(secret, begin)
            if text.startswith(secret[at:], stop, end)
        )
        return max(lengths, default=0)


def _places(text: str, part: str) -> Iterable[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _same(text: str, secret: str) -> int:
    """How many characters are the same from the beginning on."""
    return next(
        (index for index, (one, other) in enumerate(zip(text, secret, strict=False)) if one != other),
        min(len(text), len(secret)),
    )
