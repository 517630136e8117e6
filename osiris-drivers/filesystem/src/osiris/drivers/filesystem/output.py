"""Where writers write: a local file or one behind a URL, whole or not at all."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import Any

from osiris.core.driver import StepContext
from osiris.drivers.filesystem.atomic_file import AtomicFile, WriteMode, no_folder, temporary_name
from osiris.drivers.filesystem.commit_note import CommitNote
from osiris.drivers.filesystem.locations import Location
from osiris.drivers.filesystem.settling import give_up_remote, settle

__all__ = ["RemoteFile", "open_output"]


def open_output(
    location: Location, mode: WriteMode, ctx: StepContext, *, create_dirs: bool = True, copy_existing: bool = True
) -> AtomicFile:
    """A file to write to ``location``; use it as a context manager, and :meth:`~AtomicFile.commit` it.

    Args:
        location: What to write.
        mode: What to do where it exists.
        ctx: Whose temporary file it is.
        create_dirs: Whether to make the folders above it.
        copy_existing: Whether ``append`` begins with a copy of what is there (else the caller sees to it).

    Raises:
        DriverError: It exists and ``mode`` is ``fail``; it is a folder or a device; it may not be written there.
    """
    note = CommitNote.of(ctx)
    settle(note, location)  # of an attempt that nobody asked about
    kind = AtomicFile if location.is_local else RemoteFile
    name = temporary_name(location, ctx)
    return kind(location, mode, name, create_dirs=create_dirs, copy_existing=copy_existing, note=note)


class RemoteFile(AtomicFile):
    """A file on an fsspec file system: written under a temporary name and moved.

    How atomic the move is depends on the store: one step in memory and on most servers, copy and delete on
    object stores, where readers see the old object until the copy is complete.
    """

    @property
    def appends(self) -> bool:
        """Whether there is something before what is written."""
        return self._there and self.mode == "append"

    def _open(self, temporary: str, create_dirs: bool) -> None:
        fs, path = self.location.fs, self.location.path
        folder, _, _ = path.rpartition("/")
        self._temporary_path = f"{folder}/{temporary}"
        with self._explained():
            self._there = bool(fs.exists(path))
            if self._there and fs.isdir(path):
                raise IsADirectoryError
            if self._there and self.mode == "fail":
                raise self.exists_already()
            if folder and not fs.isdir(folder):
                if not create_dirs:
                    raise no_folder(folder, self.location.text)
                fs.makedirs(folder, exist_ok=True)
        assert self._note is not None
        self._note.begin(self._temporary_path, path, remote=True)
        with self._explained():
            self._size_before = fs.size(path) if self._there else None
            self._file = fs.open(self._temporary_path, "wb")
            if self.appends and self._copies:
                with fs.open(path, "rb") as old:
                    shutil.copyfileobj(old, self._file, 1 << 20)

    def _commit(self, told: dict[str, Any]) -> None:
        fs, path = self.location.fs, self.location.path
        assert self._file is not None
        assert self._note is not None
        with self._explained():
            self._file.close()
            if self.mode == "fail" and fs.exists(path):
                raise self.exists_already()
        before = self._size_before
        size = self.written + (before or 0 if self.appends and self._copies else 0)
        self._note.rename(durable=True, told=told, mode=self.mode, before=before, size=size)
        with self._explained():
            fs.mv(self._temporary_path, path)
            fs.invalidate_cache()

    def _abort(self) -> None:
        assert self._note is not None
        with suppress(Exception):  # the store may be what failed
            if self._file is not None:
                getattr(self._file, "discard", self._file.close)()
        give_up_remote(self._note, self.location)
