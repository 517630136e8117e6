"""OML to a manifest: it means the same, reads well, and is the same text everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from osiris.core.driver import DriverSpec
from osiris.core.errors import ManifestError, PlanError
from osiris.core.manifest import Manifest, load_manifest, manifest_from_dict, parse_manifest
from osiris.core.manifest.compiled import compile_manifest, compiled_document
from osiris.core.planning import Plan, make_plan

ROOT = Path(__file__).resolve().parents[2]

OML = """\
oml_version: "0.1.0"   # the older dialect
name: orders-demo
description: Orders, summed up.
params:
  n: {default: 3}
  day: {default: "2024-01-31", description: The day}
profiles:
  prod: {params: {n: 5}}
steps:
  - id: read-orders
    component: filesystem.csv_extractor
    mode: read
    config: {path: "data/${params.day}.csv", limit: "${params.n}", na_values: [NA, "null"], delimiter: ";"}
  - id: login
    component: mysql.extractor
    mode: read
    needs: []
    config: {connection: "@mysql", query: "select '${params.day}'"}
  - id: agg
    component: duckdb.processor
    mode: transform
    needs: [read-orders, login]
    config:
      query: |
        SELECT *  -- all of it
        FROM df_read_orders
        JOIN df_login USING (id)
  - id: write
    component: filesystem.csv_writer
    mode: write
    config: {path: output/out.csv}
"""

MANIFEST = """\
version: "1.0.0"
name: orders-demo
description: "Orders, summed up."
params:
  "n":
    default: 3
  day:
    default: "2024-01-31"
    description: The day
profiles:
  prod:
    params:
      "n": 5
steps:
  - id: read-orders
    driver: filesystem.csv_extractor
    config:
      path: "data/${params.day}.csv"
      limit: "${params.n}"
      na_values: [NA, "null"]
      delimiter: ";"
  - id: login
    driver: mysql.extractor
    config:
      connection: "@mysql"
      query: "select '${params.day}'"
  - id: agg
    driver: duckdb.processor
    config:
      query: |
        SELECT *  -- all of it
        FROM df_read_orders
        JOIN df_login USING (id)
    inputs:
      df_read_orders: "${read-orders.df}"
      df_login: "${login.df}"
  - id: write
    driver: filesystem.csv_writer
    config:
      path: output/out.csv
    inputs:
      df: "${agg.df}"
