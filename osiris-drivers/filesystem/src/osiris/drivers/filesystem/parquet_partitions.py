"""A folder of Parquet files, one per combination of some columns' values, that appears whole or not at all.

Everything is written to a temporary folder beside the target. ``overwrite`` then swaps the two: the old folder
is moved aside, the new one takes its name, the old one is removed. ``append`` moves the new files, which have names
of their own, into the folders that are there. Where a process was killed between two moves, the note that it left
says how to go on (``settling``).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from osiris.core.dataset import Dataset
from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.arrow_arrays import constant, text_array
from osiris.drivers.filesystem.atomic_file import AtomicFile, WriteMode, make_folder, temporary_name
from osiris.drivers.filesystem.commit_note import CommitNote, sync_folder
from osiris.drivers.filesystem.csv_text import to_text
from osiris.drivers.filesystem.errors import explaining, unknown_columns
from osiris.drivers.filesystem.hive import folder_name
from osiris.drivers.filesystem.locations import Location
from osiris.drivers.filesystem.parquet_config import ParquetWriterConfig
from osiris.drivers.filesystem.row_groups import RowGroups
from osiris.drivers.filesystem.settling import give_up, move_files, settle

__all__ = ["write_partitions"]

_MOST = 1000
_WAITING_BYTES = 64 << 20
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_OURS = re.compile(r"part-[\w.-]*\.parquet")


def write_partitions(
    location: Location, data: Dataset, options: ParquetWriterConfig, ctx: StepContext
) -> dict[str, Any]:
    """Write ``data`` below ``location``; what to tell of it.

    Raises:
        DriverError: There is something else at ``location``, a column is not there, there are too many partitions,
            or the disk says no. What was there is as it was.
    """
    names = data.schema.names
    if unknown := [name for name in options.partition_by if name not in names]:
        raise unknown_columns(unknown, names, "the input", "`partition_by`")
    if set(names) == set(options.partition_by):
        raise DriverError(
            "`partition_by` names every column: nothing would be left to write into the files",
            hint="partition by fewer columns",
            code="filesystem.no_columns_left",
        )
    if not location.is_local:
        raise DriverError(
            f"partitions cannot be written to {location.text}",
            hint="write one file there, or partition on a local path",
            code="filesystem.local_only",
            path=location.text,
        )
    note = CommitNote.of(ctx)
    settle(note, location)  # of an attempt that nobody asked about
    target = Path(os.path.realpath(location.path))
    _check_target(target, location, options)
    make_folder(target.parent, options.create_dirs, location.text)
    draft = target.parent / temporary_name(location, ctx)
    note.begin(str(draft), str(target))
    try:
        with explaining(location.text, "write"):
            draft.mkdir()
        adds = options.write_mode == "append" and next(target.rglob("*.parquet"), None) is not None
        with _Partitions(draft, data.schema, options, ctx) as partitions:
            for batch in data.batches():
                ctx.raise_if_cancelled()
                partitions.add(batch)
            if not partitions.rows and not adds:
                partitions.add_none()
        told = {"rows": partitions.rows, "format": "parquet", "bytes": partitions.bytes}
        with explaining(location.text, "write"):
            _publish(note, draft, target, options.write_mode, told)
    except BaseException:
        give_up(note)
        raise
    return told


def _check_target(target: Path, location: Location, options: ParquetWriterConfig) -> None:
    with explaining(location.text, "write"):
        if not target.exists():
            return
        if not target.is_dir():
            raise DriverError(
                f"{location.text} is a file; a partitioned dataset is a folder",
                hint="choose another path, or leave out `partition_by`",
                code="filesystem.not_a_directory",
                path=location.text,
            )
        if options.write_mode == "fail" and any(target.iterdir()):
            raise _exists(target)
        if options.write_mode == "overwrite" and (stranger := _find_stranger(target)) is not None:
            raise DriverError(
                f"{location.text} holds {stranger}, which this writer did not write: overwriting would delete it",
                hint="choose a folder of its own for the dataset, or remove the file first",
                code="filesystem.foreign_files",
                path=location.text,
                found=str(stranger),
            )


def _find_stranger(folder: Path) -> Path | None:
    for path in sorted(folder.rglob("*")):
        mine = "=" in path.name if path.is_dir() else _OURS.fullmatch(path.name)
        if not mine:
            return path
    return None


def _exists(target: Path) -> DriverError:
    return DriverError(
        f"{target} exists already",
        hint="remove it, choose another path, or set `write_mode: overwrite`",
        code="filesystem.exists",
        path=str(target),
    )


def _publish(note: CommitNote, draft: Path, target: Path, mode: WriteMode, told: dict[str, Any]) -> None:
    if mode == "append" and target.exists():
        files = sorted(str(path.relative_to(draft)) for path in draft.rglob("*.parquet"))
        folders = [path.relative_to(draft) for path in draft.rglob("*") if path.is_dir()]
        new = sorted((str(folder) for folder in folders if not (target / folder).exists()), reverse=True)
        note.rename(durable=True, told=told, files=files, new_folders=new)
        move_files(note)
        for folder in (Path(), *folders):
            sync_folder(target / folder)
        shutil.rmtree(draft)
    elif mode == "overwrite" and target.exists():
        old = draft.with_suffix(".old")
        note.rename(durable=False, told=told, old=str(old))
        target.rename(old)
        draft.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    else:
        note.rename(durable=mode != "overwrite", told=told)
        try:
            draft.rename(target)  # in place of an empty folder, too
        except OSError as error:
            raise _exists(target) if error.errno in _TAKEN else error from None
        sync_folder(target.parent)


class _Partitions:
    """The open files of a partitioned dataset. A context manager."""

    def __init__(self, folder: Path, schema: pa.Schema, options: ParquetWriterConfig, ctx: StepContext) -> None:
        self._folder, self._options, self._ctx = folder, options, ctx
        self._keys = [schema.get_field_index(name) for name in options.partition_by]
        self._inside = [index for index in range(len(schema)) if index not in self._keys]
        self._schema, self._inner = schema, pa.schema([schema.field(index) for index in self._inside])
        owner = re.sub(r"[^\w.-]", "_", f"{ctx.session_id}-{ctx.step_id}")
        self._name = f"part-{owner}.parquet" if options.write_mode == "append" else "part-0.parquet"
        self._groups: dict[str, RowGroups] = {}
        self._files: list[AtomicFile] = []
        self._stack = ExitStack()
        self.rows = 0

    @property
    def bytes(self) -> int:
        """Written so far."""
        return sum(file.written for file in self._files)

    def add(self, batch: pa.RecordBatch) -> None:
        """Write the rows of a batch, each to its partition."""
        if batch.num_rows == 0:
            return
        folders = self._folders(batch).dictionary_encode()
        inner = pa.RecordBatch.from_arrays([batch.column(index) for index in self._inside], schema=self._inner)
        order = pc.sort_indices(folders.indices)
        inner, codes = inner.take(order), folders.indices.take(order)
        start = 0
        for run in pc.value_counts(codes):
            count = run["counts"].as_py()
            self._group(folders.dictionary[run["values"].as_py()].as_py()).add(inner.slice(start, count))
            start += count
        self.rows += batch.num_rows
        while sum(group.bytes for group in self._groups.values()) > _WAITING_BYTES:
            max(self._groups.values(), key=lambda group: group.bytes).flush()

    def add_none(self) -> None:
        """Write a file without rows: a folder without files could not be read."""
        self._group("/".join(folder_name(name, None) for name in self._options.partition_by))

    def _folders(self, batch: pa.RecordBatch) -> pa.Array:
        """Per row the folder it belongs to, as ``year=2024/month=1``."""
        parts = []
        for name, index in zip(self._options.partition_by, self._keys, strict=True):
            values = to_text(batch.column(index), column=name).dictionary_encode(null_encoding="encode")
            folders = text_array([folder_name(name, text) for text in values.dictionary.to_pylist()])
            parts.append(folders.take(values.indices))
        return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, constant("/"))

    def _group(self, folder: str) -> RowGroups:
        found = self._groups.get(folder)
        if found is None:
            if len(self._groups) == _MOST:
                raise DriverError(
                    f"`partition_by: {self._options.partition_by}` gives more than {_MOST} partitions",
                    hint="partition by columns with fewer values (a year or a country, not a day or an id)",
                    code="filesystem.too_many_partitions",
                )
            path = str(self._folder / folder / self._name)
            file = self._stack.enter_context(AtomicFile(Location(path, path), "overwrite", ".draft"))
            self._files.append(file)
            found = RowGroups(file, self._inner, self._options)
            self._groups[folder] = found
        return found

    def __enter__(self) -> _Partitions:
        return self

    def __exit__(self, kind: Any, error: Any, at: Any) -> None:
        with self._stack:
            for group in self._groups.values():
                group.__exit__(kind, error, at)
            if kind is None:
                for file in self._files:
                    file.commit()
