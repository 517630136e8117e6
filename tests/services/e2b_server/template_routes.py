"""The control plane's routes about templates."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from . import wire
from .cloud import ApiError, Cloud
from .template_build import run_steps
from .templates import DEFAULT_TAG, Build, Template

BLOCK = 256 * 1024


class TemplateRoutes:
    """The handlers of the template routes."""

    def __init__(self, cloud: Cloud) -> None:
        """``cloud`` holds what they work on."""
        self.cloud = cloud
        self.templates = cloud.templates
        self.running: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The routes, each named as faults know it."""
        build = "/templates/{id}/builds/{build}"
        return [
            web.get("/templates/aliases/{alias}", self.exists, name="template.exists", allow_head=False),
            web.post("/v3/templates", self.request, name="template.request"),
            web.get("/templates/{id}/files/{hash}", self.upload_link, name="template.upload_link", allow_head=False),
            web.put("/template-uploads/{hash}", self.upload, name="upload"),
            web.post("/v2" + build, self.start, name="template.build"),
            web.get(build + "/status", self.status, name="template.status", allow_head=False),
            web.delete("/templates/{id}", self.delete, name="template.delete"),
            web.post("/templates/tags", self.assign_tags, name="template.assign_tags"),
        ]

    def template(self, request: web.Request) -> Template:
        """The template that a request names by id."""
        template = self.templates.by_id(request.match_info["id"])
        if template is None:
            raise ApiError(404, f"template '{request.match_info['id']}' not found")
        return template

    def build(self, request: web.Request) -> Build:
        """The build that a request names."""
        build = self.template(request).builds.get(request.match_info["build"])
        if build is None:
            raise ApiError(404, f"build '{request.match_info['build']}' not found")
        return build

    async def exists(self, request: web.Request) -> web.Response:
        """GET /templates/aliases/{alias}."""
        template = self.templates.exists(request.match_info["alias"])
        if template is None:
            raise ApiError(404, f"template '{request.match_info['alias']}' not found")
        return web.json_response({"templateID": template.template_id, "public": False})

    async def request(self, request: web.Request) -> web.Response:
        """POST /v3/templates: the name exists from now on, the build waits for its steps."""
        body = await request.json()
        request[wire.ENTRY].note(body)
        name, _, tag = body["name"].partition(":")
        tags = sorted({*([tag] if tag else []), *body.get("tags", [])}) or [DEFAULT_TAG]
        template = self.templates.name(name)
        build = self.templates.begin(template, tags, body.get("cpuCount", 2), body.get("memoryMB", 1024))
        answer = {
            "templateID": template.template_id,
            "buildID": build.build_id,
            "public": False,
            "names": [template.name],
            "aliases": [template.name],
            "tags": tags,
        }
        return web.json_response(answer, status=202)

    async def upload_link(self, request: web.Request) -> web.Response:
        """GET /templates/{id}/files/{hash}: where to put the files of a COPY step."""
        self.template(request)
        present = self.templates.upload(request.match_info["hash"]).exists()
        url = str(request.url.origin() / "template-uploads" / request.match_info["hash"])
        return web.json_response({"present": present, "url": url}, status=201)

    async def upload(self, request: web.Request) -> web.Response:
        """PUT of an archive."""
        path = self.templates.upload(request.match_info["hash"])
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            async for block in request.content.iter_chunked(BLOCK):
                file.write(block)
        part.replace(path)
        return web.Response(status=200)

    async def start(self, request: web.Request) -> web.Response:
        """POST /v2/templates/{id}/builds/{build}: build, or take note of the steps."""
        build = self.build(request)
        build.request = await request.json()
        request[wire.ENTRY].note(build.request)
        build.status = "building"
        task = asyncio.create_task(self.finish(build))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return web.Response(status=202)

    async def finish(self, build: Build) -> None:
        """Carry a build to its end."""
        if failure := self.cloud.faults.take("template.build", None, "fail_build"):
            build.log(failure.message, "error")
            build.failure, build.status = (failure.message, failure.step), "error"
            return
        await run_steps(self.cloud, build)

    async def status(self, request: web.Request) -> web.Response:
        """GET the status of a build, with the log from an offset on, at most 100 lines."""
        build = self.build(request)
        offset = int(request.query.get("logsOffset", 0))
        answer: dict[str, Any] = {
            "templateID": request.match_info["id"],
            "buildID": build.build_id,
            "status": build.status,
            "logs": [],
            "logEntries": build.logs[offset : offset + 100],
        }
        if build.failure:
            message, step = build.failure
            answer["reason"] = {"message": message, "step": step}
        return web.json_response(answer)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /templates/{id}."""
        if not self.templates.remove(request.match_info["id"]):
            raise ApiError(404, f"template '{request.match_info['id']}' not found")
        return web.Response(status=204)

    async def assign_tags(self, request: web.Request) -> web.Response:
        """POST /templates/tags: more tags for the build of a name and tag."""
        body = await request.json()
        request[wire.ENTRY].note(body)
        found = self.templates.find(body["target"])
        if found is None:
            raise ApiError(404, f"template '{body['target']}' not found")
        template, build = found
        template.tags |= dict.fromkeys(body["tags"], build.build_id)
        return web.json_response({"tags": body["tags"], "buildID": build.build_id}, status=201)
