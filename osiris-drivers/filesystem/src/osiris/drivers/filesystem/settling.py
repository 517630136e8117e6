"""What became of an attempt whose process is gone: finished or undone, by its note, and nothing left lying about.

Each function may itself be killed at any point and called again.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from osiris.drivers.filesystem.commit_note import CommitNote
from osiris.drivers.filesystem.errors import explaining
from osiris.drivers.filesystem.locations import Location

__all__ = ["give_up", "give_up_remote", "move_files", "settle"]


def settle(note: CommitNote, location: Location) -> dict[str, Any] | None:
    """Find out whether the attempt that ``note`` tells of has committed; clear up after it.

    Returns:
        What it told (``rows``, ``bytes``, ...), if it has committed ``location``; else None.

    Raises:
        DriverError: The file system or store does not say.
    """
    if not note.facts:
        return None
    told = dict(note.facts.get("told", {}))
    if note.facts["remote"]:
        committed = not location.is_local and _settle_remote(note, location)
    else:
        with explaining(note.facts["target"], "write"):
            committed = _settle_local(note)
    if not committed:
        return None
    # With --force the step may mean another file by now.
    here = os.path.realpath(location.path) if location.is_local else location.path
    return told if note.facts["target"] == here else None


def give_up(note: CommitNote) -> None:
    """Undo a local attempt that has failed, as far as it got; does nothing where it has committed."""
    with suppress(OSError):  # the failure may be the disk's
        if note.facts and not (note.is_renaming and _is_renamed(note)):
            _undo(note)


def give_up_remote(note: CommitNote, location: Location) -> None:
    """The same behind a URL. A move that failed may have done its work all the same: then the note stays."""
    fs, facts = location.fs, note.facts
    with suppress(Exception):  # the store may be what failed
        if note.is_renaming:
            fs.invalidate_cache()
            found = fs.size(facts["target"]) if fs.exists(facts["target"]) else None
            if found == facts["size"] != facts["before"]:
                fs.rm_file(facts["draft"])
                return
            note.withdraw()
        fs.rm_file(facts["draft"])
    if not note.is_renaming:
        note.forget()


# -- local ------------------------------------------------------------------------------------------


def _settle_local(note: CommitNote) -> bool:
    draft = Path(note.facts["draft"])
    if note.is_renaming and "files" in note.facts:
        move_files(note)
        shutil.rmtree(draft, ignore_errors=True)
        return True
    if note.is_renaming and _is_renamed(note):
        draft.unlink(missing_ok=True)  # the other name of the same file
        if "old" in note.facts:
            shutil.rmtree(note.facts["old"], ignore_errors=True)
        return True
    _undo(note)
    return False


def move_files(note: CommitNote) -> None:
    """Give the files of a draft folder their places in the target, those that have not moved yet."""
    draft, target = Path(note.facts["draft"]), Path(note.facts["target"])
    for name in note.facts["files"]:
        if (draft / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).replace(target / name)


def _is_renamed(note: CommitNote) -> bool:
    draft = Path(note.facts["draft"])
    if not os.path.lexists(draft):
        return "files" not in note.facts
    # Linked, and killed before the first name was removed.
    target = Path(note.facts["target"])
    return draft.is_file() and target.is_file() and draft.samefile(target)


def _undo(note: CommitNote) -> None:
    facts, draft, target = note.facts, Path(note.facts["draft"]), Path(note.facts["target"])
    if note.is_renaming and facts.get("claims") and target.is_file() and target.stat().st_size == 0:
        target.unlink()  # the name was claimed by an empty file
    if "old" in facts and not target.exists() and Path(facts["old"]).exists():
        Path(facts["old"]).rename(target)
    if note.is_renaming or "files" in facts:
        note.withdraw()
    for name in facts.get("files", ()):
        if not (draft / name).exists():
            (target / name).unlink(missing_ok=True)
    for name in facts.get("new_folders", ()):
        with suppress(OSError):  # not made yet, or somebody else's files are in it
            (target / name).rmdir()
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)
    note.forget()


# -- behind a URL -------------------------------------------------------------------------------------


def _settle_remote(note: CommitNote, location: Location) -> bool:
    fs, facts = location.fs, note.facts
    draft, target = facts["draft"], facts["target"]
    with explaining(location.text, "write", remote=True):
        fs.invalidate_cache()
        there = fs.exists(draft)
        if note.is_renaming and not there:
            return True
        if note.is_renaming and _may_move(fs, facts):
            # Moving may be a copy and a delete: doing it again gives the same.
            fs.mv(draft, target)
            fs.invalidate_cache()
            return True
        note.withdraw()
        if there:
            fs.rm_file(draft)
    note.forget()
    return False


def _may_move(fs: Any, facts: dict[str, Any]) -> bool:
    """Whether the target is as it was before the move, or as after it."""
    found = fs.size(facts["target"]) if fs.exists(facts["target"]) else None
    return facts["mode"] == "overwrite" or found in (facts["before"], facts["size"])
