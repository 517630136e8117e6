"""What a run wrote, brought home: the same files at the same places, all of them or none."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from osiris.core.artifacts import unpack
from osiris.core.engine.landing import Landing
from osiris.core.errors import CollectError, OsirisError
from osiris.core.quick_dataclass import dataclass
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
    landing: Landing,
    kept: Sequence[Path] = (),
) -> Homecoming:
    """Download what changed and put it in its place. Nothing is trusted: neither paths nor content.

    All of it takes its place together: where this process is killed in between, the session's next one sees to that.

    Args:
        sandbox: Where it is.
        archive: The small files, packed, there.
        told: What the outpost says of the changes; the archive too, where it is small.
        prefix: What stands before a path of this machine there.
        allowed: Only these places, and below them, are written.
        staging: An empty folder for what is under way.
        landing: What puts it in place.
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
    try:
        wanted = [item for item in told["changed"] if may_be(item["path"])]
        result.left = [item["path"] for item in told["changed"] if not may_be(item["path"])]
        goals = {item["path"]: Path(os.path.realpath(item["path"])) for item in wanted}
        drafts = {goal: goal.with_name(f".{goal.name[:100]}.{secrets.token_hex(6)}.part") for goal in goals.values()}
        landing.expect(list(drafts.values()))
        for draft in drafts.values():
            draft.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        beds = {path: drafts[goal] for path, goal in goals.items()}
        if any(item["packed"] for item in wanted):
            packed = staging / "home.tar"
            if told.get("archive") is None:
                await _download(sandbox, archive, packed)
            else:
                packed.parent.mkdir(parents=True, exist_ok=True)
                packed.write_bytes(base64.b64decode(told["archive"]))
            await _unpack(packed, wanted, told["changed"], staging, beds)
        gate = asyncio.Semaphore(_AT_ONCE)
        large = [item for item in wanted if not item["packed"]]
        await asyncio.gather(*(_fetch_large(sandbox, item, prefix, gate, beds) for item in large))
        landing.land(
            drafts,
            gone=[path for path in told["gone"] if may_be(path)],
            folders=[path for path in told["folders"] if may_be(path)],
            gone_folders=[path for path in told["gone_folders"] if may_be(path)],
        )
    except OSError as error:
        raise CollectError(
            f"what the run wrote cannot be put in its place: {error.filename}: {error.strerror}",
            hint="check permissions and free space; keep_sandbox=true keeps the sandbox",
            code="e2b.cannot_write",
            path=str(error.filename),
        ) from error
    finally:
        landing.give_up()
        shutil.rmtree(staging, ignore_errors=True)
    result.files = len(wanted)
    result.size = sum(item["size"] for item in wanted)
    return result


async def _unpack(
    packed: Path,
    wanted: list[dict[str, Any]],
    changed: list[dict[str, Any]],
    staging: Path,
    beds: dict[str, Path],
) -> None:
    most = sum(item["size"] for item in changed if item["packed"])
    found = {item["path"]: item for item in await asyncio.to_thread(unpack, packed, staging / "files", max_bytes=most)}
    for item in wanted:
        if not item["packed"]:
            continue
        relative = item["path"].lstrip("/")
        came = found.get(relative)
        if came is None or came["sha256"] != item["sha256"]:
            raise _damaged(item["path"])
        source = staging / "files" / relative
        source.chmod(0o600)
        await asyncio.to_thread(shutil.copyfile, source, beds[item["path"]])
        _dress(beds[item["path"]], item)


async def _fetch_large(
    sandbox: Sandbox, item: dict[str, Any], prefix: str, gate: asyncio.Semaphore, beds: dict[str, Path]
) -> None:
    async with gate:
        draft = beds[item["path"]]
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
