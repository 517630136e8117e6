"""The folder of a run: what is in it, for whom, and what it says when things go wrong."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from osiris.core.driver import DriverSpec
from osiris.core.errors import CollectError, PrepareError, StepError, UsageError
from osiris.core.execution_adapter import RunResult
from osiris.core.planning import Edge, Plan, PlannedStep, Stage
from osiris.core.session import Session, latest, list_sessions
from osiris.core.session.json_file import write_json

MANIFEST = {"version": "1.0.0", "name": "orders", "steps": [{"id": "a", "driver": "x.y", "config": {"k": "${PW}"}}]}


def create(root, **changes):
    return Session.create(root, **{"pipeline": "orders", "manifest": MANIFEST, "adapter": "local", **changes})


def result_of(session, **changes):
    return RunResult(**{"status": "success", "session_id": session.id, "session_dir": session.dir, **changes})


def state_of(session):
    return json.loads((session.dir / "session.json").read_text())


def test_a_new_session_is_on_disk_and_says_running(tmp_path):
    session = create(tmp_path / "runs", command=["osiris", "run", "p.yaml"])
    state = state_of(session)
    assert state["state"] == "running"
    assert (state["id"], state["pipeline"], state["adapter"]) == (session.id, "orders", "local")
    assert (state["pid"], state["ended"], state["command"]) == (os.getpid(), None, ["osiris", "run", "p.yaml"])
    assert state["pid_started"] > 0
    assert session.manifest() == MANIFEST
    assert session.artifacts_dir.is_dir()
    assert session.result() is None


def test_everything_in_it_is_its_owners_alone(tmp_path):
    session = create(tmp_path)
    session.context().log_event("run_start")
    session.finish(result_of(session))
    assert stat.S_IMODE(session.dir.stat().st_mode) == 0o700
    for path in session.dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_ids_are_times_and_never_collide(tmp_path):
    ids: list[str] = []

    def make():
        for _ in range(5):
            ids.append(create(tmp_path).id)  # noqa: PERF401  # list.append is atomic, a comprehension is not

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 40
    assert {len(name) for name in ids} == {len("20261122T011425Z-3f9a2c")}
    assert {path.name for path in tmp_path.iterdir()} == set(ids)


def test_an_id_that_is_taken_is_not_used(tmp_path, monkeypatch):
    answers = iter(["aaaaaa", "aaaaaa", "bbbbbb"])
    from osiris.core.session import folder

    class Clock(folder.datetime):
        @classmethod
        def now(cls, zone=None):
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=zone)

    monkeypatch.setattr(folder, "datetime", Clock)
    monkeypatch.setattr(folder.secrets, "token_hex", lambda size: next(answers) if size == 3 else os.urandom(4).hex())
    assert [create(tmp_path).id, create(tmp_path).id] == ["20260102T030405Z-aaaaaa", "20260102T030405Z-bbbbbb"]


def test_events_of_the_context_are_in_the_folder(tmp_path):
    session = create(tmp_path)
    context = session.context(verbose=True, environment={"A": "b"}, base_dir=tmp_path)
    assert (context.session_id, context.session_dir, context.verbose) == (session.id, session.dir, True)
    assert (context.artifacts_dir, context.base_dir) == (session.artifacts_dir, tmp_path)
    context.log_event("run_start", {"pipeline": "orders"})
    session.context().log_metric("m", 1)
    assert [event["seq"] for event in session.events()] == [1]
    assert [metric["seq"] for metric in session.metrics()] == [2]
    session.close()


def test_secrets_are_replaced_in_every_file_of_its_own(tmp_path):
    def redact(data):
        return json.loads(json.dumps(data).replace("hunter2", "***"))

    session = create(tmp_path, redact=redact, command=["osiris", "run", "--param", "p=hunter2"])
    context = session.context()
    context.log_event("e", {"error": OSError("hunter2")})
    context.log_metric("m", 1, tag="hunter2")
    error = StepError("cannot log in with hunter2", hint="hunter2?", uri="db://u:hunter2@h")
    session.finish(result_of(session, status="failed", error=error, warnings=["hunter2"]))
    assert session.result()["error"]["message"] == "cannot log in with ***"
    for path in session.dir.rglob("*.json*"):
        assert b"hunter2" not in path.read_bytes(), path


def test_a_plan_is_kept_and_handed_on(tmp_path):
    spec = DriverSpec(name="x.y", summary="", factory="")
    edge = Edge(producer="a", output="df", consumer="b", name="df", kind="stream")
    plan = Plan(
        manifest=MANIFEST,
        steps=(
            PlannedStep(id="a", driver="x.y", spec=spec, config={"password": "${PW}"}),
            PlannedStep(id="b", driver="x.y", spec=spec, inputs={"df": edge}, after=("a",)),
        ),
        stages=(Stage(index=0, steps=("a", "b")),),
        edges=(edge,),
        fingerprint="f" * 64,
    )
    session = create(tmp_path, plan=plan)
    kept = json.loads((session.dir / "plan.json").read_text())
    assert kept["fingerprint"] == "f" * 64
    assert [step["id"] for step in kept["steps"]] == ["a", "b"]
    assert kept["stages"] == [{"index": 0, "steps": ["a", "b"], "after": []}]
    assert kept["edges"][0]["kind"] == "stream"
    context = session.context()
    assert context.plan is plan
    session.close()


def test_finishing_says_how_it_ended(tmp_path):
    session = create(tmp_path)
    session.finish(result_of(session, status="failed", steps_completed=1, error=StepError("no", step_id="a")))
    assert state_of(session)["state"] == "failed"
    assert state_of(session)["ended"] >= state_of(session)["started"]
    again = Session.open(session.dir)
    assert again.info.status == "failed"
    assert again.result()["steps_completed"] == 1
    assert again.result()["error"]["facts"] == {"step_id": "a"}


def test_a_result_with_what_json_does_not_know(tmp_path):
    numpy = pytest.importorskip("numpy")
    session = create(tmp_path)
    session.finish(result_of(session, metrics={"share": float("nan"), "n": numpy.int64(3)}, outputs=[{"p": Path("x")}]))
    result = json.loads((session.dir / "result.json").read_text(), parse_constant=pytest.fail)
    assert result["metrics"] == {"share": None, "n": 3}
    assert result["outputs"] == [{"p": "x"}]


def test_files_never_hold_half(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("blocked", ["file", "below a file"])
def test_a_root_that_cannot_be_written_is_told(tmp_path, blocked):
    root = tmp_path / "runs"
    root.write_text("")
    with pytest.raises(PrepareError) as caught:
        create(root if blocked == "file" else root / "deeper")
    assert caught.value.code == "session.unwritable"
    assert str(root) in caught.value.message
    assert "--session-dir" in caught.value.hint


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_without_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PrepareError, match="Permission denied"):
            create(tmp_path)
    finally:
        tmp_path.chmod(0o700)


FULL = """
import resource, sys
from osiris.core.errors import PrepareError
from osiris.core.session import Session
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    Session.create(sys.argv[1], pipeline="p", manifest={"text": "x" * 10_000}, adapter="local")
except PrepareError as error:
    print(error.code, "|", error.message, "|", error.hint)
