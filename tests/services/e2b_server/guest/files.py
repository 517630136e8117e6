"""Operations on the files of a sandbox."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from typing import Any

from paths import Paths


class Files:
    """The operations on files, one method each."""

    def __init__(self, paths: Paths) -> None:
        """``paths`` tells where things are."""
        self.paths = paths

    def entry(self, path: str) -> dict[str, Any]:
        """What stat(2) knows of one entry, followed through a symlink where it leads somewhere."""
        link = os.lstat(path)
        is_link = stat.S_ISLNK(link.st_mode)
        try:
            info = os.stat(path) if is_link else link
        except OSError:
            info = link
        try:
            owner = pwd.getpwuid(info.st_uid).pw_name
        except KeyError:
            owner = str(info.st_uid)
        kind = "dir" if stat.S_ISDIR(info.st_mode) else "file" if stat.S_ISREG(info.st_mode) else "other"
        return {
            "name": os.path.basename(path),
            "path": self.paths.outside(path),
            "type": kind,
            "size": info.st_size,
            "mode": stat.S_IMODE(info.st_mode),
            "permissions": stat.filemode(info.st_mode),
            "owner": owner,
            "modified_ns": info.st_mtime_ns,
            "target": os.readlink(path) if is_link else None,
        }

    def open(self, path: str, write: bool) -> tuple[dict[str, Any], int]:
        """Open a file to read, or to write from its beginning; the folders above are made."""
        real = self.paths.inside(path)
        if write:
            os.makedirs(os.path.dirname(real), exist_ok=True)
            descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        else:
            descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return self.entry(real), descriptor

    def stat(self, path: str) -> dict[str, Any]:
        """One entry."""
        return self.entry(self.paths.inside(path))

    def list(self, path: str, depth: int) -> list[dict[str, Any]]:
        """The entries of a folder, ``depth`` levels deep."""
        entries = []
        for name in sorted(os.listdir(self.paths.inside(path))):
            entry = self.entry(os.path.join(self.paths.inside(path), name))
            entries.append(entry)
            if depth > 1 and entry["type"] == "dir" and entry["target"] is None:
                entries += self.list(entry["path"], depth - 1)
        return entries

    def make_dir(self, path: str) -> dict[str, Any]:
        """Make a folder and those above it."""
        os.makedirs(self.paths.inside(path))
        return self.stat(path)

    def move(self, source: str, destination: str) -> dict[str, Any]:
        """Rename; the folders above the new name are made."""
        target = self.paths.inside(destination)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(self.paths.inside(source), target)
        return self.stat(destination)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all in it; nothing there is fine."""
        real = self.paths.inside(path)
        if os.path.isdir(real) and not os.path.islink(real):
            remove_tree(real)
        elif os.path.lexists(real):
            os.remove(real)


def remove_tree(folder: str) -> None:
    """Remove a folder with all in it; shutil would double the time that a sandbox takes to start."""
    for here, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.remove(os.path.join(here, name))
        for name in folders:
            path = os.path.join(here, name)
            os.remove(path) if os.path.islink(path) else os.rmdir(path)
    os.rmdir(folder)
