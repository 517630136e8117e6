"""Where a worker finds what it is left, and how paths look from there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from osiris.core.errors import PrepareError
from osiris.core.remote.assignment import Assignment, Secrets

__all__ = ["Place", "SameMachine"]


class Place(Protocol):
    """A worker's surroundings. What a worker says of paths, its transport makes the paths of this machine."""

    def seen(self, assignment: Assignment) -> Assignment:
        """The assignment with its paths, those in configs too, as the worker has to find them."""

    def leave(self, secrets: Secrets, assignment: Assignment) -> None:
        """Make ``assignment.worker_dir``, private, and leave the secrets in ``assignment.secrets_file`` if it has one.

        Args:
            secrets: Values by reference; not to travel in any other way.
            assignment: From :meth:`seen`.

        Raises:
            ExecutionError: That cannot be done.
        """


class SameMachine:
    """This machine: all paths are what they are."""

    def seen(self, assignment: Assignment) -> Assignment:
        """See :class:`Place`."""
        return assignment

    def leave(self, secrets: Secrets, assignment: Assignment) -> None:
        """See :class:`Place`."""
        folder = Path(assignment.worker_dir)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if assignment.secrets_file is not None:
                secrets.write(Path(assignment.secrets_file))
        except OSError as error:
            raise PrepareError(
                f"nothing can be left for the worker in {folder}: {error.strerror or error}",
                hint="check permissions and free space of the session folder",
                code="worker.folder",
            ) from error
