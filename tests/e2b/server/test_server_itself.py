"""The server as such: both kinds of isolation, its process form, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2b import E2B
from e2b_server import E2BServer, Options, RemoteServer
from e2b_server.process import Process

SERVICES = Path(__file__).resolve().parents[2] / "services"


@pytest.fixture(params=["namespaces", "paths"])
def isolated(request):
    with E2BServer() as probe:
        if request.param == "namespaces" and probe.isolation != "namespaces":
            pytest.skip("this machine allows no namespaces")
    with E2BServer(isolation=request.param) as server:
        yield server


def test_absolute_paths_of_the_sandbox(isolated):
    with E2B(**isolated.connection).Sandbox.create() as sandbox:
        sandbox.files.write("/home/user/deep/x.py", "import os; print(open('/etc/hostname').read() and os.getcwd())")
        ran = sandbox.commands.run("cd /home/user/deep && python3 /home/user/deep/x.py; cat ~/deep/x.py | wc -c")
        assert ran.stdout.splitlines()[0].endswith("/home/user/deep")
        assert [one.path for one in sandbox.files.list("/home/user/deep")] == ["/home/user/deep/x.py"]


def test_the_end_of_a_sandbox_is_the_end_of_its_processes(isolated, tmp_path, until):
    escape = "setsid env -i sleep 4242 >/dev/null 2>&1 & setsid sleep 4242 >/dev/null 2>&1 & (setsid sleep 4242 &)"
    sandbox = E2B(**isolated.connection).Sandbox.create()
    sandbox.commands.run(escape + " >/dev/null 2>&1")
    before = until(lambda: len(found := sleeping()) == 3 and found)
    sandbox.kill()
    until(lambda: not sleeping() & before)


def sleeping() -> set[int]:
    """The processes of this machine that sleep for 4242 seconds."""
    found = set()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command.read_bytes() == b"sleep\x004242\x00":
                found.add(int(command.parent.name))
        except OSError:
            continue
    return found


def test_nothing_is_left_open_of_a_start_that_is_given_up():
    """As where the client goes, or its sandbox ends, while the pipes of its process are being made."""

    async def give_up(pipes: int) -> None:
        process = Process({}, None)
        start = asyncio.create_task(process.start(None, {}, with_stdin=True))
        while len(process.pipes) < pipes:
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])
        assert start.cancelled()
        await asyncio.sleep(0)  # transports close in the turn that follows

    async def give_up_everywhere() -> None:
        for pipes in (0, 1):
            before = set(Path("/dev/fd").iterdir())
            await give_up(pipes)
            assert set(Path("/dev/fd").iterdir()) == before

    asyncio.run(give_up_everywhere())


def test_sandboxes_are_their_own_world(tmp_path):
    with E2BServer() as server:
        if server.isolation != "namespaces":
            pytest.skip("this machine allows no namespaces")
        (tmp_path / "input.csv").write_text("x")
        with E2B(**server.connection).Sandbox.create() as sandbox:
            assert not sandbox.files.exists(str(tmp_path / "input.csv"))
            shown = set(sandbox.commands.run("ls /tmp").stdout.split())
            # A checkout or an environment below /tmp is seen: Python is imported from there.
            imported = [Path(place) for place in (*sys.path, sys.prefix) if place.startswith("/tmp/")]
            assert shown <= {place.parts[2] for place in imported}
            assert sandbox.commands.run(f"touch {sys.prefix}/x || echo refused").stdout == "refused\n"
            assert sandbox.commands.run("echo $$").stdout.strip().isdigit()
            assert len(sandbox.commands.run("ls -d /proc/[0-9]*").stdout.split()) < 10


def test_a_bare_python():
    with E2BServer(options=Options(python="bare")) as server, E2B(**server.connection).Sandbox.create() as sandbox:
        found = sandbox.commands.run("command -v python3; python3 -m pip list 2>/dev/null; pip --version").stdout
        lines = found.splitlines()
        assert lines[0].endswith("/opt/python/bin/python3")
        assert {line.split()[0] for line in lines[1:-1]} <= {"Package", "-------", "---------", "pip"}
        assert lines[-1].startswith("pip ")


def test_stopping_leaves_nothing(tmp_path):
    with E2BServer(folder=tmp_path) as server:
        sandbox = E2B(**server.connection).Sandbox.create()
        sandbox.commands.run("sleep 4243", background=True, timeout=0)
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
    assert server.history[0].ended_by == "stopped"


@pytest.fixture
def program(tmp_path):
    """The server in a process of its own, with its environment."""
    environment = {**os.environ, "PYTHONPATH": str(SERVICES), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "e2b_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout
        exports = {}
        for line in process.stdout:
            if line.startswith("#"):
                break
            name, _, value = line.removeprefix("export ").strip().partition("=")
            exports[name] = value
        yield process, exports
        process.kill()


def test_as_a_program_with_faults_over_http(program):
    process, exports = program
    client = E2B(api_key=exports["E2B_API_KEY"], api_url=exports["E2B_API_URL"], sandbox_url=exports["E2B_SANDBOX_URL"])
    remote = RemoteServer(exports["E2B_API_URL"])
    sandbox = client.Sandbox.create(metadata={"run": "far"})
    assert [one["metadata"] for one in remote.sandboxes()] == [{"run": "far"}]
    handle = sandbox.commands.run("while :; do echo x; sleep 0.01; done", background=True, timeout=0)
    assert remote.fault("cut_streams", how="end") == 1
    list(handle)
    assert remote.fault("kill_for_memory", sandbox_id=sandbox.sandbox_id, pid=handle.pid) >= handle.pid
    remote.fault("expire_sandbox", sandbox_id=sandbox.sandbox_id)
    assert remote.sandboxes() == []
    assert [one["endedBy"] for one in remote.sandboxes(living=False)] == ["expired"]
    assert "while :" in remote.log()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_a_server_that_is_killed_takes_its_sandboxes_along(program, until):
    process, exports = program
    client = E2B(api_key=exports["E2B_API_KEY"], api_url=exports["E2B_API_URL"], sandbox_url=exports["E2B_SANDBOX_URL"])
    before = sleeping()
    client.Sandbox.create().commands.run("setsid sleep 4242 & setsid sleep 4242", background=True, timeout=0)
    until(lambda: len(sleeping() - before) == 2)
    process.kill()
    until(lambda: not sleeping() - before)
