"""A machine that plays up: full disks, folders that cannot be written, clocks that jump, several runs at once."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from osiris.core.session import list_sessions

COPY = """\
version: "1.0.0"
name: copy
steps:
  - {id: lines, driver: filesystem.csv_extractor, config: {path: data/lines.csv}}
  - {id: save, driver: filesystem.csv_writer, config: {path: out/lines.csv}, inputs: {df: "${lines.df}"}}
"""
FAN_OUT = """\
version: "1.0.0"
name: fan-out
steps:
  - {id: lines, driver: filesystem.csv_extractor, config: {path: data/lines.csv}}
  - {id: all, driver: duckdb.processor, config: {query: "select * from df order by id"}, inputs: {df: "${lines.df}"}}
  - {id: one, driver: filesystem.csv_writer, config: {path: out/one.csv}, inputs: {df: "${all.df}"}}
  - {id: two, driver: filesystem.parquet_writer, config: {path: out/two.parquet}, inputs: {df: "${all.df}"}}
  - id: table
    driver: duckdb.writer
    config: {database: out/shop.duckdb, table: lines, write_mode: append}
    retry: {attempts: 20, delay: 200ms, max_delay: 500ms, on: [duckdb.locked]}
    inputs: {df: "${all.df}"}
"""
SLOW = """\
version: "1.0.0"
name: slow
steps:
  - {id: lines, driver: filesystem.csv_extractor, config: {path: data/lines.csv, limit: 10}}
  - {id: slowly, driver: slow.pass, config: {rows: 1, pause: 0.3}, inputs: {df: "${lines.df}"}}
  - {id: save, driver: filesystem.csv_writer, config: {path: out/lines.csv}, inputs: {df: "${slowly.df}"}}
