"""All that goes to the sandbox, in one archive named by its content; large files go beside it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from osiris.core.errors import PrepareError
from osiris.core.quick_dataclass import dataclass
from osiris.remote.e2b import outpost
from osiris.remote.e2b.inputs import LocalFiles
from osiris.remote.e2b.modules import Modules
from osiris.remote.e2b.wheels import Wheel

__all__ = ["Cargo", "LargeFile", "pack_cargo"]

LARGE = 8 * 1024 * 1024
"""Bytes from which a file travels by itself."""

_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class LargeFile:
    """A file that travels by itself."""

    path: Path
    size: int
    sha256: str
    mtime_ns: int
    mode: int

    def to_dict(self) -> dict[str, Any]:
        """What the outpost is told of it."""
        return {"path": str(self.path), "sha256": self.sha256, "mtime_ns": self.mtime_ns, "mode": self.mode}


@dataclass(frozen=True)
class Cargo:
    """An archive on disk.

    Attributes:
        archive: Where it is here.
        sha256: Of it, in hex.
        size: Bytes, large files included.
        files: How many of the user's files.
        wheels: Their names.
        large: What travels beside it.
    """

    archive: Path
    sha256: str
    size: int
    files: int
    wheels: tuple[str, ...]
    large: tuple[LargeFile, ...]

    @property
    def name(self) -> str:
        """The archive's name there."""
        return f"cargo-{self.sha256[:16]}.tar.gz"


def pack_cargo(goal: Path, wheels: Iterable[Wheel], modules: Modules, files: LocalFiles, worker: Any) -> Cargo:
    """Write the archive; the same things give the same bytes.

    Args:
        goal: The file to write.
        wheels: The distributions.
        modules: The user's own.
        files: What the pipeline names.
        worker: What the outpost has to know to start the worker, JSON-able.

    Raises:
        PrepareError: ``e2b.unreadable_input``: a file cannot be read.
    """
    wheels = sorted(wheels, key=lambda wheel: wheel.name)
    sent = sorted(files.sent | modules.beside)
    large: list[LargeFile] = []
    size = 0
    with gzip.GzipFile(goal, "wb", compresslevel=1, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        _add(tar, "outpost.py", Path(outpost.__file__).read_bytes())
        _add(tar, "worker.json", json.dumps(worker).encode())
        for wheel in wheels:
            _add(tar, f"wheels/{wheel.name}", wheel.content)
        for name, path in sorted(modules.loose.items()):
            _add(tar, f"modules/{name}", path.read_bytes())
        for path in sent:
            try:
                size += path.stat().st_size
                if path.stat().st_size > LARGE:
                    large.append(_describe(path))
                else:
                    _add_file(tar, path)
            except OSError as error:
                raise PrepareError(
                    f"{path} cannot be sent to the sandbox: {error.strerror}",
                    hint="check its permissions",
                    code="e2b.unreadable_input",
                    path=str(path),
                ) from error
        folders = sorted(map(str, files.folders))
        contents = {"folders": folders, "large": [item.to_dict() for item in large]}
        _add(tar, "contents.json", json.dumps(contents).encode())
    return Cargo(
        archive=goal,
        sha256=_sha256(goal),
        size=goal.stat().st_size + sum(item.size for item in large),
        files=len(sent) + len(modules.loose),
        wheels=tuple(wheel.name for wheel in wheels),
        large=tuple(large),
    )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, path: Path) -> None:
    with path.open("rb") as file:
        content = file.read()
    member = tarfile.TarInfo(f"fs{path}")
    member.size = len(content)
    member.mode = path.stat().st_mode & 0o777 | 0o600
    member.mtime = int(path.stat().st_mtime)
    tar.addfile(member, io.BytesIO(content))


def _describe(path: Path) -> LargeFile:
    facts = path.stat()
    return LargeFile(path, facts.st_size, _sha256(path), facts.st_mtime_ns, facts.st_mode & 0o777 | 0o600)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
