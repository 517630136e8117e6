"""Whether the input's keys ascend: then no key is there twice, and the server need not sort to find out."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.python_values import to_array
from osiris.drivers.supabase.postgres_target import Column

__all__ = ["KeyOrder"]

# Of these, both sides have the same order. Of texts they have not: the server's depends on its language.
_TYPES = frozenset({"int2", "int4", "int8", "numeric", "date", "timestamp", "timestamptz"})


class KeyOrder:
    """What is known of the order of rows, batch by batch.

    Args:
        columns: For each of the input's columns, the one that it goes into.
        key: The names of those that identify a row.
    """

    def __init__(self, columns: Sequence[Column], key: Sequence[str]) -> None:
        places = {column.name: at for at, column in enumerate(columns)}
        self._places = [places[name] for name in key]
        self._ascends = all(columns[at].type.name in _TYPES and columns[at].type.kind == "b" for at in self._places)
        self._last: list[pa.Array] | None = None

    @property
    def ascends(self) -> bool:
        """Whether every key that was seen is greater than the one before it, also to the server."""
        return self._ascends

    def see(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""
        if not self._ascends or not batch.num_rows:
            return
        keys = [batch.column(at) for at in self._places]
        if self._last is not None:
            keys = [pa.concat_arrays([last, key]) for last, key in zip(self._last, keys, strict=True)]
        self._ascends = all(_is_ordered(key.type) for key in keys) and _ascend(keys)
        self._last = [key.slice(len(key) - 1) for key in keys]


def _is_ordered(kind: pa.DataType) -> bool:
    dated = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return bool(dated or pa.types.is_integer(kind) or pa.types.is_decimal128(kind))


def _ascend(keys: Sequence[pa.Array]) -> bool:
    """Each row after the one before; the first column decides, then the next."""
    rows = len(keys[0])
    greater = None
    for key in reversed(keys):
        before, after = key.slice(0, rows - 1), key.slice(1)
        rest = greater
        greater = pc.greater(after, before)
        if rest is not None:
            greater = pc.or_(greater, pc.and_(pc.equal(after, before), rest))
    # A comparison with NULL is neither true nor false.
    return bool(pc.all(pc.fill_null(greater, _FALSE)).as_py())


_FALSE = to_array([False])[0]
