"""``osiris run --resume``: the session that is meant, and what it was run with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osiris.cli.project import find_project, sessions_root
from osiris.core.errors import UsageError

if TYPE_CHECKING:
    from osiris.core.session import Session

__all__ = ["Earlier", "find_earlier"]

_MASK = "***"


class Earlier:
    """A session that is taken up again, and what its run was told.

    Args:
        session: The session.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._origin = session.info.origin

    @property
    def file(self) -> Path:
        """The pipeline file.

        Raises:
            UsageError: The session does not say: it was not made by ``osiris run``.
        """
        if "file" not in self._origin:
            raise UsageError(
                f"session {self.session.id} does not say which file it ran", hint="name the pipeline file as well"
            )
        return Path(str(self._origin["file"]))

    @property
    def base_dir(self) -> Path | None:
        """Where relative paths began."""
        return Path(str(self._origin["base_dir"])) if "base_dir" in self._origin else None

    @property
    def adapter(self) -> str | None:
        """Where it ran."""
        return self.session.info.adapter or None

    @property
    def checkpoint(self) -> bool:
        """Whether every step was to be kept."""
        return self._origin.get("checkpoint") is True

    def params(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The values of params: those given now, else those of then. Those that were hidden have to be given."""
        before: Mapping[str, Any] = self.session.manifest().get("params") or {}
        return {**{name: value for name, value in before.items() if _MASK not in str(value)}, **given}


def find_earlier(wanted: str, pipeline: Path | None, session_dir: Path | None) -> Earlier:
    """The session with this id, folder, or the ``last`` (of ``pipeline``, where one is named).

    Raises:
        UsageError: There is none.
    """
    from osiris.core.session import Session, list_sessions

    root = sessions_root(find_project(pipeline), session_dir)
    if wanted not in ("last", "latest"):
        return Earlier(Session.open(wanted, root))
    of_pipeline = None if pipeline is None else str(pipeline.resolve())
    for info in list_sessions(root):
        if info.status != "broken" and of_pipeline in (None, info.origin.get("file")):
            return Earlier(Session.open(info.dir))
    raise UsageError(
        f"there is no run to resume in {root}", hint="make one with 'osiris run'", code="session.not_found"
    )
