"""The control plane: sandboxes made, found, listed, prolonged and killed."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from . import wire
from .cloud import ApiError, Cloud
from .link import SandboxGoneError
from .sandbox import ENVD_VERSION, Sandbox


def rfc3339(seconds: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def created(sandbox: Sandbox) -> dict[str, Any]:
    """A sandbox as the one who made it sees it."""
    return {
        "sandboxID": sandbox.sandbox_id,
        "templateID": sandbox.template_id,
        "alias": sandbox.alias,
        "clientID": "6532622b",
        "envdVersion": ENVD_VERSION,
        "envdAccessToken": sandbox.token,
        "domain": None,
    }


def described(sandbox: Sandbox) -> dict[str, Any]:
    """A sandbox in full."""
    return {
        "sandboxID": sandbox.sandbox_id,
        "templateID": sandbox.template_id,
        "alias": sandbox.alias,
        "clientID": "6532622b",
        "envdVersion": ENVD_VERSION,
        "startedAt": rfc3339(sandbox.started_at),
        "endAt": rfc3339(sandbox.end_at),
        "cpuCount": sandbox.cpu_count,
        "memoryMB": sandbox.memory_mb,
        "diskSizeMB": 10_240,
        "state": sandbox.state,
        "metadata": sandbox.metadata,
    }


class ControlPlane:
    """The handlers of the control plane's sandbox routes."""

    def __init__(self, cloud: Cloud) -> None:
        """``cloud`` holds what they work on."""
        self.cloud = cloud

    def routes(self) -> list[web.RouteDef]:
        """The routes, each named as faults know it."""
        return [
            web.post("/v2/sandboxes", self.create, name="sandbox.create"),
            web.get("/v2/sandboxes", self.list, name="sandbox.list", allow_head=False),
            web.get("/sandboxes/{id}", self.get, name="sandbox.get", allow_head=False),
            web.delete("/sandboxes/{id}", self.kill, name="sandbox.kill"),
            web.post("/sandboxes/{id}/timeout", self.set_timeout, name="sandbox.timeout"),
            web.post("/v2/sandboxes/{id}/connect", self.connect, name="sandbox.connect"),
            web.post("/sandboxes/{id}/pause", self.pause, name="sandbox.pause"),
            web.get("/sandboxes/{id}/metrics", self.metrics, name="sandbox.metrics", allow_head=False),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST /v2/sandboxes; the same idempotency key gives the same sandbox."""
        body = await request.json()
        hidden = {"envVars": sorted(body.get("envVars") or {})}  # the provider logs names of variables, not values
        request[wire.ENTRY].note(body | hidden)
        key = request.headers.get("Idempotency-Key")
        try:
            sandbox = await (self.once(key, body) if key else self.cloud.create(body))
        except SandboxGoneError as error:
            raise ApiError(500, f"the sandbox did not come up: {error}", "sandbox_create_failed") from error
        request[wire.ENTRY].sandbox_id = sandbox.sandbox_id
        return web.json_response(created(sandbox), status=201)

    async def once(self, key: str, body: dict[str, Any]) -> Sandbox:
        """Create with an idempotency key.

        Raises:
            ApiError: The key came with another request before.
        """
        task = self.cloud.idempotent.get(key)
        if task is None:
            task = self.cloud.idempotent[key] = asyncio.create_task(self.cloud.create(body))
            try:
                return await asyncio.shield(task)
            except (ApiError, SandboxGoneError):
                del self.cloud.idempotent[key]
                raise
        sandbox = await asyncio.shield(task)
        if sandbox.request != body:
            raise ApiError(422, "the idempotency key belongs to another request", "idempotency_request_mismatch")
        return sandbox

    async def list(self, request: web.Request) -> web.Response:
        """GET /v2/sandboxes: newest first, filtered, in pages."""
        query = request.query
        wanted = dict(parse_qsl(query.get("metadata", "")))
        states = query.get("state", "running,paused").split(",")
        found = [
            sandbox
            for sandbox in self.cloud.sandboxes.values()
            if sandbox.state in states
            and wanted.items() <= sandbox.metadata.items()
            and query.get("template", sandbox.alias) in (sandbox.alias, sandbox.template_id)
        ]
        found.sort(key=lambda one: one.started_at, reverse=query.get("order", "desc") == "desc")
        if token := query.get("nextToken"):
            seen = json.loads(base64.urlsafe_b64decode(token))
            found = found[seen:]
        else:
            seen = 0
        limit = int(query.get("limit", 100))
        headers = {}
        if len(found) > limit:
            headers["x-next-token"] = base64.urlsafe_b64encode(json.dumps(seen + limit).encode()).decode()
        return web.json_response([described(one) for one in found[:limit]], headers=headers)

    async def get(self, request: web.Request) -> web.Response:
        """GET /sandboxes/{id}."""
        sandbox = self.cloud.running(request.match_info["id"])
        return web.json_response(described(sandbox) | {"envdAccessToken": sandbox.token})

    async def kill(self, request: web.Request) -> web.Response:
        """DELETE /sandboxes/{id}."""
        self.cloud.running(request.match_info["id"]).end("killed")
        return web.Response(status=204)

    async def set_timeout(self, request: web.Request) -> web.Response:
        """POST /sandboxes/{id}/timeout: clamped to what the plan gives, refused after it."""
        sandbox = self.cloud.running(request.match_info["id"])
        body = await request.json()
        request[wire.ENTRY].note(body)
        latest = sandbox.started_at + self.cloud.options.max_lifetime
        if time.time() >= latest:
            raise ApiError(400, "the sandbox has reached its maximum lifetime")
        sandbox.set_end(min(time.time() + body["timeout"], latest), self.cloud.expire)
        return web.Response(status=204)

    async def connect(self, request: web.Request) -> web.Response:
        """POST /v2/sandboxes/{id}/connect: lengthens the life, never shortens it."""
        sandbox = self.cloud.running(request.match_info["id"])
        body = await request.json()
        request[wire.ENTRY].note(body)
        if sandbox.state == "paused":
            await sandbox.thaw()
            sandbox.started_at, sandbox.end_at = time.time(), 0.0
        end = time.time() + body.get("timeout", 300)
        if end > sandbox.end_at:
            sandbox.set_end(min(end, sandbox.started_at + self.cloud.options.max_lifetime), self.cloud.expire)
        return web.json_response(created(sandbox), status=200)

    async def pause(self, request: web.Request) -> web.Response:
        """POST /sandboxes/{id}/pause: processes stop where they are until somebody connects."""
        sandbox = self.cloud.running(request.match_info["id"])
        if sandbox.state == "paused":
            raise ApiError(409, f"sandbox {sandbox.sandbox_id} is already paused")
        await sandbox.freeze()
        return web.Response(status=204)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /sandboxes/{id}/metrics: one sample, taken now; the processor's is the mean of its life."""
        sandbox = self.cloud.running(request.match_info["id"])
        sizes = await sandbox.link.ask("processes.memory")
        seconds = await sandbox.link.ask("processes.seconds")
        now = time.time()
        disk = shutil.disk_usage(sandbox.root)
        sample = {
            "timestamp": rfc3339(now),
            "timestampUnix": int(now),
            "cpuCount": sandbox.cpu_count,
            "cpuUsedPct": 100 * seconds / (now - sandbox.started_at),
            "memUsed": sum(sizes.values()),
            "memTotal": sandbox.memory_mb << 20,
            "memCache": 0,
            "diskUsed": disk.used,
            "diskTotal": disk.total,
        }
        return web.json_response([sample])
