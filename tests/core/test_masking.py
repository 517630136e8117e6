"""``mask``: nothing after the step, and nothing that the run writes, holds the values in clear."""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.cli.schema import pipeline_schema
from osiris.core.adapter_factory import AdapterFactory
from osiris.core.connections import REDACTOR
from osiris.core.dataset import Dataset
from osiris.core.driver import DriverRegistry
from osiris.core.engine.masking import Masking
from osiris.core.errors import DriverError, OsirisError, PlanError, StepError, UsageError
from osiris.core.execution_adapter import ExecutionContext, RunOptions, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.planning import MaskRule, PlannedStep, driver_versions, make_plan, step_fingerprints
from osiris.core.session import Session

Register = Callable[..., None]
STREAM = {"input_form": "stream", "input_names": ("df",), "max_inputs": 1}
NAMES = [f"canary-{number:03}@example.org" for number in range(40)]
CANARY = "canary-"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def masked(data: Any, *rules: MaskRule, secrets: dict[str, str] | None = None, output: str = "df") -> pa.Table:
    step = PlannedStep(id="a", driver="x.y", spec=DriverRegistry.spec("filesystem.csv_extractor"), masks=rules)
    return Masking(step, secrets or {}).hide({output: Dataset.of(data)})[output].table()


def rule(method: str = "hash", *columns: str, **more: Any) -> MaskRule:
    return MaskRule(columns=columns or ("c",), method=method, **more)  # type: ignore[arg-type]


def run(steps: list[dict[str, Any]], folder: Path, name: str = "local", **options: Any) -> tuple[RunResult, Session]:
    manifest = {"version": "1.0.0", "name": "masked", "steps": steps}
    session = Session.create(folder / "runs", pipeline="masked", manifest=manifest, adapter="local")
    context = session.context(base_dir=folder, project_dir=folder, options=RunOptions(**options))
    adapter = AdapterFactory.create("local", **({"isolation": "process"} if name == "process" else {}))
    result = run_pipeline(adapter, manifest, context, adapter_name="local")
    session.finish(result)
    return result, session


def holders(folder: Path, text: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


# --- what it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "words", "path"),
    [
        ("email", "mask must be a mapping", "steps[0].mask"),
        ([], "mask is an empty list", "steps[0].mask"),
        (["email"], "mask must be a mapping", "steps[0].mask[0]"),
        ({"method": "hash"}, "mask.columns are missing", "steps[0].mask"),
        ({"columns": [], "method": "hash"}, "mask.columns is empty", "steps[0].mask.columns"),
        ({"columns": "email", "method": "hash"}, "must be a list of names", "steps[0].mask.columns"),
        ({"columns": ["a", 1], "method": "hash"}, "must hold names, but here is 1", "steps[0].mask.columns[1]"),
        ({"columns": ["a", "a"], "method": "hash"}, "'a' is masked twice", "steps[0].mask.columns[1]"),
        ({"columns": ["a"]}, "mask.method is missing", "steps[0].mask"),
        ({"columns": ["a"], "method": "hsah"}, "must be hash, redact or partial", "steps[0].mask.method"),
        ({"columns": ["a"], "method": "hash", "sallt": "x"}, "unknown key 'sallt'", "steps[0].mask.sallt"),
        ({"columns": ["a"], "method": "hash", "last": 2}, "mask.last belongs to method partial", "steps[0].mask.last"),
        ({"columns": ["a"], "method": "redact", "salt": "${X}"}, "belongs to method hash", "steps[0].mask.salt"),
        ({"columns": ["a"], "method": "hash", "salt": "pepper"}, "one reference to a secret", "steps[0].mask.salt"),
        ({"columns": ["a"], "method": "hash", "salt": "x${X}"}, "one reference to a secret", "steps[0].mask.salt"),
        ({"columns": ["a"], "method": "hash", "salt": "${X:-y}"}, "has a default", "steps[0].mask.salt"),
        ({"columns": ["a"], "method": "partial", "last": -1}, "from 0 to 100", "steps[0].mask.last"),
        ({"columns": ["a"], "method": "partial", "first": True}, "from 0 to 100", "steps[0].mask.first"),
        (
            [{"columns": ["a"], "method": "hash"}, {"columns": ["a"], "method": "redact"}],
            "'a' is masked twice",
            "steps[0].mask[1].columns[0]",
        ),
    ],
)
def test_a_mistake_is_found_before_anything_runs(mask: Any, words: str, path: str) -> None:
    steps = [{"id": "a", "driver": "filesystem.csv_extractor", "config": {"path": "x.csv"}, "mask": mask}]
    with pytest.raises(PlanError) as caught:
        make_plan({"version": "1.0.0", "name": "m", "steps": steps})
    (problem,) = caught.value.problems
    assert problem.code == "plan.mask"
    assert words in problem.message
    assert problem.path == path