"""

INTO_DATABASE = """\
version: "1.0.0"
name: into-database
steps:
  - {id: many, driver: filesystem.csv_extractor, config: {path: data/many.csv}}
  - {id: save, driver: duckdb.writer, config: {database: out/many.duckdb, table: many}, inputs: {df: "${many.df}"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a pipeline that copies 2 MB."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "out").mkdir()
    lines = [f"{number},{'x' * 40}" for number in range(45_000)]
    (folder / "data" / "lines.csv").write_text("\n".join(["id,text", *lines]) + "\n")
    (folder / "pipeline.yaml").write_text(COPY)
    return folder


def osiris(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "osiris.cli", *arguments]


def run(project: Path, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=120, **options)


def told(done: subprocess.CompletedProcess[str], code: int = 5) -> dict[str, Any]:
    """The error in the one document that ``--json`` prints; never a bug, never a traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert error["hint"]
    return error


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# -- disks ----------------------------------------------------------------------------------------------


def limited() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))


def test_no_room_for_the_target(project: Path) -> None:
    (project / "out" / "lines.csv").write_text("old\n")
    error = told(run(project, osiris("run", "--json"), preexec_fn=limited))
    assert error["code"] == "filesystem.no_space"
    assert files(project / "out") == ["lines.csv"]
    assert (project / "out" / "lines.csv").read_text() == "old\n"
    assert run(project, osiris("run", "--resume", "last", "--quiet")).returncode == 0
    assert (project / "out" / "lines.csv").read_text() == (project / "data" / "lines.csv").read_text()


def test_no_room_for_a_checkpoint(project: Path) -> None:
    (project / "pipeline.yaml").write_text(FAN_OUT)
    error = told(run(project, osiris("run", "--json", "--checkpoint"), preexec_fn=limited))
    assert error["code"].startswith("store."), error
    assert files(project / "out") == []
    (session,) = (project / ".osiris" / "runs").iterdir()
    assert [name for name in files(session) if "checkpoints" in name or name.startswith("tmp")] == []
    assert run(project, osiris("run", "--resume", "last", "--quiet")).returncode == 0
    assert files(project / "out") == ["one.csv", "shop.duckdb", "two.parquet"]


needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0
    or not shutil.which("unshare")
    or subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], check=False).returncode != 0,
    reason="needs the right to mount",
)


def inside(mounts: str, command: list[str], *, after: str = "true") -> list[str]:
    """The command in a mount namespace of its own, which ends with it."""
    script = f'{mounts} && {{ "$@"; code=$?; {after}; exit $code; }}'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *command]


@needs_namespaces
def test_a_full_disk_below_the_target(project: Path) -> None:
    command = inside("mount -t tmpfs -o size=1m none out", osiris("run", "--json"), after="ls -A out >&2")
    done = run(project, command)
    assert told(done)["code"] == "filesystem.no_space"
    assert ".lines.csv" not in done.stderr


@needs_namespaces
@pytest.mark.parametrize("size", ["20k", "200k"])
def test_a_full_disk_below_a_new_database(project: Path, size: str) -> None:
    """Nothing is left that would keep the next run from making it, when there is room again."""
    with (project / "data" / "many.csv").open("w") as file:
        file.write("a,b\n")
        file.writelines(f"{number * 7919 % 1_000_003},{number}\n" for number in range(300_000))
    (project / "pipeline.yaml").write_text(INTO_DATABASE)
    again = f"ls -A out >&2; mount -o remount,size=50m out && {shlex.join(osiris('run', '--quiet'))} && ls -A out >&2"
    command = inside(f"mount -t tmpfs -o size={size} none out", osiris("run", "--json"), after=again)
    done = run(project, command)
    assert told(done)["code"] == "duckdb.io"
    assert done.stderr.splitlines()[-1:] == ["many.duckdb"], done.stderr
    assert ".wal" not in done.stderr


@needs_namespaces
@pytest.mark.parametrize("size", ["16k", "64k", "200k"])
def test_a_full_disk_below_the_session(project: Path, size: str) -> None:
    """However early it is full: an error that says so."""
    (project / "sessions").mkdir()
    fill = "head -c 100k /dev/zero > sessions/other 2>/dev/null; true"
    mounts = f"mount -t tmpfs -o size={size} none sessions && {{ {fill}; }}"
    done = run(project, inside(mounts, osiris("run", "--json", "--session-dir", "sessions")))
    if done.returncode:
        assert "space" in json.dumps(told(done)).lower()
    assert [name for name in files(project / "out") if name != "lines.csv"] == []


# -- folders --------------------------------------------------------------------------------------------


@needs_namespaces
def test_a_folder_that_cannot_be_written(project: Path) -> None:
    read_only = "mount --bind out out && mount -o remount,bind,ro out"
    error = told(run(project, inside(read_only, osiris("run", "--json"))))
    assert error["code"] == "filesystem.read_only"


@needs_namespaces
def test_a_project_that_cannot_be_written(project: Path) -> None:
    read_only = "mount --bind . . && mount -o remount,bind,ro . && cd ../project"
    error = told(run(project, inside(read_only, osiris("run", "--json"))))
    assert error["code"] == "session.unwritable"


# -- clocks ---------------------------------------------------------------------------------------------

JUMPING = """\
import datetime
import itertools
import time

_real, _jumps = time.time, itertools.cycle([0, 86_400, -86_400, 3e7, -3e7])
time.time = lambda: _real() + next(_jumps)


class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


datetime.datetime = Jumping
"""


@pytest.mark.parametrize("options", [(), ("--adapter-option", "isolation=process")], ids=["here", "in a worker"])
def test_a_clock_that_jumps(project: Path, tmp_path: Path, install: Callable[[str], Path], options: Any) -> None:
    """Timeouts, durations and the order of events do not come from the clock on the wall."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(JUMPING)
    path = os.pathsep.join(map(str, (tmp_path / "clock", install("slow"))))
    environment = {**os.environ, "PYTHONPATH": path}
    jumps = run(project, [sys.executable, "-c", "import time; print(time.time() - time.time())"], env=environment)
    assert abs(float(jumps.stdout)) > 80_000
    (project / "pipeline.yaml").write_text(SLOW)
    done = run(project, osiris("run", "--json", "--timeout", "60", *options), env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert 3_000 <= result["duration_ms"] < 60_000
    for step in result["steps"]:
        assert 0 <= step["duration_ms"] < 60_000
    session = Path(result["session_dir"])
    events = [json.loads(line) for line in (session / "events.jsonl").read_text().splitlines()]
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    for event in events:
        assert 0 <= event.get("duration_ms", 0) < 60_000
    late = run(project, osiris("run", "--json", "--timeout", "1", *options), env=environment)
    assert told(late)["code"] == "run.timeout"


# -- several at once ----------------------------------------------------------------------------------------


def test_four_runs_at_once(project: Path) -> None:
    (project / "pipeline.yaml").write_text(FAN_OUT)
    children = [
        subprocess.Popen(osiris("run", "--quiet", "--checkpoint"), cwd=project, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0] * 4, errors
    sessions = list_sessions(project / ".osiris" / "runs")
    assert [session.status for session in sessions] == ["success"] * 4
    assert files(project / "out") == ["one.csv", "shop.duckdb", "two.parquet"]
    assert (project / "out" / "one.csv").read_text() == (project / "data" / "lines.csv").read_text()
    with duckdb.connect(str(project / "out" / "shop.duckdb")) as connection:
        assert connection.execute("select count(*), count(distinct id) from lines").fetchall() == [(180_000, 45_000)]
        marked = connection.execute("select session_id from _osiris_commits order by 1").fetchall()
    assert [name for (name,) in marked] == sorted(session.id for session in sessions)
    for session in sessions:
        told = {json.loads(line)["session_id"] for line in (session.dir / "events.jsonl").read_text().splitlines()}
        assert told == {session.id}


def test_two_that_resume_one_session(project: Path, install: Callable[[str], Path]) -> None:
    (project / "pipeline.yaml").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": str(install("slow"))}
    command = osiris("run", "--verbose")
    with subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        while "step_start" not in first.stderr.readline():
            assert first.poll() is None
        assert told(run(project, osiris("run", "--json", "--resume", "last"), env=environment), 2)["code"] == (
            "session.in_use"
        )
        first.kill()
    command = osiris("run", "--verbose", "--resume", "last")
    with subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr is not None
        while "step_start" not in second.stderr.readline():
            assert second.poll() is None
        (session,) = list_sessions(project / ".osiris" / "runs")
        assert (session.status, session.pid) == ("running", second.pid)
        refused = run(project, osiris("run", "--json", "--resume", "last"), env=environment)
        assert told(refused, 2)["code"] == "session.in_use"
        second.stderr.read()
        assert second.wait() == 0
    assert len((project / "out" / "lines.csv").read_text().splitlines()) == 11
    finished = run(project, osiris("run", "--json", "--resume", "last"), env=environment)
    assert told(finished, 2)["code"] == "session.finished"