"""


@pytest.mark.parametrize("room", [0, 2000])
def test_a_disk_without_room_is_told_and_no_half_session_stays(tmp_path, room):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(room)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("session.unwritable | the session folder cannot be written")
    assert "free space" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_went_away_is_told_at_the_end(tmp_path):
    session = create(tmp_path)
    moved = session.dir.rename(tmp_path / "elsewhere")
    with pytest.raises(CollectError) as caught:
        session.finish(result_of(session))
    assert caught.value.code == "session.unwritable"
    assert Session.open(moved).info.status == "running"
    with pytest.raises(PrepareError):
        session.context()


OWNER = """
import sys
from osiris.core.session import Session
session = Session.create(sys.argv[1], pipeline="p", manifest={}, adapter="local")
print(session.id, flush=True)
sys.stdin.read()
"""


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        name = owner.stdout.readline().decode().strip()
        assert [(info.id, info.status) for info in list_sessions(tmp_path)] == [(name, "running")]
        owner.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
        assert list_sessions(tmp_path)[0].status == "interrupted"
        owner.wait()
    assert list_sessions(tmp_path)[0].status == "interrupted"
    assert list_sessions(tmp_path)[0].ended is None
    assert Session.open(name, tmp_path).info.status == "interrupted"


def change(session, **changes):
    (session.dir / "session.json").write_text(json.dumps({**state_of(session), **changes}))


def test_another_process_with_the_same_number_is_not_the_owner(tmp_path):
    session = create(tmp_path)
    change(session, pid_started=state_of(session)["pid_started"] - 60)
    assert list_sessions(tmp_path)[0].status == "interrupted"


def test_a_run_on_another_machine_stays_what_it_says(tmp_path):
    session = create(tmp_path)
    change(session, host="elsewhere", pid=2**22 + 1)
    assert list_sessions(tmp_path)[0].status == "running"


@pytest.mark.parametrize("pid", [-1, 0, 2**31 - 1, 2**80])
def test_a_strange_process_id_is_nobody(tmp_path, pid):
    session = create(tmp_path)
    change(session, pid=pid)
    assert list_sessions(tmp_path)[0].status == "interrupted"


def test_the_newest_comes_first_also_within_a_second(tmp_path):
    sessions = [create(tmp_path) for _ in range(6)]
    assert [info.id for info in list_sessions(tmp_path)] == [session.id for session in reversed(sessions)]
    assert latest(tmp_path).id == sessions[-1].id


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"state": "running"}', '{"id": "x", "state": "dreaming"}'])
def test_broken_folders_do_not_hide_the_others(tmp_path, content):
    good = create(tmp_path)
    broken = tmp_path / "20990101T000000Z-ffffff"
    broken.mkdir()
    if content is not None:
        (broken / "session.json").write_text(content)
    (tmp_path / "notes.txt").write_text("not a session")
    (tmp_path / "other").mkdir()
    assert [(info.id, info.status) for info in list_sessions(tmp_path)] == [
        (broken.name, "broken"),
        (good.id, "running"),
    ]
    assert latest(tmp_path).id == good.id
    assert Session.open(broken.name, tmp_path).info.status == "broken"


def test_no_root_has_no_sessions(tmp_path):
    assert list_sessions(tmp_path / "none") == []
    assert latest(tmp_path / "none") is None
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        list_sessions(tmp_path / "file")
    assert caught.value.code == "session.root_unreadable"


def test_opening_by_folder_id_beginning_end_and_latest(tmp_path):
    one, two = create(tmp_path), create(tmp_path)
    for name in (one.id, one.id[-6:], one.dir, str(one.dir)):
        assert Session.open(name, tmp_path).id == one.id
    assert Session.open("latest", tmp_path).id == two.id
    with pytest.raises(UsageError) as caught:
        Session.open("2", tmp_path)
    assert caught.value.code == "session.ambiguous"
    assert one.id in caught.value.message


@pytest.mark.parametrize("name", ["nope", "", "../x", "latest", "\0"])
def test_what_is_not_there_is_told(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        Session.open(name, tmp_path)
    assert caught.value.code == "session.not_found"
    assert "there is none yet" in caught.value.hint


def test_info_is_json(tmp_path):
    create(tmp_path)
    json.dumps(list_sessions(tmp_path)[0].to_dict())


@pytest.mark.parametrize(("steps", "lines"), [(3, True), (8_000, False)])
def test_a_file_is_indented_where_people_read_it(tmp_path: Path, steps: int, lines: bool) -> None:
    content = {"name": "straße", "steps": [{"id": f"step_{number}", "driver": "a.b" * 9} for number in range(steps)]}
    write_json(tmp_path / "manifest.json", content)
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.endswith("}\n")
    assert ('\n      "id": "step_1"' in text) is lines
    assert "straße" in text
