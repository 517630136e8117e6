"""What all drivers of the family have in common: how their connection is tested, how a writer is asked afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.driver import Driver, StepContext
from osiris.drivers.filesystem.commit_note import CommitNote
from osiris.drivers.filesystem.locations import check_base, locate
from osiris.drivers.filesystem.settling import settle

__all__ = ["FileDriver", "FileWriter"]


class FileDriver(Driver):
    """A driver whose connection is a folder."""

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """List the connection's ``base_dir``.

        Returns:
            ``base_dir`` and ``writable`` (None where only trying would tell).

        Raises:
            DriverError: It is not there, is no folder, or may not be read.
        """
        return check_base(ctx)


class FileWriter(FileDriver):
    """A driver that writes to one location, its option ``path``."""

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """Looks at the note of the attempt before, and finishes or undoes what that had only half done.

        Returns:
            ``location``, ``rows``, ``bytes`` and ``format``; None where nothing was committed. Then also nothing is
            left of the attempt.

        Raises:
            DriverError: The file system or store does not say.
        """
        note = CommitNote.of(ctx)
        if not note.facts:
            return None
        location = locate(config["path"], ctx)
        told = settle(note, location)
        return None if told is None else {"location": location.text, **told}