def test_a_step_that_only_writes_has_nothing_to_mask(register: Register) -> None:
    register("test.source", lambda: None, role="extractor", max_inputs=0)
    register("test.sink", lambda: None, role="writer", outputs=(), **STREAM)
    sink = {"id": "b", "driver": "test.sink", "inputs": {"df": "${a}"}}
    mask = {"columns": ["x"], "method": "hash"}
    with pytest.raises(PlanError, match="only writes: it has no output to mask"):
        make_plan({"version": "1", "steps": [{"id": "a", "driver": "test.source"}, {**sink, "mask": mask}]})


def test_a_secret_may_stand_in_the_salt_alone() -> None:
    step = {"id": "a", "driver": "filesystem.csv_extractor", "config": {"path": "x.csv"}}
    mask = {"columns": ["${NAME}"], "method": "hash"}
    with pytest.raises(OsirisError, match=r"\$\{NAME\} cannot be used here"):
        make_plan({"version": "1", "steps": [{**step, "mask": mask}]})


def test_mask_is_no_default_for_all_steps() -> None:
    manifest = {"version": "1", "defaults": {"mask": {"columns": ["a"], "method": "hash"}}, "steps": []}
    with pytest.raises(OsirisError, match="unknown key 'mask'"):
        make_plan(manifest)


def test_params_are_filled_in() -> None:
    step = {"id": "a", "driver": "filesystem.csv_extractor", "config": {"path": "x.csv"}}
    mask = {"columns": ["${params.column}"], "method": "partial", "last": "${params.kept}"}
    manifest = {"version": "1", "params": {"column": "email", "kept": 2}, "steps": [{**step, "mask": mask}]}
    assert make_plan(manifest).steps[0].masks == (rule("partial", "email", last=2),)


@pytest.mark.parametrize(
    ("mask", "valid"),
    [
        ({"columns": ["a"], "method": "hash", "salt": "${KEY}"}, True),
        (
            [{"columns": ["a"], "method": "redact"}, {"columns": ["b"], "method": "partial", "first": 1, "last": 0}],
            True,
        ),
        ({"columns": "${params.columns}", "method": "${params.method}"}, True),
        ({"columns": [], "method": "hash"}, False),
        ({"columns": ["a"], "method": "rot13"}, False),
        ({"columns": ["a"]}, False),
        ({"columns": ["a"], "method": "hash", "pepper": 1}, False),
    ],
)
def test_editors_are_told(mask: Any, valid: bool) -> None:
    schema = pipeline_schema([DriverRegistry.spec("filesystem.csv_extractor")])
    step = {"id": "a", "driver": "filesystem.csv_extractor", "config": {"path": ["x.csv"]}, "mask": mask}
    assert jsonschema.Draft202012Validator(schema).is_valid({"version": "1.0.0", "steps": [step]}) is valid


# --- values -----------------------------------------------------------------------------------------------------------

