"""Errors: exit code, two lines or one document, place and hint; never a traceback for what users cause."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NUMBERS = {"id": "make", "driver": "lab.numbers", "config": {"count": 3}}

WRONG = {
    "missing file": (None, 3, "there is no file"),
    "empty file": ("", 3, "empty"),
    "binary file": (b"\x00\x01\xff\xfe", 3, "UTF-8"),
    "unknown driver": ("version: 1.0.0\nsteps: [{id: a, driver: lab.nunbers}]", 4, "did you mean 'lab.numbers'"),
    "unknown family": (
        "version: 1.0.0\nsteps: [{id: a, driver: gramophone.extractor}]",
        4,
        "installed driver families: ",
    ),
    "misspelt key": ("version: 1.0.0\nsteps: [{id: a, drivr: lab.fail}]", 3, "did you mean"),
    "wrong type": ("version: 1.0.0\nsteps: [{id: a, driver: lab.numbers, config: {count: many}}]", 3, "count"),
    "cycle": (
        "version: 1.0.0\nsteps: [{id: a, driver: lab.fail, needs: [b]}, {id: b, driver: lab.fail, needs: [a]}]",
        3,
        "a -> b",
    ),
    "duplicate id": (
        "version: 1.0.0\nsteps: [{id: a, driver: lab.fail}, {id: a, driver: lab.fail}]",
        3,
        "already used",
    ),
    "dangling": ("version: 1.0.0\nsteps: [{id: a, driver: lab.sink, inputs: {df: '${b.df}'}}]", 3, "'b'"),
    "evil id": ("version: 1.0.0\nsteps: [{id: ../../x, driver: lab.fail}]", 3, "'../../x'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_pipeline(lab, name):
    content, code, told = WRONG[name]
    file = lab.folder / "wrong.yaml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = lab("run", "wrong.yaml")
    assert ended.code == code
    assert ended.out == ""
    assert told in ended.err
    assert "wrong.yaml" in ended.err
    assert "error: " in ended.err
    assert "Traceback" not in ended.err
    assert not (lab.folder / ".osiris").exists(), "nothing ran"


def test_a_pipeline_without_permission(lab):
    lab.pipeline(NUMBERS).chmod(0)
    for command in ("run", "validate", "plan", "compile"):
        ended = lab.as_nobody(command)
        assert ended.code == 3
        assert "error: no permission to read 'pipeline.yaml'" in ended.err
        assert "hint: check its permissions" in ended.err
    assert lab.as_nobody("run", "--json").json()["error"]["code"] == "manifest.not_readable"


@pytest.mark.parametrize("name", ["missing file", "unknown driver", "cycle"])
def test_bad_pipeline_as_json(lab, name):
    content, code, told = WRONG[name]
    if content is not None:
        lab.write("wrong.yaml", content)
    ended = lab("run", "wrong.yaml", "--json")
    assert ended.code == code
    assert ended.json()["status"] == "failed"
    assert told in ended.out
    assert ended.err == ""


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["rum"], "no such command 'rum'", "did you mean 'run'?"),
        (["run", "--sesion-dir", "x"], "no such option: --sesion-dir", "did you mean '--session-dir'?"),
        (["run", "--parallel", "many"], "invalid value for '--parallel'", "run 'osiris run --help'"),
        (["run", "a.yaml", "b.yaml"], "got unexpected extra argument", "run 'osiris run --help'"),
        (["run", "--param"], "option '--param' requires an argument", "give --param what it needs"),
        (["run", "--param", "x"], "--param 'x' is not name=value", "write --param name=value"),
        (["run"], "no pipeline was named", "osiris init"),
        (["run", "--quiet", "--verbose"], "exclude each other", "leave one of them out"),
        (["run", "--env-file", "no.env"], "'no.env' cannot be read", "NAME=value"),
        (["run", "--env-file", ""], "invalid value for '--env-file': it is empty", "run 'osiris run --help'"),
        (["run", "--session-dir", ""], "invalid value for '--session-dir': it is empty", "run 'osiris run --help'"),
        (
            ["runs", "list", "--session-dir="],
            "invalid value for '--session-dir': it is empty",
            "osiris runs list --help",
        ),
        (["run", "--adapter", ""], "invalid value for '--adapter' / '-a': it is empty", "run 'osiris run --help'"),
        (["run", ""], "invalid value for '[PIPELINE]': it is empty", "run 'osiris run --help'"),
        (["runs", "lst"], "no such command 'lst'", "did you mean 'list'?"),
        (["runs", "show"], "there is no run", "osiris run"),
        (["runs", "show", "nope"], "there is no session 'nope'", "give its id"),
        (["connections", "test", "@lab.none"], "there is no connection", "osiris_connections.yaml"),
    ],
)
def test_usage_errors_are_two_lines(lab, arguments, what, hint):
    ended = lab(*arguments)
    lines = ended.err.splitlines()
    assert ended.code == (3 if arguments[0] == "connections" else 2)
    assert ended.out == ""
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert what in lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]


@pytest.mark.parametrize(
    "arguments", [["rum"], ["run", "--nope"], ["run", "--parallel", "x"], ["run"], ["validate", "--param", "x"]]
)
def test_usage_errors_as_json(lab, arguments):
    ended = lab(*arguments, "--json")
    assert ended.code == 2
    assert ended.json()["error"]["type"] == "UsageError"
    assert ended.json()["error"]["hint"]
    assert ended.err == ""


LOGIN = {"id": "login", "driver": "lab.login", "config": {"connection": "@lab.main"}}
ENV_FILES = {
    "binary": (b"A=\xff\n", "it is not UTF-8 text (byte 2)", "save it as UTF-8 text with lines NAME=value"),
    "forbidden": (b"A=1\n", "no permission", "check its permissions, and those of its folder"),
    "unclosed": (b"A=1\nD='unclosed\nLAB_PASSWORD=x\n", ":2: error: this line is no variable", "write NAME=value"),
    "colon": (b"A=1\nF: orders\n", ":2: error: this line is no variable", "write NAME=value"),
}


@pytest.mark.parametrize("name", ENV_FILES)
@pytest.mark.parametrize("how", [".env", ".env with params", "--env-file"])
def test_an_env_file_with_a_mistake_is_told_once(lab, name, how):
    content, told, hint = ENV_FILES[name]
    lab.write("osiris_connections.yaml", "connections: {lab: {main: {password: '${LAB_PASSWORD}'}}}")
    lab.pipeline(NUMBERS if how == ".env with params" else LOGIN)
    file = lab.folder / ("my.env" if how == "--env-file" else ".env")
    file.write_bytes(content + b"OSIRIS_PARAM_COUNT=3\n" * (how == ".env with params"))
    if name == "forbidden":
        file.chmod(0)
    ended = lab.as_nobody("run", "-q", *(["--env-file", "my.env"] if how == "--env-file" else []))
    assert ended.code == (2 if how == "--env-file" else 3)
    assert (ended.err.count(told), ended.err.count(hint), ended.err.count(file.name)) == (1, 1, 1), ended.err
    assert len([line for line in ended.err.splitlines() if not line.startswith("session: ")]) == 2
    assert "unclosed" not in ended.err


def test_a_folder_called_env_sets_nothing(lab):
    lab.write("osiris_connections.yaml", "connections: {lab: {main: {password: '${LAB_PASSWORD}'}}}")
    lab.write(".env/bin/activate", "")
    lab.pipeline(LOGIN)
    ended = lab("run")
    assert ended.code == 3
    assert "add it to" not in ended.err
    assert ".env is a folder" in ended.err
    assert "access denied" in lab("run", LAB_PASSWORD="there").err


def test_unknown_adapters(lab):
    lab.pipeline(NUMBERS)
    unknown = lab("run", "--adapter", "lokal")
    assert unknown.code == 4
    assert "did you mean 'local'?" in unknown.err


def test_session_folder_that_cannot_be_made(lab):
    lab.pipeline(NUMBERS)
    lab.write("file", "")
    ended = lab("run", "--session-dir", "file/below")
    assert ended.code == 5
    assert ended.err.splitlines()[-2].startswith("error: the session folder cannot be written")
    assert "--session-dir" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


def test_bug_shows_its_traceback_and_asks_to_report(lab):
    plain, as_json = lab("crash"), lab("crash", "--json")
    assert (plain.code, as_json.code) == (1, 1)
    assert "Traceback" in plain.err
    assert "the floor is lava" in plain.err
    assert "please report it" in plain.err.splitlines()[-1]
    assert as_json.json()["error"]["code"] == "bug"


def test_full_disk_behind_stdout(lab):
    with Path("/dev/full").open("w") as full:
        for arguments in (["--help"], ["drivers", "list", "--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "osiris.cli", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=lab.env,
                check=False,
            )
            assert done.returncode == 5
            assert "No space left on device" in done.stderr
            assert "Traceback" not in done.stderr


def test_closed_pipe_is_quiet(lab):
    for arguments in (["--help"], ["drivers", "list"], ["schema"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "osiris.cli", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=lab.env,
            check=False,
        )
        os.close(writing)
        assert done.returncode == 141
        assert done.stderr == b""


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_value_that_a_driver_does_not_take_is_not_told(lab, isolation):
    """What a variable holds is checked when the step runs, by pydantic, which would quote it."""
    token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0In0"
    lab.write("rows.csv", "a\n1\n")
    config = {"path": "rows.csv", "delimiter": "${TOKEN}"}
    lab.pipeline({"id": "read", "driver": "filesystem.csv_extractor", "config": config})
    ended = lab("run", "--json", "--adapter-option", f"isolation={isolation}", TOKEN=token)
    assert ended.code == 5
    error = ended.json()["error"]
    assert error["code"] == "step.config"
    assert "delimiter: must be one ASCII character" in error["message"]
    assert error["facts"]["options"] == ["delimiter"]
    for path in (lab.folder / ".osiris").rglob("*"):
        assert path.is_dir() or b"eyJhbG" not in path.read_bytes(), path


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "/dev/null"],
        ["plan", "/dev/null"],
        ["validate", "/dev/null"],
        ["compile", "/dev/null"],
        ["runs", "list"],
        ["runs", "purge", "--keep", "1"],
        ["connections", "list"],
        ["doctor"],
        ["bench", "/dev/null", "--adapter", "local"],
        ["init"],
        ["init", "below"],
        ["new", "driver", "acme"],
    ],
)
def test_a_current_folder_that_was_removed(lab, arguments):
    ended = lab.after("mkdir gone && cd gone && rmdir ../gone", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-2:] == [
        "error: the current folder does not exist any more",
        "hint: go to one that does: cd ...",
    ]
    assert "Traceback" not in ended.err


def test_a_closed_stream_leads_nowhere(lab):
    save = {"id": "save", "driver": "lab.sink", "inputs": {"df": "${make.df}"}}
    lab.pipeline(NUMBERS, save)
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        for arguments in (["run"], ["run", "--json"], ["plan"], ["doctor"], ["--help"]):
            ended = lab.after(f"exec {closed}", *arguments)
            assert ended.code == 0, (closed, arguments, ended.err)
            assert "Traceback" not in ended.err
            assert bool(ended.out) is (closed == "2>&-")
    assert (lab.folder / "out.txt").read_text() == "3"
    assert {info["status"] for info in lab("runs", "list", "--json").json()["sessions"]} == {"success"}
