"""Files that appear whole or not at all.

Everything is written to a temporary file beside the target, ``.name.<session>-<step>-<process>.tmp``, flushed to
disk, and then takes the target's name in one step. Whatever happens before (an error, a cancelled run, ``kill
-9``, a power cut), the target is as it was; a killed process leaves the temporary file behind, under a name that
says whose it is, and a note (``commit_note``) by which a resumed run clears up. Appending writes a copy of the old
file first, so that it is as safe.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.commit_note import CommitNote, sync_folder
from osiris.drivers.filesystem.errors import explain, explaining
from osiris.drivers.filesystem.locations import Location
from osiris.drivers.filesystem.settling import give_up

__all__ = ["AtomicFile", "WriteMode", "make_folder", "no_folder", "temporary_name"]

WriteMode = Literal["overwrite", "append", "fail"]


def temporary_name(location: Location, ctx: StepContext) -> str:
    """The name of the temporary file or folder beside ``location``."""
    name = location.path.rstrip("/").rpartition("/")[2]
    owner = f"{ctx.session_id}-{ctx.step_id}-{os.getpid()}"[-120:]
    return f".{name.encode()[:100].decode('utf-8', 'ignore')}.{owner}.tmp"


class AtomicFile:
    """A local file that appears whole or not at all.

    Permissions of a file that is replaced are kept; a symbolic link stays one, its target is replaced.

    Attributes:
        location: What is written in the end.
        written: Bytes written by this object (what was there before an append aside).
    """

    def __init__(
        self,
        location: Location,
        mode: WriteMode,
        temporary: str,
        *,
        create_dirs: bool = True,
        copy_existing: bool = True,
        note: CommitNote | None = None,
    ) -> None:
        self.location = location
        self.mode = mode
        self.written = 0
        self._done = False
        self._copies = copy_existing
        self._note = note
        self._file: IO[bytes] | None = None
        self._before: tuple[int, ...] | None = None
        self._open(temporary, create_dirs)

    # -- the same for every kind of place ----------------------------------------------------------

    def write(self, data: Any) -> int:
        """Write bytes to the temporary file.

        Raises:
            DriverError: There is no space left, or the disk says no otherwise.
        """
        size = memoryview(data).nbytes
        if not self._done:  # a compressor that is thrown away after a failure still wants to flush
            assert self._file is not None
            with self._explained():
                self._file.write(data)
            self.written += size
        return size

    def writable(self) -> bool:
        """Yes; asked by compressors."""
        return True

    @property
    def closed(self) -> bool:
        """Never, as far as compressors and pyarrow are concerned: committing is not theirs to do."""
        return False

    def flush(self) -> None:
        """Nothing to do before :meth:`commit`; asked by compressors."""

    def close(self) -> None:
        """Nothing: :meth:`commit` or :meth:`abort` do it; asked by pyarrow."""

    def tell(self) -> int:
        """How much was written; asked by pyarrow."""
        return self.written

    def commit(self, **facts: Any) -> dict[str, Any]:
        """Flush to disk and give the file its name.

        Args:
            facts: What the step will tell of the file, as its rows.

        Returns:
            The same with ``bytes``.

        Raises:
            DriverError: It cannot be done, ``mode`` is ``fail`` and the file has come up meanwhile, or it was
                changed meanwhile by somebody else and ``mode`` is ``append``.
        """
        told = {**facts, "bytes": self.written}
        self._commit(told)
        self._done = True
        return told

    def abort(self) -> None:
        """Remove the temporary file. Nothing happens after :meth:`commit`. Idempotent."""
        if not self._done:
            self._done = True
            self._abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def exists_already(self) -> DriverError:
        """The error of mode ``fail``."""
        return DriverError(
            f"{self.location.text} exists already",
            hint="remove it, choose another path, or set `write_mode: overwrite`",
            code="filesystem.exists",
            path=self.location.text,
        )

    # -- local -----------------------------------------------------------------------------------

    @property
    def appends(self) -> bool:
        """Whether there is something before what is written."""
        return self._before is not None

    def _explained(self) -> Any:
        return explaining(self.location.text, "write", remote=not self.location.is_local)

    def _open(self, temporary: str, create_dirs: bool) -> None:
        with self._explained():
            self._target = Path(os.path.realpath(self.location.path))
            found = self._status()
        if found is not None:
            if stat.S_ISDIR(found.st_mode):
                raise explain(IsADirectoryError(), self.location.text, "write")
            if not stat.S_ISREG(found.st_mode):
                raise DriverError(
                    f"{self.location.text} is a device or a pipe, not a file",
                    hint="name a file: it is replaced as a whole once everything is written",
                    code="filesystem.not_a_file",
                    path=self.location.text,
                )
            if self.mode == "fail":
                raise self.exists_already()
            with self._explained():
                if not os.access(self._target, os.W_OK):  # renaming would not ask
                    raise PermissionError
        make_folder(self._target.parent, create_dirs, self.location.text)
        self._temporary = self._target.parent / temporary
        if self._note is not None:
            self._note.begin(str(self._temporary), str(self._target))
        with self._explained():
            self._temporary.unlink(missing_ok=True)  # of an earlier process with the same number
            self._file = cast("IO[bytes]", self._temporary.open("xb"))
        try:
            if found is not None:
                self._take_over(found)
        except BaseException:
            self.abort()
            raise

    def _status(self) -> os.stat_result | None:
        try:
            # Not of the target: what /dev/stdout leads to has a name only where it is a file.
            return Path(self.location.path).stat()
        except FileNotFoundError:
            return None

    def _take_over(self, found: os.stat_result) -> None:
        assert self._file is not None
        with self._explained():
            os.fchmod(self._file.fileno(), stat.S_IMODE(found.st_mode))
            with suppress(PermissionError):
                os.fchown(self._file.fileno(), found.st_uid, found.st_gid)
            if self.mode == "append":
                self._before = _identity(found)
                if self._copies:
                    with self._target.open("rb") as old:
                        shutil.copyfileobj(old, self._file, 1 << 20)

    def _commit(self, told: dict[str, Any]) -> None:
        assert self._file is not None
        with self._explained():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self.mode == "append":
                self._refuse_changed()
        if self._note is not None:
            self._note.rename(durable=self.mode != "overwrite", told=told)
        with self._explained():
            if self.mode == "fail":
                self._claim()
            else:
                self._temporary.replace(self._target)
        sync_folder(self._target.parent)

    def _refuse_changed(self) -> None:
        found = self._status()
        if (None if found is None else _identity(found)) != self._before:
            raise DriverError(
                f"{self.location.text} was changed by somebody else while rows were being appended",
                hint="let one run at a time append to it; run again",
                code="filesystem.changed_meanwhile",
                retryable=True,
                path=self.location.text,
            )

    def _claim(self) -> None:
        """Take the name only if nobody has it: a hard link fails where a rename would replace."""
        try:
            os.link(self._temporary, self._target)
        except FileExistsError:
            raise self.exists_already() from None
        except OSError:  # no hard links here: claim the name with an empty file, then replace that
            self._tell_claim(True)
            try:
                self._target.open("xb").close()
            except FileExistsError:
                self._tell_claim(False)
                raise self.exists_already() from None
            self._temporary.replace(self._target)
        else:
            self._temporary.unlink()

    def _tell_claim(self, claims: bool) -> None:
        if self._note is not None:
            self._note.rename(durable=True, claims=claims)

    def _abort(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # closing may find the disk full once more
                self._file.close()
        if self._note is not None:
            give_up(self._note)
            return
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def make_folder(folder: Path, create: bool, shown: str) -> None:
    """Make ``folder`` and those above it.

    Raises:
        DriverError: It is not there and ``create`` is false, or it cannot be made.
    """
    with explaining(shown, "write"):
        if folder.is_dir():
            return
        if not create:
            raise no_folder(folder, shown)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError from None


def no_folder(folder: object, shown: str) -> DriverError:
    """The error for a folder that is not to be made."""
    return DriverError(
        f"cannot write {shown}: there is no folder {folder}",
        hint="make it, or set `create_dirs: true`",
        code="filesystem.no_folder",
        path=shown,
    )


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
