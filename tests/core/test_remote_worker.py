"""The worker as a process: spoken to in plain lines, as anybody could."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.core import engine
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.manifest import manifest_from_dict
from osiris.core.remote.assignment import Assignment

PIPELINE = {
    "version": "1.0.0",
    "name": "copy",
    "steps": [
        {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "in.csv"}},
        {
            "id": "write",
            "driver": "filesystem.csv_writer",
            "config": {"path": "out.csv"},
            "inputs": {"df": "${read.df}"},
        },
    ],
}


class Spoken:
    """A worker and its pipes."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "osiris.core.remote.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.heard: list[dict[str, Any]] = []

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, number: Any = 1, **params: Any) -> dict[str, Any]:
        self.say(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())
        return self.until(lambda message: message.get("id") == number)

    def until(self, wanted: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            self.heard.append(message)
            if wanted(message):
                return message
        raise AssertionError(f"the worker ended: {self.process.stderr.read().decode()}")  # type: ignore[union-attr]

    def numbered(self) -> list[int]:
        return [message["params"]["seq"] for message in self.heard if message.get("method") in ("event", "metric")]


@pytest.fixture
def worker() -> Iterator[Spoken]:
    spoken = Spoken()
    with spoken.process:
        yield spoken
        spoken.process.kill()


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "in.csv").write_text("a,b\n1,x\n2,y\n")
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path, project_dir=tmp_path)
    prepared = engine.prepare(manifest_from_dict(PIPELINE), context)
    return Assignment.of(prepared, context, tmp_path / "session" / "worker").to_params()


def finished(message: dict[str, Any]) -> bool:
    return message.get("method") == "finished"


def test_it_says_who_it_is(worker: Spoken) -> None:
    told = worker.ask("hello")["result"]
    assert told["protocol"] == 1
    assert told["pid"] == worker.process.pid
    assert told["python"].count(".") == 2
    assert "osiris-driver-filesystem" in told["drivers"]


@pytest.mark.parametrize(
    ("line", "number", "code"),
    [
        (b"not json", None, -32700),
        (b'{"jsonrpc": "2.0", "id": 5}', 5, -32600),
        (b'[{"jsonrpc": "2.0", "id": 5, "method": "ping"}]', None, -32600),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "dance"}', 5, -32601),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "replay", "params": {"since": "x"}}', 5, -32602),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "replay", "params": [1]}', 5, -32602),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "cancel", "params": {"reason": 1}}', 5, -32602),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "hello", "params": {"heartbeat": 0}}', 5, -32602),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "hello", "params": {"patience": "x"}}', 5, -32602),
        (b'{"jsonrpc": "2.0", "id": "five", "method": "run", "params": {"manifest": {}}}', "five", -32602),
    ],
)
def test_what_it_does_not_understand_has_its_code_and_harms_nothing(
    worker: Spoken, line: bytes, number: Any, code: int
) -> None:
    worker.say(line)
    told = worker.until(lambda message: "error" in message)
    assert (told["id"], told["error"]["code"]) == (number, code)
    assert worker.ask("ping", 99)["result"] == {"seq": 0}


def test_a_notification_is_not_answered(worker: Spoken) -> None:
    worker.say(b'{"jsonrpc": "2.0", "method": "dance"}')
    worker.say(b'{"jsonrpc": "2.0", "id": 3, "result": "unasked"}')
    assert worker.ask("ping", 2)["id"] == 2
    assert len(worker.heard) == 1


def beats(worker: Spoken, number: int) -> None:
    """Hear so many signs of life."""
    for _ in range(number):
        worker.until(lambda message: message.get("method") == "heartbeat")


def test_a_worker_that_hears_nothing_does_nothing_any_more(
    worker: Spoken, params: dict[str, Any], tmp_path: Path
) -> None:
    worker.ask("hello", heartbeat=0.05, patience=0.2)
    beats(worker, 20)
    assert worker.ask("run", 2, **params)["result"] == {"accepted": True}
    end = worker.until(finished)
    assert end["params"]["error"]["code"] == "worker.abandoned"
    assert not (tmp_path / "out.csv").exists()
    assert worker.ask("summary", 3)["result"]["state"] == "finished", "whoever comes back is told"


