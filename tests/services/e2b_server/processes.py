"""The processes of a sandbox, known by pid and tag."""

from __future__ import annotations

import asyncio
import base64
import signal
from typing import Any

from aiohttp import web

from .process import Process
from .sandbox import Sandbox
from .wire import ConnectError

USERS = ("user", "root")


class ProcessTable:
    """The processes of one sandbox."""

    def __init__(self, sandbox: Sandbox, exit_event_seconds: float) -> None:
        """``exit_event_seconds``: how long the end of a process can still be asked for."""
        self.sandbox = sandbox
        self.exit_event_seconds = exit_event_seconds
        self.known: dict[int, Process] = {}
        self.early: dict[int, int] = {}
        self.starting = 0
        sandbox.on_end.append(lambda _: self.abandon())

    def exited(self, pid: int, status: int) -> None:
        """A process of the sandbox has ended; most are not ours to know."""
        process = self.known.get(pid)
        if process is None or not process.running:
            if self.starting:  # it may have ended before its start was answered
                self.early[pid] = status
            return
        process.finish(status)
        asyncio.get_running_loop().call_later(self.exit_event_seconds, self.forget, process)

    def forget(self, process: Process) -> None:
        """The end of a process cannot be asked for any more."""
        if self.known.get(process.pid) is process:
            del self.known[process.pid]

    def abandon(self) -> None:
        """The sandbox is gone."""
        for process in self.known.values():
            process.abandon()

    async def start(self, request: dict[str, Any]) -> Process:
        """Start what a StartRequest describes."""
        config = request.get("process") or {}
        process = Process(config, request.get("tag"))
        environment = self.sandbox.environment(config.get("envs") or {})
        self.starting += 1
        try:
            await process.start(self.sandbox, environment, with_stdin=request.get("stdin", True))
            self.known[process.pid] = process
            if process.pid in self.early:
                self.exited(process.pid, self.early.pop(process.pid))
        finally:
            self.starting -= 1
            if not self.starting:
                self.early.clear()
        return process

    def find(self, selector: dict[str, Any] | None, *, alive: bool = True) -> Process:
        """The process that a selector means.

        Raises:
            ConnectError: There is none (or none alive).
        """
        selector = selector or {}
        for process in self.known.values():
            meant = process.tag == selector["tag"] if "tag" in selector else process.pid == selector.get("pid")
            if meant and (process.running or not alive):
                return process
        what = f"tag {selector['tag']}" if "tag" in selector else f"pid {selector.get('pid')}"
        raise ConnectError("not_found", f"process with {what} not found")

    def list(self) -> list[dict[str, Any]]:
        """The running processes as ListResponse has them, environment included."""
        return [
            {"config": process.config, "pid": process.pid} | ({"tag": process.tag} if process.tag else {})
            for process in self.known.values()
            if process.running
        ]

    async def signal(self, process: Process, name: str) -> None:
        """Signal one process, and only that one."""
        number = {"SIGNAL_SIGTERM": signal.SIGTERM, "SIGNAL_SIGKILL": signal.SIGKILL}.get(name)
        if number is None:
            raise ConnectError("unimplemented", f"invalid signal: {name}")
        await self.sandbox.link.ask("processes.signal", pid=process.pid, number=int(number))


def stdin_of(message: dict[str, Any]) -> bytes:
    """The bytes that a ProcessInput holds."""
    given = message.get("input") or {}
    if "stdin" not in given:
        raise ConnectError("unimplemented", "invalid input type")
    return base64.b64decode(given["stdin"])


def username(request: web.Request) -> str:
    """Who a call runs as.

    Raises:
        ConnectError: There is no such user.
    """
    header = request.headers.get("Authorization", "")
    name = base64.b64decode(header[6:]).decode().partition(":")[0] if header.startswith("Basic ") else "user"
    if name not in USERS:
        raise ConnectError("unauthenticated", f"invalid username: '{name}'")
    return name