DAY, MOMENT = date(2024, 2, 29), datetime(2024, 2, 29, 12, 30, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["ada", "", None, "ž🐎"], pa.string()), ["ada", "", None, "ž🐎"]),
        (pa.array(["ada", None], pa.large_string()), ["ada", None]),
        (pa.array(["x", "y", None, "x"]).dictionary_encode(), ["x", "y", None, "x"]),
        (pa.array([1, -(2**63), None], pa.int64()), ["1", str(-(2**63)), None]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([0.1, None], pa.float64()), ["0.1", None]),
        (pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)), ["1.10", None]),
        (pa.array([True, False, None], pa.bool_()), ["true", "false", None]),
        (pa.array([DAY], pa.date32()), ["2024-02-29"]),
        (pa.array([time(1, 2, 3)], pa.time64("us")), ["01:02:03.000000"]),
        (pa.array([MOMENT], pa.timestamp("us", tz="UTC")), ["2024-02-29 12:30:00.000005Z"]),
        (pa.array([b"\xff\x00", None], pa.binary()), [b"\xff\x00", None]),
        (pa.array([b"ab"], pa.binary(2)), [b"ab"]),
        (pa.nulls(3), [None, None, None]),
        (pa.array([], pa.string()), []),
        (pa.array(["no", "yes", None], pa.string()).slice(1), ["yes", None]),
    ],
)
def test_a_hash_is_the_sha256_of_the_values_text(column: pa.Array, texts: list[Any]) -> None:
    given = [text.encode() if isinstance(text, str) else text for text in texts]
    table = masked(pa.table({"c": column, "other": pa.nulls(len(column), pa.int8())}), rule("hash"))
    assert table.schema.types == [pa.string(), pa.int8()]
    assert table["c"].to_pylist() == [None if text is None else hashlib.sha256(text).hexdigest() for text in given]
    salted = masked(pa.table({"c": column}), rule("hash", salt="${KEY}"), secrets={"${KEY}": "pepper"})
    keyed = [None if text is None else hmac.new(b"pepper", text, "sha256").hexdigest() for text in given]
    assert salted["c"].to_pylist() == keyed
    redacted = masked(pa.table({"c": column}), rule("redact"))
    assert redacted["c"].type == pa.string()
    assert redacted["c"].to_pylist() == [None if text is None else "***" for text in texts]


@pytest.mark.parametrize(
    ("value", "options", "shown"),
    [
        ("4111111111111111", {}, "***1111"),
        ("12345678", {}, "***5678"),
        ("1234567", {}, "***"),  # as much is hidden as is shown, or nothing is shown
        ("", {}, "***"),
        (None, {}, None),
        ("CZ6508000000192000145399", {"first": 2, "last": 3}, "CZ***399"),
        ("secret", {"first": 1, "last": 0}, "s***"),
        ("secret", {"last": 0}, "***"),
        ("žluťoučký 🐎🐎", {"last": 2}, "***🐎🐎"),
    ],
)
def test_a_part_is_kept_of_what_is_long_enough(value: Any, options: Any, shown: Any) -> None:
    assert masked(pa.table({"c": pa.array([value], pa.string())}), rule("partial", **options))["c"].to_pylist() == [
        shown
    ]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(max_size=60), st.integers(0, 12), st.integers(0, 12))
def test_never_more_is_shown_than_hidden(value: str, first: int, last: int) -> None:
    (shown,) = masked(pa.table({"c": pa.array([value], pa.string())}), rule("partial", first=first, last=last))["c"]
    head, _, tail = shown.as_py().partition("***")
    kept = len(shown.as_py()) - 3
    assert kept == 0 or kept * 2 <= len(value)
    assert value.startswith(head if kept else "")
    assert value.endswith(tail if kept else "")


