"""A sandbox: a folder, a first process that keeps all others, a time to die."""

from __future__ import annotations

import asyncio
import ensurepip
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .guest import frames
from .guest.namespaces import SYSTEM
from .guest.paths import HOME
from .guest.processes import kill_marked

ENVD_VERSION = "0.6.13"
PROFILE = 'PATH="{python}:$PATH"\n'
BARE = "opt/python"
FOLDERS = ("home/user", "tmp", "var/tmp", "opt", "mnt", "run", "root", "code")
LOADER = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
"""What this Python may need to start, and so a sandbox's."""


class SandboxGoneError(Exception):
    """The sandbox died before it could answer."""


@dataclass(frozen=True)
class Machine:
    """What all sandboxes of a server have in common.

    ``namespaces``: whether a sandbox has a root folder and processes of its own; else its paths are mapped.
    ``python``: the folder of the ``python3`` that sandboxes find first. ``exposed``: folders of the machine to be
    read there, beside the system's.
    """

    folder: Path
    namespaces: bool
    python: str
    exposed: tuple[str, ...]


def python_folders() -> tuple[str, ...]:
    """Where this Python and what it imports are, outermost folders only, without the system's."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]
    found += [os.path.realpath(path) for path in found]
    folders: list[str] = []
    for path in sorted({os.path.normpath(one) for one in found if one and Path(one).is_dir()}, key=len):
        hidden = path in ("/", "/tmp", "/home", "/root", "/var", "/opt", str(Path.cwd()))
        above = [*folders, *(f"/{name}" for name in SYSTEM)]
        if not hidden and not any(path == one or path.startswith(one + "/") for one in above):
            folders.append(path)
    return tuple(folders)


def make_bare_python(folder: Path) -> Path:
    """A Python with pip and nothing else, which works wherever it is copied to."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    if pip := importlib.util.find_spec("pip"):
        shutil.copytree(Path(str(pip.origin)).parent, packages / "pip")
    else:
        (wheel,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
        shutil.unpack_archive(wheel, packages, "zip")
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n')
        script.chmod(0o755)
    return folder


def copy_or_link(source: str, target: str) -> str:
    """Copy a file; of Python's packages, which are replaced and never changed, link it."""
    if "/site-packages/" in source:
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))


def first_process(config: dict[str, Any]) -> list[str]:
    """The command line of a sandbox's first process."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("guest")), json.dumps(config)]


class Link:
    """The server's end of the socket to a sandbox's first process."""

    def __init__(self, on_exit: Callable[[int, int], None], on_close: Callable[[], None]) -> None:
        """``on_exit(pid, wait status)`` hears of ended processes, ``on_close()`` of the end of the sandbox."""
        self.on_exit = on_exit
        self.on_close = on_close
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.next_id = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, config: dict[str, Any], trouble: Path) -> None:
        """Start the first process; what it complains of goes to ``trouble``."""
        self.socket, theirs = socket.socketpair()
        self.inbox = frames.Inbox(self.socket)
        with theirs, trouble.open("wb") as errors:
            self.process = subprocess.Popen(
                first_process(config),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env=LOADER,
            )
        asyncio.get_running_loop().add_reader(self.socket, self.receive)

    async def ask(self, op: str, descriptors: tuple[int, ...] = (), **arguments: Any) -> Any:
        """Have something done in the sandbox.

        Raises:
            OSError: It failed there.
            SandboxGoneError: The sandbox has ended.
        """
        if self.socket.fileno() < 0:
            raise SandboxGoneError
        self.next_id += 1
        number = self.next_id
        self.waiting[number] = asyncio.get_running_loop().create_future()
        try:
            frames.send(self.socket, {"id": number, "op": op, **arguments}, list(descriptors))
        except OSError as error:
            raise SandboxGoneError from error
        return await self.waiting[number]

    def receive(self) -> None:
        """Take what has come."""
        alive = self.inbox.fill()
        for message, descriptors in self.inbox.messages():
            self.dispatch(message, descriptors)
        if not alive:
            self.close()

    def dispatch(self, message: dict[str, Any], given: list[int]) -> None:
        """Give one message to whom it is for."""
        if "ready" in message:
            self.ready.set_result(None)
        elif "exit" in message:
            self.on_exit(message["exit"], message["status"])
        else:
            future = self.waiting.pop(message["id"])
            if future.done():
                for descriptor in given:
                    os.close(descriptor)
            elif "error" in message:
                future.set_exception(OSError(*message["error"]))
            else:
                future.set_result((message["result"], given[0]) if given else message["result"])

    def close(self) -> None:
        """End the sandbox: its first process takes all others with it."""
        if self.socket.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
        for future in (self.ready, *self.waiting.values()):
            if not future.done():
                future.set_exception(SandboxGoneError())
                future.exception()
        self.on_close()


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
        await asyncio.get_running_loop().run_in_executor(None, self.furnish)
        self.link = Link(on_exit, lambda: self.end("crashed"))
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
