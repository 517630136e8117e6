"""Any value to what JSON knows: how drivers' numpy numbers, decimals and paths get into events.

Standard library only: the bus stands on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any

from osiris.core.wording import text_of

__all__ = ["jsonable"]

_DEPTH = 40
_PLAIN = frozenset({str, int, bool, type(None)})


def jsonable(value: Any, _around: tuple[int, ...] = ()) -> Any:
    r"""``value`` as new dicts, lists, strings, numbers, booleans and None; never raises.

    NaN and infinities become None (JSON has none), dates ISO 8601 text, bytes text with ``\x..`` for what is not
    UTF-8, scalars of numpy, pandas and pyarrow their Python value, everything else (Decimal, Path, errors) its ``str``.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if len(_around) > _DEPTH or id(value) in _around:  # a structure that holds itself
        return text_of(value)
    _around = (*_around, id(value))
    if kind is dict or isinstance(value, Mapping):
        # Most items are plain, and this runs for every record: they cost no call.
        return {
            key if type(key) is str else text_of(key): item if type(item) in _PLAIN else jsonable(item, _around)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item, _around) for item in value]
    return _scalar(value, _around)


def _scalar(value: Any, around: tuple[int, ...]) -> Any:
    if isinstance(value, Enum):
        return jsonable(value.value, around)
    if isinstance(value, str | int | float):  # subclasses: a plain copy, so that nothing of theirs is called later
        plain = str.__str__(value) if isinstance(value, str) else (int if isinstance(value, int) else float)(value)
        return jsonable(plain, around)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    # numpy and pandas call it item() or tolist(), pyarrow as_py().
    for method in ("as_py", "tolist", "item"):
        try:
            convert = getattr(value, method, None)
            if not callable(convert):
                continue
            plain = convert()
        except Exception:  # an object of another kind that happens to have the name
            break
        return text_of(plain) if type(plain) is type(value) else jsonable(plain, around)
    if isinstance(value, Iterable) and type(value).__name__ in ("dict_keys", "dict_values", "deque"):
        return [jsonable(item, around) for item in value]
    return text_of(value)
