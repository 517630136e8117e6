"""Batches of any size to row groups of one size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from osiris.core.errors import DriverError
from osiris.drivers.filesystem import dictionary_columns
from osiris.drivers.filesystem.atomic_file import AtomicFile
from osiris.drivers.filesystem.parquet_config import ParquetWriterConfig

__all__ = ["RowGroups", "stored_schema"]


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """What a schema is once it went through Parquet: timestamps of seconds are milliseconds there, for one.

    Raises:
        DriverError: Parquet has no form for a column's type.
    """
    sink = pa.BufferOutputStream()
    with _explained(schema):
        pq.ParquetWriter(sink, schema).close()
    return pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema_arrow


class RowGroups:
    """Collects batches and writes a row group into ``file`` whenever enough rows are there. A context manager.

    Attributes:
        bytes: Of the batches that wait.

    Raises:
        DriverError: Parquet has no form for a column's type.
    """

    def __init__(self, file: AtomicFile, schema: pa.Schema, options: ParquetWriterConfig) -> None:
        self._file, self._schema, self._options = file, schema, options
        self._size = options.row_group_size
        self._writer: Any = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self.bytes = 0
        with _explained(schema):  # now, not when the first row group is full
            pq.ParquetWriter(pa.BufferOutputStream(), schema)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch.

        Raises:
            DriverError: The disk says no, or Parquet has no form for a value.
        """
        if batch.num_rows == 0:
            return
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self.bytes += batch.get_total_buffer_size()
        if self._rows >= self._size:
            self.flush(whole_groups=True)

    def flush(self, *, whole_groups: bool = False) -> None:
        """Write what waits; with ``whole_groups`` keep what does not fill one."""
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting)
        if table.schema != self._schema:
            table = table.cast(self._schema)
        keep = table.num_rows % self._size if whole_groups else 0
        with _explained(self._schema):
            self._open(table).write_table(table.slice(0, table.num_rows - keep), row_group_size=self._size)
        self._waiting = table.slice(table.num_rows - keep).to_batches() if keep else []
        self._rows = keep
        self.bytes = sum(batch.nbytes for batch in self._waiting)

    def _open(self, first: pa.Table) -> Any:
        # Only with the first rows: they say how the columns are best written.
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._file, mode="w"),
                self._schema,
                compression=self._options.compression,
                compression_level=self._options.compression_level,
                use_dictionary=dictionary_columns.choose(first),
            )
        return self._writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.flush()
            self._open(pa.Table.from_batches([], self._schema)).close()
        elif self._writer is not None:
            self._writer.is_open = False  # it would write a footer when it is thrown away


@contextmanager
def _explained(schema: pa.Schema) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        shown = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise DriverError(
            f"Parquet has no form for one of these columns: {shown} ({error})",
            hint="cast the column to another type, as text, before writing it",
            code="filesystem.parquet_type",
        ) from error
