"""Watching folders: what has changed since somebody last asked."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from aiohttp import web

from . import wire
from .filesystem import ask, sandbox_of
from .sandbox import Sandbox

Seen = dict[str, tuple[int, int]]
STREAM_PERIOD = 0.05
DEPTH = 64


class Watcher:
    """One watched folder and how it looked the last time."""

    def __init__(self, sandbox: Sandbox, request: dict[str, Any]) -> None:
        """``request``: a CreateWatcherRequest or a WatchDirRequest."""
        self.sandbox = sandbox
        self.path = request.get("path", "")
        self.depth = DEPTH if request.get("recursive") else 1
        self.seen: Seen = {}

    async def look(self) -> Seen:
        """The entries below the folder with their times and sizes."""
        top = (await ask(self.sandbox, "stat", path=self.path))["path"]
        entries = await ask(self.sandbox, "list", path=self.path, depth=self.depth)
        return {one["path"].removeprefix(top).lstrip("/"): (one["modified_ns"], one["size"]) for one in entries}

    async def changes(self) -> list[dict[str, Any]]:
        """What has changed since the last time, by name."""
        before, self.seen = self.seen, await self.look()
        kinds = [(name, "CREATE") for name in self.seen.keys() - before.keys()]
        kinds += [(name, "REMOVE") for name in before.keys() - self.seen.keys()]
        kinds += [(name, "WRITE") for name in self.seen.keys() & before.keys() if self.seen[name] != before[name]]
        return [{"name": name, "type": f"EVENT_TYPE_{kind}"} for name, kind in sorted(kinds)]


class WatcherCalls:
    """The handlers of filesystem.Filesystem that are about watching."""

    def __init__(self) -> None:
        self.watchers: dict[str, Watcher] = {}

    def routes(self) -> list[web.RouteDef]:
        """The routes, each named as faults know it."""
        unary = {"CreateWatcher": self.create, "GetWatcherEvents": self.events, "RemoveWatcher": self.remove}
        handlers = {name: wire.unary(handler) for name, handler in unary.items()} | {"WatchDir": self.watch}
        return [
            web.post(f"/filesystem.Filesystem/{name}", handler, name=f"filesystem.{name}")
            for name, handler in handlers.items()
        ]

    async def create(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Begin to watch."""
        watcher = Watcher(sandbox_of(request, body), body)
        watcher.seen = await watcher.look()
        watcher_id = secrets.token_hex(8)
        self.watchers[watcher_id] = watcher
        return {"watcherId": watcher_id}

    async def events(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """What has changed since the last call."""
        watcher = self.watchers.get(body.get("watcherId", ""))
        if watcher is None:
            raise wire.ConnectError("not_found", f"watcher with id {body.get('watcherId')} not found")
        return {"events": await watcher.changes()}

    async def remove(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Watch no more."""
        self.watchers.pop(body.get("watcherId", ""), None)
        return {}

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Stream what changes until the client has enough."""
        body = await wire.read_one(request)
        response = await wire.open_stream(request)
        try:
            watcher = Watcher(sandbox_of(request, body), body)
            watcher.seen = await watcher.look()
            await response.write(wire.envelope({"start": {}}))
            async with asyncio.timeout(wire.deadline(request)):
                while True:
                    for event in await watcher.changes():
                        await response.write(wire.envelope({"filesystem": event}))
                    await asyncio.sleep(STREAM_PERIOD)
        except TimeoutError:
            await wire.end_stream(response, wire.ConnectError("deadline_exceeded", "context deadline exceeded"))
        except wire.ConnectError as error:
            await wire.end_stream(response, error)
        return response
