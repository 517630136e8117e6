"""A server for tests that speaks E2B's protocol on loopback, so that the real SDK works without the cloud.

``with E2BServer() as server`` runs it in a thread; ``python -m e2b_server --port N`` as a program. One port serves the
control plane and all sandboxes; ``E2B(**server.connection)`` or the variables of ``server.environment`` lead there.

A sandbox is a folder, its processes are real. Where the machine allows namespaces (``server.isolation``), it has a
root folder of its own: the system and the tests' Python read-only, nothing else of the machine, its own process
numbers. Elsewhere (``paths``) its own folders (``/home/user``, ``/tmp``, ``/opt``, ``/mnt``, ``/code``) are mapped in
file calls, command lines and variables, but not in what files say: there, let programs use ``$HOME``.

The habits of the real thing: a deadline kills the process, output that nobody hears is dropped, a stream that is not
read stalls its process, the end of a process can be asked for during ``Options.exit_event_seconds``, unary bodies and
starts are logged (``server.log.find(secret)``). ``server.faults`` makes things go wrong; `RemoteServer` does so for a
server in another process. Not there: terminals (pty), volumes, snapshots, forks, network rules.
"""

from __future__ import annotations

from .admin import RemoteServer
from .cloud import Options
from .server import E2BServer

__all__ = ["E2BServer", "Options", "RemoteServer"]
