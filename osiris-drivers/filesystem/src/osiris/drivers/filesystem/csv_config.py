"""The options of the drivers for CSV."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from osiris.drivers.filesystem.options import (
    COMPRESSION_TEXT,
    ENCODING_TEXT,
    TYPES_TEXT,
    Character,
    Compression,
    Encoding,
    Names,
    ReadingOptions,
    Types,
    WritingOptions,
    one_ascii_character,
)

__all__ = ["CsvExtractorConfig", "CsvWriterConfig"]


class CsvExtractorConfig(ReadingOptions):
    """Options of filesystem.csv_extractor."""

    delimiter: Character = Field(",", description="The character between fields; `\\t` is a tab.")
    encoding: Encoding | None = Field(None, description=ENCODING_TEXT)
    header: bool | int | None = Field(
        True, description="Whether the first record names the columns; a number: so many records stand before it."
    )
    names: list[str] | None = Field(None, description="Names of the columns, instead of those in the file.")
    skip_rows: int = Field(0, ge=0, description="Leave out so many lines at the beginning of each file.")
    types: Types = Field(None, description=TYPES_TEXT, validation_alias=AliasChoices("types", "dtype"))
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
    compression: Compression = Field("infer", description=COMPRESSION_TEXT)
    quote: Annotated[str, AfterValidator(lambda value: value and one_ascii_character(value))] = Field(
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


class CsvWriterConfig(WritingOptions):
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
    compression: Compression = Field("infer", description=COMPRESSION_TEXT)

    @model_validator(mode="after")
    def _plain_null(self) -> CsvWriterConfig:
        if any(character in self.null_value for character in (self.delimiter, '"', "\r", "\n")):
            raise ValueError("null_value must not hold the delimiter, a quote or a line end")
        if self.delimiter == '"':
            raise ValueError("the delimiter must not be the quote")
        return self
