"""A private MariaDB server: own data directory, loopback, a free port; killed at the end whatever happens."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pymysql
from programs import need

PATIENCE = 120.0


class MariaDBServer:
    """One server over ``folder``; started by :meth:`start` or by entering it.

    Args:
        folder: Where the data goes; made where it is missing.
        options: Of the server by name, as ``{"local_infile": 0, "ssl_ca": path}``.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.options = dict(options or {})
        self.host = "127.0.0.1"
        self.port = _free_port()
        # Not in the data directory: the path of a socket may have no more than 107 characters.
        self._runtime = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self.socket = self._runtime / "s"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def url(self) -> str:
        """Root's, over TCP, without a database."""
        return f"mysql://root@{self.host}:{self.port}"

    def start(self) -> MariaDBServer:
        """Install where this is the first time, start, and wait until it answers."""
        data = self.folder / "data"
        if not data.exists():
            self._install(data)
        given = [f"--{name.replace('_', '-')}={value}" for name, value in self.options.items()]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    need("mariadbd"),
                    "--no-defaults",
                    f"--datadir={data}",
                    f"--user={getpass.getuser()}",
                    f"--port={self.port}",
                    f"--bind-address={self.host}",
                    f"--socket={self.socket}",
                    f"--tmpdir={self._runtime}",
                    f"--pid-file={self._runtime / 'pid'}",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=128M",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--max-allowed-packet=64M",
                    "--performance-schema=OFF",
                    *given,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_it_answers()
        return self

    def stop(self) -> None:
        """End the server in order; what it holds stays."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None, "the server is not running"
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Kill it and remove everything."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._runtime, ignore_errors=True)

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        """Root, over the socket; autocommit. ``options`` are PyMySQL's."""
        given = {"unix_socket": str(self.socket), "user": "root", "charset": "utf8mb4", "autocommit": True}
        # PyMySQL would read all certificates of the machine first.
        return pymysql.connect(**{**given, "ssl_disabled": True, **options})

    def __enter__(self) -> MariaDBServer:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _install(self, data: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [
                need("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={data}",
                f"--user={getpass.getuser()}",
                f"--tmpdir={self._runtime}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._listens():
            assert self._process is not None
            log = self.folder / "server.log"
            assert self._process.poll() is None, log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < until, log.read_text(errors="replace")[-4000:]
            time.sleep(0.02)
        self.connect().close()

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
