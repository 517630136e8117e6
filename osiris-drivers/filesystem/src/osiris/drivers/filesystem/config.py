"""The options of every driver of the family."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from osiris.core.one_or_more import OneOrMore
from osiris.drivers.filesystem.type_names import check_type_name

__all__ = [
    "CsvExtractorConfig",
    "CsvWriterConfig",
    "FilesystemConnection",
    "JsonlExtractorConfig",
    "JsonlWriterConfig",
    "ParquetExtractorConfig",
    "ParquetWriterConfig",
]

_COMPRESSIONS = ("infer", "none", "gzip", "gz", "bz2", "bzip2", "xz", "lzma", "zstd", "zst")


def _one_ascii_character(value: str) -> str:
    value = {"\\t": "\t", "tab": "\t"}.get(value, value)
    if len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise ValueError("must be one ASCII character (`\\t` is a tab)")
    return value


def _known_encoding(value: str) -> str:
    try:
        found = codecs.lookup(value)
    except LookupError:
        raise ValueError(f"{value!r} is not an encoding that Python knows, as utf-8, utf-16, cp1252, latin-1") from None
    if not getattr(found, "_is_text_encoding", True):
        raise ValueError(f"{value!r} is not an encoding of text")
    return value


def _no_compression(value: Any) -> Any:
    return "none" if value is None else value


def _known_types(value: dict[str, str] | str | None) -> dict[str, str] | str | None:
    for name in value.values() if isinstance(value, dict) else [value] if value else []:
        check_type_name(name)
    return value


Character = Annotated[str, AfterValidator(_one_ascii_character)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Compression = Annotated[
    Literal["infer", "none", "gzip", "gz", "bz2", "bzip2", "xz", "lzma", "zstd", "zst"],
    BeforeValidator(_no_compression),
]
Names = Annotated[list[str], OneOrMore()]
Paths = Annotated[list[str], Field(min_length=1), OneOrMore()]
Types = Annotated[dict[str, str] | str | None, AfterValidator(_known_types)]

_TYPES_TEXT = (
    "Types by column, or one for all: string, integer, number, decimal(p,s), boolean, date, timestamp, timestamp_tz, "
    "time, binary. A declared column may hold other forms of its type; what does not fit is an error."
)
_CONNECTION_TEXT = "A connection of family filesystem, as `@filesystem.local`: relative paths begin at its base_dir."
_READ_PATH_TEXT = "A path, a glob, an fsspec URL, or a list of these; relative ones begin at the pipeline's folder."
_COMPRESSION_TEXT = "gzip, bz2, xz, zstd or none; `infer` goes by the suffix (.gz, .bz2, .xz, .zst)."
_WRITE_MODE_TEXT = "`overwrite` replaces the file, `append` adds to it, `fail` refuses where it exists. All are atomic."


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True)


class FilesystemConnection(_Options):
    """A place where files are."""

    default: bool = Field(False, description="Whether `@filesystem` means this one.")
    base_dir: str = Field("", description="Folder or URL at which relative paths begin.")
    storage_options: dict[str, Any] = Field(
        {}, description="What the fsspec file system of the URL takes: key, secret, endpoint_url, ..."
    )


class _Reading(_Options):
    path: Paths = Field(description=_READ_PATH_TEXT)
    connection: str | None = Field(None, description=_CONNECTION_TEXT)
    columns: Names | None = Field(None, description="The columns to read, in this order; all when not given.")
    limit: int | None = Field(None, ge=0, description="Read at most so many rows.")


class CsvExtractorConfig(_Reading):
    """Options of filesystem.csv_extractor."""

    delimiter: Character = Field(",", description="The character between fields; `\\t` is a tab.")
    encoding: Encoding | None = Field(
        None, description="Any encoding of Python. When not given: UTF-8, or what the byte-order mark says."
    )
    header: bool | int | None = Field(
        True, description="Whether the first record names the columns; a number: so many records stand before it."
    )
    names: list[str] | None = Field(None, description="Names of the columns, instead of those in the file.")
    skip_rows: int = Field(0, ge=0, description="Leave out so many lines at the beginning of each file.")
    types: Types = Field(None, description=_TYPES_TEXT, validation_alias=AliasChoices("types", "dtype"))
    infer: bool = Field(True, description="Guess the types of the other columns without loss; false: they are text.")
    sample_rows: int | None = Field(
        None, ge=1, description="Guess from so many rows; when not given from the first block, about 8 MB."
    )
    parse_dates: Names | bool = Field(
        [], description="Columns of dates or timestamps in any ISO form (also with T, Z, offset)."
    )
    na_values: Names = Field([], description="Further unquoted texts that mean NULL, as `NA`.")
    empty_as_null: Literal["unquoted", "always", "never"] = Field(
        "unquoted", description='Which empty fields are NULL: unquoted ones only (`""` is an empty text), all, or none.'
    )
    comment: Character | None = Field(None, description="Lines that begin with it are left out.")
    skip_blank_lines: bool | None = Field(
        None,
        description="Leave out empty lines. When not given: unless there is only one column (an empty line is NULL).",
    )
    compression: Compression = Field("infer", description=_COMPRESSION_TEXT)
    quote: Annotated[str, AfterValidator(lambda value: value and _one_ascii_character(value))] = Field(
        '"', description="The character around values that hold a delimiter; `''`: quotes mean nothing."
    )
    escape: Character | None = Field(None, description="The character that takes the meaning off the next one.")

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("types") is not None and data.get("dtype") is not None:
            raise ValueError("`dtype` is another name for `types`: give one of them")
        return data

    @model_validator(mode="after")
    def _different_characters(self) -> CsvExtractorConfig:
        if self.delimiter in (self.quote, self.escape):
            raise ValueError("delimiter, quote and escape must be different characters")
        return self


class ParquetExtractorConfig(_Reading):
    """Options of filesystem.parquet_extractor."""

    partitioning: Literal["auto", "hive", "none"] = Field(
        "auto", description="Columns from folder names as `year=2024`: where a folder is read, always, or never."
    )
    batch_size: int = Field(65_536, ge=1, description="Rows in one batch at most.")


class JsonlExtractorConfig(_Reading):
    """Options of filesystem.jsonl_extractor."""

    types: Types = Field(None, description=_TYPES_TEXT)
    infer: bool = Field(True, description="Guess the types of the other columns without loss; false: JSON text each.")
    sample_rows: int = Field(10_000, ge=1, description="Guess from so many rows.")
    nested: Literal["struct", "json"] = Field(
        "struct", description="Objects and lists become Arrow structs and lists, or columns of JSON text."
    )
    encoding: Encoding | None = Field(
        None, description="Any encoding of Python. When not given: UTF-8, or what the byte-order mark says."
    )
    compression: Compression = Field("infer", description=_COMPRESSION_TEXT)


class _Writing(_Options):
    path: str = Field(min_length=1, description="The file to write: a path or an fsspec URL.")
    connection: str | None = Field(None, description=_CONNECTION_TEXT)
    write_mode: Literal["overwrite", "append", "fail"] = Field("overwrite", description=_WRITE_MODE_TEXT)
    create_dirs: bool = Field(True, description="Make the folders above the file where they are missing.")
    columns: Names | None = Field(None, description="The columns to write, in this order; all when not given.")


class CsvWriterConfig(_Writing):
    """Options of filesystem.csv_writer."""

    delimiter: Character = Field(",", description="The character between fields; `\\t` is a tab.")
    header: bool = Field(True, description="Whether to write the columns' names first.")
    encoding: Encoding = Field("utf-8", description="Any encoding of Python; utf-8-sig begins with a byte-order mark.")
    newline: Literal["lf", "crlf"] = Field("lf", description="How lines end.")
    quoting: Literal["minimal", "all", "nonnumeric", "none"] = Field(
        "minimal", description="Which values to quote: those that need it, all, all but numbers, none. NULL never."
    )
    null_value: str = Field(
        "", description='What to write for NULL, unquoted; the same text as a value is quoted (`""`).'
    )
    binary: Literal["hex", "base64"] = Field("hex", description="How to write bytes.")
    compression: Compression = Field("infer", description=_COMPRESSION_TEXT)

    @model_validator(mode="after")
    def _plain_null(self) -> CsvWriterConfig:
        if any(character in self.null_value for character in (self.delimiter, '"', "\r", "\n")):
            raise ValueError("null_value must not hold the delimiter, a quote or a line end")
        if self.delimiter == '"':
            raise ValueError("the delimiter must not be the quote")
        return self


class ParquetWriterConfig(_Writing):
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


class JsonlWriterConfig(_Writing):
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
    compression: Compression = Field("infer", description=_COMPRESSION_TEXT)
