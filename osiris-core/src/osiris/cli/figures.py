"""Numbers as people read them: rows, bytes, times."""

from __future__ import annotations

__all__ = ["count", "duration", "rate", "rows", "size"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count(number: int, noun: str) -> str:
    """``1 step``, ``12,345 steps``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rows(number: int | None) -> str:
    """``12,345 rows``; nothing where it is not known."""
    return "" if number is None else count(int(number), "row")


def size(number: float | None) -> str:
    """Bytes in decimal units: ``1.2 MB``; nothing where it is not known."""
    if number is None:
        return ""
    for unit in _UNITS:
        if abs(number) < 999.5 or unit == _UNITS[-1]:
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"


def duration(milliseconds: float | None) -> str:
    """``12 ms``, ``3.42 s``, ``2 min 05 s``, ``1 h 02 min``; nothing where it is not known."""
    if milliseconds is None:
        return ""
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def rate(number: int, seconds: float) -> str:
    """Rows a second: ``812k rows/s``; nothing as long as there is nothing to divide."""
    if not number or seconds <= 0:
        return ""
    value = number / seconds
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            break
        value /= 1000
    return f"{value:.0f}{unit} rows/s" if value >= 9.95 else f"{value:.1f}{unit} rows/s"
