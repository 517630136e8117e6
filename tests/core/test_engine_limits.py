"""Limits of memory, disk and time, in processes of their own: what waits goes to disk, then the run stops."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from osiris.core import engine
from osiris.core.dataset import Dataset
from osiris.core.engine import DatasetStore, RunReport
from osiris.core.errors import ExecutionError, OsirisError
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.planning import read_size

Register = Callable[..., None]

PROCESS = """
import json, sys
from pathlib import Path
import pyarrow as pa
from osiris.core import engine
from osiris.core.dataset import Dataset
from osiris.core.driver import DriverRegistry, DriverSpec
from osiris.core.engine.resources import resident_bytes
from osiris.core.execution_adapter import ExecutionContext, RunOptions

MB = 1024 * 1024
SCHEMA = pa.schema([("n", pa.int64())])

class Source:                      # 400 MB in blocks of 4 MB, each of its own memory
    def run(self, step_id, config, inputs, ctx):
        def rows():
            for number in range(100):
                yield pa.RecordBatch.from_arrays([pa.repeat(pa.scalar(number, pa.int64()), MB // 2)], schema=SCHEMA)
        return {"df": Dataset.from_batches(SCHEMA, rows())}

class Sink:
    def run(self, step_id, config, inputs, ctx):
        for batch in inputs["df"].batches():
            memoryview(batch.column(0).buffers()[1]).tobytes()  # every byte is looked at
        return {}

class Hoarder:                     # takes a megabyte at a time until it is told to stop
    def run(self, step_id, config, inputs, ctx):
        held = []
        while len(held) < 4000:
            ctx.raise_if_cancelled()
            held.append(bytearray(b"x" * MB))
        return {}

def register(name, driver, **spec):
    DriverRegistry.register(name, driver, spec=DriverSpec(name=name, summary="", factory="", **spec))

register("t.source", Source())
register("t.sink", Sink(), role="writer", input_form="stream", outputs=())
register("t.hoarder", Hoarder())
context = ExecutionContext("x", sys.argv[1], options=RunOptions(max_memory=resident_bytes() + 250 * MB))
report = engine.RunReport()
try:
    engine.run(engine.prepare({"version": "1.0.0", "steps": json.loads(sys.argv[2])}, context), context, report)
    code = None
except Exception as error:
    code = getattr(error, "code", repr(error))
print(json.dumps({"code": code, "rows": report.total_rows, "events": [e["event"] for e in context.events],
                  "left": [p.name for p in Path(sys.argv[1]).rglob("*")]}))
"""


def run_in_a_process(tmp_path: Path, steps: list[dict[str, Any]]) -> dict[str, Any]:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "session"), json.dumps(steps)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(told.stdout)
    return result


def test_what_waits_goes_to_disk_first(tmp_path: Path) -> None:
    steps = [
        {"id": "a", "driver": "t.source"},
        {"id": "b", "driver": "t.sink", "inputs": {"df": "${a}"}},
        {"id": "c", "driver": "t.sink", "inputs": {"df": "${a}"}},
    ]
    result = run_in_a_process(tmp_path, steps)
    assert result["code"] is None
    assert result["rows"] == 2 * 100 * 524_288
    assert sorted(result["left"]) == ["engine.lock", "progress.jsonl"]


def test_then_the_run_stops_with_a_clear_error(tmp_path: Path) -> None:
    result = run_in_a_process(tmp_path, [{"id": "a", "driver": "t.hoarder"}])
    assert result["code"] == "run.memory_limit"
    assert "memory_short" in result["events"]


BATCH = pa.record_batch({"n": pa.array(range(1000), type=pa.int64())})


def stream(batches: int) -> Dataset:
    return Dataset.from_batches(BATCH.schema, (BATCH for _ in range(batches)))


def test_spilling_moves_what_is_held_and_keeps_what_comes(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=10**9)
    store.put("a", stream(10), uses=2)
    before = store.get("a")
    store.spill()
    store.put("b", stream(5))
    assert len(list((tmp_path / "spool").iterdir())) == 2
    assert store.get("a").table().equals(before.table())
    assert store.get("b").num_rows == 5000
    store.clear()
    assert list((tmp_path / "spool").iterdir()) == []


def test_disk_has_a_limit_too(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "spool", budget=0, disk_limit=5 * BATCH.nbytes)
    with pytest.raises(ExecutionError) as caught:
        store.put("a", stream(10))
    assert caught.value.code == "store.disk_limit"
    assert list((tmp_path / "spool").iterdir()) == []


def test_some_room_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from osiris.core.engine import store as room

    monkeypatch.setattr(room, "_RESERVE", 2**60)  # no disk has that much
    with pytest.raises(ExecutionError) as caught:
        DatasetStore(tmp_path / "spool", budget=0).put("a", stream(2))
    assert caught.value.code == "store.disk_full"
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_manifests_limit_of_time(register: Register, context: ExecutionContext) -> None:
    class Endless:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            def rows() -> Iterator[pa.RecordBatch]:
                while True:
                    ctx.raise_if_cancelled()
                    yield BATCH

            return {"df": Dataset.from_batches(BATCH.schema, rows())}

    register("test.endless", Endless())
    manifest = {"version": "1.0.0", "limits": {"time": "50ms"}, "steps": [{"id": "a", "driver": "test.endless"}]}
    with pytest.raises(ExecutionError) as caught:
        engine.run(engine.prepare(manifest, context), context, RunReport())
    assert caught.value.code == "run.timeout"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("2k", 2000),
        (4096, 4096),
        ("0", None),
        ("much", None),
        (True, None),
    ],
)
def test_sizes(text: Any, size: int | None) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    ("limits", "told_of"),
    [
        (5, "limits must be a mapping"),
        ({"memory": "much"}, "limits.memory must be a size, but is 'much'"),
        ({"memory": "9" * 400}, "limits.memory must be a size, but is '999999"),
        ({"time": "long"}, "limits.time must be a time, but is 'long'"),
        ({"memroy": 1}, "unknown key 'memroy' in limits"),
    ],
)
def test_mistakes(register: Register, context: ExecutionContext, limits: Any, told_of: str) -> None:
    register("test.nothing", lambda: None)
    with pytest.raises(OsirisError) as caught:
        engine.prepare(
            {"version": "1.0.0", "limits": limits, "steps": [{"id": "a", "driver": "test.nothing"}]}, context
        )
    assert told_of in caught.value.message
