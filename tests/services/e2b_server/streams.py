"""An open stream of events to a client, and the ways in which it can break."""

from __future__ import annotations

import asyncio
import base64
import socket
import struct
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from . import wire

How = Literal["reset", "close", "end", "error"]
"""How a stream breaks: the connection is reset (what is on its way is lost) or closed; or the stream ends
without an end frame, which no client takes for an error; or with an error that says nothing of the sandbox."""

Where = Literal["between", "mid_line", "mid_frame"]
"""Where a stream breaks: between two events, in the middle of a line of output, or inside a frame."""


@dataclass(frozen=True)
class Cut:
    """When, where and how a stream breaks: after so many milliseconds, or after so many bytes of output."""

    how: How = "reset"
    where: Where = "between"
    after_ms: float | None = None
    after_bytes: int | None = None


class StreamCutError(Exception):
    """The stream was cut on purpose."""


class Stream:
    """The answer to one streaming call."""

    def __init__(self, request: web.Request, operation: str, sandbox_id: str, cut: Cut | None) -> None:
        """``cut``: the fault that is to happen to this stream, if any."""
        self.request = request
        self.operation = operation
        self.sandbox_id = sandbox_id
        self.plan = cut
        self.output = 0
        self.hole = False
        self.broken: How | None = None
        self.task = asyncio.current_task()
        self.timer: asyncio.TimerHandle | None = None
        if cut and cut.after_ms is not None:
            self.timer = asyncio.get_running_loop().call_later(cut.after_ms / 1000, self.cut, cut.how)

    async def open(self) -> None:
        """Send the head of the answer."""
        self.response = await wire.open_stream(self.request)

    async def send(self, event: dict[str, Any]) -> None:
        """Send one event, or as much of it as the fault allows; waits while the client does not read.

        Raises:
            StreamCutError: The fault has come true.
        """
        if self.hole:
            return
        size = output_of(event)
        self.output += size
        plan = self.plan
        if plan is None or plan.after_bytes is None or not size or self.output <= plan.after_bytes:
            await self.response.write(wire.envelope({"event": event}))
            return
        if plan.where == "mid_line":
            await self.response.write(wire.envelope({"event": half(event)}))
        elif plan.where == "mid_frame":
            frame = wire.envelope({"event": event})
            await self.response.write(frame[: len(frame) // 2])
        self.broken = plan.how
        raise StreamCutError

    def cut(self, how: How) -> None:
        """Break the stream now, whatever it is doing."""
        if self.broken is None and self.task is not None:
            self.broken = how
            self.task.cancel()

    async def finish(self, error: wire.ConnectError | None = None) -> None:
        """End as streams should; in a black hole nobody ever hears of it."""
        if self.hole:
            await asyncio.Event().wait()
        await wire.end_stream(self.response, error)

    async def break_off(self) -> None:
        """End as the fault says."""
        if self.broken == "error":
            await wire.end_stream(self.response, wire.ConnectError("unavailable", "the connection was lost"))
        elif self.broken == "end":
            await self.response.write_eof()
        else:
            disconnect(self.request, reset=self.broken == "reset")

    def close(self) -> None:
        """Forget the timer."""
        if self.timer:
            self.timer.cancel()


def disconnect(request: web.Request, *, reset: bool) -> None:
    """Close a client's connection without an answer; ``reset`` throws away what is on its way."""
    if request.transport is None:
        return
    if reset:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


def output_of(event: dict[str, Any]) -> int:
    """The bytes of output in an event."""
    return sum(len(base64.b64decode(text)) for text in event.get("data", {}).values())


def half(event: dict[str, Any]) -> dict[str, Any]:
    """An output event that stops in the middle of its first line."""
    ((name, text),) = event["data"].items()
    data = base64.b64decode(text)
    line = data.partition(b"\n")[0] or data
    return {"data": {name: base64.b64encode(data[: max(1, len(line) // 2)]).decode()}}
