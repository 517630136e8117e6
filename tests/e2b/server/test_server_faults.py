"""Every fault on demand, and what the unmodified SDK makes of it."""

from __future__ import annotations

import contextlib
import threading
import time

import httpx
import pytest
from e2b import (
    CommandExitException,
    RateLimitException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxUnreachableException,
    TimeoutException,
)
from e2b.exceptions import NotEnoughSpaceException, SandboxException, ServiceBusyException

TICK = "for n in $(seq 100000); do echo line $n; sleep 0.01; done"


def ticking(sandbox):
    """A command that says a line every 10 ms."""
    return sandbox.commands.run(TICK, background=True, timeout=0)


def read_to_the_end(handle, heard=None):
    """Read all output, then ask for the exit code; the stream may break at any point."""
    for out, _, _ in handle:
        if heard is not None:
            heard.append(out)
    handle.wait()


# Requests


def test_429_on_the_control_plane_is_tried_again(server, client):
    server.faults.respond("sandbox.create", 429, times=2, retry_after=0)
    assert client.Sandbox.create().is_running()
    assert [one.status for one in server.log.of("sandbox.create")][-3:] == [429, 429, 201]


@pytest.mark.parametrize(("status", "error"), [(429, RateLimitException), (503, ServiceBusyException)])
def test_an_answer_that_stays_bad(server, client, status, error):
    before = len(server.log.of("sandbox.create"))
    server.faults.respond("sandbox.create", status, times=None, retry_after=0)
    with pytest.raises(error):
        client.Sandbox.create()
    assert len(server.log.of("sandbox.create")) - before == 4
    assert server.sandboxes == []


def test_429_from_the_daemon_is_not_tried_again(server, sandbox):
    server.faults.respond("process.Start", 429, times=1)
    with pytest.raises(RateLimitException):
        sandbox.commands.run("true")
    assert sandbox.commands.run("echo well").stdout == "well\n"


def test_a_full_disk(server, sandbox):
    server.faults.respond("files.write", 507, message="not enough disk space")
    with pytest.raises(NotEnoughSpaceException):
        sandbox.files.write("x", "y")


def test_a_fault_may_be_meant_for_one_sandbox(server, client, sandbox):
    other = client.Sandbox.create()
    server.faults.respond("filesystem.*", 500, times=None, sandbox_id=other.sandbox_id)
    assert sandbox.files.exists("nothing") is False
    with pytest.raises(SandboxException):
        other.files.exists("nothing")


def test_a_delay(server, sandbox):
    server.faults.delay("filesystem.Stat", 0.3, times=1)
    started = time.monotonic()
    sandbox.files.exists("x")
    assert time.monotonic() - started >= 0.3
    server.faults.delay("filesystem.Stat", 5)
    with pytest.raises(TimeoutException):
        sandbox.files.exists("x", request_timeout=0.2)


def test_a_create_that_hangs(server, client, until):
    server.faults.hang("sandbox.create")
    with pytest.raises(httpx.ReadTimeout):
        client.Sandbox.create(request_timeout=0.3)
    until(lambda: not server.log.of("sandbox.create")[-1].open)
    server.faults.clear()
    assert server.sandboxes == []


def test_a_sandbox_that_is_killed_while_it_comes_up(server, client, until):
    known = len(server.history)

    def create():
        with contextlib.suppress(SandboxException):  # or it was just there when it was killed
            client.Sandbox.create()

    thread = threading.Thread(target=create)
    thread.start()
    until(lambda: len(server.history) > known)
    server.faults.kill_sandbox(server.history[known].sandbox_id)
    thread.join()
    assert [one.ended_by for one in server.history[known:]] == ["killed"]
    assert server.sandboxes == []
    assert client.Sandbox.create().is_running()


def test_an_answer_that_is_lost_on_its_way(server, client):
    server.faults.drop("sandbox.create", after=True)
    with pytest.raises(httpx.HTTPError):
        client.Sandbox.create(metadata={"run": "lost"}, idempotency_key="lost")
    (orphan,) = server.sandboxes
    assert orphan.metadata == {"run": "lost"}
    assert client.Sandbox.create(metadata={"run": "lost"}, idempotency_key="lost").sandbox_id == orphan.sandbox_id


def test_a_request_that_is_lost_on_its_way(server, client):
    server.faults.drop("sandbox.create")
    with pytest.raises(httpx.HTTPError):
        client.Sandbox.create()
    assert server.sandboxes == []


# Streams


@pytest.mark.parametrize("how", ["reset", "close", "end", "error"])
def test_a_stream_is_cut_and_the_process_lives(server, sandbox, how):
    handle = ticking(sandbox)
    heard = iter(handle)
    next(heard)
    assert server.faults.cut_streams(how) == 1
    with pytest.raises(Exception) as broken:
        read_to_the_end(handle)
    if how == "end":  # nobody is told: the loop ends as if all were well
        assert type(broken.value) is Exception
    elif how == "error":
        assert isinstance(broken.value, SandboxUnreachableException)
    else:
        assert isinstance(broken.value, SandboxException) or type(broken.value).__name__ == "ConnectError"
    again = iter(sandbox.commands.connect(handle.pid, timeout=0))
    assert next(again)[0].startswith("line ")


