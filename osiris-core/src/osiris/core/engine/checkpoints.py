"""Outputs that outlive the process: Arrow streams on disk, each with a checksum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from osiris.core.engine.progress import Kept

__all__ = ["Checkpoints"]

_LONGEST = 100


class Checkpoints:
    """The folder of a session's checkpoints, readable by its owner only.

    Args:
        session_dir: The session's folder.
    """

    def __init__(self, session_dir: Path) -> None:
        self.folder = session_dir / "checkpoints"

    def path(self, step_id: str, output: str) -> Path:
        """Where an output is kept; step ids hold no dots, so that no two outputs share a name."""
        # An output's name is the driver's own choice and may hold anything.
        plain = output.isidentifier() and output.isascii() and len(output) <= _LONGEST
        name = output if plain else hashlib.sha256(output.encode()).hexdigest()[:16]
        return self.folder / f"{step_id}.{name}.arrows"

    def seal(self, file: Path, rows: int) -> Kept:
        """A file is written: make it outlast a power cut; gives what to note of it.

        Raises:
            OSError: It cannot be read or synced.
        """
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Kept(file=file.name, rows=rows, sha256=digest)

    def find(self, kept: Kept) -> Path | None:
        """The file of what was noted; None where it is gone, torn or changed."""
        if kept.file is None or Path(kept.file).name != kept.file:
            return None
        path = self.folder / kept.file
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return None
        return path if digest == kept.sha256 else None
