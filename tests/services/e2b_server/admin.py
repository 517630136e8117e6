"""Faults, sandboxes and the log over HTTP, for tests that run the server as a process of its own."""

from __future__ import annotations

import inspect
import json
import urllib.request
from typing import Any

from aiohttp import web

from .cloud import ApiError, Cloud
from .control_plane import described
from .faults import Faults

PREFIX = "/_admin"


class Admin:
    """The handlers of the tests' own routes; no key is asked for."""

    def __init__(self, cloud: Cloud) -> None:
        """``cloud`` holds what they work on."""
        self.cloud = cloud

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            web.post(PREFIX + "/faults/{fault}", self.fault, name="admin.fault"),
            web.get(PREFIX + "/sandboxes", self.sandboxes, name="admin.sandboxes", allow_head=False),
            web.get(PREFIX + "/log", self.log, name="admin.log", allow_head=False),
        ]

    async def fault(self, request: web.Request) -> web.Response:
        """Call a method of `Faults` with the arguments of a JSON object."""
        name = request.match_info["fault"]
        if name not in METHODS:
            return web.json_response({"message": f"no fault '{name}'", "known": METHODS}, status=404)
        try:
            result = getattr(self.cloud.faults, name)(**json.loads(await request.read() or b"{}"))
            result = await result if inspect.isawaitable(result) else result
        except (TypeError, ApiError) as error:
            return web.json_response({"message": str(error)}, status=400)
        return web.json_response({"result": result})

    async def sandboxes(self, request: web.Request) -> web.Response:
        """All sandboxes that ever were; ``endedBy`` is null for those that live."""
        return web.json_response([described(one) | {"endedBy": one.ended_by} for one in self.cloud.history])

    async def log(self, request: web.Request) -> web.Response:
        """The log as text, a line for each request."""
        return web.Response(text=self.cloud.log.text)


METHODS = [
    name
    for name, member in vars(Faults).items()
    if inspect.isfunction(member) and not name.startswith("_") and name not in Faults.FOR_THE_SERVER
]


class RemoteServer:
    """A server in another process: ``server.fault("cut_streams", how="end")``."""

    def __init__(self, url: str) -> None:
        """``url``: what the server calls ``api_url``."""
        self.url = url

    def fault(self, name: str, **arguments: Any) -> Any:
        """Ask for a fault, by the name and arguments of a method of `Faults`."""
        return json.loads(self._ask(f"/faults/{name}", json.dumps(arguments).encode()))["result"]

    def sandboxes(self, *, living: bool = True) -> list[dict[str, Any]]:
        """The sandboxes, those that have ended where ``living`` is False."""
        found: list[dict[str, Any]] = json.loads(self._ask("/sandboxes"))
        return [one for one in found if (one["endedBy"] is None) or not living]

    def log(self) -> str:
        """The log as text."""
        return self._ask("/log").decode()

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + PREFIX + path, data=body)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            data: bytes = answer.read()
        return data
