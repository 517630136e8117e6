"""The server's end of the socket to a sandbox's first process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .guest import frames
from .machine import LOADER, first_process


class SandboxGoneError(Exception):
    """The sandbox died before it could answer."""


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
        self.closed = False

    def start(self, config: dict[str, Any], trouble: Path) -> None:
        """Start the first process; what it complains of goes to ``trouble``.

        Raises:
            SandboxGoneError: The sandbox was ended while it came up.
        """
        if self.closed:
            raise SandboxGoneError("it was ended while it came up")
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
        if self.closed or self.process is None:
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
        if self.closed:
            return
        self.closed = True
        if self.process is not None:
            asyncio.get_running_loop().remove_reader(self.socket)
            self.socket.close()
        for future in (self.ready, *self.waiting.values()):
            if not future.done():
                future.set_exception(SandboxGoneError())
                future.exception()
        self.on_close()
