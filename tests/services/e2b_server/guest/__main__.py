"""The first process of a sandbox: starts its processes, reaps them, opens its files.

Run as a program (``python -I -S guest CONFIG``; the modules beside it know nothing of the server) with a Unix socket
as descriptor 0. Where the machine allows it, it moves into user, mount and process namespaces of its own first, with
a root folder of its own: the system's folders and the test environment's Python read-only, everything else private.
Elsewhere it stays outside and maps the sandbox's paths into the sandbox's folder. When the socket closes, everything
in the sandbox dies.

Requests carry ``id`` and ``op``; answers carry ``id`` and ``result`` or ``error``; ends of processes carry ``exit``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

import frames
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
        self.inbox = frames.Inbox(link)

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
        alive: bool = self.inbox.fill()
        for request, descriptors in self.inbox.messages():
            self.answer(request, descriptors)
        return alive

    def answer(self, request: dict[str, Any], taken: list[int]) -> None:
        """Do one request and send what came of it."""
        number, op = request.pop("id"), request.pop("op")
        given: list[int] = []
        try:
            if op == "processes.spawn":
                result: Any = self.processes.spawn(**request, descriptors=taken)
            elif op == "files.open":
                result, descriptor = self.files.open(**request)
                given.append(descriptor)
            else:
                room, _, name = op.partition(".")
                result = getattr(self.files if room == "files" else self.processes, name)(**request)
            self.send({"id": number, "result": result}, given)
        except OSError as error:
            self.send({"id": number, "error": [error.errno, str(error.strerror), error.filename]})
        finally:
            for descriptor in taken + given:
                os.close(descriptor)

    def send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        """Send one message; nobody there to hear it is fine."""
        with contextlib.suppress(ConnectionError):
            frames.send(self.link, message, descriptors or [])


def main(config: dict[str, Any]) -> int:
    """Set the sandbox up and serve; ``probe``: only see whether the machine allows namespaces."""
    link = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    if not config["namespaces"]:
        adopt_orphans()
        Init(link, Paths(config["root"], tuple(config["exposed"])), config["marker"], in_namespace=False).run()
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
