"""What the provider writes down, and what it does not."""

from __future__ import annotations


def test_input_and_starts_are_logged(server, sandbox):
    handle = sandbox.commands.run(
        "exec cat # in-argv", background=True, stdin=True, timeout=0, envs={"TOKEN": "in-process-env"}
    )
    handle.send_stdin("in-stdin\n")
    for secret in ("in-argv", "in-process-env", "in-stdin"):
        assert server.log.find(secret), secret
        assert secret in server.log.text
    assert [one.operation for one in server.log.find("in-stdin")] == ["process.SendInput"]


def test_files_and_streamed_input_and_the_sandboxs_variables_are_not(server, client):
    sandbox = client.Sandbox.create(envs={"NAME_ONLY": "in-sandbox-env"}, metadata={"seen": "in-metadata"})
    sandbox.files.write("secret.json", "in-file")
    handle = sandbox.commands.run("exec cat", background=True, stdin=True, timeout=0)
    sandbox.commands.stream_input(handle.pid, ["in-stream\n"])
    assert next(iter(handle))[0] == "in-stream\n"
    for secret in ("in-sandbox-env", "in-file", "in-stream"):
        assert not server.log.find(secret), secret
        assert secret not in server.log.text
    assert server.log.find("NAME_ONLY")
    assert server.log.find("in-metadata")


def test_requests_are_found_by_operation_and_sandbox(server, client, sandbox):
    client.Sandbox.create().files.exists("x")
    sandbox.files.exists("y")
    (mine,) = server.log.of("filesystem.Stat", sandbox.sandbox_id)
    assert (mine.body, mine.status) == ({"path": "y"}, 404)
