"""Which columns of a Parquet file get a dictionary: those whose values come again.

pyarrow makes one for every column, of every row group, and gives up only when it has become larger than a megabyte. A
row group of unique numbers stays below that: it is then written as the dictionary and as indices into it, which takes
twice the time and a third more room than the numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from osiris.drivers.filesystem import arrow_functions

__all__ = ["choose"]

_SAMPLE = 10_000
_MOST = 0.75
"""How many of the sample's values may differ. With more, a dictionary hardly saves room, and takes time."""


def choose(rows: pa.Table) -> list[str]:
    """The paths of the columns to write with a dictionary, in Parquet's form (``tags.list.element``).

    Args:
        rows: The first that are written. All of a file's row groups are written alike.
    """
    sample, paths, chosen = rows.slice(0, _SAMPLE), iter(_paths(rows.schema)), []
    for field, column in zip(rows.schema, sample.columns, strict=True):
        leaves = [next(paths) for _ in range(_leaves(field.type))]
        if _is_nested(field.type) or _comes_again(column):
            chosen += leaves
    return chosen


def _comes_again(column: pa.ChunkedArray) -> bool:
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    try:
        different: int = arrow_functions.count_distinct(column).as_py()
    except pa.ArrowNotImplementedError:  # a type that Arrow does not count: as pyarrow does it
        return True
    values: int = len(column) - column.null_count
    return different <= _MOST * values


def _paths(schema: pa.Schema) -> Iterator[str]:
    if not any(_is_nested(field.type) for field in schema):
        yield from schema.names
        return
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    stored = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    for index in range(len(stored.names)):
        yield stored.column(index).path


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(_stored(kind)))


def _leaves(kind: pa.DataType) -> int:
    kind = _stored(kind)
    return sum(_leaves(kind.field(index).type) for index in range(kind.num_fields)) or 1


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
