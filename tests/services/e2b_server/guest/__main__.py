"""The first process of a sandbox: starts its processes, reaps them, opens its files.

Run as a program (``python -I -S guest CONFIG``; the modules beside it know nothing of the server) with a Unix socket
as descriptor 0. Where the machine allows it, it moves into user, mount and process namespaces of its own first, with
a root folder of its own: the system's folders and the test environment's Python read-only, everything else private.
Elsewhere it stays outside and maps the sandbox's paths into the sandbox's folder. When the socket closes, everything
in the sandbox dies.

Both directions speak frames: four bytes of length, then JSON; descriptors travel beside a frame, in order.
Requests carry ``id`` and ``op``; answers carry ``id`` and ``result`` or ``error``; ends of processes carry ``exit``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from typing import Any

from files import Files
from namespaces import adopt_orphans, die_with_parent, enter_root, leave_the_machine
from paths import Paths
from processes import Processes, reap


class Init:
    """Answers the server until it goes away."""

    def __init__(self, link: socket.socket, paths: Paths, marker: str, in_namespace: bool) -> None:
        """``link``: the socket to the server."""
        self.link = link
        self.files = Files(paths)
        self.processes = Processes(paths, marker, in_namespace)
        self.received = bytearray()
        self.descriptors: list[int] = []

    def run(self) -> None:
        """Serve until the socket closes, then end everything."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake)
        self.send({"ready": os.getpid()})
        while True:
            readable, _, _ = select.select([self.link.fileno(), woken], [], [])
            if woken in readable:
                os.read(woken, 4096)
                reap(lambda pid, status: self.send({"exit": pid, "status": status}))
            if self.link.fileno() in readable and not self.receive():
                break
        while self.processes.kill_all():
            reap(lambda pid, status: None)

    def receive(self) -> bool:
        """Take what has come and answer it; False at the end."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.link, 1 << 16, 16, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        self.descriptors += descriptors
        self.received += data
        while len(self.received) >= 4:
            end = 4 + int.from_bytes(self.received[:4], "big")
            if len(self.received) < end:
                break
            request = json.loads(self.received[4:end])
            del self.received[:end]
            self.answer(request)
        return bool(data)

    def answer(self, request: dict[str, Any]) -> None:
        """Do one request and send what came of it."""
        number, op = request.pop("id"), request.pop("op")
        taken = [self.descriptors.pop(0) for _ in range(request.pop("fds", 0))]
        given: list[int] = []
        try:
            if op == "processes.spawn":
                result = self.processes.spawn(**request, descriptors=taken)
            elif op == "files.open":
                result, descriptor = self.files.open(**request)
                given.append(descriptor)
            else:
                room, _, name = op.partition(".")
                result = getattr(self.files if room == "files" else self.processes, name)(**request)
            self.send({"id": number, "result": result, "fds": len(given)}, given)
        except OSError as error:
            self.send({"id": number, "error": error.errno, "message": str(error.strerror)})
        finally:
            for descriptor in taken + given:
                os.close(descriptor)

    def send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        """Send one frame; nobody there to hear it is fine."""
        body = json.dumps(message).encode()
        frame = len(body).to_bytes(4, "big") + body
        try:
            sent = socket.send_fds(self.link, [frame], descriptors or [])
            self.link.sendall(frame[sent:])
        except ConnectionError:
            return


def main(config: dict[str, Any]) -> int:
    """Set the sandbox up and serve; ``probe``: only see whether the machine allows namespaces."""
    link = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    if not config["namespaces"]:
        adopt_orphans()
        Init(link, Paths(config["root"]), config["marker"], in_namespace=False).run()
        return 0
    leave_the_machine()
    die_with_parent()  # after it: new rights take a wish for a death signal away
    child = os.fork()
    if child:
        link.close()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    die_with_parent()
    enter_root(config["root"], config["exposed"])
    if not config["probe"]:
        Init(link, Paths(""), config["marker"], in_namespace=True).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
