"""Commands through the unmodified SDK, and the habits of the daemon that runs them."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from e2b import AsyncSandbox, CommandExitException, NotFoundException, SandboxException, TimeoutException

BURST = "head -c {size} /dev/zero | tr '\\0' x"


def test_a_command_in_the_foreground(sandbox):
    heard = []
    result = sandbox.commands.run(
        "echo out; echo err >&2; echo $WORD; basename $PWD",
        envs={"WORD": "žluťoučký"},
        cwd="/tmp",
        on_stdout=heard.append,
    )
    assert result.stdout == "out\nžluťoučký\ntmp\n"
    assert result.stderr == "err\n"
    assert result.exit_code == 0
    assert "".join(heard) == result.stdout


def test_what_a_process_finds_around_it(server, client):
    sandbox = client.Sandbox.create(envs={"GIVEN": "1"})
    found = dict(
        line.partition("=")[::2] for line in sandbox.commands.run("env", envs={"MORE": "2"}).stdout.splitlines()
    )
    assert found["USER"] == "user"
    assert found["HOME"].endswith("/home/user")
    assert (found["GIVEN"], found["MORE"]) == ("1", "2")
    assert found["E2B_SANDBOX_ID"] == sandbox.sandbox_id
    assert "PYTEST_CURRENT_TEST" not in found  # nothing of this process


def test_exit_codes_and_signals(sandbox):
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("echo before; echo why >&2; exit 3")
    assert (failed.value.exit_code, failed.value.stdout, failed.value.stderr) == (3, "before\n", "why\n")
    with pytest.raises(CommandExitException) as killed:
        sandbox.commands.run("kill -9 $$")
    assert (killed.value.exit_code, killed.value.error) == (-1, "signal: killed")
    with pytest.raises(SandboxException, match="no-such-folder"):
        sandbox.commands.run("true", cwd="/no-such-folder")


def test_input_line_by_line(sandbox):
    handle = sandbox.commands.run("exec cat", background=True, stdin=True, timeout=0)
    heard = iter(handle)
    for line in ("one\n", "two\n"):
        handle.send_stdin(line)
        assert next(heard) == (line, None, None)
    handle.close_stdin()
    assert handle.wait().exit_code == 0


def test_without_stdin_the_input_is_empty(sandbox):
    assert sandbox.commands.run("cat; echo end").stdout == "end\n"
    handle = sandbox.commands.run("sleep 60", background=True, timeout=0)
    with pytest.raises(SandboxException, match="stdin not enabled"):
        handle.send_stdin("x")


def test_stream_input_in_order(sandbox):
    handle = sandbox.commands.run("exec cat", background=True, stdin=True, timeout=0)
    sandbox.commands.stream_input(handle.pid, (f"{number}\n" for number in range(1000)))
    handle.close_stdin()
    assert handle.wait().stdout == "".join(f"{number}\n" for number in range(1000))


def test_large_input(sandbox):
    handle = sandbox.commands.run("exec wc -c", background=True, stdin=True, timeout=0)
    handle.send_stdin(b"x" * 5_000_000)
    handle.close_stdin()
    assert handle.wait().stdout.strip() == "5000000"


def test_input_that_is_not_read_times_out(sandbox):
    handle = sandbox.commands.run("exec sleep 60", background=True, stdin=True, timeout=0)
    with pytest.raises(TimeoutException):
        handle.send_stdin(b"x" * 1_000_000, request_timeout=0.3)
    with pytest.raises(TimeoutException):  # the first write still holds the input
        handle.send_stdin(b"y", request_timeout=0.3)
    handle.kill()


def test_list_shows_what_was_started_with_its_environment(sandbox):
    handle = sandbox.commands.run("exec sleep 60", background=True, timeout=0, envs={"TOKEN": "in clear"})
    (found,) = sandbox.commands.list()
    assert (found.pid, found.cmd, found.args) == (handle.pid, "/bin/bash", ["-l", "-c", "exec sleep 60"])
    assert found.envs == {"TOKEN": "in clear"}


def test_kill_ends_one_process_and_not_its_children(sandbox, until):
    handle = sandbox.commands.run("sleep 1000 >/dev/null 2>&1 & echo $!; wait", background=True, timeout=0)
    child = next(iter(handle))[0].strip()
    assert handle.kill() is True
    with pytest.raises(CommandExitException) as ended:
        handle.wait()
    assert ended.value.exit_code == -1
    assert sandbox.commands.run(f"kill -0 {child} && echo alive").stdout == "alive\n"
    assert handle.kill() is False


def test_pids_are_the_processes_own(sandbox):
    handle = sandbox.commands.run("echo $$; exec sleep 60", background=True, timeout=0)
    assert next(iter(handle))[0] == f"{handle.pid}\n"
    assert handle.kill()


def test_a_deadline_kills_the_process(sandbox, until):
    with pytest.raises(TimeoutException):
        sandbox.commands.run("exec sleep 60", timeout=0.3)
    until(lambda: not sandbox.commands.list())


def test_a_deadline_kills_a_process_in_the_background_too(sandbox, until):
    handle = sandbox.commands.run("exec sleep 60", background=True, timeout=0.3)
    handle.disconnect()
    until(lambda: not sandbox.commands.list())


def test_the_deadline_of_connect_ends_only_the_stream(sandbox):
    handle = sandbox.commands.run("exec sleep 60", background=True, timeout=0)
    with pytest.raises(TimeoutException):
        sandbox.commands.connect(handle.pid, timeout=0.3).wait()
    assert [one.pid for one in sandbox.commands.list()] == [handle.pid]


def test_disconnect_leaves_the_process_alone(sandbox):
    handle = sandbox.commands.run("read line; echo got $line", background=True, stdin=True, timeout=0)
    handle.disconnect()
    again = sandbox.commands.connect(handle.pid)
    sandbox.commands.send_stdin(handle.pid, "it\n")
    assert again.wait().stdout == "got it\n"


def test_output_is_dropped_while_nobody_listens(server, sandbox, until):
    handle = sandbox.commands.run(
        "echo first; read; echo lost; echo > said; read; echo last", background=True, stdin=True, timeout=0
    )
    assert next(iter(handle))[0] == "first\n"
    handle.disconnect()
    until(lambda: server.faults.open_streams == 0)
    handle.send_stdin("\n")
    until(lambda: sandbox.files.exists("said"))
    again = sandbox.commands.connect(handle.pid)
    handle.send_stdin("\n")
    assert again.wait().stdout == "last\n"


def test_a_stream_that_is_not_read_stalls_the_process(server, sandbox, until):
    size = 24_000_000
    handle = sandbox.commands.run(BURST.format(size=size) + "; echo > done", background=True, timeout=0)
    process = next(iter(server.cloud.tables[sandbox.sandbox_id].known.values()))
    until(lambda: process.subscribers and process.subscribers[0].queue.full())
    assert not sandbox.files.exists("done")
    assert sum(len(out or "") for out, _, _ in handle) == size
    assert handle.wait().exit_code == 0
    assert sandbox.files.exists("done")


def test_nobody_listening_stalls_nothing(sandbox, until):
    handle = sandbox.commands.run("read; " + BURST.format(size=20_000_000), background=True, stdin=True, timeout=0)
    handle.disconnect()
    sandbox.commands.send_stdin(handle.pid, "\n")
    until(lambda: not sandbox.commands.list())


def test_two_listeners_hear_the_same(sandbox):
    first = sandbox.commands.run("read; echo said", background=True, stdin=True, timeout=0)
    second = sandbox.commands.connect(first.pid)
    first.send_stdin("\n")
    assert first.wait().stdout == second.wait().stdout == "said\n"


def test_the_end_of_a_process_can_be_asked_for_a_while(server, sandbox, until):
    handle = sandbox.commands.run("read; exit 7", background=True, stdin=True, timeout=0)
    handle.disconnect()
    handle.send_stdin("\n")
    until(lambda: not sandbox.commands.list())
    with pytest.raises(CommandExitException) as ended:
        sandbox.commands.connect(handle.pid).wait()
    assert ended.value.exit_code == 7
    with pytest.raises(NotFoundException):
        sandbox.commands.send_stdin(handle.pid, "x")
    until(lambda: handle.pid not in server.cloud.tables[sandbox.sandbox_id].known)
    with pytest.raises(NotFoundException):
        sandbox.commands.connect(handle.pid)


def test_the_end_waits_for_the_output_to_close(sandbox):
    started = time.monotonic()
    assert sandbox.commands.run("sleep 0.5 & echo now").stdout == "now\n"
    assert time.monotonic() - started > 0.5


def test_silence_gives_signs_of_life_that_the_sdk_swallows(server, client):
    sandbox = client.Sandbox.create()
    handle = sandbox.commands.run("sleep 0.3; echo x", background=True, timeout=0)
    assert [out for out, _, _ in handle] == ["x\n"]


def test_utf8_is_whole_though_chunks_are_cut_anywhere(sandbox):
    text = "ěščřžýáíé€" * 20_000
    sandbox.files.write("text", text)
    assert sandbox.commands.run("cat text").stdout == text


def test_ten_thousand_lines_keep_their_order(sandbox):
    assert sandbox.commands.run("seq 10000").stdout == "".join(f"{n}\n" for n in range(1, 10_001))


def test_from_several_threads(sandbox):
    found = {}

    def run(number: int) -> None:
        found[number] = sandbox.commands.run(f"echo {number}").stdout

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"{number}\n" for number in range(8)}


def test_the_asynchronous_sdk(server):
    async def use() -> str:
        sandbox = await AsyncSandbox.create(**server.connection)
        handle = await sandbox.commands.run("exec cat", background=True, stdin=True, timeout=0)
        stream = sandbox.commands.stream_input(handle.pid)
        await stream.send("hello\n")
        await stream.close()
        await handle.close_stdin()
        result = await handle.wait()
        await sandbox.kill()
        return result.stdout

    assert asyncio.run(use()) == "hello\n"


def test_python_is_the_tests_own(sandbox):
    import sys

    assert sandbox.commands.run("python3 -c 'import sys; print(sys.prefix)'").stdout.strip() == sys.prefix
    assert sandbox.commands.run("python3 -c 'import osiris.core.driver; print(1)'").stdout == "1\n"