def test_columns_of_one_name_are_all_masked() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["x"]), pa.array([1]), pa.array([7])], names=["c", "n", "c"])
    table = masked(batch, rule("hash"))
    assert [column.to_pylist() for column in table.columns] == [[sha("x")], [1], [sha("7")]]


@pytest.mark.parametrize("method", ["hash", "partial"])
def test_what_has_no_text_is_refused_and_can_be_redacted(method: str) -> None:
    table = pa.table({"c": pa.array([{"street": "Baker"}])})
    with pytest.raises(StepError, match="cannot mask column 'c'") as caught:
        masked(table, rule(method))
    assert caught.value.code == "step.mask_type"
    assert "redact" in str(caught.value.hint)
    assert masked(table, rule("redact"))["c"].to_pylist() == ["***"]


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(StepError, match="step 'a' masks column 'c', which its output does not have") as caught:
        masked(pa.table({"C": [1], "d": [2]}), rule("hash"))
    assert caught.value.code == "step.mask_column"
    assert caught.value.facts["columns"] == ["C", "d"]
    assert caught.value.hint == "did you mean 'C'? its columns: C, d"


def test_rows_are_masked_as_they_pass() -> None:
    asked = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(3):
            asked.append(number)
            yield pa.record_batch({"c": [f"value {number}"]})

    dataset = Dataset.from_batches(pa.schema({"c": pa.string()}), batches())
    step = PlannedStep(id="a", driver="x.y", spec=DriverRegistry.spec("filesystem.csv_extractor"), masks=(rule(),))
    reading = Masking(step, {}).hide({"df": dataset})["df"].batches()
    assert asked == []
    assert next(reading).column(0).to_pylist() == [sha("value 0")]
    assert asked == [0]


def test_a_large_batch_is_masked_in_parts() -> None:
    table = pa.table({"c": pa.array(range(150_000), pa.int64())})
    step = PlannedStep(id="a", driver="x.y", spec=DriverRegistry.spec("filesystem.csv_extractor"), masks=(rule(),))
    found = list(Masking(step, {}).hide({"df": Dataset.of(table)})["df"].batches())
    assert max(batch.num_rows for batch in found) == 65_536
    assert sum(batch.num_rows for batch in found) == 150_000
    assert found[-1].column(0)[-1].as_py() == sha("149999")


# --- runs -------------------------------------------------------------------------------------------------------------


def read_step(kind: str, folder: Path) -> dict[str, Any]:
    rows = [{"id": number, "email": name} for number, name in enumerate(NAMES)]
    path = folder / f"in.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["id", "email"])
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    config = {"path": path.name}
    return {"id": "read", "driver": f"filesystem.{kind}_extractor", "config": config}


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "out.csv").open(newline="") as file:
        return list(csv.DictReader(file))


HASH = {"columns": ["email"], "method": "hash"}
SQL = {"driver": "duckdb.processor", "inputs": {"t": "${read.df}"}}
SAVE = {"id": "save", "driver": "filesystem.csv_writer", "config": {"path": "out.csv"}}


@pytest.mark.parametrize(
    ("kind", "place"), [("csv", "local"), ("csv", "process"), ("jsonl", "local"), ("parquet", "local")]
)
def test_an_engine_that_reads_files_itself_does_not_get_past_it(tmp_path: Path, kind: str, place: str) -> None:
    # DuckDB would read the file instead of the stream: the mask must take that away.
    sql = {"id": "sql", **SQL, "config": {"query": "select email, id from t where id < 30 order by id"}}
    steps = [{**read_step(kind, tmp_path), "mask": HASH}, sql, {**SAVE, "inputs": {"df": "${sql.df}"}}]
    result, session = run(steps, tmp_path, place)
    assert result.status == "success", result.error
    assert [row["email"] for row in written(tmp_path)] == [sha(name) for name in NAMES[:30]]
    assert holders(session.dir, CANARY) == []


