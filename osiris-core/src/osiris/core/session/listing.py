"""What the folders of sessions say: the list of runs, and whether one that says running still does."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, Literal

from osiris.core.errors import UsageError
from osiris.core.process import started_at
from osiris.core.quick_dataclass import dataclass

__all__ = [
    "SESSION_ID",
    "STATE_FILE",
    "SessionInfo",
    "SessionStatus",
    "find_session",
    "is_session",
    "latest",
    "list_sessions",
    "read_object",
    "read_session",
]

STATE_FILE = "session.json"

SessionStatus = Literal["running", "success", "failed", "cancelled", "interrupted", "broken"]
"""``interrupted``: it says running, but its process is gone; ``broken``: the folder cannot be read."""

SESSION_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
"""What the name of every session's folder looks like; those of sessions being made and removed begin with a dot."""


@dataclass(frozen=True, kw_only=True)
class SessionInfo:
    """What a session's folder says of the run.

    Attributes:
        id: The run's id; sorts by time.
        dir: The folder.
        status: How the run stands.
        pipeline: The manifest's name.
        adapter: Where it runs.
        started, ended: UTC, ISO 8601; ``ended`` is None while it runs, and where it was interrupted.
        host, pid, pid_started: The process that owns it; ``pid_started`` in seconds since the epoch.
        osiris_version: Of osiris-core.
        command: The command line, where there was one.
        origin: What a resumed run needs to find the pipeline again.
    """

    id: str
    dir: Path
    status: SessionStatus
    pipeline: str = ""
    adapter: str = ""
    started: str = ""
    ended: str | None = None
    host: str = ""
    pid: int = 0
    pid_started: float = 0.0
    osiris_version: str = ""
    command: Sequence[str] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The form of ``osiris runs list --json``."""
        return {**asdict(self), "dir": str(self.dir), "command": list(self.command)}


def list_sessions(root: str | os.PathLike[str]) -> list[SessionInfo]:
    """The sessions below ``root``, newest first; folders of sessions that cannot be read are ``broken``.

    Raises:
        UsageError: ``session.root_unreadable``: ``root`` cannot be listed. One that does not exist has none.
    """
    try:
        entries = [entry for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(
            f"the sessions in {root} cannot be listed: {error.strerror}",
            hint="check the folder and its permissions",
            code="session.root_unreadable",
            path=str(root),
        ) from error
    folders = [Path(entry.path) for entry in entries if not entry.name.startswith(".")]  # those are being made
    found = [read_session(folder) for folder in folders if SESSION_ID.fullmatch(folder.name) or is_session(folder)]
    return sorted(found, key=lambda info: (_sortable(info), info.id), reverse=True)


def latest(root: str | os.PathLike[str]) -> SessionInfo | None:
    """The newest session below ``root`` that can be read; None where there is none."""
    return next((info for info in list_sessions(root) if info.status != "broken"), None)


def find_session(wanted: str, root: str | os.PathLike[str] | None) -> Path:
    """The folder of the session with this id, or with the beginning or end of one, or of the ``latest``.

    Raises:
        UsageError: ``session.not_found`` or ``session.ambiguous``.
    """
    known = [] if root is None else list_sessions(root)
    if wanted == "latest" and known:
        return known[0].dir
    matches = [info for info in known if info.id == wanted] or [
        info for info in known if wanted and (info.id.startswith(wanted) or info.id.endswith(wanted))
    ]
    if len(matches) == 1:
        return matches[0].dir
    if matches:
        raise UsageError(
            f"{wanted!r} means {len(matches)} sessions: {', '.join(info.id for info in matches[:5])}",
            hint="write more of the id",
            code="session.ambiguous",
            session=wanted,
        )
    newest = f"the newest there: {', '.join(info.id for info in known[:3])}" if known else "there is none yet"
    raise UsageError(
        f"there is no session {wanted!r}" + ("" if root is None else f" in {root}"),
        hint=f"give its id or folder; {newest}",
        code="session.not_found",
        session=wanted,
    )


def is_session(folder: Path) -> bool:
    """Whether ``folder`` holds a session, as far as this user may see."""
    try:
        return (folder / STATE_FILE).is_file()
    except OSError:  # somebody else's
        return False


def read_session(folder: Path) -> SessionInfo:
    """What ``session.json`` says, corrected by whether its process lives; never raises."""
    folder = folder.absolute()
    try:
        state = read_object(folder / STATE_FILE)
        status = state["state"]
        if status not in ("running", "success", "failed", "cancelled"):
            raise ValueError(status)  # noqa: TRY301  # handled just below
        info = SessionInfo(
            id=str(state["id"]),
            dir=folder,
            status=status,
            pipeline=str(state.get("pipeline", "")),
            adapter=str(state.get("adapter", "")),
            started=str(state.get("started", "")),
            ended=state.get("ended"),
            host=str(state.get("host", "")),
            pid=int(state.get("pid", 0)),
            pid_started=float(state.get("pid_started", 0.0)),
            osiris_version=str(state.get("osiris_version", "")),
            command=tuple(state.get("command", ())),
            origin=dict(state.get("origin") or {}),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return SessionInfo(id=folder.name, dir=folder, status="broken")
    if info.status == "running" and not _owner_lives(info):
        return replace(info, status="interrupted")
    return info


def _owner_lives(info: SessionInfo) -> bool:
    if info.host != socket.gethostname():
        return True  # cannot be seen from here: what the folder says stands
    started = started_at(info.pid)
    # The kernel counts from boot and the clock may be set in between: two seconds are the same start.
    return started is not None and abs(started - info.pid_started) < 2


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a JSON object.
    """
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a JSON object")  # noqa: TRY004  # the value is what is wrong
    return content


def _sortable(info: SessionInfo) -> str:
    # 2026-11-22T01:14:25.123456Z and 20261122T011425Z-3f9a2c begin alike once the punctuation is gone.
    return re.sub(r"[-:.]", "", info.started)[:21] or info.id
