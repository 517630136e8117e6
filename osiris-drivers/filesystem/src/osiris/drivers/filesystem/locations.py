"""Where files are: paths, globs, lists and fsspec URLs to :class:`Location` objects that can be opened."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.core.quick_dataclass import dataclass
from osiris.drivers.filesystem.errors import explaining, not_found

__all__ = ["Location", "check_base", "list_folder", "locate", "locate_all"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}


@dataclass(frozen=True)
class Location:
    """One file or folder: local where ``fs`` is None, else on that fsspec file system.

    ``text`` is what to show: an absolute path or the URL.
    """

    text: str
    path: str
    fs: Any = None

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's file system."""
        return self.fs is None

    def open(self) -> IO[bytes]:
        """Open it for reading.

        Raises:
            DriverError: It is not there, is a folder, or may not be read.
        """
        with explaining(self.text, "read", remote=not self.is_local):
            if self.fs is None:
                return Path(self.path).open("rb", buffering=0)
            return cast("IO[bytes]", self.fs.open(self.path, "rb"))

    def size(self) -> int | None:
        """Its size in bytes, where that is known."""
        if self.fs is None:
            with explaining(self.text, "read"):
                return Path(self.path).stat().st_size
        with explaining(self.text, "read", remote=True):
            size = self.fs.size(self.path)
        return None if size is None else int(size)


def locate(path: str, ctx: StepContext) -> Location:
    """Where ``path`` is. Relative ones begin at the connection's ``base_dir``, else at the pipeline's folder.

    Raises:
        DriverError: ``filesystem.outside_base``: the path leads, or might lead, out of the connection's ``base_dir``;
            ``filesystem.invalid_path``: there is a NUL character in it.
    """
    if "\0" in path:
        raise DriverError(
            f"{path!r} is no path: there is a NUL character in it",
            hint="write the path without it; in YAML, \\0 inside of double quotes is one",
            code="filesystem.invalid_path",
            path=path,
        )
    connection: Mapping[str, Any] = ctx.connection or {}
    base = str(connection.get("base_dir") or "")
    if not base:
        return _placed(path, connection, ctx)
    text = path if _is_absolute(path) else f"{base.rstrip('/')}/{path}"
    # Part of it may be a param's value. Not "a/../b" either: where `a` is a link, that is elsewhere.
    if ".." in PurePosixPath(path).parts or not _is_below(base, text, ctx):
        raise DriverError(
            f"{path!r} leads out of {base}, where the paths of its connection begin",
            hint="write a path below it; to read or write elsewhere, use no connection or another",
            code="filesystem.outside_base",
            path=path,
            base_dir=base,
        )
    return _placed(text, connection, ctx)


def _is_below(base: str, text: str, ctx: StepContext) -> bool:
    if _URL.match(base) and not base.startswith("file://"):
        return text.startswith(f"{base.rstrip('/')}/")
    place = text.removeprefix("file://")
    if _URL.match(place):
        return False
    folder = ctx.resolve_path(Path(base.removeprefix("file://")).expanduser())
    return ctx.resolve_path(Path(place).expanduser()).is_relative_to(folder)


def _placed(text: str, connection: Mapping[str, Any], ctx: StepContext) -> Location:
    if text.startswith("file://"):
        text = "/" + text.removeprefix("file://").lstrip("/")
    if not _URL.match(text):
        local = str(ctx.resolve_path(Path(text).expanduser()))
        return Location(local, local)
    return _remote(text, connection.get("storage_options") or {})


def check_base(ctx: StepContext) -> dict[str, Any]:
    """Whether the connection's ``base_dir`` can be listed: where it is, and whether it can be written (None: unknown).

    Raises:
        DriverError: It is not there, is no folder, or may not be read.
    """
    connection: Mapping[str, Any] = ctx.connection or {}
    base = _placed(str(connection.get("base_dir") or "."), connection, ctx)
    with explaining(base.text, "read", remote=not base.is_local):
        if base.is_local:
            next(Path(base.path).iterdir(), None)
            return {"base_dir": base.text, "writable": os.access(base.path, os.W_OK | os.X_OK)}
        base.fs.ls(base.path)
    return {"base_dir": base.text, "writable": None}


