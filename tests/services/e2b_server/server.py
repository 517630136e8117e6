"""A server that speaks the provider's protocol on loopback, with real processes in private folders."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from . import streams, wire
from .admin import Admin
from .cloud import PYTHON, ApiError, Cloud, Options
from .control_plane import ControlPlane
from .daemon import ProcessCalls, health, may_enter, signed_for
from .faults import Faults
from .filesystem import FilesystemCalls, Transfers
from .link import SandboxGoneError
from .log import Entry, RequestLog
from .machine import Machine, allows_namespaces, python_folders
from .sandbox import Sandbox
from .template_routes import TemplateRoutes
from .watchers import WatcherCalls

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Isolation = Literal["auto", "namespaces", "paths"]


class E2BServer:
    """The whole provider, in a thread of its own: ``with E2BServer() as server``.

    One port serves the control plane and all sandboxes. ``environment`` makes the SDK of a subprocess talk to it.
    """

    def __init__(
        self,
        *,
        options: Options | None = None,
        isolation: Isolation = "auto",
        folder: Path | None = None,
        port: int = 0,
    ) -> None:
        """Args:
        options: How the provider behaves.
        isolation: ``namespaces`` (a root folder and processes of its own for each sandbox), ``paths`` (the
            sandbox's paths are mapped), or what the machine allows.
        folder: Where sandboxes are kept while they live; a temporary folder by default.
        port: The port; any free one by default.
        """
        self.options = options or Options()
        self._folder = folder
        self._isolation = isolation
        self._port = port
        self._thread = threading.Thread(target=self._live, name="e2b-server", daemon=True)
        self._up = threading.Event()
        self._trouble: BaseException | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Come up."""
        self._base = Path(tempfile.mkdtemp(prefix="e2b-", dir=self._folder)).resolve()
        exposed = python_folders()
        namespaces = self._isolation == "namespaces" or (
            self._isolation == "auto" and allows_namespaces(self._base, exposed)
        )
        self.isolation = "namespaces" if namespaces else "paths"
        self.cloud = Cloud(Machine(self._base, namespaces, PYTHON, exposed), self.options, self._on_loop)
        self._thread.start()
        self._up.wait()
        if self._trouble:
            raise self._trouble
        return self

    def stop(self) -> None:
        """End every sandbox and go; nothing is left."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        shutil.rmtree(self._base, ignore_errors=True)

    @property
    def api_url(self) -> str:
        """Where the control plane is."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def sandbox_url(self) -> str:
        """Where the sandboxes are."""
        return self.api_url

    @property
    def api_key(self) -> str:
        """The right key."""
        return self.options.api_key

    @property
    def connection(self) -> dict[str, str]:
        """Arguments that lead the SDK of this process here: ``E2B(**server.connection)``."""
        return {"api_key": self.api_key, "api_url": self.api_url, "sandbox_url": self.sandbox_url}

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead the SDK of a subprocess here."""
        return {
            "E2B_API_KEY": self.api_key,
            "E2B_API_URL": self.api_url,
            "E2B_SANDBOX_URL": self.sandbox_url,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    @property
    def sandboxes(self) -> list[Sandbox]:
        """The sandboxes that live now."""
        return list(self.cloud.sandboxes.values())

    @property
    def history(self) -> list[Sandbox]:
        """All sandboxes that ever were; ``ended_by`` says how they ended."""
        return list(self.cloud.history)

    @property
    def log(self) -> RequestLog:
        """What the provider has written down."""
        return self.cloud.log

    @property
    def faults(self) -> Faults:
        """Faults on demand."""
        return self.cloud.faults

    def _live(self) -> None:
        try:
            with asyncio.Runner() as runner:  # ends what is still under way before it closes its loop
                self._loop = runner.get_loop()
                runner.run(self._serve())
        except BaseException as error:  # told to the thread that waits for the start
            self._trouble = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        runner = web.AppRunner(
            application(self.cloud), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self._port)
            await site.start()
            self._port = runner.addresses[0][1]
            self._up.set()
            await self._stopping.wait()
        finally:
            await self.cloud.close()
            await runner.cleanup()

    def _on_loop(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            result = function()
            return await result if inspect.isawaitable(result) else result

        if threading.current_thread() is self._thread:
            return function()
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)


def application(cloud: Cloud) -> web.Application:
    """All routes, behind the log, the faults and the locks."""

    @web.middleware
    async def write_down(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = request.match_info.route.name or "unknown"
        sandbox_id = request.headers.get("E2b-Sandbox-Id") or request.match_info.get("id")
        entry = request[wire.ENTRY] = Entry(operation, sandbox_id)
        cloud.log.add(entry)
        try:
            response = await handler(request)
        except ConnectionResetError:  # the client has gone while it was being answered
            return web.Response(status=499)
        finally:
            entry.open = False
        entry.status = response.status
        return response

    @web.middleware
    async def go_wrong(request: web.Request, handler: Handler) -> web.StreamResponse:
        entry: Entry = request[wire.ENTRY]
        await cloud.faults.hold(entry.operation, entry.sandbox_id)
        if rule := cloud.faults.take(entry.operation, entry.sandbox_id, "respond"):
            response = wire.plain_error(rule.status, rule.message)
            if rule.retry_after is not None:
                response.headers["Retry-After"] = f"{rule.retry_after:g}"
            return response
        drop = cloud.faults.take(entry.operation, entry.sandbox_id, "drop")
        if drop is None:
            return await handler(request)
        if drop.after:
            await handler(request)
        streams.disconnect(request, reset=True)
        return web.Response(status=500)

    @web.middleware
    async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        name: str = request[wire.ENTRY].operation
        if name.startswith(("sandbox.", "template.")):
            if request.headers.get("X-API-KEY") != cloud.options.api_key:
                return wire.plain_error(401, "invalid or missing API key")
            try:
                return await asyncio.shield(asyncio.ensure_future(handler(request)))
            except ApiError as error:
                more = {"error_code": error.error_code} if error.error_code else {}
                return wire.plain_error(error.status, str(error), **more)
        if name.startswith(("process.", "filesystem.", "files.", "health")):
            return await enter(request, handler)
        return await handler(request)

    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        sandbox_id = request[wire.ENTRY].sandbox_id or ""
        sandbox = cloud.sandboxes.get(sandbox_id)
        if not sandbox_id and "signature" in request.query:  # a link to a file, followed without the SDK
            sandbox = next((one for one in cloud.sandboxes.values() if signed_for(one, request)), None)
        if sandbox is None or sandbox.state != "running":
            return wire.plain_error(502, "The sandbox was not found", sandboxId=sandbox_id)
        if not sandbox.port_open:
            return wire.plain_error(
                502, "The sandbox is running but port is not open", sandboxId=sandbox_id, port=49983
            )
        request[wire.SANDBOX] = sandbox
        if request[wire.ENTRY].operation != "health" and not may_enter(sandbox, request):
            return wire.plain_error(401, "unauthorized access, please provide a valid access token")
        try:
            return await handler(request)
        except SandboxGoneError:
            streams.disconnect(request, reset=False)
            return web.Response(status=502)

    app = web.Application(middlewares=[write_down, go_wrong, let_in], client_max_size=0)
    app.add_routes(ControlPlane(cloud).routes())
    app.add_routes(TemplateRoutes(cloud).routes())
    app.add_routes(Admin(cloud).routes())
    app.add_routes(ProcessCalls(cloud).routes())
    app.add_routes(FilesystemCalls().routes())
    app.add_routes(WatcherCalls().routes())
    app.add_routes(Transfers().routes())
    app.add_routes([web.get("/health", health, name="health", allow_head=False)])
    return app
