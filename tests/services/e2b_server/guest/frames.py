"""Messages between the server and a sandbox's first process: four bytes of length, JSON, descriptors beside it."""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Iterator
from typing import Any

BLOCK = 1 << 16
MOST = 16


def send(link: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    """Send one message; waits until it is on its way.

    Raises:
        OSError: Nobody is there.
    """
    body = json.dumps(message | {"fds": len(descriptors)}).encode()
    frame = len(body).to_bytes(4, "big") + body
    sent = socket.send_fds(link, [frame], descriptors)
    link.sendall(frame[sent:])


class Inbox:
    """What has come over a socket so far."""

    def __init__(self, link: socket.socket) -> None:
        """``link``: a stream socket of the Unix family."""
        self.link = link
        self.received = bytearray()
        self.descriptors: list[int] = []

    def fill(self) -> bool:
        """Take what is there without waiting; False where the other side is gone."""
        # socket.recv_fds takes flags and forgets them: what it receives would be inherited by every child.
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            data, beside, _, _ = self.link.recvmsg(BLOCK, socket.CMSG_LEN(MOST * array.array("i").itemsize), flags)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for level, kind, given in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(given[: len(given) - len(given) % numbers.itemsize])
                self.descriptors += numbers
        self.received += data
        return bool(data)

    def messages(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """The whole messages, each with its descriptors."""
        while len(self.received) >= 4:
            end = 4 + int.from_bytes(self.received[:4], "big")
            if len(self.received) < end:
                return
            message = json.loads(self.received[4:end])
            del self.received[:end]
            yield message, [self.descriptors.pop(0) for _ in range(message.pop("fds"))]
