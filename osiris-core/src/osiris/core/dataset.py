"""What flows between steps: an Arrow stream that is read once, or data that can be read again.

A :class:`Dataset` speaks the Arrow PyCapsule interface both ways, so that pandas, polars, pyarrow and
duckdb give and take it without copies, and keeps every value: NULL never turns an integer into a
float, DECIMAL stays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from osiris.core.errors import DatasetError
from osiris.core.quick_dataclass import dataclass

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "FileSource"]


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """The files that a dataset still is, for an engine that reads files faster itself.

    Who reads the files instead of :meth:`Dataset.batches` must give the same rows and values, must tell
    the rows it took by :meth:`Dataset.report`, and, where a value does not fit, should drain ``batches()``:
    that raises the error with file, line, column and value.

    Attributes:
        format: ``csv``, ``parquet`` or ``jsonl``.
        paths: Absolute local paths, in the order of the rows.
        schema: What ``batches()`` gives, in this order.
        options: For csv: ``delimiter``, ``quote``, ``header`` (bool), ``compression`` (``gzip``, ``zstd`` or None),
            ``null_values`` (tuple of unquoted texts that mean NULL). The encoding is UTF-8; a quoted empty field
            is an empty string, never NULL; newlines may stand inside quotes.
        inferred: Columns whose type was guessed from a sample: a value of which ``text -> value -> text`` is not
            the same text (``007`` in an integer column) must be refused, not changed.
    """

    format: Literal["csv", "parquet", "jsonl"]
    paths: tuple[str, ...]
    schema: pa.Schema
    options: Mapping[str, Any] = field(default_factory=dict)
    inferred: frozenset[str] = frozenset()


class Dataset:
    """Rows and columns, in Arrow.

    Use :meth:`of` for data of any kind; the constructor is for streams of one's own.

    Args:
        batches: Gives a fresh iterator over the batches each time it is called (once, unless ``replayable``).
        schema: Of every batch.
        replayable: Whether ``batches`` may be called again.
        num_rows: Where known beforehand.
        source: The files that this still is.
        close: Called once, when nobody wants to read any more.
    """

    def __init__(
        self,
        batches: Callable[[], Iterator[pa.RecordBatch]],
        schema: pa.Schema,
        *,
        replayable: bool = False,
        num_rows: int | None = None,
        source: FileSource | None = None,
        close: Callable[[], object] | None = None,
    ) -> None:
        self._open = batches
        self._schema = schema
        self._replayable = replayable
        self._num_rows = num_rows
        self._close = close
        self._used = False
        self._closed = False
        self._reported: Callable[[int, int], object] | None = None
        self.in_memory = False
        """Whether reading it costs nothing: all rows are here."""
        self.source = source

    @classmethod
    def of(cls, data: Any, *, name: str = "df") -> Dataset:
        """A dataset of anything tabular.

        Takes: Dataset, pyarrow Table / RecordBatch / RecordBatchReader, pandas DataFrame, anything with
        ``__arrow_c_stream__`` (polars, duckdb relations, ...), a mapping of columns, a list of mappings, and
        iterators of any of these (batches of one schema).

        Args:
            data: The data.
            name: What to call it in errors.

        Raises:
            DatasetError: It is nothing of that kind, or a column has no exact Arrow type.
        """
        from osiris.core.tabular import open_tabular

        return open_tabular(data, name)

    @classmethod
    def from_table(cls, table: pa.Table) -> Dataset:
        """A dataset that is all in memory (or memory-mapped)."""
        dataset = cls(lambda: iter(table.to_batches()), table.schema, replayable=True, num_rows=table.num_rows)
        dataset.in_memory = True
        return dataset

    @classmethod
    def from_batches(cls, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Dataset:
        """A dataset that is read once from ``batches``."""
        return cls(lambda: iter(batches), schema)

    @property
    def schema(self) -> pa.Schema:
        """The columns' names and types."""
        return self._schema

    @property
    def num_rows(self) -> int | None:
        """How many rows there are; None where only reading would tell."""
        return self._num_rows

    @property
    def replayable(self) -> bool:
        """Whether it can be read more than once."""
        return self._replayable

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read it, batch by batch.

        Raises:
            DatasetError: It was read before and cannot be read again.
        """
        if self._used and not self._replayable:
            raise DatasetError(
                "this stream was read already",
                hint="read it once, or take table() first: that keeps the rows",
                code="dataset.consumed",
            )
        self._used = True
        return self._open()

    def reader(self) -> pa.RecordBatchReader:
        """Read it as a pyarrow reader; same rules as :meth:`batches`."""
        return pa.RecordBatchReader.from_batches(self._schema, self.batches())

    def table(self) -> pa.Table:
        """All rows in memory. The dataset can be read again afterwards."""
        table = pa.Table.from_batches(list(self.batches()), schema=self._schema)
        if not self._replayable:
            self._open, self._replayable = (lambda: iter(table.to_batches())), True
            self.in_memory = True
        self._num_rows = table.num_rows
        return table

    def to_pandas(self) -> pd.DataFrame:
        """All rows as a DataFrame of Arrow-backed columns: exact, NULL is ``pd.NA``."""
        import pandas as pd

        table = self.table()
        # By number, because two columns of one name would be given one type; and without the notes that pandas leaves
        # in Parquet files, which would turn columns into an index.
        numbered = table.rename_columns([str(number) for number in range(table.num_columns)])
        frame: pd.DataFrame = numbered.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
        frame.columns = pd.Index(table.column_names, dtype=object if not table.num_columns else None)
        return frame

    def report(self, rows: int, bytes: int = 0) -> None:
        """Tell how much was read by somebody who read :attr:`source` instead of :meth:`batches`."""
        if self._reported is not None:
            self._reported(rows, bytes)

    def close(self) -> None:
        """Nobody reads any further: give back what the stream holds. Idempotent."""
        if not self._closed:
            self._closed = True
            if self._close is not None:
                self._close()

    def observed(
        self,
        wrap: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        reported: Callable[[int, int], object],
    ) -> Dataset:
        """The same data with ``wrap`` around every reading and ``reported`` told of :meth:`report`."""
        seen = Dataset(
            lambda: wrap(self.batches()),
            self._schema,
            replayable=self._replayable,
            num_rows=self._num_rows,
            source=self.source,
            close=self.close,
        )
        seen._reported = reported
        seen.in_memory = self.in_memory
        return seen

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule interface; same rules as :meth:`batches`."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        rows = "?" if self._num_rows is None else self._num_rows
        return f"Dataset({rows} rows, columns={self._schema.names}, replayable={self._replayable})"
