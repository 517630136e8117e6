"""Folders and files that only their owner can read, whatever the process's umask allows."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["make_private", "make_private_folder", "write_private"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only; one that is there stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    missing = [folder]
    while missing:
        try:
            missing[-1].mkdir(mode=0o700, exist_ok=True)
            missing.pop()
        except FileNotFoundError:
            if missing[-1].parent == missing[-1]:
                raise
            missing.append(missing[-1].parent)


def write_private(file: Path, text: str) -> None:
    """Write a file for its owner only, in place of what was there.

    Raises:
        OSError: It cannot be written.
    """
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def make_private(folder: Path) -> None:
    """Take from everybody but the owner what they may do with ``folder`` and all that is in it.

    Symbolic links are not followed. A file that has another name besides is left as it is: that name may be elsewhere,
    and meant for others. What cannot be changed, because it is another's or gone, stays.
    """
    for place, folders, names in os.walk(folder):
        _close(place)
        for name in (*folders, *names):
            _close(os.path.join(place, name))  # noqa: PTH118  # may be many


def _close(path: str) -> None:
    try:
        found = os.lstat(path)
        alone = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        if alone and found.st_mode & _OTHERS:
            Path(path).chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except OSError:
        return
