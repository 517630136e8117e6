"""What the options of all drivers of the family share: types of values, and the bases of the models."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from osiris.core.one_or_more import OneOrMore
from osiris.drivers.filesystem.type_names import check_type_name

__all__ = [
    "COMPRESSION_TEXT",
    "ENCODING_TEXT",
    "TYPES_TEXT",
    "Character",
    "Compression",
    "Encoding",
    "Names",
    "Options",
    "ReadingOptions",
    "Types",
    "WritingOptions",
    "one_ascii_character",
]


_SAMPLE = 'Ab,"..",\\u0041\\n\r\n1;\t+-~{0}\n'
"""What the codecs that are no character sets fail at: backslashes, line ends, empty labels."""


def one_ascii_character(value: str) -> str:
    """Check it; a tab may be spelt out.

    Raises:
        ValueError: It is another text.
    """
    value = {"\\t": "\t", "tab": "\t"}.get(value, value)
    if len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise ValueError("must be one ASCII character (`\\t` is a tab)")
    return value


def _known_encoding(value: str) -> str:
    try:
        found = codecs.lookup(value)
    except LookupError:
        raise ValueError(f"{value!r} is not an encoding that Python knows, as utf-8, utf-16, cp1252, latin-1") from None
    if not getattr(found, "_is_text_encoding", True) or not _is_character_set(found.name):
        raise ValueError(f"{value!r} is not an encoding of text files, as utf-8, utf-16, cp1252, latin-1")
    return value


def _is_character_set(name: str) -> bool:
    """Whether a codec takes text piece by piece and gives it back; idna, punycode and unicode_escape do not."""
    try:
        encoder, decoder = codecs.getincrementalencoder(name)("strict"), codecs.getincrementaldecoder(name)("strict")
        data = b"".join([*map(encoder.encode, _SAMPLE), encoder.encode("", final=True)])
        text = "".join(
            [*(decoder.decode(data[at : at + 1]) for at in range(len(data))), decoder.decode(b"", final=True)]
        )
        return text == _SAMPLE and len("\n".encode(name)) == len("A".encode(name))
    except (LookupError, UnicodeError):
        return False


def _no_compression(value: Any) -> Any:
    return "none" if value is None else value


def _known_types(value: dict[str, str] | str | None) -> dict[str, str] | str | None:
    for name in value.values() if isinstance(value, dict) else [value] if value else []:
        check_type_name(name)
    return value


Character = Annotated[str, AfterValidator(one_ascii_character)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Compression = Annotated[
    Literal["infer", "none", "gzip", "gz", "bz2", "bzip2", "xz", "lzma", "zstd", "zst"],
    BeforeValidator(_no_compression),
]
Names = Annotated[list[str], OneOrMore()]
Columns = Annotated[list[str], Field(min_length=1), OneOrMore()]
Paths = Annotated[list[str], Field(min_length=1), OneOrMore()]
Types = Annotated[dict[str, str] | str | None, AfterValidator(_known_types)]

TYPES_TEXT = (
    "Types by column, or one for all: string, integer, number, decimal(p,s), boolean, date, timestamp, timestamp_tz, "
    "time, binary. A declared column may hold other forms of its type; what does not fit is an error."
)
_CONNECTION_TEXT = "A connection of family filesystem, as `@filesystem.local`: relative paths begin at its base_dir."
_READ_PATH_TEXT = "A path, a glob, an fsspec URL, or a list of these; relative ones begin at the pipeline's folder."
COMPRESSION_TEXT = "gzip, bz2, xz, zstd or none; `infer` goes by the suffix (.gz, .bz2, .xz, .zst)."
ENCODING_TEXT = "Any encoding of Python. When not given: UTF-8, or what the byte-order mark says."
_WRITE_MODE_TEXT = "`overwrite` replaces the file, `append` adds to it, `fail` refuses where it exists. All are atomic."


class Options(BaseModel):
    """Nothing but the options it names."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True)


class ReadingOptions(Options):
    """What every extractor takes."""

    path: Paths = Field(description=_READ_PATH_TEXT)
    connection: str | None = Field(None, description=_CONNECTION_TEXT)
    columns: Columns | None = Field(None, description="The columns to read, in this order; all when not given.")
    limit: int | None = Field(None, ge=0, description="Read at most so many rows.")


class WritingOptions(Options):
    """What every writer takes."""

    path: str = Field(min_length=1, description="The file to write: a path or an fsspec URL.")
    connection: str | None = Field(None, description=_CONNECTION_TEXT)
    write_mode: Literal["overwrite", "append", "fail"] = Field("overwrite", description=_WRITE_MODE_TEXT)
    create_dirs: bool = Field(True, description="Make the folders above the file where they are missing.")
    columns: Columns | None = Field(None, description="The columns to write, in this order; all when not given.")
