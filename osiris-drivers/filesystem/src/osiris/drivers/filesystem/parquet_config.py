"""The options of the drivers for Parquet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from osiris.drivers.filesystem.options import (
    Names,
    ReadingOptions,
    WritingOptions,
)

__all__ = ["ParquetExtractorConfig", "ParquetWriterConfig"]


class ParquetExtractorConfig(ReadingOptions):
    """Options of filesystem.parquet_extractor."""

    partitioning: Literal["auto", "hive", "none"] = Field(
        "auto", description="Columns from folder names as `year=2024`: where a folder is read, always, or never."
    )
    batch_size: int = Field(65_536, ge=1, description="Rows in one batch at most.")


class ParquetWriterConfig(WritingOptions):
    """Options of filesystem.parquet_writer."""

    compression: Literal["zstd", "snappy", "gzip", "brotli", "lz4", "none"] = Field(
        "zstd", description="How pages are compressed."
    )
    compression_level: int | None = Field(
        None, description="As the compression has it; its own default when not given."
    )
    row_group_size: int = Field(122_880, ge=1, description="Rows in one row group.")
    partition_by: Names = Field(
        [],
        description="Write a folder with a file per combination of these columns' values: `year=2024/part-0.parquet`.",
    )
