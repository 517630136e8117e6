"""Which local files a pipeline names: what it reads is sent, what it writes may come back, and paths are rewritten."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osiris.core.quick_dataclass import dataclass
from osiris.remote.e2b.mirror import Mirror

if TYPE_CHECKING:
    from osiris.core.planning import Plan, PlannedStep

__all__ = ["KEPT_HERE", "LocalFiles", "find_files", "rewritten", "session_files"]

KEPT_HERE = frozenset(
    {
        *("events.jsonl", "metrics.jsonl", "session.json", "manifest.json", "plan.json", "result.json"),
        *("session.lock", "elsewhere.json", "landing.json", "tmp", "worker"),
    }
)
"""What in a session's folder is this process's alone: nothing of the sandbox's replaces it."""

_KEY = re.compile(r"(?:^|_)(?:path|file|filename|folder|dir|directory|database|location|source|target|base)s?$")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_LONGEST = 4096


@dataclass
class LocalFiles:
    """The files of this machine that a pipeline names.

    Attributes:
        sent: Files that exist and may be read.
        folders: Folders that exist above what is named, so that a writer finds there what it finds here.
        named: All places that are named: only at or below them may a run write here.
    """

    sent: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    named: set[Path] = field(default_factory=set)


def find_files(
    plan: Plan,
    configs: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, str],
    base_dir: Path,
    include: Iterable[str] = (),
) -> LocalFiles:
    """Look through the configs of all steps.

    Args:
        plan: What is run.
        configs: By step id, references kept.
        values: Of the references: part of a path may be one.
        base_dir: Where relative paths begin.
        include: Further paths and globs, from the adapter's options.
    """
    found = LocalFiles(folders={base_dir})
    for step in plan.steps:
        config = configs.get(step.id, step.config)
        replaces = _only_replaces(step, config)
        for key, text in _texts(config):
            if key == "base_dir":  # where others begin; it is not sent as a whole
                found.folders.update(place for place in _places(text, {}, base_dir) if place.is_dir())
                continue
            filled = _REFERENCE.sub(lambda match: values.get(match[1], ""), text)
            for place in _places(filled, config, base_dir):
                _note(place, found, base_dir, is_path=bool(_KEY.search(key)), unread=replaces)
    for text in include:
        for place in _places(text, {}, base_dir):
            _note(place, found, base_dir, is_path=True, unread=False)
    return found


def session_files(session_dir: Path) -> set[Path]:
    """What an earlier attempt at the run left for the engine: checkpoints, progress, what drivers noted."""
    found: set[Path] = set()
    for place in sorted(session_dir.iterdir()) if session_dir.is_dir() else ():
        if place.name not in KEPT_HERE | {"artifacts"}:
            found.update(path for path in (place, *place.rglob("*")) if path.is_file())
    return found


def rewritten(config: Any, mirror: Mirror, key: str = "") -> Any:
    """A config with absolute local paths, under keys that mean paths, as they are in the sandbox."""
    if isinstance(config, Mapping):
        return {name: rewritten(item, mirror, str(name)) for name, item in config.items()}
    if isinstance(config, list | tuple):
        return [rewritten(item, mirror, key) for item in config]
    if not isinstance(config, str) or not _KEY.search(key):
        return config
    text = "/" + config.removeprefix("file://").lstrip("/") if config.startswith("file://") else config
    if text.startswith("~") or (text.startswith("/") and len(text) > 1):
        trailing = "/" if text.endswith("/") else ""
        return mirror.there(text) + trailing
    return config


def _texts(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(config, str):
        if 0 < len(config) <= _LONGEST and "\n" not in config and "\0" not in config:
            yield key, config
    elif isinstance(config, Mapping):
        for name, item in config.items():
            yield from _texts(item, str(name))
    elif isinstance(config, list | tuple):
        for item in config:
            yield from _texts(item, key)


def _places(text: str, config: Mapping[str, Any], base_dir: Path) -> Iterator[Path]:
    """Where a text would lead if it is a path: from the pipeline's folder, and from the connection's."""
    if text.startswith("file://"):
        text = "/" + text.removeprefix("file://").lstrip("/")
    if _URL.match(text) or text in (".", "..", "/", "~"):
        return
    connection = config.get("resolved_connection")
    base = connection.get("base_dir") if isinstance(connection, Mapping) else None
    bases = [base_dir]
    if isinstance(base, str) and base and not _URL.match(base):
        bases.append(base_dir / Path(base).expanduser())
    for folder in bases:
        try:
            yield Path(os.path.normpath(folder / Path(text).expanduser()))
        except RuntimeError:  # ~nobody
            return


def _note(place: Path, found: LocalFiles, base_dir: Path, *, is_path: bool, unread: bool) -> None:
    if base_dir.is_relative_to(place):  # the whole project, or more, is not what a text means
        return
    found.named.add(place)
    try:
        if place.is_file():
            if not unread:
                found.sent.add(place)
        elif is_path and place.is_dir():
            files = [path for path in place.rglob("*") if path.is_file()]
            found.sent.update(files)
            found.folders.update({place, *(path for path in place.rglob("*") if path.is_dir())})
        elif is_path and glob.has_magic(str(place)):
            matches = glob.iglob(str(place), recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
            found.sent.update(Path(name) for name in matches if Path(name).is_file())
        if is_path:
            found.folders.add(next(folder for folder in place.parents if folder.is_dir()))
        for beside in (place.with_name(f"{place.name}.wal"),):  # what a database has not yet put into its file
            if place in found.sent and beside.is_file():
                found.sent.add(beside)
    except OSError:  # no path at all, too long, or not to be looked at: the step says so
        return


def _only_replaces(step: PlannedStep, config: Mapping[str, Any]) -> bool:
    """Whether the step writes a file anew without looking at the one that is there."""
    if step.spec.role != "writer" or "connection" in config:
        return False
    return bool(config.get("write_mode", _default_mode(step)) == "overwrite")


def _default_mode(step: PlannedStep) -> Any:
    if step.spec.config_model is None:
        return None
    from pydantic import ImportString, TypeAdapter

    model = TypeAdapter(ImportString[Any]).validate_python(step.spec.config_model)
    known = getattr(model, "model_fields", {}).get("write_mode")
    return None if known is None else known.default