def test_what_waits_on_disk_is_masked(tmp_path: Path) -> None:
    first = {"id": "one", **SQL, "config": {"query": "select email from t order by id"}}
    second = {"id": "two", **SQL, "config": {"query": "select count(distinct email) as emails from t"}}
    steps = [
        {**read_step("csv", tmp_path), "mask": HASH, "checkpoint": True},
        first,
        second,
        {**SAVE, "inputs": {"df": "${one.df}"}},
        {"id": "fail", "driver": "test.fail", "inputs": {"df": "${two.df}"}, "needs": ["save"]},
    ]
    seen: list[list[str]] = []
    look = Spy(tmp_path / "runs", seen)
    DriverRegistry.register("test.fail", look)
    try:
        result, session = run(steps, tmp_path, memory_budget=0)
    finally:
        DriverRegistry.unregister("test.fail")
    assert result.status == "failed"  # so that the checkpoint stays
    assert [row["email"] for row in written(tmp_path)] == [sha(name) for name in NAMES]
    assert holders(session.dir, sha(NAMES[0])) == [str(session.dir / "checkpoints" / "read.df.arrows")]
    assert holders(session.dir, CANARY) == []
    assert seen == [[]]


class Spy:
    """Looks for clear values on disk while the run goes, then fails."""

    def __init__(self, folder: Path, seen: list[list[str]]) -> None:
        self.folder = folder
        self.seen = seen

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
        self.seen.append(holders(self.folder, CANARY))
        raise DriverError("seen enough")


def test_a_failure_downstream_can_only_tell_the_masked_value(tmp_path: Path, register: Register) -> None:
    class Complains:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            raise ValueError(f"cannot take {inputs['df'].table()['email'][0].as_py()!r}")

    register("test.complains", Complains, role="writer", outputs=(), **STREAM)
    steps = [
        {**read_step("csv", tmp_path), "mask": HASH},
        {"id": "b", "driver": "test.complains", "inputs": {"df": "${read}"}},
    ]
    result, session = run(steps, tmp_path)
    assert sha(NAMES[0]) in str(result.error)
    assert holders(session.dir, CANARY) == []


@pytest.mark.parametrize("place", ["local", "process"])
def test_an_error_about_a_masked_column_does_not_show_the_value(tmp_path: Path, place: str) -> None:
    (tmp_path / "in.csv").write_text("id,ssn\n1,100\n2,canary-666\n")
    read = {"id": "read", "driver": "filesystem.csv_extractor"}
    clear = {**read, "config": {"path": "in.csv", "types": {"ssn": "integer"}}}
    save = {**SAVE, "inputs": {"df": "${read.df}"}}
    (tmp_path / "one").mkdir()
    result, _ = run([clear, save], tmp_path, place)
    assert CANARY in str(result.error)  # what there is to hide
    result, session = run([{**clear, "mask": {"columns": ["ssn"], "method": "redact"}}, save], tmp_path, place)
    assert isinstance(result.error, OsirisError)
    assert result.error.code == "filesystem.csv_type_mismatch"
    assert "column 'ssn'" in result.error.message
    assert "line 3" in result.error.message
    assert holders(session.dir, CANARY) == []
    assert CANARY not in repr(result.to_dict())


def test_a_batch_of_another_shape_does_not_pass_in_clear(tmp_path: Path, register: Register) -> None:
    wrong = pa.record_batch({"id": [1], "email": [NAMES[0]], "more": [True]})

    class Drifts:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {"df": Dataset.from_batches(pa.schema({"email": pa.string()}), iter([wrong]))}

    register("test.drifts", Drifts, role="extractor", max_inputs=0)
    steps = [{"id": "read", "driver": "test.drifts", "mask": HASH}, {**SAVE, "inputs": {"df": "${read}"}}]
    result, session = run(steps, tmp_path)
    assert isinstance(result.error, OsirisError)
    assert result.error.code == "driver.bad_batch"
    assert holders(tmp_path, CANARY) == []
    assert session.result() is not None


