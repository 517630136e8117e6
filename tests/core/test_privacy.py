"""What a run writes below its session is its owner's alone, whatever the umask; so are projects' secret files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.cli.main import main
from osiris.core.adapter_factory import AdapterFactory
from osiris.core.artifacts import pack, unpack
from osiris.core.connections import REDACTOR
from osiris.core.execution_adapter import ExecutionContext, RunOptions
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.core.planning import make_plan
from osiris.core.privacy import make_private, make_private_folder, write_private
from osiris.core.session import Session

Register = Callable[..., None]


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(folder: Path) -> set[str]:
    everything = (path for path in [folder, *folder.rglob("*")] if not path.is_symlink())
    return {str(path.relative_to(folder)) for path in everything if mode(path) & 0o077}


class Keeps:
    """A writer as people write them: plain ``open`` and ``mkdir``. Looks around while it runs."""

    def __init__(self) -> None:
        self.session = Path()
        self.seen: set[str] = set()

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        inputs["df"].table()
        self.seen = open_to_others(self.session)
        (ctx.artifacts_dir / "deep" / "er").mkdir(parents=True)
        (ctx.artifacts_dir / "deep" / "er" / "report.txt").write_text("for the owner")
        (ctx.artifacts_dir / "run.sh").write_text("#!/bin/sh")
        (ctx.artifacts_dir / "run.sh").chmod(0o755)
        (ctx.state_dir / "note.txt").write_text("mine")
        (ctx.temp_dir / "scratch").write_text("gone soon")
        if config.get("fail"):
            raise ValueError("no")
        return {}


STREAM = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
READ = {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "in.csv"}}


def steps(keep: dict[str, Any]) -> list[dict[str, Any]]:
    sql = {"driver": "duckdb.processor", "inputs": {"t": "${read}"}, "config": {"query": "select * from t"}}
    return [
        {**READ, "checkpoint": True, "mask": {"columns": ["secret"], "method": "hash", "salt": "${PRIVACY_KEY}"}},
        {"id": "one", **sql},
        {"id": "two", **sql},  # two users: what they share is spooled
        {"id": "three", **sql, "inputs": {"t": "${two}"}},
        {"id": "four", **sql, "inputs": {"t": "${two}"}},
        {"id": "csv", "driver": "filesystem.csv_writer", "config": {"path": "out.csv"}, "inputs": {"df": "${one}"}},
        {
            "id": "table",
            "driver": "duckdb.writer",
            "config": {"database": "out.duckdb", "table": "t"},
            "inputs": {"df": "${three}"},
        },
        {"id": "keep", **keep, "inputs": {"df": "${four}"}},
    ]


@pytest.mark.parametrize("fail", [False, True])
def test_no_file_of_a_session_is_open_to_others(
    tmp_path: Path, register: Register, umask: int, fail: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVACY_KEY", "privacy-key-4711")
    (tmp_path / "in.csv").write_text("id,secret\n1,x\n2,y\n")
    keeps = Keeps()
    register("test.keeps", keeps, role="writer", outputs=(), **STREAM)
    manifest = manifest_from_dict(
        {"version": "1.0.0", "name": "p", "steps": steps({"driver": "test.keeps", "config": {"fail": fail}})}
    )
    session = Session.create(
        tmp_path / "runs", pipeline="p", manifest=manifest, adapter="local", plan=make_plan(manifest)
    )
    keeps.session = session.dir
    try:
        context = session.context(base_dir=tmp_path, options=RunOptions(memory_budget=0, parallel=1))
        result = run_pipeline(AdapterFactory.create("local"), manifest, context, adapter_name="local")
        session.finish(result)
    finally:
        REDACTOR.clear()
    assert result.status == ("failed" if fail else "success"), result.error
    assert keeps.seen <= {"state/csv/commit.json"}  # while it runs; that one lies in a private folder
    assert open_to_others(session.dir) == set()
    assert mode(session.dir / "artifacts" / "keep" / "run.sh") == 0o700
    names = {path.name for path in session.dir.rglob("*")}
    assert names >= {
        *("session.json", "manifest.json", "plan.json", "result.json", "events.jsonl", "metrics.jsonl"),
        *("progress.jsonl", "session.lock", "engine.lock", "report.txt", "note.txt"),
    }
    assert ("read.df.arrows" in names) is fail
    assert mode(tmp_path / "out.csv") == 0o666 & ~umask  # what the user asked for is the user's matter


def test_a_worker_process_leaves_nothing_open_either(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVACY_KEY", "privacy-key-4711")
    (tmp_path / "in.csv").write_text("id,secret\n1,x\n2,y\n")
    wrong = {"driver": "filesystem.csv_writer", "config": {"path": "in.csv/no", "create_dirs": False}}
    manifest = manifest_from_dict({"version": "1.0.0", "name": "p", "steps": steps(wrong)})
    session = Session.create(tmp_path / "runs", pipeline="p", manifest=manifest, adapter="local")
    try:
        context = session.context(base_dir=tmp_path, options=RunOptions(memory_budget=0))
        adapter = AdapterFactory.create("local", isolation="process")
        session.finish(run_pipeline(adapter, manifest, context, adapter_name="local"))
    finally:
        REDACTOR.clear()
    assert (session.dir / "checkpoints" / "read.df.arrows").exists()
    assert open_to_others(session.dir) == set()


def test_a_folder_chosen_by_hand_is_private_too(tmp_path: Path, umask: int) -> None:
    (tmp_path / "in.csv").write_text("id\n1\n")
    save = {"id": "csv", "driver": "filesystem.csv_writer", "config": {"path": "o.csv"}, "inputs": {"df": "${read}"}}
    context = ExecutionContext("x", tmp_path / "deep" / "session", base_dir=tmp_path)
    result = run_pipeline(AdapterFactory.create("local"), {"version": "1", "steps": [READ, save]}, context)
    assert result.status == "success", result.error
    assert open_to_others(tmp_path / "deep") == set()


def test_what_is_unpacked_is_private(tmp_path: Path, umask: int) -> None:
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "c.txt").write_text("x")
    (source / "run.sh").write_text("x")
    (source / "run.sh").chmod(0o777)
    unpack(pack(source, tmp_path / "a.tar"), tmp_path / "home" / "here")
    assert open_to_others(tmp_path / "home") == set()
    assert mode(tmp_path / "home" / "here" / "run.sh") == 0o700


def test_what_others_were_given_is_not_taken_from_them(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    outside.chmod(0o644)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    (folder / "hard").hardlink_to(outside)
    (folder / "soft").symlink_to(outside)
    (folder / "own").write_text("x")
    make_private(folder)
    assert mode(outside) == 0o644
    assert (mode(folder), mode(folder / "own")) == (0o700, 0o600)
    make_private(tmp_path / "gone")


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared").chmod(0o755)
    make_private_folder(tmp_path / "shared" / "a" / "b")
    make_private_folder(tmp_path / "shared")
    assert [mode(tmp_path / "shared" / place) for place in ("", "a", "a/b")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_private_folder(tmp_path / "file" / "below")


def test_connections_of_a_new_project_are_private(tmp_path: Path, umask: int) -> None:
    assert main(["init", str(tmp_path / "demo")]) == 0
    assert mode(tmp_path / "demo" / "osiris_connections.yaml") == 0o600
    assert mode(tmp_path / "demo" / ".env.example") == 0o600  # copied to .env, it keeps that
    assert mode(tmp_path / "demo" / "pipeline.yaml") == 0o666 & ~umask
    (tmp_path / "demo" / "osiris_connections.yaml").chmod(0o640)
    assert main(["init", str(tmp_path / "demo"), "--force"]) == 0
    assert mode(tmp_path / "demo" / "osiris_connections.yaml") == 0o640  # the user's own decision stays


def test_a_file_is_written_for_its_owner_only(tmp_path: Path, umask: int) -> None:
    write_private(tmp_path / "note", "first, and longer")
    write_private(tmp_path / "note", "grüße")
    assert (tmp_path / "note").read_text(encoding="utf-8") == "grüße"
    assert mode(tmp_path / "note") == 0o600
