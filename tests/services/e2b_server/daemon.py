"""The sandbox's daemon: the calls about processes, and who may make any."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from . import wire
from .cloud import Cloud
from .link import SandboxGoneError
from .process import Process, Subscriber, events, subscribe
from .processes import ProcessTable, stdin_of, username
from .sandbox import Sandbox
from .streams import Stream, StreamCutError
from .wire import ConnectError


class ProcessCalls:
    """The handlers of process.Process."""

    def __init__(self, cloud: Cloud) -> None:
        """``cloud`` holds what they work on."""
        self.cloud = cloud
        self.tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The routes, each named as faults know it."""
        unary = {
            "List": self.list,
            "SendInput": self.send_input,
            "SendSignal": self.send_signal,
            "CloseStdin": self.close_stdin,
        }
        other = {"Start": self.start, "Connect": self.connect, "StreamInput": self.stream_input}
        handlers = {name: wire.unary(handler) for name, handler in unary.items()} | other
        return [
            web.post(f"/process.Process/{name}", handler, name=f"process.{name}") for name, handler in handlers.items()
        ]

    def table(self, request: web.Request) -> ProcessTable:
        """The processes of the sandbox that a request is for."""
        return self.cloud.tables[request[wire.SANDBOX].sandbox_id]

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Start a process and stream its events; the call's deadline is the process's."""
        body = await wire.read_one(request)
        request[wire.ENTRY].note(body)

        async def begin() -> tuple[Process, Subscriber]:
            username(request)
            process = await self.table(request).start(body)
            subscriber = subscribe(process)
            if seconds := wire.deadline(request):
                asyncio.get_running_loop().call_later(seconds, self.kill_late, request[wire.SANDBOX], process)
            return process, subscriber

        return await self.stream(request, begin)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Stream the events of a process from now on; the call's deadline ends only the stream."""
        body = await wire.read_one(request)
        request[wire.ENTRY].note(body)

        async def begin() -> tuple[Process, Subscriber]:
            process = self.table(request).find(body.get("process"), alive=False)
            return process, subscribe(process)

        return await self.stream(request, begin)

    async def stream(self, request: web.Request, begin: Any) -> web.StreamResponse:
        """Carry the events of a process to the client until either ends."""
        sandbox: Sandbox = request[wire.SANDBOX]
        operation = request[wire.ENTRY].operation
        stream = Stream(
            request, operation, sandbox.sandbox_id, self.cloud.faults.cut_for(operation, sandbox.sandbox_id)
        )
        await stream.open()
        self.cloud.faults.opened(stream)
        cut = lambda: stream.cut("close")  # noqa: E731
        sandbox.streams.add(cut)
        keepalive = float(request.headers.get("Keepalive-Ping-Interval", self.cloud.options.keepalive))
        try:
            async with asyncio.timeout(wire.deadline(request)):
                process, subscriber = await begin()
                async for event in events(process, subscriber, keepalive):
                    await stream.send(event)
            await stream.finish()
        except TimeoutError:
            await stream.finish(ConnectError("deadline_exceeded", "context deadline exceeded"))
        except ConnectError as error:
            await stream.finish(error)
        except SandboxGoneError:
            stream.broken = "close"
            await stream.break_off()
        except StreamCutError:
            await stream.break_off()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stream.broken is None or task is None:
                raise
            task.uncancel()
            await stream.break_off()
        finally:
            stream.close()
            self.cloud.faults.closed(stream)
            sandbox.streams.discard(cut)
        return stream.response

    def kill_late(self, sandbox: Sandbox, process: Process) -> None:
        """The deadline of a process is over."""
        if process.running and sandbox.ended_by is None:
            self.background(self.cloud.tables[sandbox.sandbox_id].signal(process, "SIGNAL_SIGKILL"))

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that outlives the request; what goes wrong is for whoever still waits."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def list(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """The running processes."""
        return {"processes": self.table(request).list()}

    async def send_input(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Write to a process; after the call's deadline the writing goes on and holds later input."""
        request[wire.ENTRY].note(body)
        process = self.table(request).find(body.get("process"))
        await asyncio.shield(self.background(process.feed(stdin_of(body))))
        return {}

    async def stream_input(self, request: web.Request) -> web.StreamResponse:
        """Write what the client streams to a process; not logged.

        The answer begins when the input has ended: a client that is answered earlier stops sending.
        """
        failure: ConnectError | None = None
        process: Process | None = None
        try:
            async with asyncio.timeout(wire.deadline(request)):
                async for message in wire.read_stream(request):
                    if "start" in message:
                        process = self.table(request).find(message["start"].get("process"))
                    elif "data" in message and process:
                        await asyncio.shield(self.background(process.feed(stdin_of(message["data"]))))
        except TimeoutError:
            failure = ConnectError("deadline_exceeded", "context deadline exceeded")
        except ConnectError as error:
            failure = error
        response = await wire.open_stream(request)
        if failure is None:
            await response.write(wire.envelope({}))
        await wire.end_stream(response, failure)
        return response

    async def send_signal(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Signal one process."""
        request[wire.ENTRY].note(body)
        table = self.table(request)
        await table.signal(table.find(body.get("process")), body.get("signal", ""))
        return {}

    async def close_stdin(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Close a process's input."""
        request[wire.ENTRY].note(body)
        process = self.table(request).find(body.get("process"))
        if process.stdin is None:
            raise ConnectError("internal", "error closing stdin: stdin not enabled or closed")
        process.close_stdin()
        return {}


def may_enter(sandbox: Sandbox, request: web.Request) -> bool:
    """Whether a request brings the sandbox's access token, or a signature made with it."""
    if request.query.get("signature"):
        return signed_for(sandbox, request)
    return hmac.compare_digest(request.headers.get("X-Access-Token", ""), sandbox.token)


def signed_for(sandbox: Sandbox, request: web.Request) -> bool:
    """Whether a link to a file was signed with a sandbox's access token, and is still good."""
    query = request.query
    parts = [query.get("path", ""), "read" if request.method == "GET" else "write", query.get("username", "")]
    parts.append(sandbox.token)
    expiration = query.get("signature_expiration")
    if expiration:
        parts.append(expiration)
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    right = "v1_" + b64encode(digest).rstrip(b"=").decode()
    late = expiration is not None and time.time() > int(expiration)
    return hmac.compare_digest(query["signature"], right) and not late


async def health(request: web.Request) -> web.Response:
    """GET /health: the sandbox is there."""
    return web.Response(status=204)
