"""Hosts that are killed, and their runs taken up again: no row lost or doubled, and no two workers at a time."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from e2b_server import E2BServer
from mariadb_server import MariaDBServer

from osiris.core.cancellation import Cancellation
from osiris.core.engine.elsewhere import Elsewhere
from osiris.core.events.bus import EventBus

from .conftest import InSandbox, Listener, environment_of, names, only, rogue_steps, wait_for

OSIRIS = Path(sys.executable).with_name("osiris")
ROWS = 500

GATED = '''
    def gate(self):
        """Wait until the test lets us pass; it hears when we are gone."""
        import socket
        with socket.create_connection(("127.0.0.1", self.config["port"])) as line:
            line.settimeout(0.05)
            self.ctx.log_event("at_the_gate")
            while True:
                if self.config.get("listens", True):
                    self.ctx.raise_if_cancelled()
                try:
                    if not line.recv(1):
                        raise RuntimeError("the gate is gone")
                    return
                except TimeoutError:
                    pass
'''


class Gate:
    """Where drivers in sandboxes wait; says who came and who went, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lines: dict[socket.socket, int] = {}
        self._is_open = False
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="gate")
        self._thread.start()

    def open(self) -> None:
        """Let pass who waits and who comes."""
        self._ours.send(b"o")

    def close(self) -> None:
        self._ours.close()
        self._thread.join()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._theirs:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._theirs, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._listener:
                        line = self._listener.accept()[0]
                        selector.register(line, selectors.EVENT_READ)
                        self._lines[line] = number = sum(text.startswith("came") for text in self.seen) + 1
                        self.seen.append(f"came {number}")
                        if self._is_open:
                            line.send(b"x")
                    elif key.fileobj is self._theirs:
                        if not self._theirs.recv(1):
                            for line in self._lines:
                                line.close()
                            return
                        self._is_open = True
                        for line in self._lines:
                            line.send(b"x")
                    else:
                        self._gone(selector, key.fileobj)

    def _gone(self, selector: selectors.BaseSelector, line: Any) -> None:
        with suppress(OSError):
            line.recv(1)
        selector.unregister(line)
        self.seen.append(f"went {self._lines.pop(line)}")
        line.close()


@pytest.fixture
def gate(rogue: Path) -> Iterator[Gate]:
    actor = rogue / "rogue" / "actor.py"
    actor.write_text(actor.read_text() + GATED)
    gate = Gate()
    yield gate
    gate.close()


# A worker that nobody speaks to

HOST = """
import sys
from pathlib import Path
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.lifecycle import run_pipeline
from osiris.remote.e2b_transparent_proxy import E2BTransparentProxy

folder, port, listens = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "listens"
config = {"do": "gate", "port": port, "listens": listens}
manifest = {"version": "1.0.0", "name": "x", "steps": [{"id": "s", "driver": "rogue.actor", "config": config}]}
context = ExecutionContext("host", folder / "session", base_dir=folder)
result = run_pipeline(E2BTransparentProxy(template="base", timeout=3600, patience=4), manifest, context)
print(result.status, result.error.code, flush=True)
"""


@pytest.fixture
def host(cloud: E2BServer, rogue: Path, gate: Gate, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that runs a gated step in a sandbox, and wait until that waits."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str = "listens") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOST, str(tmp_path), str(gate.port), how]
        environment = {**environment_of(cloud), "PYTHONPATH": str(rogue)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        wait_for(lambda: gate.seen or process.poll() is not None)
        assert gate.seen == ["came 1"]
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", ["listens", "does not listen"])
def test_the_worker_of_a_killed_host_stops_by_itself(how: str, cloud: E2BServer, host: Any, gate: Gate) -> None:
    process = host(how)
    (sandbox,) = cloud.sandboxes
    process.kill()
    wait_for(lambda: gate.seen == ["came 1", "went 1"])
    assert sandbox.ended_by is None, "not because the sandbox was over: that has an hour left"
    cloud.faults.kill_sandbox(sandbox.sandbox_id)


def test_a_host_that_slept_finds_out(cloud: E2BServer, host: Any, gate: Gate) -> None:
    process = host()
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: gate.seen == ["came 1", "went 1"])
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=120)
    assert said.split() == ["failed", "worker.abandoned"]
    assert cloud.history[-1].ended_by == "killed"


