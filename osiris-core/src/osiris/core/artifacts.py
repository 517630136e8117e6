"""Artifacts: the files a run kept, listed with size and hash, packed for a journey and unpacked safely."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from osiris.core.errors import CollectError
from osiris.core.execution_adapter import Artifact
from osiris.core.privacy import make_private_folder

__all__ = ["Artifact", "Compression", "list_artifacts", "pack", "unpack", "verify"]

Compression = Literal["gzip", "zstd"]

_BLOCK = 1024 * 1024
_DEEPEST = 200
_MAGIC: tuple[tuple[bytes, Compression], ...] = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))


def list_artifacts(folder: str | os.PathLike[str]) -> list[Artifact]:
    """Every file below ``folder``: path relative to it (``/`` between parts), size in bytes, sha256; sorted by path.

    A symbolic link to a file inside counts as a file; links that lead outside, links to folders and what is neither
    file nor folder are left out. Reads in blocks of 1 MiB. A folder that does not exist has none.

    Raises:
        CollectError: ``artifacts.unreadable``: a file cannot be read.
    """
    root = Path(folder)
    try:
        return [_describe(root, relative) for relative, is_folder in _walk(root) if not is_folder]
    except OSError as error:
        raise _failed("artifacts.unreadable", "the artifacts cannot be read", root, error) from error


def verify(artifacts: Iterable[Artifact], folder: str | os.PathLike[str]) -> None:
    """Check that ``folder`` holds exactly ``artifacts``, byte for byte.

    Raises:
        CollectError: ``artifacts.damaged``: files are missing, changed or too many; ``facts`` has the paths under
            ``missing``, ``changed`` and ``unexpected``. ``artifacts.unreadable``: a file cannot be read.
    """
    wanted = {artifact["path"]: artifact for artifact in artifacts}
    found = {artifact["path"]: artifact for artifact in list_artifacts(folder)}
    wrong = {
        "missing": sorted(wanted.keys() - found.keys()),
        "changed": sorted(path for path in wanted.keys() & found.keys() if not _same(wanted[path], found[path])),
        "unexpected": sorted(found.keys() - wanted.keys()),
    }
    if any(wrong.values()):
        told = "; ".join(f"{kind}: {', '.join(paths[:5])}" for kind, paths in wrong.items() if paths)
        raise CollectError(
            f"the artifacts in {folder} are not what was sent: {told}",
            hint="collect them again",
            code="artifacts.damaged",
            retryable=True,
            **wrong,
        )


def pack(
    folder: str | os.PathLike[str], target: str | os.PathLike[str], compression: Compression | None = "gzip"
) -> Path:
    """Write everything that :func:`list_artifacts` lists, and empty folders, into one tar file.

    The same files give the same bytes: sorted, no owners; permissions and times (whole seconds) are kept. ``target``
    is replaced only when the archive is complete; inside ``folder`` it does not become part of itself.

    Args:
        folder: What to pack.
        target: The file to write.
        compression: ``gzip``, ``zstd`` or None.

    Returns:
        ``target``.

    Raises:
        CollectError: ``artifacts.pack_failed``.
    """
    root, goal = Path(folder), Path(target)
    draft = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}")
    try:
        # Taken before the draft exists: it may lie in the same folder.
        members = [(path, is_folder) for path, is_folder in _walk(root) if not _is_same_file(root / path, goal)]
        with _compressed(draft, compression) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
            for relative, is_folder in members:
                _add(tar, root, relative, is_folder)
        draft.replace(goal)
    except (OSError, tarfile.TarError, ValueError) as error:
        draft.unlink(missing_ok=True)
        raise _failed("artifacts.pack_failed", "the artifacts cannot be packed", root, error) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return goal


def unpack(
    archive: str | os.PathLike[str], folder: str | os.PathLike[str], *, max_bytes: int | None = None
) -> list[Artifact]:
    """Unpack what :func:`pack` wrote, whatever its compression, into ``folder``; trusts nothing in it.

    Only files and folders are taken, none may lie outside ``folder`` or pass through a link in it; each file appears
    complete or not at all. Files that exist are replaced. Only the owner can read
    what was unpacked; of a file's permissions only whether it can be executed is kept.

    Args:
        archive: The tar file.
        folder: Made where it is missing.
        max_bytes: How much the files may come to; None: no limit.

    Returns:
        The files unpacked, sorted by path.

    Raises:
        CollectError: ``artifacts.unsafe``: a member that does not belong there, or more than ``max_bytes``.
            ``artifacts.unpack_failed``: the archive is damaged, or cannot be read or written out.
    """
    root, source = Path(folder), Path(archive)
    taken: dict[str, Artifact] = {}
    room = max_bytes
    try:
        make_private_folder(root)
        with _decompressed(source) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                place = _safe_place(member, root)
                if member.isdir():
                    make_private_folder(place)
                    continue
                if room is not None and (room := room - member.size) < 0:
                    raise _unsafe(f"{source} unpacks to more than {max_bytes} bytes", member.name)
                name = PurePosixPath(member.name).as_posix()
                taken[name] = _extract(tar, member, place, name)
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise _failed("artifacts.unpack_failed", "the artifacts cannot be unpacked", source, error) from error
    return [taken[name] for name in sorted(taken)]


def _walk(root: Path) -> Iterator[tuple[str, bool]]:
    """What is below ``root``: relative posix path and whether it is a folder, sorted as whole paths."""
    inside = Path(os.path.realpath(root))
    found: list[tuple[str, bool]] = []
    for place, folders, files in os.walk(root, onerror=_unless_missing(root)):
        folders[:] = [name for name in folders if not (Path(place) / name).is_symlink()]
        found += [((Path(place) / name).relative_to(root).as_posix(), True) for name in folders]
        for name in files:
            path = Path(place) / name
            # realpath, not resolve(): a link to itself leads nowhere and is left out, instead of a RuntimeError.
            real = Path(os.path.realpath(path)) if path.is_symlink() else path
            if (real is path or real.is_relative_to(inside)) and real.is_file():
                found.append((path.relative_to(root).as_posix(), False))
    yield from sorted(found)


def _unless_missing(root: Path) -> Any:
    def tell(error: OSError) -> None:
        # os.walk swallows errors by default: an unreadable folder would pass for an empty one.
        if not (isinstance(error, FileNotFoundError) and Path(error.filename) == root):
            raise error

    return tell


def _describe(root: Path, relative: str) -> Artifact:
    digest, size = hashlib.sha256(), 0
    with (root / relative).open("rb", buffering=0) as file:
        block = bytearray(_BLOCK)
        view = memoryview(block)
        while count := file.readinto(block):
            digest.update(view[:count])
            size += count
    return Artifact(path=relative, size=size, sha256=digest.hexdigest())


def _same(one: Artifact, other: Artifact) -> bool:
    return one["size"] == other["size"] and one["sha256"] == other["sha256"]


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except FileNotFoundError:
        return False


def _add(tar: tarfile.TarFile, root: Path, relative: str, is_folder: bool) -> None:
    if is_folder:
        facts = (root / relative).stat()
        tar.addfile(_member(relative, facts, tarfile.DIRTYPE))
        return
    with (root / relative).open("rb") as file:
        facts = os.fstat(file.fileno())
        member = _member(relative, facts, tarfile.REGTYPE)
        member.size = facts.st_size
        tar.addfile(member, file)


def _member(relative: str, facts: os.stat_result, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(relative)
    member.type = kind
    member.mode = stat.S_IMODE(facts.st_mode) & 0o755
    member.mtime = int(facts.st_mtime)
    return member


def _safe_place(member: tarfile.TarInfo, root: Path) -> Path:
    relative = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()):
        raise _unsafe(f"{member.name!r} in the archive is neither a file nor a folder", member.name)
    if (
        relative.is_absolute()
        or ".." in relative.parts
        or "\0" in member.name
        or (member.isreg() and not relative.parts)
    ):
        raise _unsafe(f"{member.name!r} in the archive lies outside of it", member.name)
    if len(relative.parts) > _DEEPEST:  # what walks through folders may not come out again
        raise _unsafe(f"{member.name[:60]!r}... in the archive lies {len(relative.parts)} folders deep", member.name)
    place = root / relative
    real = Path(os.path.realpath(place.parent))
    if not real.is_relative_to(os.path.realpath(root)) or (member.isdir() and place.is_symlink()):
        raise _unsafe(f"{member.name!r} in the archive would be written through a link to outside", member.name)
    return place


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, name: str) -> Artifact:
    make_private_folder(place.parent)
    content = tar.extractfile(member)
    if content is None:  # only for links and the like, which are refused before
        raise tarfile.ReadError(f"{member.name} has no content")
    draft = place.with_name(f".{secrets.token_hex(8)}.part")
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while block := content.read(_BLOCK):
                file.write(block)
                digest.update(block)
                size += len(block)
        draft.chmod(0o600 | member.mode & 0o100)
        os.utime(draft, (member.mtime, member.mtime))
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return Artifact(path=name, size=size, sha256=digest.hexdigest())


def _compressed(path: Path, compression: Compression | None) -> Any:
    if compression is None:
        return path.open("xb")
    if compression not in ("gzip", "zstd"):
        raise ValueError(f"unknown compression {compression!r}; there are gzip and zstd")
    import pyarrow as pa

    return pa.CompressedOutputStream(str(path), compression)


def _decompressed(path: Path) -> Any:
    with path.open("rb") as file:
        begin = file.read(4)
    compression = next((name for magic, name in _MAGIC if begin.startswith(magic)), None)
    if compression is None:
        return path.open("rb")
    import pyarrow as pa

    return pa.CompressedInputStream(str(path), compression)


def _unsafe(message: str, member: str) -> CollectError:
    return CollectError(message, hint="do not trust where it comes from", code="artifacts.unsafe", member=member)


def _failed(code: str, what: str, place: Path, error: Exception) -> CollectError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = getattr(error, "filename", None) or place
    return CollectError(
        f"{what}: {where}: {reason}",
        hint="check that it is there, permissions and free space",
        code=code,
        path=str(where),
    )
