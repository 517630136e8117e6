"""Files there and back: every byte, at the same places as after a local run, and nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from e2b_server import E2BServer

from osiris.core.engine.landing import Landing
from osiris.core.errors import CollectError
from osiris.core.plugins import Catalog
from osiris.remote.e2b.homecoming import bring_home

from .conftest import InSandbox, only

MAKER = '''
import os
from pathlib import Path

from osiris.core.driver import Driver, DriverSpec
from osiris.core.hookspecs import hookimpl


class Maker(Driver):
    """Writes what its config says: files of random bytes as artifacts, and at paths."""

    def run(self, step_id, config, inputs, ctx):
        ctx.log_event("seen", {"files": sorted(str(path) for path in ctx.base_dir.rglob("*") if path.is_file())})
        for name, size in config.get("artifacts", {}).items():
            place = ctx.artifacts_dir / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                for start in range(0, size, 1 << 20):
                    file.write(os.urandom(min(1 << 20, size - start)))
        for name, text in config.get("texts", {}).items():
            place = ctx.resolve_path(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        for name in config.get("remove", []):
            ctx.resolve_path(name).unlink()
        (ctx.temp_dir / "temporary").write_text("x")
        (ctx.state_dir / "state").write_text("kept")
        return {}


@hookimpl
def osiris_drivers():
    return [DriverSpec(name="maker.files", summary="x", factory="maker:Maker", outputs=())]
'''


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package of one module, ``maker``, on this process's path only."""
    folder = tmp_path / "packages"
    facts = folder / "maker_osiris-1.0.dist-info"
    facts.mkdir(parents=True)
    (folder / "maker.py").write_text(MAKER)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: maker-osiris\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[osiris.drivers]\nmaker = maker\n")
    monkeypatch.syspath_prepend(str(folder))
    Catalog.reset()
    yield lambda **config: {
        "version": "1.0.0",
        "name": "made",
        "steps": [{"id": "make", "driver": "maker.files", "config": config}],
    }
    Catalog.reset()