def test_a_worker_that_is_given_signs_goes_on(cloud: E2BServer, run: InSandbox, gate: Gate) -> None:
    before = len(cloud.log.of("process.SendInput"))

    def let_pass() -> None:
        wait_for(lambda: gate.seen)
        wait_for(lambda: len(cloud.log.of("process.SendInput")) - before > 12)  # more than its patience
        gate.open()

    watcher = threading.Thread(target=let_pass, name="let pass")
    watcher.start()
    result, _ = run(rogue_steps({"do": "gate", "port": gate.port}), patience=5)
    watcher.join()
    assert result.status == "success", result.error


# Resume


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """A server that sandboxes reach."""
    with MariaDBServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


class Project:
    """A pipeline that writes to a table and a file, waits at the gate, and writes another file."""

    def __init__(self, folder: Path, cloud: E2BServer, rogue: Path, gate: Gate, database: MariaDBServer) -> None:
        self.folder = folder
        self.database = database
        self._environment = {**environment_of(cloud), "PYTHONPATH": str(rogue)}
        folder.mkdir()
        self.ask("create database shop")
        shop = {"host": database.host, "port": database.port, "user": "root", "database": "shop"}
        connections = {"connections": {"mysql": {"shop": shop}}}
        (folder / "osiris_connections.yaml").write_text(json.dumps(connections))
        (folder / "rows.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(ROWS)))
        (folder / "out.csv").write_text("id\n-1\n")
        rows = {"inputs": {"df": "${read.df}"}}
        table = {"connection": "@mysql.shop", "table": "orders", "write_mode": "append"}
        steps: list[dict[str, Any]] = [
            {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "rows.csv"}},
            {"id": "table", "driver": "mysql.writer", "config": table, **rows},
            {
                "id": "file",
                "driver": "filesystem.csv_writer",
                "config": {"path": "out.csv", "write_mode": "append"},
                **rows,
            },
            {
                "id": "gate",
                "driver": "rogue.actor",
                "config": {"do": "gate", "port": gate.port},
                "needs": ["table", "file"],
            },
            {
                "id": "last",
                "driver": "filesystem.csv_writer",
                "config": {"path": "last.csv"},
                "needs": ["gate"],
                **rows,
            },
        ]
        (folder / "pipeline.yaml").write_text(json.dumps({"version": "1.0.0", "name": "load", "steps": steps}))

    def start(self, *arguments: str, adapter: str = "e2b") -> subprocess.Popen[str]:
        command = [str(OSIRIS), "run", *arguments, "--adapter", adapter]
        command += ["--adapter-option", "template=base"] if adapter == "e2b" else []
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self._environment, **pipes)

    def ask(self, sql: str) -> Any:
        with closing(self.database.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    @property
    def session(self) -> Path:
        (found,) = (self.folder / ".osiris" / "runs").iterdir()
        return found

    def is_whole(self) -> bool:
        assert self.ask("select count(*), count(distinct id), min(id), max(id) from shop.orders") == (
            (ROWS, ROWS, 0, ROWS - 1),
        )
        assert (self.folder / "out.csv").read_text().split() == ["id", "-1", *map(str, range(ROWS))]
        assert (self.folder / "last.csv").read_text().split() == ["id", *map(str, range(ROWS))]
        assert not [path.name for path in self.folder.iterdir() if path.name.endswith(".part")]
        left = {"elsewhere.json", "landing.json", "tmp", "worker"}
        assert left.isdisjoint(path.name for path in self.session.iterdir())
        return True


@pytest.fixture
def shop(cloud: E2BServer, rogue: Path, gate: Gate, database: MariaDBServer, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "shop", cloud, rogue, gate, database)
    yield project
    project.ask("drop database shop")


def kill_at_the_gate(shop: Project, gate: Gate) -> None:
    """The table has its rows; nothing has come home."""
    with shop.start("pipeline.yaml") as process:
        wait_for(lambda: gate.seen or process.poll() is not None)
        process.kill()
        said, _ = process.communicate()
    assert gate.seen == ["came 1"], said
    assert shop.ask("select count(*) from shop.orders") == ((ROWS,),)
    assert (shop.folder / "out.csv").read_text() == "id\n-1\n"


def test_a_run_whose_host_was_killed_in_its_middle(shop: Project, gate: Gate, cloud: E2BServer) -> None:
    kill_at_the_gate(shop, gate)
    (first,) = cloud.sandboxes
    gate.open()  # the worker that nobody waits for would go on, too
    wait_for(lambda: "went 1" in gate.seen)
    with shop.start("--resume", "last") as process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert first.ended_by == "killed"
    assert shop.is_whole()


def test_the_worker_of_a_killed_host_is_ended_before_the_resumed_run_begins(
    shop: Project, gate: Gate, cloud: E2BServer
) -> None:
    kill_at_the_gate(shop, gate)
    with shop.start("--resume", "last") as process:
        wait_for(lambda: "came 2" in gate.seen or process.poll() is not None)
        gate.open()
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert gate.seen[:3] == ["came 1", "went 1", "came 2"]
    assert shop.is_whole()


def test_a_run_whose_host_was_killed_while_it_collected(shop: Project, gate: Gate, cloud: E2BServer) -> None:
    with shop.start("pipeline.yaml") as process:
        wait_for(lambda: gate.seen or process.poll() is not None)
        before = len(cloud.log.of("process.Start"))
        cloud.faults.hang("process.Start")
        gate.open()
        wait_for(lambda: len(cloud.log.of("process.Start")) > before or process.poll() is not None)
        process.kill()
        process.communicate()
    cloud.faults.clear()
    assert "collect_start" in (shop.session / "events.jsonl").read_text()
    assert not (shop.folder / "last.csv").exists()
    with shop.start("--resume", "last") as process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert shop.is_whole()


def test_a_run_that_is_resumed_here_after_its_host_was_killed(shop: Project, gate: Gate, cloud: E2BServer) -> None:
    kill_at_the_gate(shop, gate)
    (sandbox,) = cloud.sandboxes
    assert Elsewhere(shop.session).facts() == {"sandbox_id": sandbox.sandbox_id}
    assert Elsewhere(shop.session).seconds_left() > 60
    cloud.faults.kill_sandbox(sandbox.sandbox_id)
    long_ago = time.time() - 106  # else it would be waited for
    os.utime(shop.session / "elsewhere.json", (long_ago, long_ago))
    gate.open()
    with shop.start("--resume", "last", adapter="local") as process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert shop.is_whole()


def test_a_worker_that_cannot_be_found_is_waited_for(run: InSandbox, tmp_path: Path) -> None:
    """Perhaps it is another account's."""
    elsewhere, cancellation = Elsewhere(tmp_path / "session"), Cancellation()
    elsewhere.begin("E2B sandbox inobody", 3600.0, {"sandbox_id": "inobody"})
    bus = EventBus("run")
    bus.subscribe(Listener("worker_awaited", lambda event: cancellation.request("cancelled")))
    result, context = run("csv-sql-csv", context={"bus": bus, "cancellation": cancellation})
    assert result.status == "cancelled"
    assert only(context, "worker_awaited")["place"] == "E2B sandbox inobody"
    assert "execute_start" not in names(context)
    assert elsewhere.facts() == {"sandbox_id": "inobody"}
    elsewhere.begin("E2B sandbox inobody", 0.0, {"sandbox_id": "inobody"})
    long_ago = time.time() - 16
    os.utime(tmp_path / "session" / "elsewhere.json", (long_ago, long_ago))
    result, _ = run("csv-sql-csv")
    assert result.status == "success", result.error
    assert elsewhere.facts() is None
