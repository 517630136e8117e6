"""What real runs tell: every line keeps the schema, every start has one end, the order is the documented one."""

from __future__ import annotations

import json
import threading
from collections import Counter

import jsonschema
import pyarrow as pa
import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.core.events.schema import KNOWN_EVENTS, load_schema
from osiris.core.lifecycle import run_pipeline
from osiris.core.session import Session

TABLE = pa.table({"n": [1, 2, 3]})


class Numbers:
    def run(self, step_id, config, inputs, ctx):
        ctx.log_metric("bytes_read", 24, "bytes")
        return {"df": Dataset.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=1))}


class Double:
    def run(self, step_id, config, inputs, ctx):
        table = inputs["df"]
        ctx.log_event("doubling", {"rows": table.num_rows, "share": float("nan")})
        return {"df": pa.table({"n": [2 * row["n"] for row in table.to_pylist()]})}


class Keep:
    def run(self, step_id, config, inputs, ctx):
        path = ctx.artifacts_dir / "kept.json"
        path.write_text(json.dumps(inputs["df"].to_pylist()))
        ctx.add_output(str(path), rows=inputs["df"].num_rows, bytes=path.stat().st_size)
        return {}


class Fails:
    def run(self, step_id, config, inputs, ctx):
        raise DriverError("it broke", hint="mend it", code="test.broken", retryable=True)


class Bug:
    def run(self, step_id, config, inputs, ctx):
        return 1 // 0


@pytest.fixture
def drivers(register):
    register("test.numbers", Numbers, role="extractor", input_form="stream", max_inputs=0)
    register("test.double", Double, input_form="arrow")
    register("test.keep", Keep, role="writer", input_form="arrow", outputs=())
    register("test.fails", Fails, input_form="arrow")
    register("test.bug", Bug, input_form="arrow")


def manifest_of(middle="test.double"):
    return {
        "version": "1.0.0",
        "name": "numbers",
        "steps": [
            {"id": "numbers", "driver": "test.numbers"},
            {"id": "middle", "driver": middle, "inputs": {"df": "${numbers.df}"}},
            {"id": "keep", "driver": "test.keep", "inputs": {"df": "${middle.df}"}},
        ],
    }


def run(root, manifest, prepare=None):
    session = Session.create(root, pipeline=manifest["name"], manifest=manifest, adapter="local")
    context = session.context(base_dir=root)
    if prepare is not None:
        prepare(context)
    result = run_pipeline(AdapterFactory.create("local"), manifest, context, adapter_name="local")
    session.finish(result)
    return Session.open(session.dir), result


def check(session):
    """Every line of both files keeps the schema, is numbered in order, and every start has exactly one end."""
    events, metrics = list(session.events()), list(session.metrics())
    for name, records in (("events", events), ("metrics", metrics)):
        validator = jsonschema.Draft202012Validator(load_schema(name))
        for record in records:
            assert [error.message for error in validator.iter_errors(record)] == [], record
        sequence = [record["seq"] for record in records]
        assert sequence == sorted(set(sequence))
    assert sorted(record["seq"] for record in events + metrics) == list(range(1, len(events) + len(metrics) + 1))
    assert {record["session_id"] for record in events + metrics} == {session.id}
    pairs: Counter[tuple[str, str]] = Counter()
    for event in events:
        what, _, end = event["event"].rpartition("_")
        key = (what, event.get("step_id", ""))
        if end == "start":
            assert event["type"] == "start"
            pairs[key] += 1
            assert pairs[key] == 1, f"{key} began twice"
        elif event["event"] in KNOWN_EVENTS and end in ("complete", "failed", "cancelled") and what != "cleanup":
            pairs[key] -= 1
            assert pairs[key] == 0, f"{key} ended without having begun"
            pairs[key] = -100
    assert set(pairs.values()) <= {-100}, "something began and never ended"
    return [event["event"] for event in events]


