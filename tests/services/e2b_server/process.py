"""One process of a sandbox: its output carried to whoever listens, its input, its end."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

from .sandbox import Sandbox
from .wire import ConnectError

CHUNK = 32 * 1024
WAITING = 64


class Subscriber:
    """One open stream of a process's events: a short queue whose filling stalls the process."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self.closed = False

    async def put(self, event: dict[str, Any]) -> None:
        """Add an event; waits while the stream is not read."""
        if not self.closed:
            await self.queue.put(event)

    def close(self) -> None:
        """Stop listening, and let those go who wait to add."""
        self.closed = True
        while not self.queue.empty():
            self.queue.get_nowait()


class Process:
    """One process that a client started."""

    def __init__(self, config: dict[str, Any], tag: str | None) -> None:
        """``config`` as the client gave it."""
        self.config = config
        self.tag = tag
        self.pid = 0
        self.stdin: int | None = None
        self.feeding = asyncio.Lock()
        self.subscribers: list[Subscriber] = []
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.end_event: dict[str, Any] | None = None
        self.reported_exit_code: int | None = None
        self.dropped = 0
        self.pipes: list[asyncio.BaseTransport] = []
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self.exited.done()

    async def start(self, sandbox: Sandbox, environment: dict[str, str], *, with_stdin: bool) -> None:
        """Start it in its sandbox.

        Raises:
            ConnectError: There is no such program or folder.
        """
        readers = {}
        theirs: list[int] = []
        try:
            for name in ("stdout", "stderr"):
                ours, out = os.pipe()
                theirs.append(out)
                readers[name] = await self.reader(ours)
            if with_stdin:
                theirs_in, self.stdin = os.pipe()
                os.set_blocking(self.stdin, False)
            else:
                theirs_in = os.open(os.devnull, os.O_RDONLY)
            theirs.insert(0, theirs_in)
            args = [self.config.get("cmd", ""), *self.config.get("args", [])]
            cwd = self.config.get("cwd") or sandbox.workdir
            self.pid = await sandbox.link.ask("processes.spawn", tuple(theirs), args=args, envs=environment, cwd=cwd)
        except OSError as error:
            self.abandon()
            message = f"error starting process: '{error.filename}': {error.strerror}"
            raise ConnectError("invalid_argument", message) from error
        except BaseException:  # the client or the sandbox has gone meanwhile
            self.abandon()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        pumps = [asyncio.create_task(self.pump(name, reader)) for name, reader in readers.items()]
        self.tasks = [*pumps, asyncio.create_task(self.conclude(pumps))]

    async def reader(self, descriptor: int) -> asyncio.StreamReader:
        """Read from a pipe in this loop."""
        reader = asyncio.StreamReader(limit=CHUNK)
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        self.pipes.append(transport)
        return reader

    async def pump(self, name: str, reader: asyncio.StreamReader) -> None:
        """Carry output to whoever listens; drop it where nobody does."""
        while data := await reader.read(CHUNK):
            event = {"data": {name: base64.b64encode(data).decode()}}
            if not self.subscribers:
                self.dropped += len(data)
            for subscriber in list(self.subscribers):
                await subscriber.put(event)

    async def conclude(self, pumps: list[asyncio.Task[None]]) -> None:
        """Tell the end once it has ended and its output is closed."""
        await asyncio.gather(*pumps)
        for pipe in self.pipes:
            pipe.close()
        event = {"end": describe_end(await self.exited, self.reported_exit_code)}
        self.end_event = event
        for subscriber in list(self.subscribers):
            await subscriber.put(event)

    async def feed(self, data: bytes) -> None:
        """Write to standard input; waits while the process does not read, and holds everybody else's input."""
        async with self.feeding:
            left = memoryview(data)
            while left:
                if self.stdin is None:
                    raise ConnectError("internal", "error writing to stdin: stdin not enabled or closed")
                try:
                    left = left[os.write(self.stdin, left) :]
                except BlockingIOError:
                    await self.stdin_has_room()
                except BrokenPipeError as error:
                    raise ConnectError("internal", "error writing to stdin: broken pipe") from error

    async def stdin_has_room(self) -> None:
        """Wait until the process has read some of its input, or has ended."""
        loop, descriptor = asyncio.get_running_loop(), self.stdin
        assert descriptor is not None
        room: asyncio.Future[None] = loop.create_future()
        loop.add_writer(descriptor, settle, room)
        waits: set[asyncio.Future[Any]] = {room, self.exited}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self.stdin == descriptor:
                loop.remove_writer(descriptor)
        if not self.running:
            self.close_stdin()

    def close_stdin(self) -> None:
        """Close standard input."""
        if self.stdin is not None:
            asyncio.get_running_loop().remove_writer(self.stdin)
            os.close(self.stdin)
            self.stdin = None

    def finish(self, status: int) -> None:
        """Take note of the wait status."""
        self.exited.set_result(status)
        if not self.feeding.locked():
            self.close_stdin()

    def abandon(self) -> None:
        """The sandbox is gone: stop all that waits."""
        for task in self.tasks:
            task.cancel()
        for pipe in self.pipes:
            pipe.close()
        if not self.exited.done():
            self.exited.cancel()
        self.close_stdin()


def settle(future: asyncio.Future[None]) -> None:
    """Let go who waits."""
    if not future.done():
        future.set_result(None)


def describe_end(status: int, reported: int | None) -> dict[str, Any]:
    """The end event of a wait status; a signal gives exit code -1 and its name."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0 or reported is not None:
        code = reported if reported is not None else code
        end: dict[str, Any] = {"exitCode": code, "exited": True, "status": f"exit status {code}"}
        return {**end, "error": f"exit status {code}"} if code else end
    name = signal.strsignal(-code) or f"signal {-code}"
    text = f"signal: {name.lower()}"
    return {"exitCode": -1, "exited": False, "status": text, "error": text}


def subscribe(process: Process) -> Subscriber:
    """Listen to a process from now on."""
    subscriber = Subscriber()
    process.subscribers.append(subscriber)
    return subscriber


async def events(process: Process, subscriber: Subscriber, keepalive: float) -> AsyncIterator[dict[str, Any]]:
    """What a subscriber hears: start, output, end; ``keepalive`` seconds of silence give a sign of life."""
    try:
        yield {"start": {"pid": process.pid}}
        if process.end_event and subscriber.queue.empty():
            yield process.end_event
            return
        while True:
            try:
                async with asyncio.timeout(keepalive):
                    event = await subscriber.queue.get()
            except TimeoutError:
                event = {"keepalive": {}}
            yield event
            if "end" in event:
                return
    finally:
        process.subscribers.remove(subscriber)
        subscriber.close()
