"""Old sessions are removed whole, on request, and nothing else ever is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from osiris.core.errors import UsageError
from osiris.core.execution_adapter import RunResult
from osiris.core.process import held
from osiris.core.session import Session, list_sessions
from osiris.core.session.retention import purge

MANIFEST = {"version": "1.0.0", "name": "orders", "steps": [{"id": "a", "driver": "x.y"}]}
LATER = timedelta(days=30)
ENTRIES = {".purge.lock"}
"""What a folder of sessions holds when there is none left."""


def make(root: Path, status: str = "success", days: float = 40, **state: Any) -> Path:
    """A session that ended some days ago."""
    session = Session.create(root, pipeline="orders", manifest=MANIFEST, adapter="local")
    session.context().log_event("run_start")
    (session.artifacts_dir / "report.txt").write_text("x" * 1000)
    if status == "interrupted":
        session.close()
        change(session.dir, pid=2**22 + 1, **state)
        for path in session.dir.iterdir():
            os.utime(path, (ago(days).timestamp(),) * 2)
    else:
        session.finish(RunResult(status=status, session_id=session.id, session_dir=session.dir))  # type: ignore[arg-type]
        change(session.dir, **{"ended": ago(days).isoformat(), **state})
    return session.dir


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def change(folder: Path, **state: Any) -> None:
    path = folder / "session.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **state}))


def contents(folder: Path) -> Mapping[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def ids(found: Any) -> list[str]:
    return [item.id for item in found]


def test_old_ones_are_removed_and_listed_with_their_size(tmp_path: Path) -> None:
    old, young = make(tmp_path, days=31), make(tmp_path, days=29)
    size = sum(path.stat().st_size for path in old.rglob("*") if path.is_file())
    report = purge(tmp_path, older_than=LATER)
    (removed,) = report.removed
    assert (removed.id, removed.status, removed.pipeline, removed.size) == (old.name, "success", "orders", size)
    assert report.size == size > 1000
    assert removed.ended is not None
    assert abs(removed.ended - ago(31)) < timedelta(hours=1)
    assert {path.name for path in tmp_path.iterdir()} == {young.name, *ENTRIES}


@pytest.mark.parametrize("status", ["success", "failed", "cancelled", "interrupted"])
def test_whatever_is_over_is_removed(tmp_path: Path, status: str) -> None:
    folder = make(tmp_path, status)
    (info,) = list_sessions(tmp_path)
    assert info.status == status
    assert ids(purge(tmp_path, older_than=LATER).removed) == [folder.name]
    assert {path.name for path in tmp_path.iterdir()} == ENTRIES


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path)
    draft = tmp_path / ".20240101T000000Z-abcdef"
    draft.mkdir()
    os.utime(draft, (0, 0))
    before = contents(tmp_path)
    report = purge(tmp_path, older_than=LATER, dry_run=True)
    assert (ids(report.removed), ids(report.leftovers)) == ([folder.name], [draft.name])
    assert contents(tmp_path) == before


def test_the_newest_stay(tmp_path: Path) -> None:
    made = [make(tmp_path, days=60 - number, started=ago(60 - number).isoformat()) for number in range(4)]
    report = purge(tmp_path, keep=3)
    assert ids(report.removed) == [made[0].name]
    assert ids(purge(tmp_path, older_than=timedelta(days=58, hours=12), keep=1).removed) == [made[1].name]
    assert {info.dir for info in list_sessions(tmp_path)} == set(made[2:])


def test_only_the_kinds_asked_for(tmp_path: Path) -> None:
    failed, _ = make(tmp_path, "failed"), make(tmp_path, "success")
    assert ids(purge(tmp_path, statuses=["failed"]).removed) == [failed.name]
    with pytest.raises(ValueError, match="only these can be removed"):
        purge(tmp_path, statuses=["running"])


def test_one_that_runs_is_never_removed(tmp_path: Path) -> None:
    session = Session.create(tmp_path, pipeline="orders", manifest=MANIFEST, adapter="local")
    change(session.dir, started=ago(90).isoformat())
    assert purge(tmp_path).removed == ()
    assert [info.status for info in list_sessions(tmp_path)] == ["running"]
    change(session.dir, host="elsewhere", pid=1)  # as seen from another machine
    session.close()
    assert purge(tmp_path).removed == ()
    assert session.dir.is_dir()


@pytest.mark.parametrize("lock", ["session.lock", "engine.lock"])
def test_one_that_a_living_process_holds_is_never_removed(tmp_path: Path, lock: str) -> None:
    # Its state is that of an old run: somebody is resuming it, or its worker has outlived it.
    folder = make(tmp_path, "interrupted")
    with held(folder / lock):
        report = purge(tmp_path)
        assert (report.removed, report.in_use) == ((), (folder.name,))
        assert purge(tmp_path, dry_run=True).in_use == (folder.name,)
    assert ids(purge(tmp_path).removed) == [folder.name]


def test_an_interrupted_one_is_as_old_as_its_last_sign_of_life(tmp_path: Path) -> None:
    folder = make(tmp_path, "interrupted", days=40, started=ago(90).isoformat())
    os.utime(folder / "events.jsonl", (ago(3).timestamp(),) * 2)
    assert purge(tmp_path, older_than=LATER).removed == ()
    assert ids(purge(tmp_path, older_than=timedelta(days=2)).removed) == [folder.name]


def test_what_does_not_say_when_it_ended_stays(tmp_path: Path) -> None:
    folder = make(tmp_path, ended="yesterday")
    assert purge(tmp_path, older_than=LATER).removed == ()
    change(folder, ended=ago(-400).isoformat())  # a clock was wrong
    assert purge(tmp_path, older_than=timedelta(0)).removed == ()


def test_what_is_no_session_is_left_alone(tmp_path: Path) -> None:
    root, outside = tmp_path / "runs", tmp_path / "outside"
    true = make(root)
    moved = make(tmp_path / "others")
    moved.rename(root / "kept by hand")
    renamed = make(tmp_path / "others")
    renamed.rename(root / "20240101T000000Z-aaaaaa")  # says another id than its name
    broken = root / "20240101T000000Z-bbbbbb"
    broken.mkdir()
    (broken / "thesis.txt").write_text("all I have")
    (root / "data.csv").write_text("1")
    (root / ".hidden").mkdir()
    (root / "..20240101T000000Z-cccccc").mkdir()
    outside.mkdir()
    (outside / "session.json").write_text((true / "session.json").read_text())
    (root / "20240101T000000Z-dddddd").symlink_to(outside, target_is_directory=True)
    (root / ".20240101T000000Z-eeeeee").symlink_to(outside, target_is_directory=True)
    (root / ".20240101T000000Z-ffffff.00000000.purged").symlink_to(outside, target_is_directory=True)
    before = {path.name for path in root.iterdir()}
    report = purge(root)
    assert ids(report.removed) == [true.name]
    assert (report.leftovers, report.failed) == ((), ())
    assert {path.name for path in root.iterdir()} == before - {true.name} | ENTRIES
    assert (broken / "thesis.txt").exists()
    assert (outside / "session.json").exists()


def test_links_inside_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x" * 100_000)
    folder = make(tmp_path / "runs")
    (folder / "artifacts" / "folder").symlink_to(outside, target_is_directory=True)
    (folder / "artifacts" / "file").symlink_to(outside / "precious")
    report = purge(tmp_path / "runs")
    assert ids(report.removed) == [folder.name]
    assert report.size < 50_000
    assert (outside / "precious").read_text() == "x" * 100_000


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "runs")
    with pytest.raises(UsageError, match="is a session, not a folder of sessions") as caught:
        purge(folder)
    assert caught.value.code == "session.not_a_root"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        purge(tmp_path / "file")
    before = contents(tmp_path / "runs")
    assert purge(tmp_path, dry_run=True).removed == ()
    assert purge(tmp_path / "nowhere").removed == ()
    assert not (tmp_path / "nowhere").exists()
    assert contents(tmp_path / "runs") == before


def test_what_killed_processes_left_is_swept_when_nobody_has_it(tmp_path: Path) -> None:
    def left(name: str, minutes: float) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "session.lock").touch()
        (folder / "manifest.json").write_text("{}")
        os.utime(folder, (ago(minutes / 1440).timestamp(),) * 2)
        return folder

    old = left(".20240101T000000Z-aaaaaa", 11)
    new = left(".20240101T000000Z-bbbbbb", 9)
    owned = left(".20240101T000000Z-cccccc", 60)
    half = left(".20240101T000000Z-dddddd.01234567.purged", 0)
    with held(owned / "session.lock"):
        report = purge(tmp_path, older_than=timedelta(days=3650))
    assert ids(report.leftovers) == [old.name, half.name]
    assert {path.name for path in tmp_path.iterdir()} == {new.name, owned.name, *ENTRIES}


def test_what_cannot_be_removed_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, fine = make(tmp_path, days=50), make(tmp_path, days=45)
    true = os.rmdir

    def refuse(path: Any, *arguments: Any, **options: Any) -> None:
        if Path(path).name == "artifacts" and refusing:
            refusing.clear()
            raise PermissionError(13, "Permission denied", str(path))
        true(path, *arguments, **options)

    refusing = {"once"}
    monkeypatch.setattr(os, "rmdir", refuse)
    report = purge(tmp_path, older_than=LATER)
    monkeypatch.setattr(os, "rmdir", true)
    assert ids(report.removed) == [fine.name]
    (failed,) = report.failed
    assert failed.id == stuck.name
    assert "Permission denied" in str(failed.error)
    assert list_sessions(tmp_path) == []  # half of it is not shown as a broken run
    assert ids(purge(tmp_path).leftovers) == [failed.dir.name]
    assert {path.name for path in tmp_path.iterdir()} == ENTRIES


def test_two_at_once_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from osiris.core.session import retention

    make(tmp_path)
    monkeypatch.setattr(retention, "_PATIENCE", 0.0)
    with held(tmp_path / ".purge.lock"), pytest.raises(UsageError) as caught:
        purge(tmp_path)
    assert caught.value.code == "session.in_use"


def test_a_session_that_was_removed_since_it_was_opened_is_not_brought_back(tmp_path: Path) -> None:
    folder = make(tmp_path, "failed")
    session = Session.open(folder)
    purge(tmp_path)
    with pytest.raises(UsageError, match="was removed") as caught:
        session.resume(MANIFEST, None)  # type: ignore[arg-type]
    assert caught.value.code == "session.not_found"
    assert not folder.exists()


PROGRAM = """
import os, shutil, signal, sys
from pathlib import Path
from osiris.core.session.retention import purge

CHANGES = {"os.rename", "os.remove", "os.rmdir"}
template, root = Path(sys.argv[1]), Path(sys.argv[2])

def remove(number, folder):
    changes = 0
    def see(event, arguments):
        nonlocal changes
        if event in CHANGES:
            changes += 1
            if changes == number:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(see)
    purge(folder)

number, code = 0, None
while code != 0:
    number += 1
    folder = root / str(number)
    shutil.copytree(template, folder)
    child = os.fork()
    if not child:
        remove(number, folder)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
print(number)
"""


def test_killed_at_any_point_it_leaves_no_half_session(tmp_path: Path) -> None:
    template, root = tmp_path / "template", tmp_path / "roots"
    whole = {make(template, "failed").name, make(template, "interrupted").name}
    root.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(template), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points > 15
    left = 0
    for number in range(1, points + 1):
        folder = root / str(number)
        for info in list_sessions(folder):
            assert info.id in whole
            assert info.status in ("failed", "interrupted")
            assert contents(info.dir).keys() == contents(template / info.id).keys()
        left += len(purge(folder).leftovers)
        assert {path.name for path in folder.iterdir()} == ENTRIES
    assert left > 10
