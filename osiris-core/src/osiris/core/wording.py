"""Text of what other people's classes are asked for: an error is told, whatever its class makes of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["careful", "text_of", "worded"]


def text_of(value: object) -> str:
    """``str(value)``; the name of its class where that raises, whatever it raises."""
    try:
        return str(value)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"<{type(value).__name__}>"


def worded(value: object) -> str:
    """What somebody gave where text is asked for, as text; empty for nothing."""
    if type(value) is str:
        return value
    if value is None or (isinstance(value, tuple) and not value):
        return ""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else text_of(value)


def careful(method: Callable[[Any], Any], otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``method``, or ``otherwise`` where it raises or gives no dict."""

    @wraps(method)
    def told(self: Any) -> Any:
        try:
            given = method(self)
        except KeyboardInterrupt:
            raise
        except BaseException:
            given = None
        return given if isinstance(given, dict) else otherwise(self)

    return told
