"""A worker in another place, and files on their way home: what a killed process leaves for the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from osiris.core import engine
from osiris.core.cancellation import Cancellation
from osiris.core.engine.elsewhere import Elsewhere
from osiris.core.engine.landing import Landing
from osiris.core.errors import CollectError, RunCancelledError
from osiris.core.execution_adapter import ExecutionContext, RunOptions
from osiris.core.manifest import manifest_from_dict


def aged(session: Path, seconds: float) -> None:
    """Make the note older."""
    then = time.time() - seconds
    os.utime(session / "elsewhere.json", (then, then))


def test_a_note_is_as_fresh_as_its_last_sign(tmp_path: Path) -> None:
    elsewhere = Elsewhere(tmp_path)
    assert (elsewhere.facts(), elsewhere.seconds_left()) == (None, 0.0)
    elsewhere.renew()
    elsewhere.begin("sandbox 7", 90.0, {"sandbox_id": "7"})
    assert elsewhere.facts() == {"sandbox_id": "7"}
    assert 100 < elsewhere.seconds_left() <= 105
    aged(tmp_path, 100)
    assert 0 < elsewhere.seconds_left() <= 5
    elsewhere.renew()
    assert elsewhere.seconds_left() > 100
    aged(tmp_path, -10_000)  # the clock was set back
    assert elsewhere.seconds_left() == 105
    elsewhere.end()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "elsewhere.json").write_text("torn")
    assert elsewhere.seconds_left() == 0.0


def run(session: Path, cancellation: Cancellation | None = None) -> ExecutionContext:
    (session.parent / "in.csv").write_text("a\n1\n")
    steps = [
        {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "in.csv"}},
        {
            "id": "write",
            "driver": "filesystem.csv_writer",
            "config": {"path": "out.csv"},
            "inputs": {"df": "${read.df}"},
        },
    ]
    context = ExecutionContext(
        "run",
        session,
        base_dir=session.parent,
        options=RunOptions(resume=True),
        cancellation=cancellation or Cancellation(),
    )
    prepared = engine.prepare(manifest_from_dict({"version": "1.0.0", "name": "copy", "steps": steps}), context)
    engine.run(prepared, context)
    return context


def names(context: ExecutionContext) -> list[str]:
    return [event["event"] for event in context.events]


def test_a_run_waits_until_no_worker_elsewhere_is_at_work(tmp_path: Path) -> None:
    session = tmp_path / "session"
    Elsewhere(session).begin("sandbox 7", 90.0)
    aged(session, 104)
    context = run(session)
    told = names(context)
    assert told.index("worker_awaited") < told.index("step_start")
    (awaited,) = [event for event in context.events if event["event"] == "worker_awaited"]
    assert awaited["place"] == "sandbox 7"
    assert not (session / "elsewhere.json").exists()
    assert "worker_awaited" not in names(run(session))


def test_one_that_must_have_ended_is_not_waited_for(tmp_path: Path) -> None:
    session = tmp_path / "session"
    Elsewhere(session).begin("sandbox 7", 90.0)
    aged(session, 106)
    assert "worker_awaited" not in names(run(session))
    assert not (session / "elsewhere.json").exists()


def test_the_waiting_can_be_stopped_and_the_note_stays(tmp_path: Path) -> None:
    session, cancellation = tmp_path / "session", Cancellation()
    Elsewhere(session).begin("sandbox 7", 3600.0)
    threading.Timer(0.1, cancellation.request).start()
    with pytest.raises(RunCancelledError):
        run(session, cancellation)
    assert Elsewhere(session).facts() == {}
    assert not (tmp_path / "out.csv").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from osiris.core.engine.landing import Landing

def land(folder, left):
    drafts = {folder / name: folder / f".{name}.part" for name in ("a", "b", "c")}
    landing = Landing(folder / "session")

    def counted(do):
        def call(self, *args, **more):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return do(self, *args, **more)
        return call

    for name in ("replace", "unlink", "mkdir", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))
    landing.expect(list(drafts.values()))
    for goal, draft in drafts.items():
        draft.write_text("new")
    gone = [str(folder / "old")]
    landing.land(drafts, gone=gone, folders=[str(folder / "made")], gone_folders=[str(folder / "empty")])

for folder in map(Path, sys.argv[1:]):
    child = os.fork()
    if child == 0:
        land(folder, int(folder.name))
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_a_landing_is_whole_wherever_it_is_killed(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(20)]
    for folder in folders:
        (folder / "session").mkdir(parents=True)
        (folder / "empty").mkdir()
        for name in ("a", "b", "old"):
            (folder / name).write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, folders)], capture_output=True, text=True, check=True
    )
    ends = [int(line) for line in done.stdout.split()]
    assert ends[0] == signal.SIGKILL
    assert ends[-1] == 0
    before = {"a": "old", "b": "old", "old": "old"}, {"empty", "session"}
    afterwards = {"a": "new", "b": "new", "c": "new"}, {"made", "session"}
    outcomes = []
    for folder in folders:
        Landing(folder / "session").finish()
        found = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
        outcomes.append((found, {path.name for path in folder.iterdir() if path.is_dir()}))
        assert {path.name for path in (folder / "session").iterdir()} <= {"landing.json.part"}
    changed = outcomes.index(afterwards)
    assert 0 < changed < ends.index(0), "some were killed before it was decided, some after"
    assert outcomes == [before] * changed + [afterwards] * (len(outcomes) - changed)


def test_a_landing_that_cannot_be_finished_says_so_and_can_be_later(tmp_path: Path) -> None:
    goal, draft = tmp_path / "out.csv", tmp_path / ".out.csv.part"
    draft.write_text("new")
    goal.mkdir()
    (goal / "in the way").touch()
    landing = Landing(tmp_path / "session")
    with pytest.raises(OSError, match=r"out\.csv"):
        landing.land({goal: draft})
    with pytest.raises(CollectError) as caught:
        Landing(tmp_path / "session").finish()
    assert caught.value.code == "collect.unfinished"
    (goal / "in the way").unlink()
    goal.rmdir()
    Landing(tmp_path / "session").finish()
    assert goal.read_text() == "new"
