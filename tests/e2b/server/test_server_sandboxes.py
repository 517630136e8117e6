"""Sandboxes made, listed, prolonged, paused and killed through the unmodified SDK."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from e2b import (
    E2B,
    AuthenticationException,
    Sandbox,
    SandboxException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxQuery,
)


def test_create_tell_and_kill(server, client):
    sandbox = client.Sandbox.create(metadata={"run": "one"}, timeout=60)
    info = sandbox.get_info()
    assert (info.sandbox_id, info.metadata, info.state.value) == (sandbox.sandbox_id, {"run": "one"}, "running")
    assert info.name == "base"
    assert (info.cpu_count, info.memory_mb) == (2, 1024)
    assert timedelta(seconds=50) < info.end_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert sandbox.is_running()
    assert [one.sandbox_id for one in server.sandboxes] == [sandbox.sandbox_id]
    assert sandbox.kill() is True
    assert sandbox.kill() is False
    assert not sandbox.is_running()
    assert server.sandboxes == []
    assert server.history[-1].ended_by == "killed"


def test_the_context_manager_kills(server, client):
    with client.Sandbox.create():
        assert len(server.sandboxes) == 1
    assert server.sandboxes == []


def test_list_filters_by_metadata_and_turns_pages(client):
    mine = [client.Sandbox.create(metadata={"run": "a", "n": str(number)}).sandbox_id for number in range(3)]
    client.Sandbox.create(metadata={"run": "b"})
    pages = client.Sandbox.list(query=SandboxQuery(metadata={"run": "a"}), limit=2)
    found = []
    sizes = []
    while pages.has_next:
        page = pages.next_items()
        sizes.append(len(page))
        found += [one.sandbox_id for one in page]
    assert sizes == [2, 1]
    assert found == mine[::-1]  # newest first


def test_the_same_idempotency_key_gives_the_same_sandbox(server, client):
    first = client.Sandbox.create(idempotency_key="run-1", metadata={"run": "1"})
    again = client.Sandbox.create(idempotency_key="run-1", metadata={"run": "1"})
    assert first.sandbox_id == again.sandbox_id
    assert len(server.sandboxes) == 1
    with pytest.raises(SandboxException, match="422"):
        client.Sandbox.create(idempotency_key="run-1", metadata={"run": "2"})


def test_a_sandbox_expires(server, client, until):
    sandbox = client.Sandbox.create(timeout=1)
    until(lambda: not server.sandboxes)
    assert server.history[-1].ended_by == "expired"
    with pytest.raises(SandboxNotFoundException):
        sandbox.set_timeout(60)
    with pytest.raises(SandboxNotRunningException):
        sandbox.commands.run("true")
    with pytest.raises(SandboxNotRunningException):
        sandbox.files.read("x")


def test_set_timeout_lengthens_and_shortens(server, client, until):
    sandbox = client.Sandbox.create(timeout=20)
    sandbox.set_timeout(60)
    assert sandbox.get_info().end_at - datetime.now(UTC) > timedelta(seconds=50)
    sandbox.set_timeout(0)
    until(lambda: not server.sandboxes)


def test_set_timeout_is_clamped_to_the_plan_and_says_nothing(sandbox):
    sandbox.set_timeout(7200)
    assert sandbox.get_info().end_at - datetime.now(UTC) < timedelta(seconds=3601)


def test_connect_only_lengthens(server, client):
    sandbox = client.Sandbox.create(timeout=600)
    before = sandbox.get_info().end_at
    again = client.Sandbox.connect(sandbox.sandbox_id, timeout=60)
    assert again.get_info().end_at == before
    client.Sandbox.connect(sandbox.sandbox_id, timeout=1200)
    assert sandbox.get_info().end_at - before > timedelta(seconds=500)
    assert again.commands.run("echo here").stdout == "here\n"


def test_pause_stops_processes_and_connect_goes_on(server, client, until):
    sandbox = client.Sandbox.create(timeout=60)
    sandbox.files.write("count.sh", "while :; do echo x >> ticks; sleep 0.01; done")
    handle = sandbox.commands.run("exec bash count.sh", background=True, timeout=0)
    until(lambda: sandbox.files.exists("ticks"))
    ticks = server.sandboxes[0].root / "home/user/ticks"
    assert sandbox.pause() is True
    assert sandbox.pause() is False
    assert sandbox.get_info().state.value == "paused"
    with pytest.raises(SandboxNotRunningException):
        sandbox.commands.run("true")
    frozen = ticks.stat().st_size
    again = client.Sandbox.connect(sandbox.sandbox_id)
    assert [one.pid for one in again.commands.list()] == [handle.pid]
    until(lambda: ticks.stat().st_size > frozen)


def test_what_the_plan_and_the_provider_refuse(server, client):
    with pytest.raises(SandboxException, match="404"):
        client.Sandbox.create(template="no-such-template")
    with pytest.raises(SandboxException, match="400"):
        client.Sandbox.create(timeout=3601)
    with pytest.raises(SandboxNotFoundException):
        client.Sandbox.connect("inosuchsandbox")
    assert client.Sandbox.kill("inosuchsandbox") is False
    assert server.sandboxes == []


def test_a_wrong_key_and_a_wrong_token(server, sandbox):
    with pytest.raises(AuthenticationException):
        E2B(**server.connection | {"api_key": "e2b_wrong"}).Sandbox.create()
    server.sandboxes[0].token = "another"
    with pytest.raises(AuthenticationException):
        sandbox.commands.run("true")
    with pytest.raises(AuthenticationException):
        sandbox.files.read(".profile")


def test_an_unknown_user(sandbox):
    with pytest.raises(AuthenticationException):
        sandbox.commands.run("true", user="nobody")
    with pytest.raises(AuthenticationException):
        sandbox.files.list("/", user="nobody")
    assert sandbox.commands.run("true", user="root").exit_code == 0


def test_metrics_are_measured(sandbox):
    sandbox.commands.run("sleep 60", background=True, timeout=0)
    (sample,) = sandbox.get_metrics()
    assert 0 < sample.mem_used < sample.mem_total == 1024 << 20
    assert sample.disk_used > 0


def test_nothing_is_left_of_a_sandbox(server, client, until):
    sandbox = client.Sandbox.create()
    sandbox.commands.run("setsid sleep 1000 >/dev/null 2>&1 & env -i setsid sleep 1000 >/dev/null 2>&1 &")
    folder = server.sandboxes[0].folder
    assert folder.exists()
    sandbox.kill()
    until(lambda: not folder.exists())
    assert running_with(sandbox) == []


def running_with(sandbox: Sandbox) -> list[str]:
    """The processes of this machine that carry a sandbox's id."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if sandbox.sandbox_id.encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            continue
    return found


def test_times_are_the_servers(server, client):
    before = time.time()
    info = client.Sandbox.create().get_info()
    assert before - 1 < info.started_at.timestamp() < time.time() + 1
