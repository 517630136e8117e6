"""Texts that go into columns of other types: what they have to look like."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from osiris.drivers.mysql.rendering import refuse_where, to_text

__all__ = ["Convert", "is_text", "looking_like"]

Convert = Callable[[pa.Array], pa.Array]
"""A plain array to its texts, NULL kept; raises :class:`~osiris.drivers.mysql.rendering.MisfitError`."""


def is_text(kind: pa.DataType) -> bool:
    """Whether it is text, of either width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def looking_like(pattern: str, reason: str) -> Convert:
    """Texts that have to look like something; what looks right and is wrong, the server refuses."""

    def convert(array: pa.Array) -> pa.Array:
        texts = to_text(array)
        refuse_where(pc.invert(pc.match_substring_regex(texts, pattern=pattern)), reason)
        return texts

    return convert