def test_a_run_that_succeeds(tmp_path, drivers):
    session, result = run(tmp_path, manifest_of())
    told = check(session)
    assert result.status == session.info.status == "success"
    phases = [name for name in told if not name.startswith(("step_", "doubling", "output_", "artifact_"))]
    assert phases == [
        "run_start",
        "prepare_start", "prepare_complete",
        "execute_start", "execute_complete",
        "collect_start", "collect_complete",
        "cleanup_complete",
        "run_complete",
    ]  # fmt: skip
    steps = [(event["event"], event["step_id"]) for event in session.events() if event["event"].startswith("step_")]
    assert Counter(steps) == Counter(
        (f"step_{what}", step) for what in ("start", "complete") for step in ("numbers", "middle", "keep")
    )
    by_event = {(event["event"], event.get("step_id")): event for event in session.events()}
    assert by_event["step_start", "keep"]["inputs"] == ["middle"]
    assert by_event["step_complete", "middle"]["rows_in"] == 3
    assert by_event["output_written", "keep"]["rows"] == 3
    assert by_event["doubling", "middle"]["share"] is None
    (artifact,) = (event for event in session.events() if event["event"] == "artifact_created")
    assert (session.artifacts_dir / artifact["path"]).stat().st_size == artifact["size"]
    metrics = {(metric["metric"], metric.get("step_id")): metric["value"] for metric in session.metrics()}
    assert metrics["rows_read", "numbers"] == 3
    assert metrics["rows_written", "keep"] == 3
    assert metrics["bytes_read", "numbers"] == 24
    assert {"execution_time_ms", "overhead_ms", "memory_usage_mb"} <= {name for name, _ in metrics}
    assert sum(name == "step_duration_ms" for name, _ in metrics) == 3


@pytest.mark.parametrize(
    ("driver", "code", "retryable"), [("test.fails", "test.broken", True), ("test.bug", "step.failed", False)]
)
def test_a_run_that_fails(tmp_path, drivers, driver, code, retryable):
    session, result = run(tmp_path, manifest_of(driver))
    told = check(session)
    assert result.status == session.info.status == "failed"
    assert told[-1] == "run_failed"
    failed = {event["step_id"]: event for event in session.events() if event["event"] == "step_failed"}
    assert failed["middle"]["error"]["code"].startswith(code.split(".")[0])
    assert failed["middle"]["error"]["retryable"] is retryable
    assert "Traceback" in failed["middle"]["traceback"]
    ended = {event["step_id"] for event in session.events() if event["event"] in ("step_failed", "step_skipped")}
    assert {"middle", "keep"} <= ended
    assert session.result()["error"]["facts"]["step_id"] == "middle"


def test_a_run_that_cannot_begin(tmp_path, drivers):
    session, result = run(tmp_path, manifest_of("test.nowhere"))
    told = check(session)
    assert result.status == "failed"
    assert told == ["run_start", "prepare_start", "prepare_failed", "cleanup_complete", "run_failed"]


def test_a_run_that_is_cancelled(tmp_path, drivers, register):
    going = threading.Event()

    class Waits:
        def run(self, step_id, config, inputs, ctx):
            going.set()
            stopped = threading.Event()
            with ctx.on_cancel(stopped.set):
                assert stopped.wait(60)
            ctx.raise_if_cancelled()

    register("test.waits", Waits, input_form="arrow")

    def stop_later(context):
        threading.Thread(
            target=lambda: going.wait(60) and context.cancellation.request("stopped by a test"), daemon=True
        ).start()

    session, result = run(tmp_path, manifest_of("test.waits"), stop_later)
    told = check(session)
    assert result.status == session.info.status == "cancelled"
    assert told[-1] == "run_cancelled"
    assert told.count("execution_interrupted") == 1
    assert told.count("collect_complete") == 1


def test_the_same_manifest_tells_the_same_events(tmp_path, drivers):
    manifest = manifest_of()
    manifest["steps"] = manifest["steps"][:1]
    once, again = (check(run(tmp_path, manifest)[0]) for _ in range(2))
    assert once == again
