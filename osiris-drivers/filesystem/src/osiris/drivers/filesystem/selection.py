"""The ``columns`` option of writers: which columns of a stream, in which order."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.drivers.filesystem.errors import unknown_columns

__all__ = ["select_columns"]


def select_columns(data: Dataset, columns: list[str] | None) -> Dataset:
    """The same rows with only ``columns``, in that order; all where it is None.

    A name that the data have twice means both.

    Raises:
        DriverError: There is no such column.
    """
    if columns is None:
        return data
    names = data.schema.names
    if unknown := [name for name in columns if name not in names]:
        raise unknown_columns(unknown, names, "the input", "`columns`")
    chosen = [index for wanted in columns for index, name in enumerate(names) if name == wanted]
    schema = pa.schema([data.schema.field(index) for index in chosen])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in data.batches():
            yield pa.RecordBatch.from_arrays([batch.column(index) for index in chosen], schema=schema)

    return Dataset(batches, schema, replayable=data.replayable, num_rows=data.num_rows, close=data.close)
