"""One Parquet file: its schema without what other tools noted in it, and its rows in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from osiris.core.errors import DriverError
from osiris.drivers.filesystem.errors import explain
from osiris.drivers.filesystem.locations import Location
from osiris.drivers.filesystem.value_text import FORM

__all__ = ["ParquetInput", "plain_schema"]


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Names and types; notes of pandas and field numbers would make equal schemas differ."""
    return pa.schema(
        pa.field(field.name, field.type, metadata={FORM: form} if (form := (field.metadata or {}).get(FORM)) else None)
        for field in schema
    )


class ParquetInput:
    """One open Parquet file.

    Raises:
        DriverError: It cannot be opened, or is not Parquet.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._raw: Any = None
        try:
            if not location.is_local:
                self._raw = location.open()
            # Reading ahead pays where every read is a request; it would keep all row groups in memory.
            self._file = pq.ParquetFile(self._raw or location.path, pre_buffer=not location.is_local)
        except OSError as error:
            self.close()
            if error.errno is None:
                raise self._damaged(error) from error
            raise explain(error, location.text, "read") from error
        except pa.ArrowException as error:
            self.close()
            raise self._damaged(error) from error
        self.schema = plain_schema(self._file.schema_arrow)
        self.num_rows: int = self._file.metadata.num_rows

    def close(self) -> None:
        """Close the file. Idempotent."""
        file, self._file = getattr(self, "_file", None), None
        if file is not None:
            file.close(force=True)
        if self._raw is not None:
            self._raw.close()

    def batches(self, columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        """The rows with these columns (each name once), one row group in memory at a time.

        Raises:
            DriverError: The file is damaged.
        """
        schema = pa.schema([self.schema.field(name) for name in columns])
        for group in range(self._file.num_row_groups):
            batches = self._file.iter_batches(size, row_groups=[group], columns=columns)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise self._damaged(error) from error
                if batch is None:
                    break
                yield pa.RecordBatch.from_arrays([batch.column(name) for name in columns], schema=schema)

    def all_batches(self) -> Iterator[pa.RecordBatch]:
        """All rows and columns as they are, names that stand twice among them."""
        for group in range(self._file.num_row_groups):
            yield from (
                pa.RecordBatch.from_arrays(b.columns, schema=self.schema)
                for b in self._file.iter_batches(row_groups=[group])
            )

    def _damaged(self, error: Exception) -> DriverError:
        return DriverError(
            f"{self.location.text} is not a Parquet file, or damaged: {error}",
            hint="check what wrote it; text files are read by filesystem.csv_extractor and jsonl_extractor",
            code="filesystem.not_parquet",
            path=self.location.text,
        )
