"""Files that take their places all together: those of a run elsewhere, when they come home.

What was written and what is known of it (progress, checkpoints) must not part: a killed process leaves either nothing
of them in place, or a note that says what is still to be done, and the next process of the session does it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from osiris.core.errors import CollectError
from osiris.core.privacy import write_private

__all__ = ["Landing"]

_FILE = "landing.json"


class Landing:
    """One landing at a time in a session's folder.

    Args:
        session_dir: The folder.
    """

    def __init__(self, session_dir: Path) -> None:
        self._path = session_dir / _FILE

    def expect(self, drafts: Sequence[Path]) -> None:
        """Files are about to be made that are in place only after :meth:`land`; until then they are rubbish.

        Raises:
            OSError: It cannot be noted.
        """
        self._note({"drafts": [str(draft) for draft in drafts]})

    def land(
        self,
        drafts: Mapping[Path, Path],
        *,
        gone: Sequence[str] = (),
        folders: Sequence[str] = (),
        gone_folders: Sequence[str] = (),
    ) -> None:
        """Put files in place, remove others, make and remove folders. Begun it is finished, here or by :meth:`finish`.

        Args:
            drafts: Where each file is, by where it goes, on the same file system.
            gone: Files to remove.
            folders: Folders to make.
            gone_folders: Folders to remove where they are empty.

        Raises:
            OSError: Something cannot be put in place; what can is.
        """
        moves = [[str(draft), str(goal)] for goal, draft in drafts.items()]
        self._note({"moves": moves, "gone": list(gone), "folders": list(folders), "gone_folders": list(gone_folders)})
        self._finish()

    def give_up(self) -> None:
        """What was expected does not come: remove what is there of it. Does nothing once it has landed."""
        told = self._read()
        for draft in told.get("drafts", ()):
            with suppress(OSError):
                Path(draft).unlink(missing_ok=True)
        if "drafts" in told:
            self._path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Do what a process that was killed left to do. Nobody else may be at it.

        Raises:
            CollectError: ``collect.unfinished``: it cannot be done.
        """
        try:
            self.give_up()
            self._finish()
        except OSError as error:
            raise CollectError(
                f"what an earlier attempt brought home cannot be put in its place: {error.filename}: {error.strerror}",
                hint="check permissions and free space, then resume again",
                code="collect.unfinished",
                path=str(error.filename),
            ) from error

    def _finish(self) -> None:
        told = self._read()
        for draft, goal in told.get("moves", ()):
            with suppress(FileNotFoundError):  # it was moved before
                Path(draft).replace(goal)
        for path in told.get("gone", ()):
            Path(path).unlink(missing_ok=True)
        for path in told.get("folders", ()):
            Path(path).mkdir(parents=True, exist_ok=True)
        for path in told.get("gone_folders", ()):
            with suppress(OSError):  # not empty here: something else is in it
                Path(path).rmdir()
        self._path.unlink(missing_ok=True)

    def _note(self, told: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f"{_FILE}.part")
        write_private(draft, json.dumps(told))
        draft.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}
