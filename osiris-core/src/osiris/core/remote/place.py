"""Where a worker finds what it is left, and how paths look from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from osiris.core.errors import PrepareError
from osiris.core.quick_dataclass import dataclass
from osiris.core.remote.assignment import Assignment, Secrets

__all__ = ["Leash", "Place", "SameMachine"]


@dataclass(frozen=True)
class Leash:
    """How long a worker goes on when nobody is heard of: where its input does not end when this process does.

    Attributes:
        place: Where it is, for people.
        patience: Seconds without a sign after which it stops its run.
        facts: What is needed to find it again.
    """

    place: str
    patience: float
    facts: Mapping[str, Any] = field(default_factory=dict)


class Place(Protocol):
    """A worker's surroundings. What a worker says of paths, its transport makes the paths of this machine."""

    @property
    def leash(self) -> Leash | None:
        """None where the worker's input ends with this process."""

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

    leash = None

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
