"""A private PostgreSQL with the roles and habits of Supabase: loopback, a free port, gone at the end.

PostgreSQL does not run as root; for root it runs as ``postgres`` or ``nobody``, in a folder of the system's
temporary place, because pytest's own folders are closed to others.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from programs import need

PATIENCE = 120.0
PASSWORD = "p@ss/w:rd"  # what a DSN has to quote

CONFIG = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
fsync = off
full_page_writes = off
shared_buffers = 64MB
max_connections = 60
log_min_messages = fatal
timezone = 'Europe/Prague'
password_encryption = scram-sha-256
"""

# As on Supabase: `postgres` owns the tables but is no superuser; PostgREST logs in as `authenticator`.
TEMPLATE = """
create role postgres login createdb createrole bypassrls password {password};
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit password {password};
grant anon, authenticated, service_role to authenticator, postgres;
create role dashboard login password {password};
create database template_supabase owner postgres;
"""
IN_TEMPLATE = """
alter schema public owner to postgres;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
create function public.pgrst_watch() returns event_trigger language plpgsql as $$
begin notify pgrst, 'reload schema'; end $$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function public.pgrst_watch();
create event trigger pgrst_drop_watch on sql_drop execute function public.pgrst_watch();
"""


class PostgresServer:
    """One cluster; its bootstrap superuser is ``supabase_admin``, what users connect as is ``postgres``.

    Args:
        tls: Whether it also speaks TLS, with a certificate of its own making.
        settings: Further lines of ``postgresql.conf`` by name.
    """

    def __init__(self, *, tls: bool = False, settings: dict[str, str] | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = _free_port()
        self.tls = tls
        self.folder = Path(tempfile.mkdtemp(prefix="osiris-postgres-"))
        self._data = self.folder / "data"
        self._settings = dict(settings or {})
        self._user = _user()
        self._numbers = iter(range(1, 1_000_000))
        atexit.register(self.remove)

    @property
    def certificate(self) -> Path:
        """The certificate that signs itself; given to clients as ``sslrootcert``."""
        return self.folder / "server.crt"

    @property
    def pid(self) -> int:
        """The number of the main process."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def dsn(self, database: str = "postgres", *, user: str = "postgres", password: str = PASSWORD, **more: Any) -> str:
        """A connection string; ``more`` are libpq's parameters."""
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in more.items())
        where = f"{self.host}:{self.port}/{quote(database, safe='')}"
        return f"postgresql://{user}:{quote(password, safe='')}@{where}" + (f"?{query}" if query else "")

    def connect(self, database: str = "postgres", *, user: str = "supabase_admin", **more: Any) -> Any:
        """A psycopg connection of the superuser, autocommit."""
        return psycopg.connect(self.dsn(database, user=user, **more), autocommit=True)

    def start(self) -> PostgresServer:
        """Set the cluster up where this is the first time, start it, wait until it answers."""
        first = not self._data.exists()
        if first:
            self._set_up()
        self._start()
        if first:
            with self.connect() as admin:
                for line in filter(str.strip, TEMPLATE.format(password=_quoted(PASSWORD)).split(";\n")):
                    admin.execute(line)
            with self.connect("template_supabase") as admin:
                admin.execute(IN_TEMPLATE)
        return self

    def stop(self) -> None:
        """End it as an operator would who does not wait for clients."""
        self._run("pg_ctl", "-D", self._data, "-m", "fast", "-w", "stop")

    def kill(self) -> None:
        """End it as a power cut would: every process, at once."""
        main = psutil.Process(self.pid)
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while any(map(_runs, processes)) and time.monotonic() < deadline:
            time.sleep(0.01)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def restart(self) -> None:
        """Start it again after :meth:`stop` or :meth:`kill`; what was committed is there."""
        self._start()

    def make_database(self) -> str:
        """A new, empty database like a fresh Supabase project; its name."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as admin:
            admin.execute(f"create database {name} template template_supabase owner postgres")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with self.connect() as admin:
            admin.execute(f"drop database if exists {name} with (force)")

    def remove(self) -> None:
        """Kill it if it runs, and remove everything. Idempotent."""
        with suppress(OSError, psutil.Error, ValueError):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _set_up(self) -> None:
        self._give(self.folder)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._give(password)
        self._run(
            "initdb", "-D", self._data, "-U", "supabase_admin", "--auth=scram-sha-256", f"--pwfile={password}",
            "--no-sync", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        lines = CONFIG.format(port=self.port)
        if self.tls:
            self._make_certificate()
            lines += f"ssl = on\nssl_cert_file = '{self.certificate}'\nssl_key_file = '{self.folder}/server.key'\n"
        lines += "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        with (self._data / "postgresql.conf").open("a") as config:
            config.write(lines)

    def _make_certificate(self) -> None:
        self._run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-keyout", self.folder / "server.key", "-out", self.certificate,
        )  # fmt: skip
        self.folder.chmod(0o755)

    def _start(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._run("pg_ctl", "-D", self._data, "-l", self.folder / "log", "-w", "-t", "120", "start")
            except subprocess.CalledProcessError:
                # Somebody took the port meanwhile, or the kernel has not let go of the killed one's memory yet.
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _run(self, program: str, *arguments: str | Path) -> None:
        path = need(program)
        command = [path, *arguments]
        with (self.folder / f"{program}.out").open("ab") as out:
            subprocess.run(
                command, check=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}, **unprivileged(),
            )  # fmt: skip

    def _give(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user, _group(self._user))


@contextmanager
def running(server: PostgresServer) -> Iterator[PostgresServer]:
    """The server while the block runs, started again where the block ended it."""
    try:
        yield server
    finally:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            server.restart()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # init takes its time to bury them
    except psutil.NoSuchProcess:
        return False


def unprivileged() -> dict[str, Any]:
    """Arguments of ``subprocess`` that let a program run as somebody else where we are root: servers refuse root."""
    user = _user()
    return {} if user is None else {"user": user, "group": _group(user), "extra_groups": []}


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
