"""``filesystem.parquet_extractor``: Parquet files, or folders of them, to a stream of batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset, FileSource
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.errors import unknown_columns
from osiris.drivers.filesystem.file_driver import FileDriver
from osiris.drivers.filesystem.hive import PartitionedFile, find_files, partition_columns
from osiris.drivers.filesystem.parquet_config import ParquetExtractorConfig
from osiris.drivers.filesystem.parquet_file import ParquetInput

__all__ = ["ParquetExtractor"]


class ParquetExtractor(FileDriver):
    """Reads Parquet; see :class:`~osiris.drivers.filesystem.parquet_config.ParquetExtractorConfig`."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> dict[str, Dataset]:
        """Look at every file's footer and give a stream of their rows.

        Returns:
            ``{"df": dataset}``; the dataset can be read again and knows its number of rows.

        Raises:
            DriverError: A file is missing or not Parquet, the files' columns differ, or a column is not there.
        """
        options = ParquetExtractorConfig.model_validate(config)
        return {"df": _ParquetFiles(find_files(options.path, options.partitioning, ctx), options, ctx).dataset()}


class _ParquetFiles:
    """The files of one step: which columns they have in common, and the reading of them."""

    def __init__(self, files: list[PartitionedFile], options: ParquetExtractorConfig, ctx: StepContext) -> None:
        self._files, self._options, self._ctx = files, options, ctx
        self._rows = 0
        schema = self._common_schema()
        self._partitions = partition_columns([file.partitions for file in files], schema.names)
        for name, kind in self._partitions.items():
            schema = schema.append(pa.field(name, kind))
        if options.columns is not None:
            if unknown := [name for name in options.columns if name not in schema.names]:
                raise unknown_columns(unknown, schema.names, files[0].location.text, "`columns`")
            schema = pa.schema([schema.field(name) for name in dict.fromkeys(options.columns)])
        self._schema = schema

    def dataset(self) -> Dataset:
        """All rows of all files."""
        limit = self._options.limit
        rows = self._rows if limit is None else min(limit, self._rows)
        return Dataset(self._batches, self._schema, replayable=True, num_rows=rows, source=self._source())

    def _common_schema(self) -> pa.Schema:
        first: pa.Schema | None = None
        for file in self._files:
            self._ctx.raise_if_cancelled()
            opened = ParquetInput(file.location)
            opened.close()
            self._rows += opened.num_rows
            if first is None:
                first = opened.schema
                self._refuse_twins(first)
            elif first != opened.schema:
                self._refuse_difference(first, opened)
        assert first is not None
        return first

    def _refuse_twins(self, schema: pa.Schema) -> None:
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            path = self._files[0].location.text
            raise DriverError(
                f"{path} has more than one column named {', '.join(map(repr, twice))}",
                hint="write the file again with a name for each column",
                code="filesystem.duplicate_columns",
                path=path,
                columns=twice,
            )

    def _refuse_difference(self, first: pa.Schema, opened: ParquetInput) -> None:
        path, other = opened.location.text, self._files[0].location.text
        for name in [*first.names, *opened.schema.names]:
            there = {schema.field(name).type if name in schema.names else None for schema in (first, opened.schema)}
            if len(there) > 1:
                here = opened.schema.field(name).type if name in opened.schema.names else "missing"
                wanted = first.field(name).type if name in first.names else "missing"
                raise DriverError(
                    f"column {name!r} is {here} in {path} and {wanted} in {other}",
                    hint="read files of one kind in one step, the others in a step of their own",
                    code="filesystem.parquet_schema_mismatch",
                    path=path,
                    first=other,
                    column=name,
                )

    def _source(self) -> FileSource | None:
        simple = self._options.limit is None and not self._partitions
        if not (simple and all(file.location.is_local for file in self._files)):
            return None
        return FileSource(
            format="parquet", paths=tuple(file.location.path for file in self._files), schema=self._schema
        )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        left, size = self._options.limit, 0
        inside = [name for name in self._schema.names if name not in self._partitions]
        for file in self._files:
            opened = ParquetInput(file.location)
            try:
                for batch in opened.batches(inside, self._options.batch_size):
                    self._ctx.raise_if_cancelled()
                    rows = batch.num_rows if left is None else min(left, batch.num_rows)
                    if rows:
                        yield self._completed(batch.slice(0, rows), file)
                    if left is not None:
                        left -= rows
                        if left == 0:
                            return
            finally:
                opened.close()
            size += file.location.size() or 0
        self._ctx.log_metric("bytes_read", size, "bytes")

    def _completed(self, batch: pa.RecordBatch, file: PartitionedFile) -> pa.RecordBatch:
        if not self._partitions:
            return batch
        columns = [
            file.column(name, self._partitions[name], batch.num_rows)
            if name in self._partitions
            else batch.column(name)
            for name in self._schema.names
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)
