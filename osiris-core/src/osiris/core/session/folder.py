"""The folder of one run: made, written, read again."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osiris.core import __version__
from osiris.core.errors import CollectError, ExecutionError, PrepareError, UsageError
from osiris.core.events.bus import EventBus
from osiris.core.events.jsonable import jsonable
from osiris.core.events.sinks import EVENTS_FILE, METRICS_FILE, JsonlSink, read_jsonl
from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.planning import driver_versions
from osiris.core.process import held, started_at
from osiris.core.session.difference import refuse_changes
from osiris.core.session.json_file import remove_drafts, write_json
from osiris.core.session.listing import STATE_FILE, SessionInfo, find_session, is_session, read_object, read_session
from osiris.core.session.plan_facts import plan_facts

if TYPE_CHECKING:
    from osiris.core.planning import Plan

__all__ = ["Session"]

Redact = Callable[[Mapping[str, Any]], dict[str, Any]]

_MANIFEST, _PLAN, _RESULT = "manifest.json", "plan.json", "result.json"
_LOCK = "session.lock"


class Session:
    """One run's folder, readable by its owner only.

    ::

        session = Session.create(root, pipeline="orders", manifest=manifest, adapter="local")
        result = run_pipeline(adapter, manifest, session.context())
        session.finish(result)

    Make one with :meth:`create` or :meth:`open`.
    """

    def __init__(self, info: SessionInfo, *, plan: Plan | None = None, redact: Redact | None = None) -> None:
        self._info = info
        self._plan = plan
        self._redact = _process_redactor() if redact is None else redact
        self._bus: EventBus | None = None
        self._told_before = 0
        self._hold = ExitStack()

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        *,
        pipeline: str,
        manifest: Mapping[str, Any],
        adapter: str,
        plan: Plan | None = None,
        command: Sequence[str] = (),
        origin: Mapping[str, Any] | None = None,
        redact: Redact | None = None,
    ) -> Session:
        """Make the folder of a new run below ``root``, which is made where it is missing.

        ``session.json`` (state ``running``) and ``manifest.json`` are on disk when this returns. Before, nobody sees
        the folder: one that is listed can be resumed, whenever its process is killed.

        Args:
            root: Where the folders of runs are, by default of the command ``<project>/.osiris/runs``.
            pipeline: The manifest's name.
            manifest: As resolved; secrets as references.
            adapter: Where it runs.
            plan: Where the manifest was planned already; kept as ``plan.json`` and handed to the context.
            command: The command line.
            origin: What a resumed run needs to find the pipeline again; plain JSON, no secrets.
            redact: What replaces secret values; default the process's own redactor.

        Raises:
            PrepareError: ``session.unwritable``: the folder cannot be made.
        """
        folder: Path | None = None
        try:
            folder = _make_folder(Path(root))
            info = SessionInfo(
                id=folder.name.removeprefix("."),
                dir=folder,
                status="running",
                pipeline=pipeline,
                adapter=adapter,
                started=_now(),
                **_owner(),
                command=tuple(command),
                origin=dict(origin or {}),
            )
            session = cls(info, plan=plan, redact=redact)
            session._take_hold()
            session._write_state()
            session._write(_MANIFEST, manifest)
            if plan is not None:
                session._write(_PLAN, plan_facts(plan))
            session.artifacts_dir.mkdir(mode=0o700)
            session._info = replace(info, dir=folder.rename(folder.with_name(info.id)))
        except OSError as error:
            if folder is not None:  # a run that never was must not be listed
                shutil.rmtree(folder, ignore_errors=True)
            raise _unwritable(PrepareError, Path(root), error) from error
        return session

    @classmethod
    def open(
        cls,
        path_or_id: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        *,
        redact: Redact | None = None,
    ) -> Session:
        """An existing session.

        Args:
            path_or_id: Its folder; or, below ``root``, its id, the beginning or end of one, or ``latest``.
            root: Where the folders of runs are.
            redact: As in :meth:`create`.

        Raises:
            UsageError: ``session.not_found`` or ``session.ambiguous``.
        """
        folder = Path(path_or_id)
        if not is_session(folder):
            folder = find_session(str(path_or_id), root)
        return cls(read_session(folder), redact=redact)

    def resume(self, manifest: Mapping[str, Any], plan: Plan, *, force: bool = False) -> None:
        """Take the session up again: this process owns it from now on, and its events are counted on.

        Args:
            manifest: The pipeline as it is now.
            plan: What would run now.
            force: Go on although the pipeline or a driver was changed: steps that differ, and all after them, run
                again, but a writer that has written does not write again.

        Raises:
            UsageError: ``session.in_use``: it runs, or somebody else resumes it. ``session.finished``: there is nothing
                left to do. ``session.changed``: the pipeline or a driver is not what it was; says where.
            ExecutionError: ``session.unwritable``.
        """
        self._take_hold()
        if not (self.dir / STATE_FILE).exists():  # purged meanwhile: taking its lock has made the folder anew
            self._hold.close()
            with suppress(OSError):
                (self.dir / _LOCK).unlink()
                self.dir.rmdir()
            raise UsageError(f"session {self.id} was removed", hint="run the pipeline again", code="session.not_found")
        self._info = read_session(self.dir)
        if self._info.status == "running":  # on another host: its lock cannot be seen from here
            raise UsageError(
                f"session {self.id} is running on {self._info.host}",
                hint="wait for it; 'osiris runs list' shows what runs",
                code="session.in_use",
            )
        if self._info.status == "success":
            raise UsageError(
                f"session {self.id} has ended well: there is nothing to resume",
                hint="run the pipeline again without --resume",
                code="session.finished",
            )
        if not force:
            self._refuse_changes(manifest, plan)
        self._told_before = max(self._last_seq(EVENTS_FILE), self._last_seq(METRICS_FILE))
        self._plan = plan
        try:
            remove_drafts(self.dir)
            self._info = replace(self._info, status="running", ended=None, **_owner())
            self._write_state()
            (self.dir / _RESULT).unlink(missing_ok=True)
            self._write(_MANIFEST, manifest)
            self._write(_PLAN, plan_facts(plan))
            self.artifacts_dir.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unwritable(PrepareError, self.dir, error) from error

    def _refuse_changes(self, manifest: Mapping[str, Any], plan: Plan) -> None:
        try:
            before, drivers = self.manifest(), read_object(self.dir / _PLAN).get("drivers", {})
        except (OSError, ValueError) as error:
            raise UsageError(
                f"session {self.id} does not say what was run: {error}",
                hint="run the pipeline again without --resume",
                code="session.unreadable",
            ) from error
        refuse_changes(self.id, before, self._redact(jsonable(manifest)), drivers, driver_versions(plan))

    def _take_hold(self) -> None:
        """Hold the session's lock for as long as this object, or this process, lives."""
        self._hold.enter_context(held(self.dir / _LOCK))

    def _last_seq(self, name: str) -> int:
        return max((int(record.get("seq", 0)) for record in read_jsonl(self.dir / name)), default=0)

    @property
    def id(self) -> str:
        """The run's id."""
        return self._info.id

    @property
    def dir(self) -> Path:
        """The folder."""
        return self._info.dir

    @property
    def artifacts_dir(self) -> Path:
        """Where files to keep go."""
        return self.dir / "artifacts"

    @property
    def info(self) -> SessionInfo:
        """How the run stands, as far as this object knows; :meth:`open` it again for what the disk says."""
        return self._info

    def context(self, **overrides: Any) -> ExecutionContext:
        """A context whose events and metrics go into the folder, secret values redacted.

        Args:
            overrides: Further arguments of :class:`~osiris.core.execution_adapter.ExecutionContext`.

        Raises:
            PrepareError: ``session.unwritable``: the files cannot be opened.
        """
        if self._bus is None and "bus" not in overrides:
            bus = EventBus(self.id, redact=self._redact, after=self._told_before)
            try:
                bus.subscribe(JsonlSink(self.dir))
            except OSError as error:
                raise _unwritable(PrepareError, self.dir, error) from error
            self._bus = bus
        settings = {"bus": self._bus, "artifacts_dir": self.artifacts_dir, **overrides}
        context = ExecutionContext(self.id, self.dir, **settings)
        context.plan = self._plan
        return context

    def finish(self, result: RunResult) -> None:
        """Write ``result.json``, then the state, and close the event files.

        Raises:
            CollectError: ``session.unwritable``: the disk is full or the folder gone. The state stays ``running``,
                and becomes ``interrupted`` once this process has ended.
        """
        try:
            self._write(_RESULT, result.to_dict())
            self._info = replace(self._info, status=result.status, ended=_now())
            self._write_state()
        except OSError as error:
            raise _unwritable(CollectError, self.dir, error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Close the event files and let go of the session. Idempotent."""
        if self._bus is not None:
            self._bus.close()
        self._hold.close()

    def manifest(self) -> dict[str, Any]:
        """What was run."""
        return read_object(self.dir / _MANIFEST)

    def plan_facts(self) -> dict[str, Any]:
        """What was planned: drivers with versions, fingerprints, steps, stages; empty where nothing was."""
        try:
            return read_object(self.dir / _PLAN)
        except (OSError, ValueError):
            return {}

    def result(self) -> dict[str, Any] | None:
        """``RunResult.to_dict()`` of the run; None where it did not end by itself."""
        try:
            return read_object(self.dir / _RESULT)
        except (OSError, ValueError):
            return None

    def events(self) -> Iterator[dict[str, Any]]:
        """The events on disk, in order."""
        return read_jsonl(self.dir / EVENTS_FILE)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The metrics on disk, in order."""
        return read_jsonl(self.dir / METRICS_FILE)

    def _write_state(self) -> None:
        state = self._info.to_dict()
        state["state"] = state.pop("status")
        del state["dir"]  # the folder may be moved
        self._write(STATE_FILE, {"schema": "1", **state})

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_json(self.dir / name, self._redact(jsonable(content)))


def _make_folder(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    while True:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        draft = root / f".{name}"
        try:
            draft.mkdir(mode=0o700)  # fails where another run was given the same id
        except FileExistsError:
            continue
        if (root / name).exists():
            draft.rmdir()
            continue
        return draft.absolute()


def _unwritable(kind: type[ExecutionError], folder: Path, error: OSError) -> ExecutionError:
    place = error.filename or str(folder)
    return kind(
        f"the session folder cannot be written: {place}: {error.strerror or error}",
        hint="check permissions and free space, or choose another folder with --session-dir",
        code="session.unwritable",
        path=str(place),
    )


def _owner() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pid_started": started_at(os.getpid()) or 0.0,
        "osiris_version": __version__,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _process_redactor() -> Redact:
    from osiris.core.connections import REDACTOR

    return REDACTOR