def test_a_stream_ends_without_an_error(server, sandbox):
    handle = ticking(sandbox)
    heard = iter(handle)
    next(heard)
    server.faults.cut_streams("end")
    list(heard)
    assert [one.pid for one in sandbox.commands.list()] == [handle.pid]


def test_a_stream_is_cut_in_the_middle_of_a_line(server, sandbox):
    server.faults.cut_next_streams("end", where="mid_line", after_bytes=5)
    handle = sandbox.commands.run("echo 123; sleep 0.2; echo abcdef; sleep 60", background=True, timeout=0)
    assert [out for out, _, _ in handle] == ["123\n", "abc"]


def test_a_stream_is_cut_in_the_middle_of_a_frame(server, sandbox):
    server.faults.cut_next_streams("close", where="mid_frame", after_bytes=5)
    handle = sandbox.commands.run("echo 123; sleep 0.2; echo abcdef; sleep 60", background=True, timeout=0)
    heard = []
    with pytest.raises(Exception) as broken:
        read_to_the_end(handle, heard)
    assert not isinstance(broken.value, CommandExitException)
    assert heard == ["123\n"]


def test_streams_are_cut_again_and_again(server, sandbox):
    server.faults.cut_streams_every(100, "end")
    handle = ticking(sandbox)
    pid = handle.pid
    rounds = 0
    numbers = []
    while rounds < 4:
        numbers += [int(line.split()[1]) for out, _, _ in handle for line in out.splitlines()]
        handle = sandbox.commands.connect(pid, timeout=0)
        rounds += 1
    assert numbers == sorted(set(numbers))
    assert numbers[-1] >= 8
    server.faults.clear()
    sandbox.commands.kill(pid)


def test_cuts_reach_streams_that_are_open_already(server, sandbox):
    handle = ticking(sandbox)
    server.faults.cut_streams_every(100, "end")
    assert len([out for out, _, _ in handle]) < 50


def test_a_black_hole_swallows_all_and_says_nothing(server, sandbox):
    handle = ticking(sandbox)
    heard = iter(handle)
    next(heard)
    server.faults.black_hole(sandbox.sandbox_id)
    lost = []
    reader = threading.Thread(target=lambda: lost.extend(heard), daemon=True)
    reader.start()
    with pytest.raises(TimeoutException):
        sandbox.commands.list(request_timeout=0.3)
    with pytest.raises(TimeoutException):  # a lease bounds it
        list(sandbox.commands.connect(handle.pid, timeout=0.3))
    said = len(lost)
    server.faults.clear()
    assert next(iter(sandbox.commands.connect(handle.pid)))[0].startswith("line ")
    assert len(lost) == said  # who fell in stays there
    server.faults.cut_streams("end")
    reader.join(60)
    assert not reader.is_alive()


# Processes and sandboxes


def test_a_process_is_killed(server, sandbox):
    handle = ticking(sandbox)
    server.faults.kill_process(sandbox.sandbox_id, handle.pid)
    with pytest.raises(CommandExitException) as ended:
        handle.wait()
    assert (ended.value.exit_code, ended.value.error) == (-1, "signal: killed")


def test_memory_runs_out_for_the_largest_below_a_shell(server, sandbox):
    handle = sandbox.commands.run(
        "python3 -c 'x = bytes(50_000_000); print(1, flush=True); input()'; exit $?",
        background=True,
        stdin=True,
        timeout=0,
    )
    next(iter(handle))
    assert server.faults.kill_for_memory(sandbox.sandbox_id, handle.pid) != handle.pid
    with pytest.raises(CommandExitException) as ended:
        handle.wait()
    assert ended.value.exit_code == 137


def test_memory_runs_out_for_the_process_itself(server, sandbox):
    for exit_code, right in ((None, -1), (137, 137)):
        handle = sandbox.commands.run("exec sleep 60", background=True, timeout=0)
        assert server.faults.kill_for_memory(sandbox.sandbox_id, handle.pid, exit_code=exit_code) == handle.pid
        with pytest.raises(CommandExitException) as ended:
            handle.wait()
        assert ended.value.exit_code == right


@pytest.mark.parametrize("fault", ["kill_sandbox", "expire_sandbox"])
def test_a_sandbox_ends_in_the_middle(server, sandbox, fault):
    handle = ticking(sandbox)
    heard = iter(handle)
    next(heard)
    getattr(server.faults, fault)(sandbox.sandbox_id)
    with pytest.raises(SandboxNotRunningException):
        list(heard)
    with pytest.raises(SandboxNotRunningException):
        sandbox.files.read("x")
    with pytest.raises(SandboxNotFoundException):
        sandbox.get_info()
    assert sandbox.kill() is False
    assert server.history[-1].ended_by == {"kill_sandbox": "killed", "expire_sandbox": "expired"}[fault]


def test_the_daemon_cannot_be_reached(server, sandbox):
    server.faults.close_port(sandbox.sandbox_id)
    with pytest.raises(SandboxUnreachableException):
        sandbox.commands.run("true")
    assert sandbox.get_info().state.value == "running"
    server.faults.close_port(sandbox.sandbox_id, closed=False)
    assert sandbox.commands.run("echo back").stdout == "back\n"