"""


class AnyDriver:
    """Knows every driver, and takes whatever a step gives it."""

    def spec(self, name: str) -> DriverSpec:
        return DriverSpec.for_unknown(name)


def plan(manifest: Manifest) -> Plan:
    return make_plan(manifest, drivers=AnyDriver())


def test_an_oml_file_as_a_manifest() -> None:
    assert compile_manifest(parse_manifest(OML)) == MANIFEST


def test_a_manifest_stays_as_it_is() -> None:
    assert compile_manifest(parse_manifest(MANIFEST)) == MANIFEST


def test_a_library_reads_it_as_the_same_manifest() -> None:
    first = parse_manifest(OML).to_dict()
    assert manifest_from_dict(yaml.safe_load(MANIFEST.replace('"n"', "'n'"))).to_dict() == first
    assert parse_manifest(MANIFEST).to_dict() == first


def test_the_name_is_that_of_the_file_it_came_from(tmp_path: Any) -> None:
    file = tmp_path / "sales.yaml"
    file.write_text("oml_version: 0.1.0\nsteps: [{id: a, component: x.extractor}]\n")
    assert "name: sales\n" in compile_manifest(load_manifest(file))


def test_what_was_given_becomes_the_default() -> None:
    manifest = parse_manifest(OML, params={"day": "2025-01-01"}, profile="prod")
    text = compile_manifest(manifest)
    assert text.replace("default: 5", "default: 3").replace("2025-01-01", "2024-01-31") == MANIFEST
    assert parse_manifest(text).params == manifest.params == {"n": 5, "day": "2025-01-01"}
    assert compiled_document(manifest, given=False) == compiled_document(parse_manifest(OML))


@pytest.mark.parametrize(
    ("declared", "value", "written"),
    [
        (3, 5, 5),
        (1.5, 2, {"type": "number", "default": 2}),
        ({"default": 1.5}, 2, {"type": "number", "default": 2}),
        ({"type": "integer"}, "7", {"type": "integer", "default": 7}),
        (
            {"type": "string", "required": True, "enum": ["a", "b"]},
            "b",
            {"type": "string", "default": "b", "enum": ["a", "b"]},
        ),
        ({"type": "string", "required": False}, "x", {"type": "string", "default": "x"}),
        (None, "x", "x"),
    ],
)
def test_a_new_default_keeps_the_type(declared: Any, value: Any, written: Any) -> None:
    steps = [{"id": "a", "driver": "x.y"}]
    manifest = manifest_from_dict({"version": 1, "params": {"p": declared}, "steps": steps}, params={"p": value})
    document = compiled_document(manifest)
    assert document["params"] == {"p": written}
    again = parse_manifest(compile_manifest(manifest))
    assert again.params == manifest.params
    assert again.origin.params.declared["p"].type == manifest.origin.params.declared["p"].type


def test_resolved_there_are_no_params_left() -> None:
    manifest = parse_manifest(OML, environment={"OSIRIS_PARAM_N": "7"})
    text = compile_manifest(manifest, resolve=True)
    assert "param" not in text
    assert "profiles" not in text
    again = parse_manifest(text)
    assert again.steps == manifest.steps
    assert again.steps[0]["config"] == {
        "path": "data/2024-01-31.csv",
        "limit": 7,
        "na_values": ["NA", "null"],
        "delimiter": ";",
    }


def test_resolving_fills_every_place() -> None:
    manifest = parse_manifest(
        'version: 1\nname: "n-${params.n}"\ndescription: "${params.n}"\nparams: {n: 2, d: x.y, b: ".."}\n'
        'defaults: {retry: "${params.n}"}\nlimits: {memory: "${params.n}GB"}\nbase_dir: "${params.b}"\n'
        'steps: [{id: a, driver: "${params.d}", description: "${params.n}", config: {n: "${params.n}"}}]'
    )
    assert (manifest.name, manifest.description, manifest.base_dir) == ("n-2", "2", "..")
    again = parse_manifest(compile_manifest(manifest, resolve=True))
    assert again.to_dict() == {**manifest.to_dict(), "params": {}}
    assert again.base_dir == ".."
    assert parse_manifest(compile_manifest(manifest)).to_dict() == manifest.to_dict()


def test_what_means_something_with_nothing_behind_it_is_kept() -> None:
    text = (
        "version: 1\ndefaults: {retry: 3}\nbreaker:\nsteps: [{id: a, driver: x.y, retry: null, config: , inputs: {}}]"
    )
    manifest = parse_manifest(text)
    assert manifest.steps[0]["retry"] is None
    again = parse_manifest(compile_manifest(manifest))
    assert again.to_dict() == {**manifest.to_dict(), "name": "pipeline"}
    assert "config" not in compile_manifest(manifest)


def test_a_parameter_without_a_value_stays_where_the_file_is_only_looked_at() -> None:
    text = OML.replace("n: {default: 3}", "n: {type: integer}")
    with pytest.raises(ManifestError):
        parse_manifest(text)
    manifest = parse_manifest(text, complete=False)
    assert manifest.steps[0]["config"]["limit"] == "${params.n}"
    assert '"n":\n    type: integer\n' in compile_manifest(manifest)
    with pytest.raises(ManifestError) as caught:
        parse_manifest(
            "version: 1\nparams: {d: {type: string}}\nsteps: [{id: a, driver: '${params.d}'}]", complete=False
        )
    assert [(problem.code, problem.path) for problem in caught.value.problems] == [
        ("manifest.param_missing", "steps[0].driver")
    ]


def test_secret_references_stay_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "hush")
    text = 'oml_version: 0.1.0\nsteps: [{id: a, component: x.extractor, config: {p: "${PW}", q: "${file:/x}$${y}"}}]'
    for resolve in (False, True):
        written = compile_manifest(parse_manifest(text), resolve=resolve)
        assert 'p: "${PW}"\n' in written
        assert 'q: "${file:/x}$${y}"\n' in written


IDS = ["a", "b-c", "b_c", "d", "E"]
VALUES = st.recursive(
    st.sampled_from(
        ["x", "007", "no", "${params.n}", "n=${params.n}", "${params.u}", "${PW}", "$${", "a\nb\n", "1.5", "input_df"]
    )
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5).filter(lambda text: "${" not in text),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "n", "no", "a b"]), inner, max_size=3)
    ),
    max_leaves=5,
)
CONFIGS = st.dictionaries(st.sampled_from(["query", "path", "mode", "upsert_keys", "limit"]), VALUES, max_size=3)
PARAM_VALUES = st.sampled_from([1, 2.5, True, "x", "5", None])


@st.composite
def oml_documents(draw: st.DrawFn) -> dict[str, Any]:
    steps = []
    for index, step_id in enumerate(IDS[: draw(st.integers(1, len(IDS)))]):
        kind = draw(st.sampled_from(["x.extractor", "x.thing", "duckdb.processor", "mysql.writer", "x.writer"]))
        step: dict[str, Any] = {"id": step_id, "component": kind}
        if draw(st.booleans()):
            step["needs"] = draw(st.lists(st.sampled_from(IDS[:index]), max_size=3)) if index else []
        if draw(st.booleans()):
            step["config"] = draw(CONFIGS)
        if draw(st.booleans()) and kind == "x.thing":
            step["mode"] = draw(st.sampled_from(["read", "transform", "write"]))
        if draw(st.booleans()):
            step["description"] = draw(st.sampled_from(["d", "${params.n}", "yes"]))
        steps.append(step)
    document: dict[str, Any] = {"oml_version": "0.1.0", "steps": steps}
    if draw(st.booleans()):
        document["name"] = draw(st.sampled_from(["p", "007", "p-${params.n}"]))
    if draw(st.booleans()):
        plain = PARAM_VALUES | st.builds(lambda value: {"default": value, "description": "x"}, PARAM_VALUES)
        document["params"] = draw(st.dictionaries(st.sampled_from(["n", "m"]), plain | st.just({}), max_size=2))
    if draw(st.booleans()):
        profile = st.builds(lambda params: {"params": params}, st.dictionaries(st.sampled_from("nmu"), PARAM_VALUES))
        document["profiles"] = draw(st.dictionaries(st.sampled_from(["prod", "no"]), profile, max_size=2))
    return document


GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "params": st.dictionaries(st.sampled_from("nmu"), st.sampled_from(["1", "x", "2.5"]), max_size=2),
        "profile": st.sampled_from(["prod", "no"]),
        "environment": st.dictionaries(
            st.sampled_from(["OSIRIS_PARAM_N", "OSIRIS_PARAM_U"]), st.sampled_from(["3", "y"]), max_size=1
        ),
    },
)


def attempt(text: str, how: dict[str, Any]) -> tuple[Manifest | None, list[str]]:
    """The manifest, or the codes of what is wrong."""
    try:
        return parse_manifest(text, **how), []
    except ManifestError as error:
        return None, sorted(problem.code for problem in error.problems)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(oml_documents(), GIVEN)
def test_the_manifest_plans_as_the_oml_file_does(document: dict[str, Any], how: dict[str, Any]) -> None:
    text = json.dumps(document)
    looked_at, _ = attempt(text, {"complete": False})
    if looked_at is None:
        assert attempt(text, how)[0] is None
        assume(False)
    assert looked_at is not None
    compiled = compile_manifest(looked_at)
    assert compile_manifest(parse_manifest(compiled, complete=False)) == compiled
    before, mistakes = attempt(text, how)
    if before is None:
        assert attempt(compiled, how) == (None, mistakes)
        return
    after = parse_manifest(compiled, **how)
    assert after.to_dict() == before.to_dict()
    assert after.param_sources == before.param_sources
    assert plan(after).fingerprint == plan(before).fingerprint
    kept = {key: value for key, value in how.items() if key != "environment"}
    baked = parse_manifest(
        compile_manifest(parse_manifest(text, complete=False, **kept)), environment=how.get("environment")
    )
    if "environment" not in how:
        assert plan(baked).fingerprint == plan(before).fingerprint
    resolved = parse_manifest(compile_manifest(before, resolve=True))
    assert (resolved.name, resolved.steps) == (before.name, before.steps)


def test_every_python_writes_the_same_bytes() -> None:
    program = (
        "import sys; from osiris.core.manifest import parse_manifest; "
        "from osiris.core.manifest.compiled import compile_manifest; "
        "sys.stdout.write(compile_manifest(parse_manifest(sys.stdin.read())))"
    )
    for seed, parser in (("0", ""), ("1", ""), ("2", "import yaml; del yaml.CSafeLoader; ")):
        done = subprocess.run(
            [sys.executable, "-c", parser + program],
            input=OML,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        )
        assert done.stdout == MANIFEST


def oml_chain(count: int) -> str:
    head = "oml_version: 0.1.0\nparams: {n: 3}\nsteps:\n- {id: s0, component: x.extractor, config: {path: a}}\n"
    return head + "".join(
        f"- {{id: s{n}, component: duckdb.processor, config: {{query: 'from df_s{n - 1} limit ${{params.n}}'}}}}\n"
        for n in range(1, count)
    )


def calls(count: int) -> int:
    """How many functions are called, those of C too: the same on every machine, however busy."""
    text, called = oml_chain(count), 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        compiled = compile_manifest(parse_manifest(text))
    finally:
        sys.setprofile(before)
    assert compiled.count("  - id: ") == count
    return called


def test_the_work_grows_with_the_steps_and_no_faster() -> None:
    assert calls(1_000) < 10.5 * calls(100)


def test_ten_thousand_steps() -> None:
    assert compile_manifest(parse_manifest(oml_chain(10_000))).count("    driver: duckdb.processor\n") == 9_999


def test_a_step_with_thousands_of_inputs() -> None:
    count = 5_000
    reads = "".join(f"- {{id: r{n}, component: x.extractor, needs: []}}\n" for n in range(count))
    needs = ", ".join(f"r{n}" for n in range(count))
    text = f"oml_version: 0.1.0\nsteps:\n{reads}- {{id: j, component: duckdb.processor, needs: [{needs}]}}\n"
    assert len(parse_manifest(text).steps[-1]["inputs"]) == count


def test_cycles_are_refused() -> None:
    steps = "- {id: a, component: x.thing, needs: [b]}\n- {id: b, component: x.thing, needs: [a]}\n"
    text = f"oml_version: 0.1.0\nsteps:\n{steps}"
    with pytest.raises(PlanError) as caught:
        plan(parse_manifest(text))
    assert [(problem.code, problem.line) for problem in caught.value.problems] == [("plan.cycle", 3)]


PIPELINES = sorted([*ROOT.glob("examples/**/pipeline.yaml"), *ROOT.glob("tests/corpus/*.yaml")])


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_the_examples_mean_the_same_when_they_are_written_again(file: Path) -> None:
    manifest = load_manifest(file)
    text = compile_manifest(manifest)
    again = parse_manifest(text)
    assert again.to_dict() == manifest.to_dict()
    assert plan(again).fingerprint == plan(manifest).fingerprint
    assert compile_manifest(again) == text
