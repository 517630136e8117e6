"""The members of an ENUM or SET, from the column's type as the server writes it."""

from __future__ import annotations

import re

__all__ = ["members_of"]

_MEMBER = re.compile(r"'((?:[^']|'')*)'")


def members_of(ddl: str) -> list[str]:
    """``enum('a','it''s')`` to ``["a", "it's"]``."""
    return [text.replace("''", "'") for text in _MEMBER.findall(ddl)]
