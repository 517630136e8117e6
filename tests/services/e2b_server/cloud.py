"""What the provider keeps: the sandboxes, the templates, the log, the faults."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .faults import Faults
from .log import RequestLog
from .machine import Machine, make_bare_python
from .processes import ProcessTable
from .sandbox import Sandbox
from .templates import Build, Templates


@dataclass
class Options:
    """How the provider behaves; may be changed while it runs.

    ``exit_event_seconds``: how long the end of a process can be asked for. ``max_lifetime``: seconds that a plan gives
    a sandbox in all. ``max_sandboxes``: how many may run at once. ``keepalive``: seconds of silence after which a
    stream gives a sign of life, where the client does not say. ``api_key``: the only right one. ``python``: the test
    environment's, or one with pip and nothing else. ``builds``: whether the steps of a template are run, or only
    recorded (sandboxes made from it then are like all others).
    """

    api_key: str = "e2b_0000000000000000000000000000000000000000"
    exit_event_seconds: float = 30.0
    max_lifetime: float = 86_400.0
    max_sandboxes: int = 20
    keepalive: float = 50.0
    python: Literal["shared", "bare"] = "shared"
    builds: Literal["record", "run"] = "record"


class ApiError(Exception):
    """An answer of the control plane that is an error."""

    def __init__(self, status: int, message: str, error_code: str | None = None) -> None:
        """``error_code``: the semantic code where there is one."""
        super().__init__(message)
        self.status = status
        self.error_code = error_code


@dataclass(eq=False)
class Cloud:
    """The whole provider; lives in the server's event loop."""

    machine: Machine
    options: Options
    on_loop: Callable[[Callable[[], Any]], Any]
    log: RequestLog = field(default_factory=RequestLog)
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    history: list[Sandbox] = field(default_factory=list)
    tables: dict[str, ProcessTable] = field(default_factory=dict)
    bare: asyncio.Future[Path] | None = None
    pausing: list[asyncio.Future[None]] = field(default_factory=list)
    idempotent: dict[str, asyncio.Task[Sandbox]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.faults = Faults(self, self.on_loop)
        self.templates = Templates(self.machine.folder / "templates")

    async def create(self, request: dict[str, Any]) -> Sandbox:
        """Bring a new sandbox up.

        Raises:
            ApiError: Unknown template, too long a life, too many sandboxes.
        """
        found = self.templates.find(request.get("templateID", ""))
        if found is None:
            raise ApiError(404, f"template '{request.get('templateID')}' not found")
        timeout = request.get("timeout", 300)
        if timeout > self.options.max_lifetime:
            raise ApiError(400, f"Timeout cannot be greater than {self.options.max_lifetime / 3600:g} hours")
        if len(self.sandboxes) >= self.options.max_sandboxes:
            raise ApiError(429, f"you have reached the maximum number of concurrent sandboxes ({len(self.sandboxes)})")
        template, build = found
        bare = self.options.python == "bare" or build.root is not None
        sandbox = await self.bring_up(template.template_id, template.name, build, request, bare=bare)
        sandbox.set_end(time.time() + timeout, self.expire)
        return sandbox

    async def bring_up(
        self, template_id: str, alias: str | None, build: Build, request: dict[str, Any], *, bare: bool
    ) -> Sandbox:
        """Start a sandbox as a build of a template says."""
        sandbox = Sandbox(
            sandbox_id="i" + secrets.token_hex(10)[:19],
            template_id=template_id,
            alias=alias,
            machine=self.machine,
            metadata=request.get("metadata") or {},
            envs=build.envs | (request.get("envVars") or {}),
            cpu_count=build.cpu_count,
            memory_mb=build.memory_mb,
            request=request,
            template_root=build.root,
            workdir=build.workdir,
            on_timeout="pause" if request.get("autoPause") else "kill",
            bare_python=await self.bare_python() if bare else None,
        )
        table = ProcessTable(sandbox, self.options.exit_event_seconds)
        self.tables[sandbox.sandbox_id] = table
        self.sandboxes[sandbox.sandbox_id] = sandbox
        self.history.append(sandbox)
        sandbox.on_end.append(self.ended)
        await sandbox.start(table.exited)
        return sandbox

    async def bare_python(self) -> Path:
        """A Python with pip and nothing else, made once."""
        if self.bare is None:
            loop = asyncio.get_running_loop()
            self.bare = loop.run_in_executor(None, make_bare_python, self.machine.folder / "bare-python")
        return await asyncio.shield(self.bare)

    def running(self, sandbox_id: str) -> Sandbox:
        """A sandbox that has not ended.

        Raises:
            ApiError: There is none of that id.
        """
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            raise ApiError(404, f"sandbox {sandbox_id} not found")
        return sandbox

    def expire(self, sandbox: Sandbox) -> None:
        """The time of a sandbox is over."""
        if sandbox.on_timeout == "pause":
            self.pausing.append(asyncio.ensure_future(sandbox.freeze()))
        else:
            sandbox.end("expired")

    def ended(self, sandbox: Sandbox) -> None:
        """A sandbox has ended: forget it, and clear its remains away beside the work."""
        self.sandboxes.pop(sandbox.sandbox_id, None)
        asyncio.get_running_loop().run_in_executor(None, sandbox.wait_gone)

    async def kill_for_memory(self, sandbox_id: str, pid: int, exit_code: int | None) -> int:
        """Kill the largest of a process and its children; gives its pid."""
        sandbox = self.running(sandbox_id)
        family = await sandbox.link.ask("processes.children", pid=pid)
        sizes = await sandbox.link.ask("processes.memory")
        victim = max(family, key=lambda one: sizes.get(str(one), 0))
        process = self.tables[sandbox_id].known.get(victim)
        if process:
            process.reported_exit_code = exit_code
        await sandbox.link.ask("processes.signal", pid=victim, number=9)
        return int(victim)

    async def close(self) -> None:
        """End all sandboxes and wait until nothing of them is left."""
        for sandbox in list(self.sandboxes.values()):
            sandbox.end("stopped")
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, one.wait_gone) for one in self.history))


PYTHON = str(Path(sys.prefix) / "bin")
