"""A sandbox: a folder, a first process that keeps all others, a time to die."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .guest.paths import HOME
from .guest.processes import kill_marked
from .link import Link, SandboxGoneError
from .machine import LOADER, Machine, copy_or_link

ENVD_VERSION = "0.6.13"
PROFILE = 'PATH="{python}:$PATH"\n'
BARE = "opt/python"
FOLDERS = ("home/user", "tmp", "var/tmp", "opt", "mnt", "run", "root", "code")


@dataclass(eq=False)
class Sandbox:
    """One sandbox and what the control plane knows of it."""

    sandbox_id: str
    template_id: str
    alias: str | None
    machine: Machine
    metadata: dict[str, str]
    envs: dict[str, str]
    cpu_count: int
    memory_mb: int
    request: dict[str, Any]
    token: str = field(default_factory=lambda: "ea_" + secrets.token_hex(20))
    started_at: float = field(default_factory=time.time)
    end_at: float = 0.0
    state: str = "running"
    ended_by: str | None = None
    port_open: bool = True
    template_root: Path | None = None
    workdir: str = "~"
    on_timeout: str = "kill"
    bare_python: Path | None = None
    keep_folder: bool = False
    file_metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    streams: set[Callable[[], None]] = field(default_factory=set)
    on_end: list[Callable[[Sandbox], None]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def folder(self) -> Path:
        """Where the sandbox is on this machine."""
        return self.machine.folder / self.sandbox_id

    @property
    def root(self) -> Path:
        """What the sandbox sees as ``/``, as far as it is its own."""
        return self.folder / "root"

    @property
    def marker(self) -> str:
        """An environment entry that every process of the sandbox has."""
        return f"E2B_SANDBOX_ID={self.sandbox_id}"

    def furnish(self) -> None:
        """Make the sandbox's folders: those of its template, and what every sandbox has."""
        if self.template_root:
            shutil.copytree(self.template_root, self.root, symlinks=True, copy_function=copy_or_link)
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        if self.bare_python and not (self.root / BARE).exists():
            shutil.copytree(self.bare_python, self.root / BARE, symlinks=True, copy_function=copy_or_link)
        (self.root / "home/user/.profile").write_text(PROFILE.format(python=self.python))

    @property
    def python(self) -> str:
        """The folder of the ``python3`` that processes find first."""
        if self.bare_python is None:
            return self.machine.python
        return f"/{BARE}/bin" if self.machine.namespaces else str(self.root / BARE / "bin")

    async def start(self, on_exit: Callable[[int, int], None]) -> None:
        """Bring the sandbox up; ``on_exit(pid, wait status)`` hears of its ended processes.

        Raises:
            SandboxGoneError: It did not come up; says what its first process complained of.
        """
        self.link = Link(on_exit, lambda: self.end("crashed"))
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.furnish)
        except OSError as error:
            if self.ended_by:  # its folder is being cleared away
                raise SandboxGoneError("it was ended while it came up") from error
            raise
        config = {
            "namespaces": self.machine.namespaces,
            "root": str(self.root),
            "exposed": self.machine.exposed,
            "marker": self.marker,
            "probe": False,
        }
        self.link.start(config, self.folder / "first-process.log")
        try:
            await self.link.ready
        except SandboxGoneError as error:
            raise SandboxGoneError((self.folder / "first-process.log").read_text(errors="replace")) from error

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """What a process of the sandbox finds around it."""
        return LOADER | {
            "PATH": f"{self.python}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": HOME,
            "USER": "user",
            "LOGNAME": "user",
            "E2B_SANDBOX": "true",
            "E2B_TEMPLATE_ID": self.template_id,
            **self.envs,
            **more,
            "E2B_SANDBOX_ID": self.sandbox_id,
        }

    def set_end(self, at: float, on_timeout: Callable[[Sandbox], None]) -> None:
        """Let the sandbox die at a time of the wall clock."""
        if self.timer:
            self.timer.cancel()
        self.end_at = at
        self.timer = asyncio.get_running_loop().call_later(max(0.0, at - time.time()), on_timeout, self)

    def cut_streams(self) -> None:
        """Cut every open connection to the sandbox."""
        for cut in list(self.streams):
            cut()

    def end(self, by: str) -> None:
        """End the sandbox and everything in it, once; ``by``: killed, expired, crashed, stopped."""
        if self.ended_by:
            return
        self.ended_by = by
        if self.timer:
            self.timer.cancel()
        self.cut_streams()
        self.link.close()
        for heard in self.on_end:
            heard(self)

    def wait_gone(self) -> None:
        """Block until no process of the sandbox is left, then remove its folder."""
        if self.link.process:
            self.link.process.wait()
        while not self.machine.namespaces and kill_marked(self.marker):
            time.sleep(0.01)
        if not self.keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def freeze(self) -> None:
        """Pause: processes stop where they are, connections are cut, time does not count."""
        self.state = "paused"
        if self.timer:
            self.timer.cancel()
        self.cut_streams()
        await self.link.ask("processes.signal_all", number=int(signal.SIGSTOP))

    async def thaw(self) -> None:
        """Go on after a pause."""
        await self.link.ask("processes.signal_all", number=int(signal.SIGCONT))
        self.state = "running"