def steps(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1.0.0", "name": "files", "steps": list(listed)}


def copy(source: str, goal: str, **more: Any) -> dict[str, Any]:
    return steps(
        {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": source}},
        {
            "id": "write",
            "driver": "filesystem.csv_writer",
            "config": {"path": goal, **more},
            "inputs": {"df": "${read.df}"},
        },
    )


@pytest.mark.slow
def test_an_artifact_of_200_megabytes_and_its_small_neighbours(maker: Any, run: InSandbox, tmp_path: Path) -> None:
    sizes = {"large.bin": 200 << 20, "folder/deep/small.bin": 1000, "empty": 0, "ünïcode name.bin": 17}
    result, _ = run(maker(artifacts=sizes))
    assert result.status == "success", result.error
    assert {item["path"]: item["size"] for item in result.artifacts} == {
        f"make/{name}": size for name, size in sizes.items()
    }
    for item in result.artifacts:
        with (tmp_path / "session" / "artifacts" / item["path"]).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == item["sha256"]
    assert (tmp_path / "session" / "state" / "make" / "state").read_text() == "kept"
    assert not (tmp_path / "session" / "tmp").exists()


def test_a_large_input_travels_by_itself(run: InSandbox, project: Path, cloud: E2BServer) -> None:
    rows = "".join(f"{number},{'x' * 90}\n" for number in range(100_000))
    (project / "large.csv").write_text(f"id,text\n{rows}")
    before = len(cloud.log.of("files.write"))
    (project / "same.csv").write_bytes((project / "large.csv").read_bytes())
    result, _ = run(copy("large.csv", "out.csv"), include="same.csv")
    assert result.status == "success", result.error
    assert (project / "out.csv").read_bytes() == (project / "large.csv").read_bytes()
    assert len(cloud.log.of("files.write")) - before == 2


def test_absolute_paths_and_paths_outside_of_the_project(run: InSandbox, project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "in.csv"
    outside.parent.mkdir()
    outside.write_text("a\n1\n")
    goal = tmp_path / "results" / "deep" / "out.csv"
    result, _ = run(copy("../elsewhere/in.csv", str(goal)))
    assert result.status == "success", result.error
    assert goal.read_text() == "a\n1\n"
    assert [output["location"] for output in result.outputs] == [str(goal)]
    result, _ = run(copy(f"file://{outside}", str(goal)))
    assert result.status == "success", result.error


def test_a_connections_folder_and_a_variable_in_a_path(
    run: InSandbox, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "in.csv").write_text("a\n7\n")
    (lake / "other.csv").write_text("not,asked,for\n")
    monkeypatch.setenv("GOAL_DIR", str(tmp_path / "goal"))
    (tmp_path / "goal").mkdir()
    (project / "osiris_connections.yaml").write_text(f"connections: {{filesystem: {{lake: {{base_dir: {lake}}}}}}}\n")
    manifest = copy("in.csv", "${GOAL_DIR}/out.csv")
    manifest["steps"][0]["config"]["connection"] = "@filesystem.lake"
    result, context = run(manifest)
    assert result.status == "success", result.error
    assert (tmp_path / "goal" / "out.csv").read_text() == "a\n7\n"
    assert only(context, "files_uploaded")["files"] == 1


def test_a_file_that_is_added_to(run: InSandbox, project: Path) -> None:
    (project / "in.csv").write_text("a\n2\n")
    (project / "out.csv").write_text("a\n1\n")
    result, _ = run(copy("in.csv", "out.csv", write_mode="append"))
    assert result.status == "success", result.error
    assert (project / "out.csv").read_text() == "a\n1\n2\n"


def test_a_file_that_must_not_be_there(run: InSandbox, project: Path) -> None:
    (project / "in.csv").write_text("a\n2\n")
    (project / "out.csv").write_text("mine\n")
    result, _ = run(copy("in.csv", "out.csv", write_mode="fail"))
    assert result.status == "failed"
    assert (project / "out.csv").read_text() == "mine\n"


def test_a_database_that_is_there_is_changed(run: InSandbox, project: Path) -> None:
    with duckdb.connect(str(project / "shop.duckdb")) as database:
        database.execute("create table kept as select 42 as answer")
        database.execute("create table orders as select 1 as id, 'c' as customer, 2.5::decimal(18,2) as amount")
    read = {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "orders.csv"}}
    options = {"database": "shop.duckdb", "table": "orders", "write_mode": "append"}
    write = {"id": "load", "driver": "duckdb.writer", "config": options, "inputs": {"df": "${read.df}"}}
    result, _ = run(steps(read, write))
    assert result.status == "success", result.error
    with duckdb.connect(str(project / "shop.duckdb"), read_only=True) as database:
        assert database.execute("select (select answer from kept), count(*) from orders").fetchall() == [(42, 501)]


def test_a_partitioned_folder(run: InSandbox, project: Path) -> None:
    read = {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "orders.csv"}}
    options = {"path": "out/lake", "partition_by": "customer"}
    write = {"id": "w", "driver": "filesystem.parquet_writer", "config": options, "inputs": {"df": "${read.df}"}}
    stale = project / "out" / "lake" / "customer=gone" / "part-0.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"stale")
    result, _ = run(steps(read, write))
    assert result.status == "success", result.error
    assert sorted(path.name for path in (project / "out" / "lake").iterdir()) == [f"customer=c{n}" for n in range(7)]


def test_what_is_not_named_stays_there_unless_included(maker: Any, run: InSandbox, project: Path) -> None:
    (project / "secret.txt").write_text("mine")
    config = {"texts": {"plots/a.svg": "<svg/>"}}
    result, context = run(maker(**config))
    assert result.status == "success", result.error
    assert only(context, "seen")["files"] == []
    assert "left in the sandbox" in result.warnings[0]
    assert not (project / "plots").exists()
    result, _ = run(maker(**config), include="plots")
    assert (project / "plots" / "a.svg").read_text() == "<svg/>"
    assert result.warnings == ()


def test_a_file_that_the_run_removed_is_removed(maker: Any, run: InSandbox, project: Path) -> None:
    (project / "old.txt").write_text("x")
    result, _ = run(maker(remove=["old.txt"]))
    assert result.status == "success", result.error
    assert not (project / "old.txt").exists()


PRICES = """
import factors
from . import names


def add(df):
    return df.assign(**{names.COLUMN: df["amount"] * factors.TWO})
"""


def test_a_module_of_ones_own_and_what_it_imports(run: InSandbox, project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "__init__.py").write_text("")
    (project / "mine" / "prices.py").write_text(PRICES)
    (project / "mine" / "names.py").write_text("COLUMN = 'double'\n")
    (project / "factors.py").write_text("TWO = 2\n")
    (project / "unrelated.py").write_text("SECRET = 1\n")
    manifest = steps(
        {"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "orders.csv"}},
        {
            "id": "add",
            "driver": "pandas.transform",
            "config": {"function": "mine.prices:add"},
            "inputs": {"df": "${read.df}"},
        },
        {
            "id": "write",
            "driver": "filesystem.csv_writer",
            "config": {"path": "out.csv"},
            "inputs": {"df": "${add.df}"},
        },
    )
    result, context = run(manifest)
    assert result.status == "success", result.error
    assert (project / "out.csv").read_text().splitlines()[1] == "0,c0,0.25,0.50"
    assert only(context, "files_uploaded")["files"] == 5  # orders.csv, three of the package, factors.py


# A sandbox that lies


class Liar:
    """Has any content for any path."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content

    async def read(self, path: str) -> AsyncIterator[bytes]:
        yield self.content[path]


def packed(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def change(path: str, content: bytes, *, is_packed: bool = True) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    facts = {"size": len(content), "mtime_ns": 0, "mode": 0o644, "sha256": digest}
    return {"path": path, **facts, "packed": is_packed}


def come(liar: Liar, told: dict[str, Any], allowed: list[Path], staging: Path) -> Any:
    told = {"changed": [], "gone": [], "folders": [], "gone_folders": [], **told}
    landing = Landing(staging.with_name("session"))
    return asyncio.run(bring_home(liar, "/home.tar", told, "/fs", allowed, staging, landing))  # type: ignore[arg-type]


def test_a_sandbox_cannot_write_where_the_pipeline_does_not(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    lies = [str(victim), f"{out}/../victim", f"{out}x/y", "victim"]
    told = {"changed": [change(path, b"evil") for path in lies], "gone": lies, "folders": [str(tmp_path / "new")]}
    came = come(Liar({}), told, [out], tmp_path / "staging")
    assert came.left == lies
    assert came.files == 0
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "session", "victim"]


def test_an_archive_cannot_leave_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    archive = packed(**{"../../victim": b"evil"})
    with pytest.raises(CollectError) as caught:
        come(Liar({"/home.tar": archive}), {"changed": [change(f"{out}/a", b"evil")]}, [out], tmp_path / "staging")
    assert caught.value.code == "artifacts.unsafe"
    assert [path.name for path in tmp_path.rglob("victim")] == []


@pytest.mark.parametrize("is_packed", [True, False])
def test_what_comes_home_damaged_is_not_taken(is_packed: bool, tmp_path: Path) -> None:
    goal = tmp_path / "out" / "a"
    goal.parent.mkdir()
    goal.write_text("before")
    content = {"/home.tar": packed(**{str(goal).lstrip("/"): b"changed"}), f"/fs{goal}": b"changed"}
    told = {"changed": [change(str(goal), b"genuine", is_packed=is_packed)]}
    with pytest.raises(CollectError) as caught:
        come(Liar(content), told, [goal], tmp_path / "staging")
    assert caught.value.code == "e2b.damaged"
    assert goal.read_text() == "before"
    assert [path.name for path in goal.parent.iterdir()] == ["a"]


def test_a_link_that_the_user_made_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    told = {"changed": [change(str(link), b"new", is_packed=False)]}
    come(Liar({f"/fs{link}": b"new"}), told, [link], tmp_path / "staging")
    assert link.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    told = {"changed": [change(f"{out}/a", b"x", is_packed=False)]}
    with pytest.raises(CollectError) as caught:
        come(Liar({f"/fs{out}/a": b"x"}), told, [out], tmp_path / "staging")
    assert caught.value.code == "e2b.cannot_write"
