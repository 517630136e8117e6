"""A writer whose process is killed: asked again, it knows whether it has committed, and nothing is left lying about."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

PROGRAM = Path(__file__).with_name("kill_points.py")
OLD = pa.table({"a": pa.array([9], pa.int64()), "b": pa.array(["x"], pa.string())})
NEW_ROWS = [(1, "x"), (2, "y"), (3, "x")]
SUFFIX = {"csv": "csv", "jsonl": "jsonl", "parquet": "parquet"}


def rows_of(folder: Path, kind: str, name: str) -> list[tuple[object, ...]]:
    path = folder / name
    if path.is_dir():
        found = ds.dataset(path, partitioning="hive").to_table().to_pylist()
        return sorted((row["a"], row["b"]) for row in found)
    if kind == "parquet":
        return [(row["a"], row["b"]) for row in pq.read_table(path).to_pylist()]
    if kind == "jsonl":
        return [tuple(json.loads(line).values()) for line in path.read_text().splitlines()]
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0] == ["a", "b"]
    return [(int(a), b) for a, b in lines[1:]]


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


SCENARIOS = {
    "overwrite a file": ("csv", {"path": "out.csv"}, True, {}),
    "a new file in a new folder": ("jsonl", {"path": "new/out.jsonl"}, False, {}),
    "append to csv": ("csv", {"path": "out.csv", "write_mode": "append"}, True, {"twice": True}),
    "append to parquet": ("parquet", {"path": "out.parquet", "write_mode": "append"}, True, {}),
    "fail": ("csv", {"path": "out.csv", "write_mode": "fail"}, False, {"twice": True}),
    "fail without hard links": (
        "csv", {"path": "out.csv", "write_mode": "fail"}, False, {"twice": True, "no_links": True}),
    "partitions over others": ("parquet", {"path": "out", "partition_by": "b"}, True, {"twice": True}),
    "partitions, fail": ("parquet", {"path": "out", "partition_by": "b", "write_mode": "fail"}, False, {}),
    "partitions to others": (
        "parquet", {"path": "out", "partition_by": "b", "write_mode": "append"}, True, {"twice": True}),
    "a store, append": ("csv", {"path": "store://ROOT/out.csv", "write_mode": "append"}, True, {"twice": True}),
    "a store, fail": ("csv", {"path": "store://ROOT/out.csv", "write_mode": "fail"}, False, {"twice": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_point(step, tmp_path, name):
    kind, config, has_old, more = SCENARIOS[name]
    before = tmp_path / "before"
    before.mkdir()
    target = config["path"].removeprefix("store://ROOT/")
    if has_old:
        step.session_id = "earlier"
        plain = {key: value for key, value in config.items() if key == "partition_by"}
        step.write(kind, OLD, f"before/{target}", **plain)
    states = tmp_path / "states"
    states.mkdir()
    scenario = json.dumps({"kind": kind, "config": config, **more})
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(states), scenario]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points > 5
    attempts = [folder for folder in tmp_path.iterdir() if "-" in folder.name]
    assert len(attempts) == points
    appends = config.get("write_mode") == "append"
    expected = ([(9, "x")] if appends else []) + NEW_ROWS
    tidy = None
    for folder in attempts:
        found = rows_of(folder, kind, target)
        assert found == (sorted(expected) if (folder / target).is_dir() else expected), folder.name
        tidy = tidy or everything(folder)
        assert everything(folder) == tidy, folder.name
        assert not [path for path in everything(folder) if "/." in f"/{path}"], folder.name
        told = json.loads((states / f"{folder.name}.json").read_text())
        assert told["rows"] == 3
        assert told["format"] == kind
        assert told["location"].endswith(target)
        assert told["bytes"] > 0
        assert {path.name for path in (states / folder.name).iterdir()} <= {"commit.json", "commit.new"}
