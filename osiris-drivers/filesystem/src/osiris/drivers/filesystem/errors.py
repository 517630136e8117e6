"""What can go wrong with files, as :class:`~osiris.core.errors.DriverError` with codes ``filesystem.*``."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from osiris.core.errors import DriverError, OsirisError

__all__ = ["explain", "explaining", "near_names", "not_found", "unknown_columns"]

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TRANSIENT = {errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ETIMEDOUT, errno.ESTALE, errno.EMFILE, errno.ENFILE}


def explain(error: OSError, path: object, doing: str) -> DriverError:
    """The error to show for what the operating system said while ``doing`` (``read``, ``write``) ``path``."""
    if isinstance(error, FileNotFoundError):
        return not_found(path)
    if isinstance(error, IsADirectoryError):
        return DriverError(
            f"{path} is a folder, not a file",
            hint="name a file; a glob as folder/* reads the files of a folder",
            code="filesystem.is_directory",
            path=str(path),
        )
    if isinstance(error, NotADirectoryError):
        return DriverError(
            f"cannot {doing} {path}: a part of the path is a file, not a folder",
            hint="correct the path",
            code="filesystem.not_a_directory",
            path=str(path),
        )
    if isinstance(error, PermissionError):
        return DriverError(
            f"no permission to {doing} {path}",
            hint=f"give the user who runs this the right to {doing} it, or choose another path",
            code="filesystem.permission_denied",
            path=str(path),
        )
    if error.errno == errno.EROFS:
        return DriverError(
            f"cannot write {path}: the file system is read-only",
            hint="choose a path on a file system that can be written",
            code="filesystem.read_only",
            path=str(path),
        )
    if error.errno in _NO_SPACE:
        return DriverError(
            f"no space left to write {path}",
            hint="free some space (or raise the quota or file size limit); nothing was left half-written",
            code="filesystem.no_space",
            path=str(path),
        )
    if error.errno == errno.ENAMETOOLONG:
        return DriverError(
            f"the name of {path} is too long",
            hint="choose a shorter one",
            code="filesystem.name_too_long",
            path=str(path),
        )
    return DriverError(
        f"cannot {doing} {path}: {error.strerror or error}",
        code="filesystem.io_error",
        retryable=error.errno in _TRANSIENT,
        path=str(path),
    )


@contextmanager
def explaining(path: object, doing: str, *, remote: bool = False) -> Iterator[None]:
    """Turn an OSError of the block into the error to show; the block must touch nothing but ``path``.

    With ``remote`` also what a store's client raises, which has errors of its own.
    """
    try:
        yield
    except OsirisError:
        raise
    except OSError as error:
        known = explain(error, path, doing)
        raise (_remote(error, path, doing) if remote and known.code == "filesystem.io_error" else known) from error
    except Exception as error:
        if not remote:
            raise
        raise _remote(error, path, doing) from error


def _remote(error: Exception, path: object, doing: str) -> DriverError:
    transient = isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None) in _TRANSIENT
    return DriverError(
        f"cannot {doing} {path}: {type(error).__name__}: {error}",
        hint="check the URL, the network, and the credentials (`storage_options` of the connection)",
        code="filesystem.remote",
        retryable=transient,
        path=str(path),
    )


def not_found(path: object) -> DriverError:
    """The error for a file that is not there; names what is there under a similar name."""
    near = near_names(Path(str(path)))
    hint = f"did you mean {near[0]}?" if near else "check the path; relative ones begin at the pipeline's folder"
    return DriverError(f"no such file: {path}", hint=hint, code="filesystem.not_found", path=str(path), near=near)


def near_names(path: Path) -> list[str]:
    """Up to three files of the same folder with similar names, or of a similar extension."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
    close = get_close_matches(path.name, names, n=3, cutoff=0.6)
    alike = [name for name in names if path.suffix and Path(name).suffix == path.suffix]
    return [str(path.parent / name) for name in (close or alike[:3])]


def unknown_columns(wanted: list[str], names: list[str], path: object, option: str, **facts: Any) -> DriverError:
    """The error for columns that an option names and the file does not have."""
    close = get_close_matches(wanted[0], names, n=1)
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    meant = f"did you mean {close[0]!r}? " if close else ""
    listed = ", ".join(repr(name) for name in wanted)
    return DriverError(
        f"{option} names {listed}, which {path} does not have",
        hint=f"{meant}it has: {shown}",
        code="filesystem.unknown_column",
        path=str(path),
        columns=wanted,
        **facts,
    )
