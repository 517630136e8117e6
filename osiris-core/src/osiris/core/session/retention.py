"""Old sessions, removed on request: each whole or not at all, and never one that somebody may still need."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from osiris.core.errors import UsageError
from osiris.core.process import held
from osiris.core.quick_dataclass import dataclass
from osiris.core.session.listing import (
    SESSION_ID,
    STATE_FILE,
    SessionInfo,
    SessionStatus,
    is_session,
    list_sessions,
    read_session,
)

__all__ = ["REMOVABLE", "PurgeReport", "Purged", "purge"]

REMOVABLE: tuple[SessionStatus, ...] = ("success", "failed", "cancelled", "interrupted")
"""How a session may stand that is removed; what runs, or cannot be read, never is."""

_LOCKS = ("session.lock", "engine.lock")
_PURGE_LOCK = ".purge.lock"
_PATIENCE = 10.0
"""Seconds to wait for another purge."""

_DRAFT = re.compile(rf"\.{SESSION_ID.pattern}")
_REMOVED = re.compile(rf"\.{SESSION_ID.pattern}\.[0-9a-f]{{8}}\.purged")
_DRAFT_AGE = timedelta(minutes=10)
"""A session that is being made is one for milliseconds."""

_SIGNS_OF_LIFE = (STATE_FILE, "events.jsonl", "metrics.jsonl", "progress.jsonl")


@dataclass(frozen=True, kw_only=True)
class Purged:
    """A folder that was removed, or would be.

    Attributes:
        id: The session's id, or for what a killed process left: the folder's name.
        dir: The folder.
        size: Bytes of its files.
        status: How the session stood; None for what a killed process left.
        pipeline: The manifest's name.
        ended: When it ended, or last gave a sign of life.
        error: Why it could not be removed; None: it is gone, or would be.
    """

    id: str
    dir: Path
    size: int
    status: SessionStatus | None = None
    pipeline: str = ""
    ended: datetime | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        told: dict[str, Any] = {"id": self.id, "dir": str(self.dir), "bytes": self.size}
        if self.status is not None:
            ended = None if self.ended is None else self.ended.isoformat(timespec="seconds").replace("+00:00", "Z")
            told |= {"pipeline": self.pipeline, "status": self.status, "ended": ended}
        return told if self.error is None else {**told, "error": self.error}


@dataclass(frozen=True, kw_only=True)
class PurgeReport:
    """What a purge did, or would do.

    Attributes:
        removed: The sessions, oldest first.
        leftovers: What processes left that were killed while they made or removed a session.
        in_use: Ids of sessions that would have been removed, but belong to a process that lives.
        failed: What could not be removed; it is hidden, and the next purge tries again.
    """

    removed: tuple[Purged, ...] = ()
    leftovers: tuple[Purged, ...] = ()
    in_use: tuple[str, ...] = ()
    failed: tuple[Purged, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files that are gone, or would be."""
        return sum(found.size for found in (*self.removed, *self.leftovers))


def purge(
    root: str | os.PathLike[str],
    *,
    older_than: timedelta | None = None,
    keep: int = 0,
    statuses: Collection[SessionStatus] = REMOVABLE,
    dry_run: bool = False,
) -> PurgeReport:
    """Remove sessions below ``root`` that are over.

    A folder is a session where it has a session's name and a ``session.json`` that says the same; everything else
    there is left alone, and symbolic links are not followed. A session is first renamed to a hidden name and then
    removed, so that a purge that is killed leaves none that is half there.

    Args:
        root: The folder of sessions. One that does not exist has none.
        older_than: Only those that ended, or last gave a sign of life, longer ago; None: any.
        keep: How many of the newest stay, whatever their age; those that run count.
        statuses: Of which kinds; see :data:`REMOVABLE`.
        dry_run: Only say what would be removed.

    Raises:
        UsageError: ``session.root_unreadable``: ``root`` cannot be listed. ``session.not_a_root``: it is itself a
            session. ``session.in_use``: another purge is at work there.
        ValueError: One of ``statuses`` is not removable.
    """
    if not set(statuses) <= set(REMOVABLE):
        raise ValueError(f"only these can be removed: {', '.join(REMOVABLE)}")
    folder = Path(root).absolute()
    if is_session(folder):
        raise UsageError(
            f"{folder} is a session, not a folder of sessions",
            hint="name the folder above it",
            code="session.not_a_root",
            path=str(folder),
        )
    if not folder.is_dir():
        list_sessions(folder)  # what is there but cannot be listed is told
        return PurgeReport()
    with ExitStack() as hold:
        if not dry_run:
            hold.enter_context(held(folder / _PURGE_LOCK, patience=_PATIENCE))
        return _Purge(folder, dry_run).run(older_than, keep, statuses)


