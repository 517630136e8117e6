"""The other place: a folder in which every path of this machine has its double, and the way of files there and back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from osiris.core.errors import CollectError, PrepareError
from osiris.core.remote import Assignment, Secrets

NOT_SENT = {".git", ".osiris", ".venv", "__pycache__"}
NOT_BROUGHT = {"worker", "tmp", "engine.lock"}
"""What the engine keeps in a session folder while it runs there."""


class Room:
    """``/home/ann/orders.csv`` here is ``<room>/home/ann/orders.csv`` there, so that ``..`` leads where it does here.

    Also what ``run_remotely`` calls a place: how paths look from there, and where the worker finds its secrets.

    Args:
        root: The folder in which this one is made.

    Raises:
        PrepareError: It cannot be made.
    """

    leash = None  # the worker's standard input ends with this process

    def __init__(self, root: str | None) -> None:
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="osiris-elsewhere-", dir=root)).resolve()
        except OSError as error:
            raise PrepareError(
                f"there is no room in {root or tempfile.gettempdir()}: {error.strerror}",
                hint="give a folder that exists and can be written: --adapter-option root=...",
                code="elsewhere.no_room",
            ) from error
        self._sent: dict[Path, tuple[int, int]] = {}

    def there(self, path: str | Path) -> Path:
        """The double of a path of this machine."""
        return self.folder / Path(path).absolute().relative_to("/")

    def here(self, line: bytes) -> bytes:
        """A line from there, with the paths that they have here."""
        return line.replace(str(self.folder).encode(), b"")

    def send(self, folder: Path) -> None:
        """Copy a folder there.

        Raises:
            PrepareError: It cannot be copied.
        """
        try:
            if folder.is_dir():
                shutil.copytree(folder, self.there(folder), ignore=self._not_sent, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise PrepareError(f"{folder} cannot be copied: {error}", code="elsewhere.not_sent") from error
        self._sent.update((path, _state(path)) for path in _files(self.there(folder)))

    def bring(self, folder: Path) -> int:
        """Copy home what was made or changed there below a folder's double; gives the number of files.

        Raises:
            CollectError: It cannot be copied.
        """
        double, brought = self.there(folder), 0
        try:
            for path in _files(double):
                below = path.relative_to(double)
                if below.parts[0] in NOT_BROUGHT or self._sent.get(path) == _state(path):
                    continue
                (folder / below).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, folder / below)
                brought += 1
        except OSError as error:
            raise CollectError(f"{folder} cannot be brought home: {error}", code="elsewhere.not_brought") from error
        return brought

    def _not_sent(self, folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in NOT_SENT or Path(folder, name) == self.folder}

    def remove(self) -> None:
        """Leave nothing there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # what run_remotely asks of a place

    def seen(self, assignment: Assignment) -> Assignment:
        """What is to be run, with its folders as they are there; relative paths in configs begin in ``base_dir``."""
        secrets = assignment.secrets_file
        return replace(
            assignment,
            session_dir=str(self.there(assignment.session_dir)),
            artifacts_dir=str(self.there(assignment.artifacts_dir)),
            base_dir=str(self.there(assignment.base_dir)),
            worker_dir=str(self.there(assignment.worker_dir)),
            secrets_file=str(self.there(secrets)) if secrets is not None else None,
        )

    def leave(self, secrets: Secrets, assignment: Assignment) -> None:
        """Leave the secrets in a private file, which the worker reads once and removes."""
        Path(assignment.worker_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        if assignment.secrets_file is not None:
            secrets.write(Path(assignment.secrets_file))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size
