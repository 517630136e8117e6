"""A name or path that comes from outside cannot leave the folder that it belongs to."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.artifacts import unpack
from osiris.core.engine.checkpoints import Checkpoints
from osiris.core.errors import CollectError, ManifestError, OsirisError
from osiris.core.execution_adapter import RunOptions
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.core.session import Session

Register = Callable[..., None]
UNTRUE = ["..", ".", "", "/", "/etc/passwd", "../../x", "a/../../b", "a/b", "a\\b", "a\0b", "~", "x" * 500, "ž", " "]


@pytest.mark.parametrize("step_id", UNTRUE)
def test_a_steps_id_is_no_path(step_id: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest_from_dict({"version": "1", "steps": [{"id": step_id, "driver": "x.y"}]})
    assert {problem.code for problem in caught.value.problems} == {"manifest.step_id"}


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(max_size=40) | st.sampled_from(UNTRUE))
def test_an_outputs_name_is_no_path(output: str) -> None:
    path = Checkpoints(Path("/session")).path("step", output)
    assert os.path.normpath(path) == str(path)
    assert path.parent == Path("/session/checkpoints")
    assert len(path.name) < 200


def test_outputs_of_any_name_stay_in_the_session(tmp_path: Path, register: Register) -> None:
    class Gives:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {"df": pa.table({"n": [1]}), **{name: pa.table({"n": [2]}) for name in UNTRUE}}

    class Takes:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {}

    register("test.gives", Gives, role="extractor", max_inputs=0, outputs=("df", *UNTRUE))
    register("test.takes", Takes, input_form="arrow")
    steps = [
        {"id": "give", "driver": "test.gives", "checkpoint": True},
        {"id": "take", "driver": "test.takes", "inputs": {"a": "${give.df}", "b": "${give}"}},
    ]
    manifest = manifest_from_dict({"version": "1", "steps": steps})
    (tmp_path / "project").mkdir()
    session = Session.create(tmp_path / "runs", pipeline="p", manifest=manifest, adapter="local")
    context = session.context(base_dir=tmp_path / "project", options=RunOptions(memory_budget=0))
    result = run_pipeline(AdapterFactory.create("local"), manifest, context)
    session.finish(result)
    assert result.status == "success", result.error
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "project"}
    assert list((tmp_path / "project").iterdir()) == []
    assert list((tmp_path / "runs").iterdir()) == [session.dir]


def archive(path: Path, *members: tuple[str, bytes, Any]) -> Path:
    """A tar file with whatever members: name, type, and content or link target."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, extra in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(extra, bytes):
                member.size = len(extra)
                tar.addfile(member, io.BytesIO(extra))
            else:
                member.linkname = extra
                tar.addfile(member)
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/x", tarfile.REGTYPE, b"x")],
        [("//x", tarfile.REGTYPE, b"x")],
        [("../x", tarfile.REGTYPE, b"x")],
        [("a/b/../../../x", tarfile.REGTYPE, b"x")],
        [("..", tarfile.DIRTYPE, "")],
        [("a", tarfile.SYMTYPE, "../../outside"), ("a/x", tarfile.REGTYPE, b"x")],
        [("a", tarfile.SYMTYPE, "/"), ("a/x", tarfile.REGTYPE, b"x")],
        [("x", tarfile.LNKTYPE, "/etc/passwd")],
        [("x", tarfile.LNKTYPE, "../outside/mine")],
        [("x", tarfile.CHRTYPE, "")],
        [("x", tarfile.BLKTYPE, "")],
        [("x", tarfile.FIFOTYPE, "")],
        [("a/" * 1500 + "x", tarfile.REGTYPE, b"x")],
        [("x", tarfile.CONTTYPE, ""), ("../x", tarfile.REGTYPE, b"x")],
    ],
)
def test_an_archive_writes_only_below_its_folder(tmp_path: Path, members: list[Any]) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine")
    home = tmp_path / "deep" / "home"
    with pytest.raises(CollectError) as caught:
        unpack(archive(tmp_path / "a.tar", *members), home)
    assert caught.value.code == "artifacts.unsafe"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "deep", "outside"]
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["mine"]
    assert (tmp_path / "outside" / "mine").stat().st_nlink == 1
    assert not any(path.is_symlink() for path in home.rglob("*"))


@pytest.mark.parametrize("name", ["x" * 300, "\n".join("ab"), "a/" * 150 + "x", "-rf", "C:\\x", "..x", "...", ".x"])
def test_a_strange_name_in_an_archive_is_kept_or_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    try:
        (item,) = unpack(archive(tmp_path / "a.tar", (name, tarfile.REGTYPE, b"x")), home)
    except CollectError as error:
        refused = (error.code, [path for path in home.rglob("*") if path.is_file()])
        assert refused == ("artifacts.unpack_failed", [])  # the system takes no such name
    else:
        assert item["path"] == name
        assert (home / name).read_bytes() == b"x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "home"]


def test_an_archive_cannot_make_programs_that_run_as_somebody_else(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("x")
        member.mode = 0o7777
        tar.addfile(member)
    unpack(tmp_path / "a.tar", tmp_path / "home")
    assert stat.S_IMODE((tmp_path / "home" / "x").stat().st_mode) == 0o700


@pytest.mark.parametrize("tenant", ["..", "../..", "../../secrets", "a/../../..", "./.."])
@pytest.mark.parametrize("writes", [False, True])
def test_a_param_in_a_path_cannot_leave_the_folder_of_a_connection(tmp_path: Path, tenant: str, writes: bool) -> None:
    (tmp_path / "lake" / "a").mkdir(parents=True)
    (tmp_path / "in.csv").write_text("a\n1\n")
    (tmp_path / "out.csv").write_text("before")
    (tmp_path / "osiris_connections.yaml").write_text("filesystem: {lake: {base_dir: lake}}")
    name = "${params.tenant}/" + ("out.csv" if writes else "in.csv")
    inside = {"connection": "@filesystem.lake", "path": name}
    outside = {"path": str(tmp_path / ("in.csv" if writes else "new.csv"))}
    read, write = (outside, inside) if writes else (inside, outside)
    steps = [
        {"id": "read", "driver": "filesystem.csv_extractor", "config": read},
        {"id": "save", "driver": "filesystem.csv_writer", "config": write, "inputs": {"df": "${read}"}},
    ]
    manifest = {"version": "1", "params": {"tenant": tenant}, "steps": steps}
    session = Session.create(tmp_path / "runs", pipeline="p", manifest=manifest, adapter="local")
    result = run_pipeline(AdapterFactory.create("local"), manifest, session.context(base_dir=tmp_path))
    session.finish(result)
    assert isinstance(result.error, OsirisError)
    assert result.error.code == "filesystem.outside_base"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("in.csv", "lake", "osiris_connections.yaml", "out.csv", "runs")
    ]
    assert (tmp_path / "out.csv").read_text() == "before"
    assert not any(path.is_file() for path in (tmp_path / "lake").rglob("*"))