def locate_all(paths: str | Iterable[str], ctx: StepContext) -> list[Location]:
    """The files that a path, glob or list of these means: each glob sorted by name, the list in its order.

    Raises:
        DriverError: A file is not there, a glob means no file, or a path is a folder.
    """
    found: list[Location] = []
    for path in [paths] if isinstance(paths, str) else paths:
        found.extend(_expand(locate(path, ctx)))
    return found


def list_folder(folder: Location, suffix: str) -> list[Location]:
    """All files below ``folder`` that end with ``suffix``, by name; hidden ones and ``_``-names are left out."""
    if folder.fs is None:
        root = Path(folder.path)
        paths = sorted(str(path) for path in root.rglob(f"*{suffix}") if path.is_file())
        kept = [path for path in paths if _visible(path[len(str(root)) + 1 :])]
        return [Location(path, path) for path in kept]
    with explaining(folder.text, "read", remote=True):
        names = sorted(name for name in folder.fs.find(folder.path) if name.endswith(suffix))
    return [
        Location(folder.fs.unstrip_protocol(name), name, folder.fs)
        for name in names
        if _visible(name[len(folder.path) :].lstrip("/"))
    ]


def _visible(relative: str) -> bool:
    # As Spark has it: `_year=2024` is a partition.
    return not any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in relative.split("/"))


def _is_absolute(path: str) -> bool:
    return bool(_URL.match(path)) or Path(path).expanduser().is_absolute()


def _remote(url: str, options: Mapping[str, Any]) -> Location:
    import fsspec  # only where a URL is used: it costs every start

    scheme = url.partition("://")[0]
    with explaining(url, "reach", remote=True):  # some connect right away
        try:
            fs, path = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            extra = _EXTRAS.get(scheme)
            wanted = (
                f"pip install 'osiris-driver-filesystem[{extra}]'" if extra else f"install what it asks for: {error}"
            )
            raise DriverError(
                f"{scheme}:// URLs need a package that is not installed",
                hint=wanted,
                code="filesystem.missing_extra",
                path=url,
            ) from error
        except ValueError as error:
            raise DriverError(
                f"unknown kind of URL: {url}",
                hint="use a path, or a URL that fsspec knows (s3://, gs://, abfs://, https://, memory://)",
                code="filesystem.unknown_scheme",
                path=url,
            ) from error
    return Location(url, path, fs)


def _expand(location: Location) -> list[Location]:
    if location.fs is None:
        path = Path(location.path)
        with explaining(location.text, "read"):
            there = path.exists()
        if there or not glob.has_magic(location.path):
            return [_checked(location)]
        matches = glob.iglob(location.path, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
        names = sorted(name for name in matches if Path(name).is_file())
        found = [Location(name, name) for name in names]
    else:
        if not glob.has_magic(location.path):
            return [_checked(location)]
        with explaining(location.text, "read", remote=True):
            names = sorted(location.fs.glob(location.path))
        found = [Location(location.fs.unstrip_protocol(name), name, location.fs) for name in names]
    if not found:
        raise DriverError(
            f"no file matches {location.text}",
            hint="check the pattern; relative ones begin at the pipeline's folder",
            code="filesystem.not_found",
            path=location.text,
        )
    return found


def _checked(location: Location) -> Location:
    if location.fs is None:
        path = Path(location.path)
        with explaining(location.text, "read"):
            if path.is_dir():
                raise IsADirectoryError
            path.stat()
        return location
    with explaining(location.text, "read", remote=True):
        if location.fs.isdir(location.path):
            raise IsADirectoryError
        if not location.fs.exists(location.path):
            raise not_found(location.text)
    return location