def test_other_outputs_are_masked_too_where_they_have_the_column(tmp_path: Path, register: Register) -> None:
    class Sorts:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            good = pa.table({"email": NAMES[:2]})
            return {
                "df": good,
                "rejects": pa.table({"email": NAMES[2:3], "why": ["late"]}),
                "odd": pa.table({"x": [1]}),
            }

    register("test.sorts", Sorts, role="extractor", max_inputs=0, outputs=("df", "rejects", "odd"))
    steps = [{"id": "read", "driver": "test.sorts", "mask": HASH}, {**SAVE, "inputs": {"df": "${read.rejects}"}}]
    result, _ = run(steps, tmp_path)
    assert result.status == "success", result.error
    assert written(tmp_path) == [{"email": sha(NAMES[2]), "why": "late"}]


def test_frames_and_functions_get_the_masked_values(tmp_path: Path, register: Register) -> None:
    class Frame:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {"df": inputs["df"].assign(upper=inputs["df"]["email"].str.upper())}

    register("test.frame", Frame)
    steps = [
        {**read_step("csv", tmp_path), "mask": HASH},
        {"id": "frame", "driver": "test.frame", "inputs": {"df": "${read}"}},
        {**SAVE, "inputs": {"df": "${frame}"}},
    ]
    result, _ = run(steps, tmp_path)
    assert result.status == "success", result.error
    assert [row["upper"] for row in written(tmp_path)] == [sha(name).upper() for name in NAMES]


def test_the_key_is_a_secret_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASK_KEY", "pepper-and-salt-4711")
    mask = {**HASH, "salt": "${MASK_KEY}"}
    steps = [{**read_step("csv", tmp_path), "mask": mask}, {**SAVE, "inputs": {"df": "${read}"}}]
    try:
        result, session = run(steps, tmp_path, "process")
    finally:
        REDACTOR.clear()
    assert result.status == "success", result.error
    key = b"pepper-and-salt-4711"
    assert written(tmp_path)[0]["email"] == hmac.new(key, NAMES[0].encode(), "sha256").hexdigest()
    assert holders(session.dir, key.decode()) == []
    (told,) = [event for event in session.events() if event["event"] == "secret_resolved"]
    assert (told["secret"], told["option"], told["source"]) == ("MASK_KEY", "salt", "environment")


def test_a_changed_mask_is_another_result(tmp_path: Path) -> None:
    def plan(mask: Any) -> Any:
        return make_plan(
            {"version": "1", "steps": [{**read_step("csv", tmp_path), **({"mask": mask} if mask else {})}]}
        )

    plans = [
        plan(mask)
        for mask in (None, HASH, {**HASH, "salt": "${A}"}, {**HASH, "salt": "${B}"}, {**HASH, "method": "redact"})
    ]
    prints = [step_fingerprints(made, driver_versions(made))["read"] for made in plans]
    assert len(set(prints)) == len(prints)
    session = Session.create(
        tmp_path / "runs", pipeline="m", manifest=plans[1].manifest, adapter="local", plan=plans[1]
    )
    session.finish(RunResult(status="failed", session_id=session.id, session_dir=session.dir))
    with pytest.raises(UsageError, match=r"step 'read'\.mask") as caught:
        Session.open(session.dir).resume(plans[0].manifest, plans[0])
    assert caught.value.code == "session.changed"


def test_context_made_by_hand_is_enough(tmp_path: Path) -> None:
    manifest = {"version": "1", "steps": [{**read_step("csv", tmp_path), "mask": {**HASH, "columns": ["mail"]}}]}
    result = run_pipeline(
        AdapterFactory.create("local"), manifest, ExecutionContext("x", tmp_path / "s", base_dir=tmp_path)
    )
    assert isinstance(result.error, OsirisError)
    assert result.error.code == "step.mask_column"
    assert result.error.facts["step_id"] == "read"
