"""``filesystem.parquet_writer``: a stream of batches to one Parquet file, or to a folder of partitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.atomic_file import AtomicFile
from osiris.drivers.filesystem.file_driver import FileWriter
from osiris.drivers.filesystem.locations import Location, locate
from osiris.drivers.filesystem.output import open_output
from osiris.drivers.filesystem.parquet_config import ParquetWriterConfig
from osiris.drivers.filesystem.parquet_file import ParquetInput, plain_schema
from osiris.drivers.filesystem.row_groups import RowGroups, stored_schema
from osiris.drivers.filesystem.selection import select_columns

__all__ = ["ParquetWriter"]


class ParquetWriter(FileWriter):
    """Writes Parquet; see :class:`~osiris.drivers.filesystem.parquet_config.ParquetWriterConfig`."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> dict[str, Any]:
        """Write all rows of ``inputs["df"]``.

        Returns:
            ``{}``.

        Raises:
            DriverError: The file or folder cannot be written, has other columns (``append``), or a column's type
                is not one of Parquet's. Nothing is left of the attempt.
        """
        options = ParquetWriterConfig.model_validate(config)
        location = locate(options.path, ctx)
        data = select_columns(Dataset.of(inputs["df"]), options.columns)
        if options.partition_by:
            from osiris.drivers.filesystem.parquet_partitions import write_partitions  # takes pyarrow.compute

            told = write_partitions(location, data, options, ctx)
        else:
            told = _write_file(location, data, options, ctx)
        ctx.log_metric("bytes_written", told["bytes"], "bytes")
        ctx.add_output(location.text, **told)
        return {}


def _write_file(location: Location, data: Dataset, options: ParquetWriterConfig, ctx: StepContext) -> dict[str, Any]:
    # Parquet's footer stands at the end: appending means writing the old rows again, so nothing is copied first.
    with open_output(location, options.write_mode, ctx, create_dirs=options.create_dirs, copy_existing=False) as file:
        rows = 0
        schema = plain_schema(stored_schema(data.schema)) if file.appends else data.schema
        with RowGroups(file, schema, options) as groups:
            for batch in _old_rows(file, schema) if file.appends else ():
                ctx.raise_if_cancelled()
                groups.add(batch)
            groups.flush()
            for batch in data.batches():
                ctx.raise_if_cancelled()
                groups.add(batch)
                rows += batch.num_rows
        return file.commit(rows=rows, format="parquet")


def _old_rows(file: AtomicFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    old = ParquetInput(file.location)
    try:
        if old.schema != schema:
            raise DriverError(
                f"{file.location.text} has the columns {_shown(old.schema)}; the rows to append have {_shown(schema)}",
                hint="give the rows the same columns with the same types in the same order, or another path",
                code="filesystem.parquet_schema_mismatch",
                path=file.location.text,
            )
        yield from old.all_batches()
    finally:
        old.close()


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
