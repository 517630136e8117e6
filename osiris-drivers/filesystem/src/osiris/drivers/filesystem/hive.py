"""Folders named ``column=value``: finding the files in them, and making the names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

import pyarrow as pa

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem.arrow_arrays import constant
from osiris.drivers.filesystem.errors import explaining
from osiris.drivers.filesystem.locations import Location, list_folder, locate, locate_all

__all__ = ["NULL_NAME", "PartitionedFile", "find_files", "folder_name", "partition_columns"]

NULL_NAME = "__HIVE_DEFAULT_PARTITION__"
"""What stands for NULL in a folder's name."""

_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")


@dataclass(frozen=True)
class PartitionedFile:
    """A file and what the names of its folders say; None is NULL."""

    location: Location
    partitions: Mapping[str, str | None] = field(default_factory=dict)

    def column(self, name: str, kind: pa.DataType, rows: int) -> pa.Array:
        """The partition's value ``rows`` times."""
        text = self.partitions[name]
        return pa.nulls(rows, kind) if text is None else pa.repeat(constant(text, kind), rows)


def find_files(
    paths: Iterable[str], partitioning: Literal["auto", "hive", "none"], ctx: StepContext
) -> list[PartitionedFile]:
    """The Parquet files that paths, globs and folders mean, with their partitions.

    Raises:
        DriverError: A file is not there, or a folder holds none.
    """
    found: list[PartitionedFile] = []
    for path in paths:
        location = locate(path, ctx)
        if _is_folder(location):
            files = list_folder(location, ".parquet")
            if not files:
                raise DriverError(
                    f"{location.text} holds no .parquet file",
                    hint="name the files with a glob if they end otherwise",
                    code="filesystem.not_found",
                    path=location.text,
                )
            start = len(location.path.rstrip("/"))
            found += [PartitionedFile(f, {} if partitioning == "none" else _partitions(f.path[start:])) for f in files]
        else:
            files = locate_all(path, ctx)
            found += [PartitionedFile(f, _partitions(f.path) if partitioning == "hive" else {}) for f in files]
    return found


def partition_columns(partitions: Sequence[Mapping[str, str | None]], names: Sequence[str]) -> dict[str, pa.DataType]:
    """The partition columns that are not in the files themselves: integer where every value is one, else text.

    Raises:
        DriverError: Some files have a partition that others do not have.
    """
    types: dict[str, pa.DataType] = {}
    for name in dict.fromkeys(name for one in partitions for name in one):
        if name in names:
            continue
        if not all(name in one for one in partitions):
            raise DriverError(
                f"some files stand in folders `{name}=...` and some do not",
                hint="read one kind of folder, or set `partitioning: none`",
                code="filesystem.mixed_partitions",
                column=name,
            )
        texts = [text for one in partitions if (text := one[name]) is not None]
        whole = bool(texts) and all(_INTEGER.fullmatch(text) for text in texts)
        types[name] = pa.int64() if whole else pa.string()
    return types


def folder_name(column: str, text: str | None) -> str:
    """``column=value`` with everything escaped that a file name cannot hold.

    Raises:
        DriverError: The folder would be a hidden one, or its name would mean NULL.
    """
    if column.startswith("."):
        raise DriverError(
            f"a folder named {column}=... is hidden: nobody who reads the dataset would find it",
            hint="rename the column before, or partition by another",
            code="filesystem.partition_name",
            column=column,
        )
    if text == NULL_NAME:
        raise DriverError(
            f"column {column!r} holds the text {text!r}, which as the name of a partition means NULL",
            hint="replace the value before, or partition by another column",
            code="filesystem.partition_name",
            column=column,
        )
    value = NULL_NAME if text is None else quote(text, safe=" !'(),-.:;@_~")
    return f"{quote(column, safe=' _-')}={value}"


def _partitions(path: str) -> dict[str, str | None]:
    pairs = (part.partition("=") for part in path.split("/")[:-1] if "=" in part)
    return {unquote(name): None if value == NULL_NAME else unquote(value) for name, _, value in pairs}


def _is_folder(location: Location) -> bool:
    with explaining(location.text, "read", remote=not location.is_local):
        return Path(location.path).is_dir() if location.is_local else bool(location.fs.isdir(location.path))
