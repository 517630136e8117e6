"""The Connect protocol as the SDK speaks it: JSON, five bytes before each message of a stream, no compression."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from .log import Entry
from .sandbox import Sandbox

ENTRY = web.RequestKey("entry", Entry)
SANDBOX = web.RequestKey("sandbox", Sandbox)
STREAM = "application/connect+json"
END = 2
STATUS = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "unauthenticated": 401,
}
"""Connect's error codes and the HTTP status of a unary answer."""

Unary = Callable[[web.Request, dict[str, Any]], Awaitable[dict[str, Any]]]


class ConnectError(Exception):
    """An answer of the sandbox's daemon that is an error."""

    def __init__(self, code: str, message: str) -> None:
        """``code`` is one of `STATUS`."""
        super().__init__(message)
        self.code = code

    @property
    def body(self) -> dict[str, str]:
        """The error as it goes over the wire."""
        return {"code": self.code, "message": str(self)}


def plain_error(status: int, message: str, **more: Any) -> web.Response:
    """An error in the form of the control plane, the file transfers and the proxy."""
    return web.json_response({"code": status, "message": message, **more}, status=status)


def envelope(message: dict[str, Any], flags: int = 0) -> bytes:
    """One message of a stream."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return flags.to_bytes(1, "big") + len(body).to_bytes(4, "big") + body


def deadline(request: web.Request) -> float | None:
    """The seconds that the client gives this call, None for ever."""
    text = request.headers.get("Connect-Timeout-Ms")
    return int(text) / 1000 if text else None


def unary(handle: Unary) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Wrap the handler of a unary call: JSON in, JSON out, errors by code."""

    async def answer(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read() or b"{}")
            async with asyncio.timeout(deadline(request)):
                return web.json_response(await handle(request, body))
        except TimeoutError:
            error = ConnectError("deadline_exceeded", "context deadline exceeded")
        except ConnectError as caught:
            error = caught
        return web.json_response(error.body, status=STATUS[error.code])

    return answer


async def open_stream(request: web.Request) -> web.StreamResponse:
    """Begin the answer to a streaming call."""
    response = web.StreamResponse(headers={"Content-Type": STREAM})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


async def end_stream(response: web.StreamResponse, error: ConnectError | None = None) -> None:
    """Say that a stream is complete, and whether it failed."""
    await response.write(envelope({"error": error.body} if error else {}, END))
    await response.write_eof()


async def read_one(request: web.Request) -> dict[str, Any]:
    """The only message of a streaming call that sends one."""
    async for message in read_stream(request):
        return message
    raise ConnectError("invalid_argument", "the request holds no message")


async def read_stream(request: web.Request) -> AsyncIterator[dict[str, Any]]:
    """The messages that a client streams."""
    while True:
        try:
            head = await request.content.readexactly(5)
            body = await request.content.readexactly(int.from_bytes(head[1:], "big"))
        except asyncio.IncompleteReadError:
            return
        if head[0] & END:
            return
        yield json.loads(body)
