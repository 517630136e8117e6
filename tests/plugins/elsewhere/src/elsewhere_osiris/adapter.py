"""The adapter: plan here, send the project, run the engine's worker there, bring home what it wrote."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elsewhere_osiris.room import Room
from osiris.core import engine
from osiris.core.errors import CollectError, UsageError
from osiris.core.execution_adapter import CollectedRun, ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.remote import Echo, SubprocessTransport, refuse_registered, run_remotely

INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ")
"""Of this process's environment, the worker gets these alone: what secrets it needs come in another way."""


class RoomTransport(SubprocessTransport):
    """A worker's standard input and output, over which paths are said as they are here."""

    def __init__(self, room: Room, python: str, cwd: Path) -> None:
        command = [python, "-u", "-P", "-m", "osiris.core.remote.worker"]
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        super().__init__(command, environment=environment, cwd=cwd, on_stderr=Echo())
        self._room = room

    def lines(self) -> Iterator[bytes]:
        """What the worker says, a line at a time."""
        return map(self._room.here, super().lines())


class ElsewhereAdapter(ExecutionAdapter):
    """Runs the steps in a worker process that has a copy of the project in a folder of its own."""

    def __init__(self, python: str | None = None, root: str | None = None, patience: float = 10.0) -> None:
        self._python = python or sys.executable
        self._root = root
        self._patience = patience
        self._room: Room | None = None
        self._report: engine.RunReport | None = None

    def prepare(self, manifest: Mapping[str, Any], context: ExecutionContext) -> PreparedRun:
        """Plan here, so that mistakes are told before anything is sent; then copy project and session."""
        prepared = engine.prepare(manifest, context)
        refuse_registered(prepared.package)
        self._room = Room(self._root)
        prepared.metadata["room"] = str(self._room.folder)
        for folder in _folders(context):
            self._room.send(folder)
        return prepared

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        """Run the steps there; what the worker tells is told here as it comes."""
        room = self._room
        if room is None:
            raise UsageError("nothing is prepared", hint="call prepare() first, on the same adapter")
        self._report = engine.RunReport()
        cwd = room.there(context.base_dir)
        run_remotely(
            prepared,
            context,
            self._report,
            lambda: RoomTransport(room, self._python, cwd),
            patience=self._patience,
            place=room,
        )

    def collect(self, prepared: PreparedRun, context: ExecutionContext) -> CollectedRun:
        """Bring home what was written, also by a run that failed; then list it."""
        if self._room is None or self._report is None:
            raise CollectError("nothing was executed", hint="call execute() first, on the same adapter")
        files = sum(self._room.bring(folder) for folder in _folders(context))
        context.log_event("files_brought_home", {"files": files})
        return engine.collect(prepared, self._report, environment="elsewhere")

    def close(self) -> None:
        """Remove the copy. The worker has ended with the run."""
        room, self._room = self._room, None
        if room is not None:
            room.remove()


def _folders(context: ExecutionContext) -> list[Path]:
    return [context.base_dir.absolute(), context.session_dir.absolute()]
