"""Ctrl-C at any time: the run stops within seconds, and no sandbox stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import yaml
from e2b_server import E2BServer

from osiris.core.cancellation import Cancellation
from osiris.core.errors import RunCancelledError
from osiris.core.events.bus import EventBus

from .conftest import InSandbox, Listener, environment_of, names, pairs_are_complete, rogue_steps, wait_for

PHASES = {
    "create": ("sandbox.create", "prepare_failed"),
    "upload": ("files.write", "prepare_failed"),
    "install": ("process.Start", "prepare_failed"),
    "start": ("process.SendInput", "execute_failed"),
    "collect": ("process.Start", "collect_failed"),
    "transfer": ("files.read", "collect_failed"),
}
"""What hangs, and what is told of it."""

LARGER = "\n".join(f"{number},c{number % 7},1.25" for number in range(40_000))
"""What does not come home with an answer."""

COPY = {
    "version": "1.0.0",
    "name": "copy",
    "steps": [
        {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "orders.csv"}},
        {
            "id": "write",
            "driver": "filesystem.csv_writer",
            "config": {"path": "out.csv"},
            "inputs": {"df": "${read.df}"},
        },
    ],
}


@pytest.mark.parametrize("how", ["a request to stop", "Ctrl-C"])
@pytest.mark.parametrize("phase", PHASES)
def test_stopping_while_something_hangs(phase: str, how: str, cloud: E2BServer, run: InSandbox, project: Path) -> None:
    operation, told = PHASES[phase]
    cancellation = Cancellation()
    over = threading.Event()
    hangs: list[int] = []

    def hang(event: Any) -> None:
        hangs.append(len(cloud.log.of(operation)))
        cloud.faults.hang(operation)

    begins = {"start": "execute_start", "collect": "collect_start", "transfer": "collect_start"}
    bus = EventBus("run")
    bus.subscribe(Listener(begins.get(phase, "prepare_start"), hang))
    (project / "orders.csv").write_text(f"id,customer,amount\n{LARGER}\n")

    def stop() -> None:
        try:
            wait_for(lambda: over.is_set() or (hangs and len(cloud.log.of(operation)) > hangs[0]))
        except AssertionError:
            cloud.faults.clear()  # the run comes to its end, and says so
            raise
        if how == "Ctrl-C":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            cancellation.request("cancelled")

    watcher = threading.Thread(target=stop, name="stopper")
    watcher.start()
    told_to = {"cancellation": cancellation, "bus": bus}
    result, context = run(COPY, context=told_to, cancel_patience=0.2)
    over.set()
    watcher.join()
    assert isinstance(result.error, RunCancelledError), result.error
    assert result.status == "cancelled"
    assert told in names(context)
    assert pairs_are_complete(context)
    cloud.faults.clear()
    wait_for(lambda: cloud.sandboxes == [])


def test_a_sandbox_that_was_made_while_we_gave_up(cloud: E2BServer, run: InSandbox) -> None:
    """Stopped while E2B makes it: it comes to be, nobody was told of it, and it is found and killed."""
    cancellation = Cancellation()
    seen, before = len(cloud.log.of("sandbox.create")), len(cloud.history)
    cloud.faults.drop("sandbox.create", after=True, times=None)

    def stop() -> None:
        wait_for(lambda: len(cloud.history) > before and len(cloud.log.of("sandbox.create")) > seen)
        cancellation.request("cancelled")

    watcher = threading.Thread(target=stop, name="stopper")
    watcher.start()
    result, _ = run("csv-sql-csv", context={"cancellation": cancellation})
    watcher.join()
    assert result.status == "cancelled"
    assert cloud.history[-1].ended_by == "killed"


def test_the_driver_hears_of_it(rogue: Path, run: InSandbox) -> None:
    cancellation = Cancellation()
    bus = EventBus("run")
    bus.subscribe(Listener("waiting", lambda event: cancellation.request("interrupted by Ctrl-C", signal=2)))
    begun = monotonic()
    result, context = run(rogue_steps({"do": "wait"}), context={"bus": bus, "cancellation": cancellation})
    assert isinstance(result.error, RunCancelledError)
    assert result.error.facts["signal"] == 2
    assert [step["status"] for step in result.steps] == ["cancelled"]
    assert pairs_are_complete(context)
    assert monotonic() - begun < 120


@pytest.mark.parametrize("what", ["ignore_cancel", "stop_the_world"])
def test_a_driver_that_does_not_hear_is_stopped(what: str, rogue: Path, run: InSandbox) -> None:
    cancellation = Cancellation()
    bus = EventBus("run")
    event = {"ignore_cancel": "waiting", "stop_the_world": "stopping_the_world"}[what]
    bus.subscribe(Listener(event, lambda event: cancellation.request("cancelled")))
    result, context = run(
        rogue_steps({"do": what}), context={"bus": bus, "cancellation": cancellation}, cancel_patience=0.2
    )
    assert isinstance(result.error, RunCancelledError)
    assert pairs_are_complete(context)


def test_ctrl_c_on_the_command_line(cloud: E2BServer, rogue: Path, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(rogue_steps({"do": "wait"})))
    environment = {**environment_of(cloud), "PYTHONPATH": str(rogue)}
    command = [Path(sys.executable).with_name("osiris"), "run", "-v", "--adapter", "e2b"]
    command += ["--adapter-option", "template=base"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, **pipes) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting" in line:
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert cloud.history[-1].ended_by == "killed"
