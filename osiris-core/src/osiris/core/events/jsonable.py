"""Any value to what JSON knows: how drivers' numpy numbers, decimals and paths get into events.

Standard library only: the bus stands on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any

__all__ = ["jsonable"]

_DEPTH = 40
_PLAIN = frozenset({str, int, bool, type(None)})


def jsonable(value: Any, _depth: int = 0) -> Any:
    r"""``value`` as new dicts, lists, strings, numbers, booleans and None; never raises.

    NaN and infinities become None (JSON has none), dates ISO 8601 text, bytes text with ``\x..`` for what is not
    UTF-8, scalars of numpy, pandas and pyarrow their Python value, everything else (Decimal, Path, errors) its ``str``.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if _depth > _DEPTH:  # a structure that holds itself
        return _text(value)
    if kind is dict or isinstance(value, Mapping):
        # Most items are plain, and this runs for every record: they cost no call.
        return {
            key if type(key) is str else _text(key): item if type(item) in _PLAIN else jsonable(item, _depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item, _depth + 1) for item in value]
    return _scalar(value, _depth)


def _scalar(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return jsonable(value.value, depth + 1)
    if isinstance(value, str | int | float):  # subclasses: a plain copy, so that nothing of theirs is called later
        plain = str.__str__(value) if isinstance(value, str) else (int if isinstance(value, int) else float)(value)
        return jsonable(plain, depth + 1)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    # numpy and pandas call it item() or tolist(), pyarrow as_py().
    for method in ("as_py", "tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert):
            try:
                plain = convert()
            except Exception:  # an object of another kind that happens to have the name
                break
            return _text(plain) if type(plain) is type(value) else jsonable(plain, depth + 1)
    if isinstance(value, Iterable) and type(value).__name__ in ("dict_keys", "dict_values", "deque"):
        return [jsonable(item, depth + 1) for item in value]
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