def test_a_worker_that_is_given_signs_works(worker: Spoken, params: dict[str, Any], tmp_path: Path) -> None:
    worker.ask("hello", heartbeat=0.1, patience=3)
    for _ in range(35):
        worker.say(b'{"jsonrpc": "2.0", "method": "ping", "params": {}}')
        beats(worker, 1)
    worker.ask("run", 2, **params)
    assert worker.until(finished)["params"]["error"] is None
    assert (tmp_path / "out.csv").exists()


def test_a_run_and_all_of_it_once_more(worker: Spoken, params: dict[str, Any], tmp_path: Path) -> None:
    assert worker.ask("summary")["result"]["state"] == "idle"
    assert worker.ask("run", **params)["result"] == {"accepted": True}
    end = worker.until(finished)
    assert end["params"]["error"] is None
    assert (tmp_path / "out.csv").read_text() == "a,b\n1,x\n2,y\n"
    last = end["params"]["seq"]
    assert worker.numbered() == list(range(1, last))
    first_time, worker.heard = worker.heard, []
    assert worker.ask("replay", 7, since=0)["result"] == {"seq": last}
    assert worker.heard[:-1] == [message for message in first_time if "method" in message]
    worker.heard = []
    worker.ask("replay", 8, since=last - 1)
    assert [message["method"] for message in worker.heard[:-1]] == ["finished"]
    for since in (last, last + 5):
        worker.heard = []
        worker.ask("replay", 9, since=since)
        assert len(worker.heard) == 1
    summary = worker.ask("summary")["result"]
    assert (summary["state"], summary["seq"]) == ("finished", last)
    assert [step["rows_out"] for step in summary["report"]["steps"]] == [2, 0]
    journal = tmp_path / "session" / "worker" / "journal.jsonl"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.parent.stat().st_mode) == 0o700
    assert worker.ask("run", **params)["result"] == {"accepted": True}, (
        "the same request, asked again, is not done again"
    )
    assert worker.ask("run", 8, **params)["error"]["data"]["code"] == "worker.busy"
    assert worker.ask("shutdown")["result"] == {}
    assert worker.process.wait(30) == 0
    assert not journal.exists()


def test_a_plan_that_is_another_here_is_refused(worker: Spoken, params: dict[str, Any]) -> None:
    error = worker.ask("run", **{**params, "fingerprint": "other"})["error"]
    assert error["code"] == -32000
    assert error["data"]["code"] == "worker.other_plan"
    assert error["data"]["facts"]["wanted"] == "other"


def test_a_driver_that_is_missing_here(worker: Spoken, params: dict[str, Any]) -> None:
    manifest = {**PIPELINE, "steps": [{"id": "x", "driver": "nobody.has", "config": {}}]}
    error = worker.ask("run", **{**params, "manifest": manifest})["error"]
    assert error["data"]["type"] == "PluginNotFoundError"


def test_the_secrets_file_is_removed_whatever_comes(worker: Spoken, params: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"values": {"A": "s3cr3t-canary"}, "hidden": ["A"]}')
    broken = {**PIPELINE, "steps": [{"id": "x", "driver": "s3cr3t-canary.has", "config": {}}]}
    error = worker.ask("run", **{**params, "manifest": broken, "secrets_file": str(file)})["error"]
    assert not file.exists()
    assert "canary" not in json.dumps(error)
    error = worker.ask("run", 2, **{**params, "secrets_file": str(file)})["error"]
    assert error["data"]["code"] == "worker.secrets"


def test_it_beats(worker: Spoken) -> None:
    worker.ask("hello", heartbeat=0.01)
    told = worker.until(lambda message: message.get("method") == "heartbeat")
    assert told["params"] == {"seq": 0}
    assert "id" not in told


def test_it_ends_with_its_input(worker: Spoken) -> None:
    worker.ask("ping")
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(30) == 0


def test_it_ends_when_told_to_by_a_signal(worker: Spoken) -> None:
    worker.ask("ping")
    worker.process.send_signal(signal.SIGINT)  # is for the client
    worker.ask("ping")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) == 143