class _Purge:
    def __init__(self, root: Path, dry_run: bool) -> None:
        self.root = root
        self.dry_run = dry_run
        self.now = datetime.now(UTC)
        self.in_use: list[str] = []

    def run(self, older_than: timedelta | None, keep: int, statuses: Collection[SessionStatus]) -> PurgeReport:
        left = list(self.leftovers())
        sessions = [info for info in list_sessions(self.root) if SESSION_ID.fullmatch(info.dir.name)]
        chosen = []
        for info in reversed(sessions[keep:]):
            ended = _ended(info)
            if info.status in statuses and (older_than is None or _is_older(ended, self.now - older_than)):
                chosen.append((info, ended))
        removed = [done for info, ended in chosen if (done := self.remove_session(info, ended, statuses))]
        leftovers = [done for entry in left if (done := self.remove_leftover(entry))]
        everything = [*removed, *leftovers]
        return PurgeReport(
            removed=tuple(found for found in removed if found.error is None),
            leftovers=tuple(found for found in leftovers if found.error is None),
            in_use=tuple(self.in_use),
            failed=tuple(found for found in everything if found.error is not None),
        )

    def remove_session(
        self, info: SessionInfo, ended: datetime | None, statuses: Collection[SessionStatus]
    ) -> Purged | None:
        found = Purged(
            id=info.id, dir=info.dir, size=_size(info.dir), status=info.status, pipeline=info.pipeline, ended=ended
        )
        try:
            with _unowned(info.dir):
                # Again, now that nobody can take it up: somebody may have, since the list was made.
                if info.id != info.dir.name or read_session(info.dir).status not in statuses:
                    return None
                return self.remove(found)
        except UsageError:
            self.in_use.append(info.id)
            return None

    def leftovers(self) -> Iterator[Path]:
        for entry in sorted(os.scandir(self.root), key=lambda entry: entry.name):
            if not entry.is_dir(follow_symlinks=False):
                continue
            if _REMOVED.fullmatch(entry.name):
                yield Path(entry.path)
            elif _DRAFT.fullmatch(entry.name):
                changed = datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_mtime, UTC)
                if self.now - changed >= _DRAFT_AGE:
                    yield Path(entry.path)

    def remove_leftover(self, folder: Path) -> Purged | None:
        found = Purged(id=folder.name, dir=folder, size=_size(folder))
        try:
            with _unowned(folder):
                return self.remove(found)
        except UsageError:  # it is being made, however long that takes
            return None
        except OSError as error:  # somebody else's: nobody can see who has it
            return _not_removed(found, folder, error)

    def remove(self, found: Purged) -> Purged:
        if self.dry_run:
            return found
        hidden = found.dir
        try:
            if not _REMOVED.fullmatch(hidden.name):
                name = hidden.name.removeprefix(".")
                hidden = hidden.rename(self.root / f".{name}.{secrets.token_hex(4)}.purged")
            shutil.rmtree(hidden)
        except OSError as error:
            return _not_removed(found, hidden, error)
        return found


def _not_removed(found: Purged, folder: Path, error: OSError) -> Purged:
    return Purged(
        **{**found.__dict__, "dir": folder, "error": f"{error.filename or folder}: {error.strerror or error}"}
    )


@contextmanager
def _unowned(folder: Path) -> Iterator[None]:
    """Hold the locks of a session, so that nobody takes it up; raises UsageError where somebody has it."""
    with ExitStack() as hold:
        for name in _LOCKS:
            if (folder / name).exists():  # never made here: a dry run changes nothing
                hold.enter_context(held(folder / name))
        yield


def _ended(info: SessionInfo) -> datetime | None:
    """When it ended; of one that was interrupted: when it last wrote. None where nothing says so."""
    if info.ended is not None:
        return _parsed(info.ended)
    times = []
    for name in _SIGNS_OF_LIFE:
        try:
            times.append((info.dir / name).stat().st_mtime)
        except OSError:
            continue
    return datetime.fromtimestamp(max(times), UTC) if times else _parsed(info.started)


def _parsed(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _is_older(ended: datetime | None, limit: datetime) -> bool:
    return ended is not None and ended <= limit


def _size(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  # many files: a Path each is slow
            except OSError:
                continue
    return size
