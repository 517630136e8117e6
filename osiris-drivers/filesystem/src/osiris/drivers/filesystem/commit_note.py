"""What a writer is about to do, in a small file of the session's own that outlives the process.

It says ``writing`` before the draft (the temporary file or folder) is made, and ``renaming`` before that takes the
target's name: the rename itself is the commit. So whoever comes after a process that was killed finds one of these:

========== ========== =================================================================
the note   the draft  what happened
========== ========== =================================================================
none       no         nothing, or a failure that was cleared up
writing    perhaps    nothing was committed; the draft is to be removed
renaming   there      the same (several files: some may have moved, see ``settling``)
renaming   gone       it was committed, whatever has become of the target since
========== ========== =================================================================

The note says ``writing`` again before a draft is removed, so that the last line is never true by mistake.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.errors import explaining

__all__ = ["CommitNote", "sync_folder"]


class CommitNote:
    """The note of one step; its facts are in ``facts``.

    Args:
        path: The file; None where there is nowhere to keep it, and the note lives as long as the attempt.
        facts: What it says.
    """

    def __init__(self, path: Path | None, facts: Mapping[str, Any]) -> None:
        self._path = path
        self.facts: dict[str, Any] = dict(facts)

    @classmethod
    def of(cls, ctx: StepContext) -> CommitNote:
        """The step's note; without facts where there is none, or none that was written whole."""
        folder: Path | None = getattr(ctx, "state_dir", None)  # contexts of older hosts have none
        if folder is None:
            return cls(None, {})
        path = folder / "commit.json"
        try:
            facts = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            facts = {}
        return cls(path, facts)

    @property
    def is_renaming(self) -> bool:
        """Whether everything was written and only names were to be changed."""
        return self.facts.get("phase") == "renaming"

    def begin(self, draft: str, target: str, *, remote: bool = False) -> None:
        """Say that ``draft`` will be made, to become ``target``. Forgets what was said before."""
        self.facts = {"draft": draft, "target": target, "remote": remote}
        self._write("writing")

    def rename(self, *, durable: bool, **facts: Any) -> None:
        """Say that the draft is complete and takes its name now.

        Args:
            durable: Whether this has to outlive a power cut as well: where doing it all again would not give the same.
            facts: What to remember; ``told`` are the facts for the step's report.
        """
        self.facts.update(facts)
        self._write("renaming", durable=durable)

    def withdraw(self) -> None:
        """Say that nothing is committed: before the draft is removed."""
        if self.is_renaming:
            try:
                self._write("writing")
            except DriverError:  # the disk is full
                self._remove()

    def forget(self) -> None:
        """Remove the note: there is no draft."""
        self.facts = {}
        self._remove()

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _write(self, phase: str, *, durable: bool = False) -> None:
        self.facts["phase"] = phase
        if self._path is None:
            return
        new = self._path.with_name("commit.new")
        with explaining(self._path, "write"):
            with new.open("w", encoding="utf-8") as file:
                file.write(json.dumps(self.facts))
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            new.replace(self._path)
        if durable:
            sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to disk, where its file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
