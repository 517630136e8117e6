"""What the texts of a column should be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Column"]

_TEXT, _SIGNED, _UNSIGNED, _DECIMAL, _DOUBLE, _DATE, _TIMESTAMP, _BOOLEAN = range(8)  # as in native/forms.h


@dataclass(frozen=True)
class Column:
    """The type of a column, and thereby the one text that each of its values has.

    Made by its class methods; the attributes are for compiled code.
    """

    kind: int
    digits: int = 0
    scale: int = 0
    limit: str = ""

    @classmethod
    def text(cls) -> Column:
        """Any text at all."""
        return cls(_TEXT)

    @classmethod
    def integer(cls, bits: int = 64, *, signed: bool = True) -> Column:
        """``0``, ``-12``: no sign but a minus, no zeros before, no exponent, and within ``bits`` (1 to 64)."""
        if not 1 <= bits <= 64:
            raise ValueError(f"an integer of {bits} bits")
        limit = str(2 ** (bits - signed) - 1)
        return cls(_SIGNED if signed else _UNSIGNED, digits=len(limit), limit=limit)

    @classmethod
    def decimal(cls, precision: int, scale: int) -> Column:
        """``1.50`` for a scale of 2: always so many digits behind the point, at most ``precision`` in all."""
        if not 0 <= scale <= precision <= 255:
            raise ValueError(f"a decimal of precision {precision} and scale {scale}")
        return cls(_DECIMAL, digits=precision, scale=scale)

    @classmethod
    def double(cls) -> Column:
        """``1.5``, ``-2.0``: 15 digits at most, not below 0.0001 but zero. Not every exact text is known as such."""
        return cls(_DOUBLE)

    @classmethod
    def date(cls) -> Column:
        """``2024-02-29``, years from 0001 to 9999."""
        return cls(_DATE)

    @classmethod
    def timestamp(cls) -> Column:
        """``2024-02-29 08:30:00``; where there is a fraction, up to 6 digits that do not end in 0, or 6 digits."""
        return cls(_TIMESTAMP)

    @classmethod
    def boolean(cls) -> Column:
        """``true`` and ``false``."""
        return cls(_BOOLEAN)
