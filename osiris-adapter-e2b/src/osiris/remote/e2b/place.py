"""The sandbox as the place of a worker: its paths, and the secrets that are left there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from osiris.core.remote import Assignment, Leash, Secrets
from osiris.remote.e2b.backstage import Backstage
from osiris.remote.e2b.berth import Berth
from osiris.remote.e2b.inputs import rewritten
from osiris.remote.e2b.mirror import Mirror

__all__ = ["SandboxPlace"]


class SandboxPlace:
    """A sandbox as a :class:`~osiris.core.remote.Place`.

    Args:
        berth: The sandbox.
        backstage: Where it is spoken to.
        patience: Seconds that the worker goes on when nobody is heard of.
    """

    def __init__(self, berth: Berth, backstage: Backstage, patience: float) -> None:
        self._berth = berth
        self._backstage = backstage
        self._patience = patience

    @property
    def leash(self) -> Leash:
        """See :class:`~osiris.core.remote.Place`: E2B keeps a process's input open, whoever is gone."""
        sandbox_id = self._berth.sandbox.id
        return Leash(f"E2B sandbox {sandbox_id}", self._patience, {"sandbox_id": sandbox_id})

    def seen(self, assignment: Assignment) -> Assignment:
        """See :class:`~osiris.core.remote.Place`."""
        mirror, folder = self._berth.mirror, f"{self._berth.folder}/worker"
        return replace(
            assignment,
            session_dir=mirror.there(assignment.session_dir),
            artifacts_dir=mirror.there(assignment.artifacts_dir),
            base_dir=mirror.there(assignment.base_dir),
            worker_dir=folder,
            secrets_file=f"{folder}/secrets.json" if assignment.secrets_file is not None else None,
            configs=rewritten(assignment.configs, mirror),
        )

    def leave(self, secrets: Secrets, assignment: Assignment) -> None:
        """See :class:`~osiris.core.remote.Place`; the folder is there and private."""
        if assignment.secrets_file is not None:
            mirror = self._berth.mirror
            # A part of a path may be a reference.
            values = {name: _as_there(value, mirror) for name, value in secrets.values.items()}
            content = Secrets(values).to_bytes()
            self._backstage.run(self._berth.sandbox.write(assignment.secrets_file, content))


def _as_there(value: str, mirror: Mirror) -> str:
    if value.startswith("/") and len(value) > 1 and Path(value).exists():
        return mirror.there(value)
    return value
