"""A channel that loses lines, cuts them, falls silent or leads to somebody else: nothing is lost, nothing hangs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.core import engine
from osiris.core.errors import ExecutionError, PrepareError
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.manifest import manifest_from_dict
from osiris.core.remote import INTERRUPTED, SubprocessTransport, run_remotely
from osiris.core.remote.client import WorkerClient
from osiris.runtime.isolation import start_worker, worker_environment

TIMES = 300


Treat = Callable[[bytes], list[bytes]]


class Faulty:
    """A real worker behind a channel that treats its numbered lines as told; answers and heartbeats pass."""

    def __init__(self, real: SubprocessTransport, treat: Treat) -> None:
        self._real = real
        self._treat = treat
        self.send, self.stop, self.close = real.send, real.stop, real.close
        self.exit_code, self.last_words = real.exit_code, real.last_words

    def lines(self) -> Iterator[bytes]:
        for line in self._real.lines():
            yield from self._treat(line) if b'"method":"' in line and b"heartbeat" not in line else [line]


class Chance:
    """One line in thirty; seeded, but never in step with what is said again."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._kept: list[bytes] = []

    def lose(self, line: bytes) -> list[bytes]:
        return [] if self._hits() else [line]

    def cut(self, line: bytes) -> list[bytes]:
        return [line[: len(line) // 2]] if self._hits() else [line]

    def stutter(self, line: bytes) -> list[bytes]:
        return [line, line] if self._hits() else [line]

    def swap(self, line: bytes) -> list[bytes]:
        if not self._kept and self._hits() and b"finished" not in line:
            self._kept = [line]
            return []
        kept, self._kept = self._kept, []
        return [line, *kept]

    def _hits(self) -> bool:
        return self._random.random() < 1 / 30


@pytest.fixture
def prepared(rogue: Path, tmp_path: Path) -> tuple[Any, ExecutionContext]:
    config = {"do": "tell", "times": TIMES}
    manifest = {"version": "1.0.0", "name": "x", "steps": [{"id": "s", "driver": "rogue.actor", "config": config}]}
    context = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path)
    return engine.prepare(manifest_from_dict(manifest), context), context


@pytest.mark.parametrize("fault", ["lose", "cut", "stutter", "swap"])
def test_every_event_once_and_in_order_all_the_same(fault: str, prepared: tuple[Any, ExecutionContext]) -> None:
    run, context = prepared
    treat: Treat = getattr(Chance(), fault)
    report = run_remotely(run, context, engine.RunReport(), lambda: Faulty(start_worker(run), treat))
    assert report.status == "success"
    assert [event["number"] for event in context.events if event["event"] == "told"] == list(range(TIMES))
    assert [event["event"] for event in context.events].count("step_complete") == 1


def test_what_is_lost_for_good_is_an_error(prepared: tuple[Any, ExecutionContext]) -> None:
    def lose_one(line: bytes) -> list[bytes]:
        return [] if b'"seq":9,' in line else [line]

    run, context = prepared
    with pytest.raises(ExecutionError) as caught:
        run_remotely(run, context, engine.RunReport(), lambda: Faulty(start_worker(run), lose_one))
    assert caught.value.code == "worker.messages_lost"
    assert [event["event"] for event in context.events][-1] == "step_failed"


def test_a_worker_that_falls_silent_is_an_error(prepared: tuple[Any, ExecutionContext]) -> None:
    class Mute(Faulty):
        def lines(self) -> Iterator[bytes]:
            for line in self._real.lines():
                if b'"seq"' not in line:
                    yield line

    run, context = prepared
    with pytest.raises(ExecutionError) as caught:
        run_remotely(run, context, engine.RunReport(), lambda: Mute(start_worker(run), Chance().lose), silence=0.2)
    assert caught.value.code == "worker.silent"


def test_a_way_that_comes_back_again_and_again_is_no_sign_of_life(prepared: tuple[Any, ExecutionContext]) -> None:
    class Broken(Faulty):
        def lines(self) -> Iterator[bytes]:
            for line in self._real.lines():
                yield line if b'"seq"' not in line else INTERRUPTED

    run, context = prepared
    with pytest.raises(ExecutionError) as caught:
        run_remotely(run, context, engine.RunReport(), lambda: Broken(start_worker(run), Chance().lose), silence=0.2)
    assert caught.value.code == "worker.silent"


def test_what_a_cut_way_lost_is_asked_again(prepared: tuple[Any, ExecutionContext]) -> None:
    """Answers are lost, too: to the greeting, to the order to run, to the question for the summary."""

    class Cut(Faulty):
        def lines(self) -> Iterator[bytes]:
            lost = set()
            for line in self._real.lines():
                number = json.loads(line).get("id")
                if number is None or number in lost:
                    yield line
                else:
                    lost.add(number)
                    yield INTERRUPTED

    run, context = prepared
    report = run_remotely(run, context, engine.RunReport(), lambda: Cut(start_worker(run), Chance().lose))
    assert report.status == "success"
    assert [event["number"] for event in context.events if event["event"] == "told"] == list(range(TIMES))


def test_a_worker_of_other_versions_is_refused_with_both_named(prepared: tuple[Any, ExecutionContext]) -> None:
    run, _ = prepared
    client = WorkerClient(start_worker(run), on_notification=lambda method, params: None)
    try:
        with pytest.raises(PrepareError) as caught:
            client.hello({"osiris-core": "0.9", "rogue-osiris": "1.0", "acme": "2.0"})
    finally:
        client.close()
        client.close()
    assert caught.value.code == "worker.mismatch"
    assert "acme: wanted 2.0, found none" in caught.value.message
    assert "osiris-core: wanted 0.9, found 1." in caught.value.message
    assert "rogue" not in caught.value.message
    with pytest.raises(ExecutionError):
        client.call("ping", {})


def test_somebody_else_at_the_other_end(prepared: tuple[Any, ExecutionContext]) -> None:
    run, context = prepared
    command = ["/bin/sh", "-c", "echo hello; echo who are you >&2; exit 7"]
    with pytest.raises(ExecutionError) as caught:
        run_remotely(run, context, engine.RunReport(), lambda: SubprocessTransport(command))
    assert caught.value.code == "worker.died"
    assert "exit code 7; its last words: who are you" in caught.value.message
    assert [event["event"] for event in context.events] == ["step_skipped"]


def test_a_command_that_does_not_exist(prepared: tuple[Any, ExecutionContext]) -> None:
    run, context = prepared
    with pytest.raises(PrepareError) as caught:
        run_remotely(run, context, engine.RunReport(), lambda: SubprocessTransport(["/nowhere/python"]))
    assert caught.value.code == "worker.not_started"


def test_a_listener_that_fails_ends_the_run(prepared: tuple[Any, ExecutionContext]) -> None:
    class Deaf:
        session_id = "run"

        def __init__(self, like: ExecutionContext) -> None:
            self.session_dir, self.base_dir = like.session_dir, like.base_dir
            self.told = 0

        def log_event(self, event: str, data: Any = None) -> None:
            self.told += event == "told"
            if self.told == 5:
                raise OSError("deaf")

        def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
            pass

    run, context = prepared
    with pytest.raises(OSError, match="deaf"):
        run_remotely(run, Deaf(context), engine.RunReport(), lambda: start_worker(run))


def test_what_the_worker_does_not_inherit() -> None:
    own = {
        "PATH": "/bin:/secret-value",
        "PLAIN": "1",
        "TOKEN": "short",
        "COPY": "secret-value",
        "URL": "x://u:secret-value@h",
        "WITH_DEFAULT": "other",
        "PYTHONPATH": "/mine",
    }
    secrets = {"TOKEN": "short", "VALUE": "secret-value", "WITH_DEFAULT:-x": "other2"}
    found = worker_environment(own, ["", "/packages"], secrets)
    assert found == {
        "PATH": "/bin:/secret-value",
        "PLAIN": "1",
        "PYTHONPATH": f"{Path.cwd()}:/packages",
        "OSIRIS_WORKER_PYTHONPATH": "/mine",
    }
