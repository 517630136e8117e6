"""Files of a sandbox: the calls about folders and entries, and the transfers."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from . import wire
from .processes import USERS, username
from .sandbox import Sandbox
from .wire import ConnectError

BLOCK = 256 * 1024
KINDS = {"dir": "FILE_TYPE_DIRECTORY", "file": "FILE_TYPE_FILE", "other": "FILE_TYPE_UNSPECIFIED"}
CODES = {
    errno.ENOENT: "not_found",
    errno.EEXIST: "already_exists",
    errno.ENOTDIR: "invalid_argument",
    errno.EISDIR: "invalid_argument",
    errno.EACCES: "permission_denied",
}
STATUSES = {errno.ENOENT: 404, errno.EISDIR: 400, errno.ENOTDIR: 400, errno.ENOSPC: 507, errno.EACCES: 403}


def entry_info(sandbox: Sandbox, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as EntryInfo has it."""
    modified = datetime.fromtimestamp(entry["modified_ns"] / 1e9, UTC)
    info = {
        "name": entry["name"],
        "type": KINDS[entry["type"]],
        "path": entry["path"],
        "size": str(entry["size"]),
        "mode": entry["mode"],
        "permissions": entry["permissions"],
        "owner": entry["owner"],
        "group": entry["owner"],
        "modifiedTime": modified.isoformat().replace("+00:00", "Z"),
        "metadata": sandbox.file_metadata.get(entry["path"], {}),
    }
    return info if entry["target"] is None else info | {"symlinkTarget": entry["target"], "isSymlink": True}


async def ask(sandbox: Sandbox, op: str, **arguments: Any) -> Any:
    """Have a file operation done; its errors become the daemon's."""
    try:
        return await sandbox.link.ask(f"files.{op}", **arguments)
    except OSError as error:
        code = CODES.get(error.errno or 0, "internal")
        raise ConnectError(code, f"path '{next(iter(arguments.values()))}': {error.strerror}") from error


def sandbox_of(request: web.Request, body: dict[str, Any]) -> Sandbox:
    """The sandbox that a request is for; the body is logged, the user checked."""
    request[wire.ENTRY].note(body)
    username(request)
    return request[wire.SANDBOX]


class FilesystemCalls:
    """The handlers of filesystem.Filesystem."""

    def routes(self) -> list[web.RouteDef]:
        """The routes, each named as faults know it."""
        handlers = {
            "Stat": self.stat,
            "MakeDir": self.make_dir,
            "Move": self.move,
            "ListDir": self.list_dir,
            "Remove": self.remove,
        }
        return [
            web.post(f"/filesystem.Filesystem/{name}", wire.unary(handler), name=f"filesystem.{name}")
            for name, handler in handlers.items()
        ]

    async def stat(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """One entry."""
        sandbox = sandbox_of(request, body)
        return {"entry": entry_info(sandbox, await ask(sandbox, "stat", path=body.get("path", "")))}

    async def make_dir(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Make a folder and those above it."""
        sandbox = sandbox_of(request, body)
        return {"entry": entry_info(sandbox, await ask(sandbox, "make_dir", path=body.get("path", "")))}

    async def move(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Rename an entry."""
        sandbox = sandbox_of(request, body)
        entry = await ask(sandbox, "move", source=body.get("source", ""), destination=body.get("destination", ""))
        return {"entry": entry_info(sandbox, entry)}

    async def list_dir(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """The entries of a folder."""
        sandbox = sandbox_of(request, body)
        entries = await ask(sandbox, "list", path=body.get("path", ""), depth=body.get("depth") or 1)
        return {"entries": [entry_info(sandbox, entry) for entry in entries]}

    async def remove(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        """Remove an entry with all in it."""
        await ask(sandbox_of(request, body), "remove", path=body.get("path", ""))
        return {}


class Transfers:
    """The handlers of /files; what is in the files is not logged."""

    def routes(self) -> list[web.RouteDef]:
        """The routes, each named as faults know it."""
        return [
            web.get("/files", self.read, name="files.read", allow_head=False),
            web.post("/files", self.write, name="files.write"),
        ]

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET /files: the bytes of a file, or of a range of it."""
        if refusal := refuse_user(request):
            return refusal
        path = request.query.get("path", "")
        request[wire.ENTRY].note({"path": path})
        try:
            entry, descriptor = await request[wire.SANDBOX].link.ask("files.open", path=path, write=False)
        except OSError as error:
            return file_error(path, error)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            size = entry["size"]
            wanted = request.http_range
            first = size + wanted.start if (wanted.start or 0) < 0 else wanted.start or 0
            last = min(wanted.stop or size, size)
            response = web.StreamResponse(status=206 if "Range" in request.headers else 200)
            response.content_type = "application/octet-stream"
            response.content_length = last - first
            response.headers["Accept-Ranges"] = "bytes"
            if response.status == 206:
                response.headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
            await response.prepare(request)
            file.seek(first)
            left = last - first
            while left and (block := file.read(min(BLOCK, left))):
                await response.write(block)
                left -= len(block)
            await response.write_eof()
        return response

    async def write(self, request: web.Request) -> web.Response:
        """POST /files: one file as it is, or several as a form."""
        if refusal := refuse_user(request):
            return refusal
        path = request.query.get("path")
        written: list[dict[str, Any]] = []
        try:
            if request.content_type == "multipart/form-data":
                async for part in await request.multipart():
                    assert isinstance(part, BodyPartReader)
                    name = path or unquote(part.filename or "")
                    written.append(await self.store(request, name, blocks_of(part)))
            else:
                written.append(await self.store(request, path or "", request.content.iter_chunked(BLOCK)))
        except OSError as error:
            return file_error(path or "", error)
        request[wire.ENTRY].note({"paths": [one["path"] for one in written]})
        return web.json_response(written)

    async def store(self, request: web.Request, path: str, blocks: AsyncIterator[bytes]) -> dict[str, Any]:
        """Write one file in place: who reads it meanwhile finds half of it."""
        sandbox: Sandbox = request[wire.SANDBOX]
        entry, descriptor = await sandbox.link.ask("files.open", path=path, write=True)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            async for block in blocks:
                left = memoryview(block)
                while left:
                    left = left[file.write(left) :]
        prefix = "x-metadata-"
        metadata = {
            name.lower().removeprefix(prefix): value
            for name, value in request.headers.items()
            if name.lower().startswith(prefix)
        }
        sandbox.file_metadata[entry["path"]] = metadata
        return {"path": entry["path"], "name": entry["name"], "type": "file", "metadata": metadata}


async def blocks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The bytes of one part of a form."""
    while block := await part.read_chunk(BLOCK):
        yield block


def file_error(path: str, error: OSError) -> web.Response:
    """The answer where a file could not be opened or written."""
    status = STATUSES.get(error.errno or 0, 500)
    return wire.plain_error(status, f"path '{path}': {error.strerror}")


def refuse_user(request: web.Request) -> web.Response | None:
    """The answer for a user that does not exist."""
    name = request.query.get("username", "user")
    return None if name in USERS else wire.plain_error(401, f"invalid username: '{name}'")
