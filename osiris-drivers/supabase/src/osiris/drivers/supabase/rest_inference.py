"""The types of a table that the key may not have described, told from its first rows.

What a column shows there decides; a later value that does not fit is an error with its row, never another type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from osiris.drivers.supabase.rest_pages import Numeral
from osiris.drivers.supabase.rest_values import DECIMAL_DIGITS, Field, decimal_of

__all__ = ["infer"]

_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
_LONG = 2**63


def infer(name: str, values: Sequence[Any]) -> Field:
    """How a column is read that shows these values, NULLs left out.

    Whole numbers are ``int64`` (beyond it: a decimal), numbers with a point decimals, numbers with an exponent or
    beside NaN and Infinity ``double``, true and false booleans, texts texts; dates, times, UUIDs and bytes come as
    texts too. Everything else (arrays, documents, a mixture, or nothing but NULL) is read as PostgreSQL's text of it.
    """
    kinds = set(map(type, values))
    if kinds == {bool}:
        return Field(name, pa.bool_())
    if kinds == {str}:
        return Field(name, pa.string())
    if kinds == {int}:
        fits = all(-_LONG <= value < _LONG for value in values)
        return Field(name, pa.int64() if fits else pa.decimal128(DECIMAL_DIGITS, 0))
    numbers = [value for value in values if isinstance(value, int | Numeral) and not isinstance(value, bool)]
    others = [value for value in values if not isinstance(value, int | Numeral) or isinstance(value, bool)]
    if numbers and all(value in _NOT_FINITE for value in others if isinstance(value, str)) and _all_texts(others):
        if others or any(isinstance(value, Numeral) and "e" in value.lower() for value in numbers):
            return Field(name, pa.float64())
        return Field(name, decimal_of(list(map(str, numbers))))
    return Field(name, pa.string(), cast="text")


def _all_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
