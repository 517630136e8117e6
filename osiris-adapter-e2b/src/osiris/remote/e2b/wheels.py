"""Wheels of what is installed here, editable installations included: the sandbox gets the very same code."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import struct
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from osiris.core.errors import PrepareError
from osiris.core.quick_dataclass import dataclass

__all__ = ["Wheel", "installed", "is_pure", "pack_wheel"]

_NOT_CODE = frozenset({"__pycache__", ".git", ".hg", "node_modules"})
_NATIVE = frozenset({".so", ".pyd", ".dylib", ".dll"})
_KEPT_FACTS = ("METADATA", "entry_points.txt", "top_level.txt")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Wheel:
    """A wheel: file name, content, and its sha256 in hex."""

    name: str
    content: bytes
    sha256: str


def installed(name: str) -> metadata.Distribution | None:
    """The distribution of this name that is installed here."""
    return next(iter(metadata.distributions(name=name)), None)


def is_pure(distribution: metadata.Distribution) -> bool:
    """Whether it is Python alone, so that it can travel as it is."""
    return not any(Path(name).suffix in _NATIVE for name, _ in _members(distribution))


def pack_wheel(distribution: metadata.Distribution) -> Wheel:
    """Pack an installed distribution; the same installation gives the same bytes.

    Raises:
        PrepareError: ``e2b.cannot_pack``: its files cannot be found or read.
    """
    name, version = distribution.metadata["Name"], distribution.version
    escaped = str(canonicalize_name(name)).replace("-", "_")
    facts = f"{escaped}-{version}.dist-info"
    try:
        members = dict(_members(distribution))
        content = {path: place.read_bytes() for path, place in members.items()}
        content |= _compiled(members, content)
    except OSError as error:
        raise PrepareError(
            f"{name} {version} cannot be packed for the sandbox: {error.filename}: {error.strerror}",
            hint=f"pip install --force-reinstall {name}",
            code="e2b.cannot_pack",
            distribution=name,
        ) from error
    if not content:
        raise PrepareError(
            f"{name} {version} cannot be packed for the sandbox: its files are not to be found",
            hint=f"install it as a package: pip install {name}",
            code="e2b.cannot_pack",
            distribution=name,
        )
    for kept in _KEPT_FACTS:
        if (text := distribution.read_text(kept)) is not None:
            content[f"{facts}/{kept}"] = text.encode()
    content[f"{facts}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: osiris\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    packed = _zipped(content, f"{facts}/RECORD")
    return Wheel(f"{escaped}-{version}-py3-none-any.whl", packed, hashlib.sha256(packed).hexdigest())


def _compiled(members: dict[str, Path], content: dict[str, bytes]) -> dict[str, bytes]:
    """The compiled modules that are here already, so that the sandbox need not compile them at each start."""
    found = {}
    for path, place in members.items():
        if place.suffix != ".py":
            continue
        cached = Path(importlib.util.cache_from_source(str(place)))
        try:
            code, facts = cached.read_bytes(), place.stat()
        except OSError:
            continue
        made_of = (facts.st_mtime_ns // 1_000_000_000 & 0xFFFF_FFFF, facts.st_size & 0xFFFF_FFFF)
        if code[:8] != importlib.util.MAGIC_NUMBER + bytes(4) or struct.unpack("<II", code[8:16]) != made_of:
            continue  # of other source, or made in another way
        folder = path.rpartition("/")[0]
        # Valid for this very source, whatever time its file has there: "unchecked hash" in Python's words.
        head = importlib.util.MAGIC_NUMBER + struct.pack("<I", 1) + importlib.util.source_hash(content[path])
        found[f"{folder}/__pycache__/{cached.name}" if folder else f"__pycache__/{cached.name}"] = head + code[16:]
    return found


def _zipped(content: dict[str, bytes], record: str) -> bytes:
    lines = []
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # the cargo is compressed as a whole
        for path in sorted(content):
            digest = base64.urlsafe_b64encode(hashlib.sha256(content[path]).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(content[path])}")
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content[path])
        archive.writestr(zipfile.ZipInfo(record, _EPOCH), "\n".join([*lines, f"{record},,", ""]))
    return stream.getvalue()


def _members(distribution: metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """Its modules and data: path in the wheel, and where each is."""
    origin = _editable_origin(distribution)
    if origin is not None:
        yield from _editable_members(distribution, origin)
        return
    root = Path(str(distribution.locate_file("")))
    listed = distribution.files
    if listed is None:  # no RECORD: a folder put on the path by hand
        for top in sorted(_top_names(distribution)):
            yield from _tree(root, root / top)
        return
    for entry in listed:
        path = entry.as_posix()
        if path.startswith("..") or ".dist-info/" in path or not _NOT_CODE.isdisjoint(entry.parts):
            continue
        yield path, Path(str(entry.locate()))


def _editable_origin(distribution: metadata.Distribution) -> Path | None:
    text = distribution.read_text("direct_url.json")
    facts = json.loads(text) if text else {}
    if not facts.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(facts["url"]).path))


def _editable_members(distribution: metadata.Distribution, origin: Path) -> Iterator[tuple[str, Path]]:
    for root in (origin / "src", origin):
        tops = [root / name for name in sorted(_top_names(distribution))]
        found = [top for top in tops if top.exists() or top.with_suffix(".py").exists()]
        if found:
            for top in found:
                yield from _tree(root, top)
            return
    for name in sorted(_top_names(distribution)):  # code elsewhere: the editable installation's own finder knows
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            if Path(place).is_relative_to(origin):
                yield from _tree(Path(place).parent, Path(place))


def _top_names(distribution: metadata.Distribution) -> set[str]:
    """The names under which its code is imported, as far as its metadata says."""
    listed = (distribution.read_text("top_level.txt") or "").split()
    points = {point.value.partition(":")[0].partition(".")[0] for point in distribution.entry_points}
    return {*listed, *points, str(canonicalize_name(distribution.metadata["Name"])).replace("-", "_")}


def _tree(root: Path, top: Path) -> Iterator[tuple[str, Path]]:
    single = top.with_suffix(".py")
    if not top.is_dir():
        if single.is_file():
            yield single.relative_to(root).as_posix(), single
        return
    for path in sorted(top.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and path.suffix != ".pyc" and _NOT_CODE.isdisjoint(relative.parts):
            yield relative.as_posix(), path
