"""Arrow's compute functions, by their names in :mod:`pyarrow.compute` and without importing it.

Its import makes a wrapper, a signature and a docstring for each of three hundred functions, which takes half the time
of ``import pyarrow``; a run over a small file calls ten of them. The methods of arrays (``cast``, ``filter``,
``is_null``) import it too, so that the functions here stand for these as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa

# Where pyarrow.compute has them from. It is no public module, so that one without them is provided for.
try:
    from pyarrow import _compute as arrow
except ImportError:  # pragma: no cover
    import pyarrow.compute as arrow

__all__ = ["cast"]

_PYTHON_WORDS = {"and_": "and", "or_": "or"}
# What stands behind the arguments of those that have any.
_OPTIONS = {
    "count_substring": "MatchSubstringOptions",
    "ends_with": "MatchSubstringOptions",
    "find_substring": "MatchSubstringOptions",
    "match_substring": "MatchSubstringOptions",
    "starts_with": "MatchSubstringOptions",
    "is_in": "SetLookupOptions",
    "replace_substring": "ReplaceSubstringOptions",
    "replace_substring_regex": "ReplaceSubstringOptions",
    "utf8_lpad": "PadOptions",
    "utf8_ltrim": "TrimOptions",
    "utf8_slice_codeunits": "SliceOptions",
}


def cast(values: Any, kind: pa.DataType) -> Any:
    """An array or a scalar as another type.

    Raises:
        ArrowInvalid: A value would be changed by it.
    """
    return arrow.call_function("cast", [values], arrow.CastOptions.safe(kind))


def __getattr__(name: str) -> Callable[..., Any]:
    try:
        return _function(name)
    except KeyError as error:
        raise AttributeError(f"Arrow has no function {name!r}") from error


@cache
def _function(name: str) -> Callable[..., Any]:
    function = arrow.function_registry().get_function(_PYTHON_WORDS.get(name, name))
    if name not in _OPTIONS:
        return lambda *values: function.call(values)
    options = getattr(arrow, _OPTIONS[name])
    return lambda values, *given: function.call([values], options(*given))
