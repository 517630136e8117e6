"""Runs a pipeline in an E2B cloud sandbox: the same engine there, and here everything as of a local run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from osiris.core import engine
from osiris.core.engine.elsewhere import Elsewhere
from osiris.core.engine.landing import Landing
from osiris.core.engine.settings import RunSettings
from osiris.core.errors import CollectError, OsirisError, UsageError
from osiris.core.execution_adapter import CollectedRun, ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.remote import Echo, hide, refuse_registered, run_remotely
from osiris.remote.e2b.backstage import Backstage
from osiris.remote.e2b.berth import Berth, Ticket, make_ready
from osiris.remote.e2b.channel import SandboxTransport
from osiris.remote.e2b.earlier import end_earlier, sweep
from osiris.remote.e2b.homecoming import Homecoming, bring_home
from osiris.remote.e2b.inputs import KEPT_HERE
from osiris.remote.e2b.options import valid_options
from osiris.remote.e2b.place import SandboxPlace
from osiris.remote.e2b.sdk import Cloud
from osiris.remote.e2b.supplies import Supplies

__all__ = ["E2BTransparentProxy"]

T = TypeVar("T")

_LARGE = 4 * 1024 * 1024
"""Bytes from which a file comes home by itself."""

_KILL_SECONDS = 20.0
_MADE_SECONDS = 3.0
_PARTS = ("create", "upload", "install", "start", "transfer")


class E2BTransparentProxy(ExecutionAdapter):
    """A sandbox for one run. The worker in it is the engine's own, so that nothing but the place is different.

    Args:
        options: The fields of :class:`~osiris.remote.e2b.options.E2BOptions`.

    Raises:
        UsageError: An option is unknown or does not fit.
    """

    def __init__(self, **options: Any) -> None:
        self._options = valid_options(options)
        self._backstage: Backstage | None = None
        self._cloud: Cloud | None = None
        self._ticket: Ticket | None = None
        self._berth: Berth | None = None
        self._supplies: Supplies | None = None
        self._elsewhere: Elsewhere | None = None
        self._folder: Path | None = None
        self._transport: SandboxTransport | None = None
        self._report: engine.RunReport | None = None
        self._lost = False

    def prepare(self, manifest: Mapping[str, Any], context: ExecutionContext) -> PreparedRun:
        """Plan the manifest, create a sandbox, and bring there what the plan needs.

        Raises:
            InvalidPipelineError: The manifest, a connection or a reference is wrong.
            PluginError: A driver is missing, broken, or registered in this process only.
            PrepareError: The sandbox cannot be made ready.
            UnreachableError: E2B does not answer.
        """
        prepared = engine.prepare(manifest, context)
        plan = prepared.package
        refuse_registered(plan)
        settings = RunSettings.of(context, prepared.artifacts_dir)
        self._hide_key()
        self._ticket = Ticket.of(settings)
        self._cloud = cloud = Cloud(
            api_key=self._options.api_key,
            domain=self._options.domain,
            api_url=self._options.api_url,
            sandbox_url=self._options.sandbox_url,
            request_timeout=self._options.request_timeout,
        )
        session = settings.session_dir.absolute()
        self._elsewhere = Elsewhere(session)
        Landing(session).finish()  # what it puts in place may be what this run reads
        self._folder = session / "tmp" / "e2b"
        shutil.rmtree(self._folder, ignore_errors=True)  # of an attempt that was killed
        self._folder.mkdir(mode=0o700, parents=True)
        self._supplies = Supplies(prepared, settings, self._options, self._folder)
        self._backstage = Backstage()
        ready = make_ready(
            cloud, self._options, self._ticket, self._supplies, self._environment(), context.log_event, self._created
        )
        earlier = end_earlier(cloud, self._ticket, self._elsewhere, context.log_event)
        berth = self._backstage.run(
            _first(ready, earlier, wait=self._elsewhere.facts() is not None), settings.cancellation
        )
        (self._folder / "cargo.tar.gz").unlink(missing_ok=True)
        prepared.metadata["sandbox_id"] = berth.sandbox.id
        return prepared

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        """Run the steps in the sandbox.

        Raises:
            StepError: A step failed.
            RunCancelledError: The run was asked to stop.
            UnreachableError: The sandbox is gone or does not answer (codes ``e2b.*``).
            ExecutionError: The worker was lost (codes ``worker.*``).
        """
        berth, backstage = self._ready()
        report = self._report = engine.RunReport()
        heartbeat = self._options.heartbeat

        def connect() -> SandboxTransport:
            self._transport = SandboxTransport(
                backstage,
                berth.sandbox,
                f"exec {berth.outpost('work', berth.folder)}",
                mirror=berth.mirror,
                journal=f"{berth.folder}/worker/journal.jsonl",
                quiet=heartbeat * 3,
                patience=self._options.patience / 2,
                lease=berth.lease,
                vitals=lambda: asyncio.ensure_future(self._vitals()),
                on_stderr=Echo(),
            )
            return self._transport

        self._lost = True
        try:
            run_remotely(
                prepared,
                context,
                report,
                connect,
                patience=self._options.cancel_patience,
                silence=max(60.0, heartbeat * 6),
                heartbeat=heartbeat,
                place=SandboxPlace(berth, backstage, self._options.patience),
            )
            self._lost = False
        except OsirisError as error:
            self._lost = error.code.startswith(("worker.", "e2b."))
            raise
        finally:
            if self._transport is not None and self._transport.first_word is not None:
                berth.parts["start"] = (self._transport.first_word - self._transport.begun) * 1000

    def collect(self, prepared: PreparedRun, context: ExecutionContext) -> CollectedRun:
        """Bring home what the run wrote, and say what it did, also after a failure.

        Raises:
            CollectError: It was never executed here, or what it wrote cannot be had or put in its place.
            UnreachableError: The sandbox is gone.
        """
        report = self._report
        if report is None:
            raise CollectError(
                f"run {prepared.run_id!r} was not executed by this adapter",
                hint="call execute() before collect(), on the same adapter",
                code="collect.not_executed",
            )
        berth, backstage = self._ready()
        settings = RunSettings.of(context, prepared.artifacts_dir)
        cancellation = None if settings.cancellation.requested else settings.cancellation
        begun = monotonic()
        came = Homecoming()
        try:
            came = backstage.run(self._bring_home(berth, settings), cancellation)
        except OsirisError:
            if not self._lost:  # else the run's own error says it all
                raise
        berth.parts["transfer"] = (monotonic() - begun) * 1000
        context.log_event(
            "files_downloaded",
            {"files": came.files, "bytes": came.size, "duration_ms": round(berth.parts["transfer"], 3)},
        )
        collected = engine.collect(prepared, report, environment="e2b")
        if came.left:
            collected["warnings"] = [*collected.get("warnings", ()), _left(came.left)]
        parts = {f"{name}_ms": round(berth.parts.get(name, 0.0), 3) for name in _PARTS}
        told: dict[str, Any] = {
            **collected,
            "sandbox_id": berth.sandbox.id,
            "overhead_ms": round(sum(parts.values()), 3),
            "overhead": parts,
            "artifact_transfer_ms": parts["transfer_ms"],
        }
        return told  # type: ignore[return-value]  # with keys of our own, which the contract allows

    def measure_latency(self) -> float:
        """Milliseconds of one round trip to the sandbox; for benchmarks."""
        berth, backstage = self._ready()
        begun = monotonic()
        backstage.run(berth.sandbox.answers())
        return (monotonic() - begun) * 1000

    def close(self) -> None:
        """Kill the sandbox, whatever happened, and others that this run may have left. Idempotent."""
        backstage, self._backstage = self._backstage, None
        try:
            if backstage is not None:
                with suppress(OsirisError, TimeoutError):
                    backstage.run(asyncio.wait_for(self._end(), _KILL_SECONDS))
        finally:
            if backstage is not None:
                backstage.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                with suppress(OSError):  # gone already, or somebody else's, too
                    self._folder.parent.rmdir()

    # Backstage

    def _created(self, berth: Berth) -> None:
        self._berth = berth
        if self._backstage is not None:
            self._backstage.submit(berth.lease.keep())

    async def _bring_home(self, berth: Berth, settings: RunSettings) -> Homecoming:
        session, artifacts = settings.session_dir.absolute(), settings.artifacts_dir.absolute()
        named = list(self._supplies.files.named) if self._supplies is not None else []
        if self._lost and self._report is not None:  # what a dead worker was about to write must not look written
            written = {str(output.get("location", "")) for output in self._report.outputs}
            named = [place for place in named if any(_is_of(place, location) for location in written)]
        told = await berth.ask("changes", {"small": _LARGE, "without": [str(session / name) for name in KEPT_HERE]})
        if self._folder is None:
            raise CollectError("this adapter was closed", hint="call collect() before close()")
        return await bring_home(
            berth.sandbox,
            f"{berth.folder}/home.tar",
            told,
            berth.mirror.prefix,
            [*named, artifacts, session],
            self._folder / "home",
            Landing(session),
            [session / name for name in KEPT_HERE],
        )

    async def _vitals(self) -> str:
        if self._berth is None:
            return ""
        told = await self._berth.ask("vitals", {}, timeout=10)
        return (
            f"the sandbox has {told.get('MemAvailable', '?')} of {told.get('MemTotal', '?')} MB of memory left; "
            f"{told.get('oom_kill', 0)} processes were killed for want of memory"
        )

    async def _end(self) -> None:
        if self._options.keep_sandbox and self._berth is not None:
            with suppress(OsirisError):
                await self._berth.sandbox.run(f"rm -f {self._berth.folder}/worker/*.json", timeout=10)
            return
        if self._cloud is None:
            return
        sandbox = self._berth.sandbox if self._berth is not None else await self._cloud.made(_MADE_SECONDS)
        if sandbox is None:  # one may have come to be that we never heard of
            if self._ticket is not None:
                await sweep(self._cloud, self._ticket, own_too=True)
            return
        await self._cloud.kill(sandbox.id)
        if self._elsewhere is not None and (self._elsewhere.facts() or {}).get("sandbox_id") == sandbox.id:
            self._elsewhere.end()

    # What is known

    def _ready(self) -> tuple[Berth, Backstage]:
        if self._berth is None or self._backstage is None or not self._berth.folder:
            raise UsageError("there is no sandbox", hint="call prepare() first, on the same adapter")
        return self._berth, self._backstage

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in self._options.pass_env if name in os.environ}
        for name, value in {**self._options.env, **passed}.items():
            if _tells(name):
                hide(value)
        return {**self._options.env, **passed}

    def _hide_key(self) -> None:
        key = self._options.api_key or os.environ.get("E2B_API_KEY")
        if key:
            hide(key)
        else:
            raise UsageError(
                "there is no E2B API key",
                hint="set the variable E2B_API_KEY; keys are at https://e2b.dev/dashboard",
                code="e2b.no_key",
            )


async def _first(ready: Coroutine[Any, Any, T], other: Coroutine[Any, Any, None], *, wait: bool) -> T:
    """Do both; what the first one gives, without the other's end where that need not be waited for."""
    beside = asyncio.ensure_future(other)
    made = await ready
    if wait:
        await beside
    return made


def _is_of(place: Path, location: str) -> bool:
    """Whether what was written there (``path`` or ``path:table``) is this place, or below it."""
    text = str(place)
    return location == text or location.startswith((f"{text}/", f"{text}:"))


def _tells(name: str) -> bool:
    """Whether a variable's name says that its value is secret."""
    upper = name.upper()
    return any(word in upper for word in ("KEY", "SECRET", "TOKEN", "PASS", "CREDENTIAL", "AUTH"))


def _left(paths: list[str]) -> str:
    shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    return f"left in the sandbox, because no step names them: {shown}; option include= brings such files home"
