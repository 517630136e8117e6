"""What a run wrote, brought home: the same files at the same places, complete or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osiris.core.artifacts import unpack
from osiris.core.errors import CollectError, OsirisError
from osiris.remote.e2b.sdk import Sandbox

__all__ = ["Homecoming", "bring_home", "is_below"]

_TRIES = 3
_AT_ONCE = 4


@dataclass
class Homecoming:
    """What came.

    Attributes:
        files: How many.
        size: Their bytes.
        left: Files that the run changed at places that the pipeline does not name: they stay there.
    """

    files: int = 0
    size: int = 0
    left: list[str] = field(default_factory=list)


def is_below(path: Path, places: Iterable[Path]) -> bool:
    """Whether ``path`` is one of ``places`` or below one."""
    return any(path == place or path.is_relative_to(place) for place in places)


async def bring_home(
    sandbox: Sandbox,
    archive: str,
    told: dict[str, Any],
    prefix: str,
    allowed: Sequence[Path],
    staging: Path,
    kept: Sequence[Path] = (),
) -> Homecoming:
    """Download what changed and put it in its place. Nothing is trusted: neither paths nor content.

    Args:
        sandbox: Where it is.
        archive: The small files, packed, there.
        told: What the outpost says of the changes.
        prefix: What stands before a path of this machine there.
        allowed: Only these places, and below them, are written.
        staging: An empty folder for what is under way.
        kept: Below those, what is not to be touched all the same.

    Raises:
        CollectError: ``e2b.damaged``: something is not what was sent. ``e2b.cannot_write``: there is no place for it.
        UnreachableError: The sandbox is gone.
    """

    def may_be(path: str) -> bool:
        """Whether a path that the sandbox tells is a plain one, at a place that may be written."""
        place = Path(path)
        plain = path.startswith("/") and os.path.normpath(path) == path
        return plain and is_below(place, allowed) and not is_below(place, kept)

    result = Homecoming()
    drafts: dict[Path, Path] = {}
    try:
        wanted = [item for item in told["changed"] if may_be(item["path"])]
        result.left = [item["path"] for item in told["changed"] if not may_be(item["path"])]
        if any(item["packed"] for item in wanted):
            await _fetch_packed(sandbox, archive, wanted, told["changed"], staging, drafts)
        gate = asyncio.Semaphore(_AT_ONCE)
        large = [item for item in wanted if not item["packed"]]
        await asyncio.gather(*(_fetch_large(sandbox, item, prefix, gate, drafts) for item in large))
        for goal, draft in drafts.items():
            draft.replace(goal)
        for path in told["gone"]:
            if may_be(path):
                Path(path).unlink(missing_ok=True)
        for path in told["folders"]:
            if may_be(path):
                Path(path).mkdir(parents=True, exist_ok=True)
        for path in told["gone_folders"]:
            if may_be(path):
                with suppress(OSError):  # not empty here: something else is in it
                    Path(path).rmdir()
    except OSError as error:
        raise CollectError(
            f"what the run wrote cannot be put in its place: {error.filename}: {error.strerror}",
            hint="check permissions and free space; keep_sandbox=true keeps the sandbox",
            code="e2b.cannot_write",
            path=str(error.filename),
        ) from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        shutil.rmtree(staging, ignore_errors=True)
    result.files = len(wanted)
    result.size = sum(item["size"] for item in wanted)
    return result


async def _fetch_packed(
    sandbox: Sandbox,
    archive: str,
    wanted: list[dict[str, Any]],
    changed: list[dict[str, Any]],
    staging: Path,
    drafts: dict[Path, Path],
) -> None:
    packed = staging / "home.tar"
    await _download(sandbox, archive, packed)
    most = sum(item["size"] for item in changed if item["packed"])
    found = {item["path"]: item for item in await asyncio.to_thread(unpack, packed, staging / "files", max_bytes=most)}
    for item in wanted:
        if not item["packed"]:
            continue
        relative = item["path"].lstrip("/")
        came = found.get(relative)
        if came is None or came["sha256"] != item["sha256"]:
            raise _damaged(item["path"])
        goal, draft = _draft(item)
        drafts[goal] = draft
        source = staging / "files" / relative
        source.chmod(0o600)
        await asyncio.to_thread(shutil.copyfile, source, draft)
        _dress(draft, item)


async def _fetch_large(
    sandbox: Sandbox, item: dict[str, Any], prefix: str, gate: asyncio.Semaphore, drafts: dict[Path, Path]
) -> None:
    async with gate:
        goal, draft = _draft(item)
        drafts[goal] = draft
        digest = await _download(sandbox, prefix + item["path"], draft)
        if digest != item["sha256"]:
            raise _damaged(item["path"])
        _dress(draft, item)


async def _download(sandbox: Sandbox, path: str, goal: Path) -> str:
    """Stream a file to disk; gives its sha256. A stream that breaks off is begun again."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    for number in range(_TRIES):
        digest = hashlib.sha256()
        try:
            with goal.open("wb") as file:
                async for portion in sandbox.read(path):
                    digest.update(portion)
                    file.write(portion)
        except OsirisError as error:
            if not error.retryable or number + 1 == _TRIES:
                raise
            await asyncio.sleep(0.5)
        else:
            break
    return digest.hexdigest()


def _draft(item: dict[str, Any]) -> tuple[Path, Path]:
    """Where it goes in the end (through a link that the user made), and where it lies until then: beside it."""
    goal = Path(os.path.realpath(item["path"]))
    goal.parent.mkdir(parents=True, exist_ok=True)
    draft = goal.with_name(f".{goal.name[:100]}.{secrets.token_hex(6)}.part")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return goal, draft


def _dress(draft: Path, item: dict[str, Any]) -> None:
    draft.chmod(item["mode"] & 0o777)
    os.utime(draft, ns=(item["mtime_ns"], item["mtime_ns"]))


def _damaged(path: str) -> CollectError:
    return CollectError(
        f"{path} came home damaged: its sha256 is not what the sandbox says",
        hint="run again",
        code="e2b.damaged",
        retryable=True,
        path=path,
    )
