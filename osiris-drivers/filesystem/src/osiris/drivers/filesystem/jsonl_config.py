"""The options of the drivers for JSON Lines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from osiris.drivers.filesystem.options import (
    COMPRESSION_TEXT,
    ENCODING_TEXT,
    TYPES_TEXT,
    Compression,
    Encoding,
    ReadingOptions,
    Types,
    WritingOptions,
)

__all__ = ["JsonlExtractorConfig", "JsonlWriterConfig"]


class JsonlExtractorConfig(ReadingOptions):
    """Options of filesystem.jsonl_extractor."""

    types: Types = Field(None, description=TYPES_TEXT)
    infer: bool = Field(True, description="Guess the types of the other columns without loss; false: JSON text each.")
    sample_rows: int = Field(10_000, ge=1, description="Guess from so many rows.")
    nested: Literal["struct", "json"] = Field(
        "struct", description="Objects and lists become Arrow structs and lists, or columns of JSON text."
    )
    encoding: Encoding | None = Field(None, description=ENCODING_TEXT)
    compression: Compression = Field("infer", description=COMPRESSION_TEXT)


class JsonlWriterConfig(WritingOptions):
    """Options of filesystem.jsonl_writer."""

    encoding: Encoding = Field("utf-8", description="Any encoding of Python.")
    nulls: Literal["write", "omit"] = Field("write", description="NULL is written as `null`, or its key is left out.")
    non_finite: Literal["error", "null", "string"] = Field(
        "error", description='NaN and infinities: refused, `null`, or the strings "nan", "inf", "-inf".'
    )
    decimals: Literal["number", "string"] = Field(
        "number", description="Decimals as numbers with all digits, or as strings for readers that would round."
    )
    binary: Literal["base64", "hex"] = Field("base64", description="How to write bytes.")
    compression: Compression = Field("infer", description=COMPRESSION_TEXT)
