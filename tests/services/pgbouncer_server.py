"""A private PgBouncer in front of a :class:`PostgresServer`, on loopback, gone at the end."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import quote

import psycopg
from postgres_server import PASSWORD, PostgresServer, unprivileged
from programs import need

PATIENCE = 120.0

CONFIG = """
[databases]
* = host={server.host} port={server.port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
server_round_robin = 1
logfile = {folder}/log
"""


class PgBouncer:
    """A pooler of one mode; knows the user ``postgres``.

    Args:
        server: What it stands before.
        mode: Whether a client keeps a server's session to its end, or to the end of each transaction.
        size: How many sessions of the server it uses. In turns, so that nobody keeps one by chance.
    """

    def __init__(self, server: PostgresServer, mode: Literal["session", "transaction"], *, size: int = 3) -> None:
        self.server, self.mode = server, mode
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="osiris-pgbouncer-"))
        self._size = size
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def dsn(self, database: str) -> str:
        """A connection string through the pooler."""
        return f"postgresql://postgres:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> PgBouncer:
        """Start it and wait until it lets somebody through."""
        path = need("pgbouncer")
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            CONFIG.format(server=self.server, port=self.port, folder=self.folder, mode=self.mode, size=self._size)
        )
        users = self.folder / "users"
        users.write_text(f'"postgres" "{PASSWORD}"\n')
        who = unprivileged()
        for owned in (self.folder, settings, users):
            if who:
                shutil.chown(owned, who["user"], who["group"])
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [path, settings], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                env={"PATH": os.environ.get("PATH", "")}, **who,
            )  # fmt: skip
        self._wait()
        return self

    def stop(self) -> None:
        """End it at once, and remove everything. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.dsn("postgres")).close()
            except psycopg.OperationalError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def __enter__(self) -> PgBouncer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
