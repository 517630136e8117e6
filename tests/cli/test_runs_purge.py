"""``osiris runs purge`` as users meet it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osiris.core.execution_adapter import RunResult
from osiris.core.session import Session

STEPS = [{"id": "make", "driver": "lab.numbers", "config": {"count": 3}}]


@pytest.fixture
def runs(lab: Any) -> list[Path]:
    """Three runs in the order they ran (their ids tell only the second), the first of them a year old."""
    lab.pipeline(*STEPS, {"id": "save", "driver": "lab.sink", "inputs": {"df": "${make}"}})
    found: list[Path] = []
    for _ in range(3):
        assert lab("run").code == 0
        (new,) = {*(lab.folder / ".osiris" / "runs").iterdir()} - {*found}
        found.append(new)
    state = found[0] / "session.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "ended": "2025-01-01T00:00:00Z"}))
    return found


def test_old_runs_go(lab: Any, runs: list[Path]) -> None:
    root = runs[0].parent
    old, *young = (path.name for path in runs)
    shown = lab("runs", "purge", "--older-than", "30d", "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert "would remove 1 run, " in shown.out
    assert old in shown.out
    assert len(list(root.iterdir())) == 3

    done = lab("runs", "purge", "--older-than", "30d", "--json")
    assert done.code == 0
    (removed,) = done.json()["removed"]
    assert (removed["id"], removed["pipeline"], removed["status"]) == (old, "test", "success")
    assert removed["ended"] == "2025-01-01T00:00:00Z"
    assert done.json()["bytes"] == removed["bytes"] > 100
    assert {key: done.json()[key] for key in ("status", "dry_run", "leftovers", "in_use")} == {
        "status": "success",
        "dry_run": False,
        "leftovers": [],
        "in_use": [],
    }
    assert {path.name for path in root.iterdir() if path.is_dir()} == {*young}
    assert [info["id"] for info in lab("runs", "list", "--json").json()["sessions"]] == young[::-1]

    again = lab("runs", "purge", "--older-than", "2w")
    assert (again.code, again.out) == (0, "nothing to remove in .osiris/runs\n")
    assert "removed 1 run, " in lab("runs", "purge", "--keep", "1").out
    assert [path.name for path in root.iterdir() if path.is_dir()] == young[1:]


@pytest.fixture
def one(lab: Any) -> Path:
    """The folder of one failed run."""
    manifest = {"version": "1.0.0", "name": "test", "steps": STEPS}
    root = lab.folder / ".osiris" / "runs"
    session = Session.create(root, pipeline="test", manifest=manifest, adapter="local")
    session.finish(RunResult(status="failed", session_id=session.id, session_dir=session.dir))
    return root


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which runs to remove was not said"),
        (["--older-than", "30"], "'30' is no age"),
        (["--older-than", "-3d"], "'-3d' is no age"),
        (["--older-than", "99999999999999w"], "is no age"),
        (["--keep", "1", "--status", "running"], "a run that is running is never removed"),
        (["--keep", "1", "--status", "old"], "'old' cannot be removed"),
        (["--keep", "0", "--session-dir", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_is_asked_wrongly_removes_nothing(lab: Any, one: Path, arguments: list[str], words: str) -> None:
    ended = lab("runs", "purge", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert len(list(one.iterdir())) == 1


def test_a_session_is_not_taken_for_the_folder_of_sessions(lab: Any, one: Path) -> None:
    session = sorted(one.iterdir())[0]
    ended = lab("runs", "purge", "--keep", "0", "--session-dir", str(session), "--json")
    assert ended.code == 2
    assert ended.json()["error"]["code"] == "session.not_a_root"
    assert (session / "session.json").exists()


def test_a_project_is_not_taken_for_the_folder_of_sessions(lab: Any, one: Path) -> None:
    before = sorted(path for path in lab.folder.rglob("*"))
    assert lab("runs", "purge", "--keep", "0", "--session-dir", ".", "--dry-run").out == "nothing to remove in .\n"
    assert sorted(path for path in lab.folder.rglob("*")) == before


def test_a_session_that_belongs_to_somebody_else_is_broken_and_hides_no_other(lab: Any, one: Path) -> None:
    root, (one,) = one, one.iterdir()
    closed = root / "20990101T000000Z-ffffff"
    for folder in (closed, root / "lost+found", root / ".20240101T000000Z-aaaaaa.11223344.purged"):
        folder.mkdir(mode=0)
    listed = lab.as_nobody("runs", "list", "--json").json()["sessions"]
    assert [(info["id"], info["status"]) for info in listed] == [(closed.name, "broken"), (one.name, "failed")]
    shown = lab.as_nobody("runs", "show", one.name[-6:])
    assert (shown.code, shown.err) == (0, "")
    unreadable = lab.as_nobody("runs", "show", closed.name)
    assert (unreadable.code, "Permission denied" in unreadable.err, "Traceback" in unreadable.err) == (5, True, False)
    resumed = lab.as_nobody("run", "--resume", "last")
    assert f"session {one.name} does not say which file it ran" in resumed.err
    purged = lab.as_nobody("runs", "purge", "--keep", "0")
    assert (purged.code, "1 folder could not be removed" in purged.err, one.exists()) == (5, True, False)
    assert closed.exists()
