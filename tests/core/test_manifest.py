"""Files, texts and dicts to manifests: every mistake with its place."""

import enum
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from osiris.core.errors import ManifestError, Problem
from osiris.core.manifest import Manifest, load_manifest, manifest_from_dict, parse_manifest
from osiris.core.manifest.load import MAX_BYTES

GOOD = """\
version: "1.0.0"
name: big-spenders
description: Who spends most.
steps:
  - id: orders
    driver: filesystem.csv_extractor
    config: {path: data/orders.csv}
  - id: big
    driver: duckdb.processor
    config: {query: "select * from orders"}
    inputs: {orders: "${orders.df}"}
    needs: [orders]
"""


def problems(text: str) -> list[Problem]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, file="p.yaml")
    assert all(problem.file == "p.yaml" and problem.line and problem.column for problem in caught.value.problems)
    return list(caught.value.problems)


def found(text: str) -> list[tuple[str, int | None, int | None]]:
    return [(problem.code, problem.line, problem.column) for problem in problems(text)]


def test_a_manifest_reads_as_a_mapping_and_as_attributes() -> None:
    manifest = parse_manifest(GOOD)
    assert manifest.version == manifest["version"] == "1.0.0"
    assert manifest.name == "big-spenders"
    assert manifest.description == "Who spends most."
    assert manifest["steps"][1]["inputs"] == {"orders": "${orders.df}"}
    assert manifest.steps[0] == {
        "id": "orders",
        "driver": "filesystem.csv_extractor",
        "config": {"path": "data/orders.csv"},
        "inputs": {},
        "needs": [],
    }
    assert set(manifest) == {"version", "name", "description", "params", "requires", "defaults", "steps"}
    assert len(manifest) == 7
    assert manifest.params == {}
    assert manifest.requires == ()
    assert manifest.defaults == {}
    assert not manifest.oml


def test_what_to_dict_gives_reads_as_the_same_manifest() -> None:
    text = GOOD + '    description: "${x}"\nparams: {n: 5, p: {required: false}}\n'
    first = parse_manifest(text.replace("config: {query", "config: {n: '${params.n} $${x} ${PW}', query"))
    again = manifest_from_dict(json.loads(json.dumps(first.to_dict())))
    assert again.to_dict() == first.to_dict()
    assert first.steps[1]["config"]["n"] == "5 $${x} ${PW}"


def test_to_dict_is_a_copy() -> None:
    manifest = parse_manifest(GOOD)
    manifest.to_dict()["steps"][0]["config"]["path"] = "other"
    assert manifest.steps[0]["config"] == {"path": "data/orders.csv"}


def test_a_manifest_can_be_sent_to_another_process() -> None:
    manifest = pickle.loads(pickle.dumps(parse_manifest(GOOD)))
    assert manifest.position(("steps", 1, "driver")) == (9, 13)


def test_positions_and_problems() -> None:
    manifest = parse_manifest(GOOD, file="p.yaml")
    assert manifest.position(("steps", 0, "config", "path")) == (7, 20)
    assert manifest.position(("steps", 0, "config", "path"), at_key=True) == (7, 14)
    assert manifest.position(("steps", 0, "config", "nothing")) == (7, 13)
    problem = manifest.problem("a.b", "wrong", ("steps", 1, "inputs", "orders"), "do it right")
    assert problem.place == "p.yaml:11:22"
    assert problem.path == "steps[1].inputs.orders"


def test_the_manifest_of_the_guide_needs_no_name() -> None:
    data = {"version": "1.0.0", "steps": [{"id": "test_step", "driver": "test.driver", "config": {"test": True}}]}
    manifest = manifest_from_dict(data)
    assert manifest.steps[0]["config"] == {"test": True}
    assert manifest.file is None
    assert manifest.position(("steps", 0)) is None


@pytest.mark.parametrize("version", ['"1"', '"1.0"', '"1.0.0"', "1", "1.0", "1.0.0"])
def test_the_version_may_be_short(version: str) -> None:
    assert parse_manifest(f"version: {version}\nsteps: [{{id: a, driver: x.y}}]").version == "1.0.0"


@pytest.mark.parametrize("version", ['"2.0.0"', "2", "true", '"1.x"', "0.5", '""', "~", "[1]", '"1.0.0.0"', '"\u0661"'])
def test_another_version_is_refused(version: str) -> None:
    assert found(f"version: {version}\nsteps: [{{id: a, driver: x.y}}]") == [("manifest.version", 1, 10)]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
nmae: x
steps:
  - id: ../../evil
    driver: x.y
  - id: a
    drvier: x.y
    isolation: process
  - id: a
    driver: [x]
    config: 5
    inputs: [b]
    needs: b
  - just text
params: {n: {type: int}}
"""
    assert found(text) == [
        ("manifest.unknown_key", 1, 1),
        ("manifest.missing_key", 1, 1),
        ("manifest.step_id", 3, 9),
        ("manifest.missing_key", 5, 5),
        ("manifest.unknown_key", 6, 5),
        ("manifest.unknown_key", 7, 5),
        ("manifest.duplicate_step", 8, 9),
        ("manifest.wrong_type", 9, 13),
        ("manifest.wrong_type", 10, 13),
        ("manifest.wrong_type", 11, 13),
        ("manifest.wrong_type", 12, 12),
        ("manifest.wrong_type", 13, 5),
        ("manifest.wrong_type", 14, 20),
    ]


def test_hints_say_what_was_probably_meant() -> None:
    hints = {
        problem.message: problem.hint for problem in problems("version: 1\nsteps: [{id: a, drvier: x.y, confg: {}}]")
    }
    assert hints["unknown key 'drvier'"] == "did you mean driver?"
    assert hints["unknown key 'confg'"] == "did you mean config?"


def test_duplicate_steps_name_both_lines() -> None:
    text = "version: 1\nsteps:\n- id: a\n  driver: x.y\n- {id: a, driver: x.y}\n"
    [problem] = problems(text)
    assert (problem.line, "line 3" in problem.message) == (5, True)


@pytest.mark.parametrize(
    "step_id", ["../../x", "a b", "1a", "", "-a", "a/b", "ä", "a\\n", "x" * 101, "params", "a.b", "${params.x}"]
)
def test_step_ids_that_could_do_harm_are_refused(step_id: str) -> None:
    assert found(f'version: 1\nsteps: [{{id: "{step_id}", driver: x.y}}]') == [("manifest.step_id", 2, 14)]


def test_keys_that_belong_elsewhere_say_where() -> None:
    [in_step] = problems("version: 1\nsteps: [{id: a, driver: x.y, isolation: process}]")
    assert (in_step.code, "--adapter-option isolation=process" in str(in_step.hint)) == ("manifest.unknown_key", True)
    [at_the_top] = problems("version: 1\nadapters: {}\nsteps: [{id: a, driver: x.y}]")
    assert (at_the_top.line, "osiris.yaml" in str(at_the_top.hint)) == (2, True)


def test_keys_that_begin_with_x_are_for_anchors() -> None:
    text = "version: 1\nx-base: &base {delimiter: ;}\nsteps: [{id: a, driver: x.y, config: {<<: *base, path: p}}]"
    manifest = parse_manifest(text)
    assert manifest.steps[0]["config"] == {"delimiter": ";", "path": "p"}
    assert "x-base" not in manifest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("manifest.empty", 1, 1)),
        ("# only words\n", ("manifest.empty", 1, 1)),
        ("- a\n- b\n", ("manifest.not_a_mapping", 1, 1)),
        ("just text", ("manifest.not_a_mapping", 1, 1)),
        ("version: 1\nsteps: []\n", ("manifest.no_steps", 2, 8)),
        ("version: 1\nsteps: {a: b}\n", ("manifest.no_steps", 2, 8)),
        ("version: 1\nsteps:\n", ("manifest.no_steps", 2, 7)),
        ("version: 1\n", ("manifest.missing_key", 1, 1)),
        ("version: 1\nname: 5\nsteps: [{id: a, driver: x.y}]", ("manifest.wrong_type", 2, 7)),
        ("version: 1\nrequires: x\nsteps: [{id: a, driver: x.y}]", ("manifest.wrong_type", 2, 11)),
        ("version: 1\nsteps: [{id: 5, driver: x.y}]", ("manifest.wrong_type", 2, 14)),
        ("version: 1\nsteps: [{id: a, driver: x y}]", ("manifest.wrong_type", 2, 25)),
        ("version: 1\nsteps: [{id: a, driver: x.y, needs: [1]}]", ("manifest.wrong_type", 2, 38)),
        ("version: 1\nsteps: [{id: a, driver: x.y, description: [1]}]", ("manifest.wrong_type", 2, 43)),
        ("version: 1\nsteps: [{id: a, driver: x.y, config: {a: 1, a: 2}}]", ("manifest.duplicate_key", 2, 45)),
    ],
)
def test_single_mistakes(text: str, expected: tuple[str, int, int]) -> None:
    assert expected in found(text)


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ('config: {q: "${orders.df}"}', "steps[0].config.q"),
        ('config: {q: ["${oops"]}', "steps[0].config.q[0]"),
        ('config: {q: "${a b}"}', "steps[0].config.q"),
        ('inputs: {df: "${file:/x}"}', "steps[0].inputs.df"),
        ('inputs: {df: "x ${PASSWORD}"}', "steps[0].inputs.df"),
        ('inputs: {df: ["${b.df}"]}', "steps[0].inputs.df[0]"),
        ('needs: ["${PASSWORD}"]', "steps[0].needs[0]"),
    ],
)
def test_references_where_they_cannot_be_resolved(step: str, path: str) -> None:
    [problem] = problems(f"version: 1\nsteps: [{{id: a, driver: x.y, {step}}}]")
    assert (problem.code, problem.path) == ("manifest.reference", path)


def test_secret_references_and_escapes_stay_as_written() -> None:
    text = "version: 1\nsteps: [{id: a, driver: x.y, config: {p: '${PW}', q: 'a$${b}', r: '${file:/x}${H:-d}'}}]"
    assert parse_manifest(text).steps[0]["config"] == {"p": "${PW}", "q": "a$${b}", "r": "${file:/x}${H:-d}"}


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "sales.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + b"version: 1\r\nsteps:\r\n- {id: a, driver: x.y}\r\n")
    manifest = load_manifest(file)
    assert manifest.name == "sales"
    assert manifest.file == file
    assert manifest.position(("steps", 0, "driver")) == (3, 19)
    file.write_text('{"version": "1.0.0", "name": "j", "steps": [{"id": "a", "driver": "x.y"}]}')
    assert load_manifest(str(file)).name == "j"


def unreadable(path: Path | str) -> Problem:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    [problem] = caught.value.problems
    assert problem.file == str(path)
    assert caught.value.hint
    return problem


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert unreadable(tmp_path / "missing.yaml").code == "manifest.not_found"
    assert unreadable(tmp_path).code == "manifest.is_directory"
    (tmp_path / "file").write_text("x")
    assert unreadable(tmp_path / "file" / "p.yaml").code == "manifest.not_readable"
    assert unreadable("nul\0byte").code == "manifest.not_readable"


def test_no_permission(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    file.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        problem = unreadable(file)
    finally:
        os.seteuid(user)
    assert problem.code == "manifest.not_readable"


def test_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes("a: 1\r\nřeka: ".encode() + b"\xff\n")
    problem = unreadable(file)
    assert (problem.code, problem.line, problem.column) == ("manifest.encoding", 2, 7)
    file.write_bytes(GOOD.encode("utf-16"))
    assert unreadable(file).code == "manifest.encoding"
    file.write_bytes(bytes(range(32)))
    assert unreadable(file).code == "manifest.encoding"


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    with file.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert unreadable(file).code == "manifest.too_large"


def test_data_made_in_code() -> None:
    class Mode(str, enum.Enum):  # noqa: UP042  # the kind whose str() is not its text
        FAST = "fast"

    config = {"path": Path("a/b"), "rows": (1, 2), "mode": Mode.FAST}
    manifest = manifest_from_dict({"version": "1", "steps": [{"id": "a", "driver": "x.y", "config": config}]})
    assert json.dumps(manifest.steps[0]["config"]) == '{"path": "a/b", "rows": [1, 2], "mode": "fast"}'


def endless() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["self"] = data
    return data


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (object(), "manifest.wrong_type"),
        ({1: "x"}, "manifest.wrong_type"),
        (float("nan"), "manifest.wrong_type"),
        (10**5000, "manifest.wrong_type"),
        (b"bytes", "manifest.wrong_type"),
        ({1, 2}, "manifest.wrong_type"),
        ("\ud800", "manifest.encoding"),
        (endless(), "manifest.too_deep"),
    ],
    ids=["object", "key", "nan", "integer", "bytes", "set", "surrogate", "endless"],
)
def test_data_that_json_cannot_hold_is_refused(value: Any, code: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest_from_dict({"version": 1, "steps": [{"id": "a", "driver": "x.y", "config": {"v": value}}]})
    assert {problem.code for problem in caught.value.problems} == {code}
    assert caught.value.problems[0].path.startswith("steps[0].config.v")


def test_ten_thousand_steps() -> None:
    steps = "".join(f'- {{id: s{n}, driver: x.y, inputs: {{df: "${{s{n - 1}.df}}"}}}}\n' for n in range(1, 10_001))
    manifest: Manifest = parse_manifest("version: 1\nsteps:\n- {id: s0, driver: x.y}\n" + steps)
    assert len(manifest.steps) == 10_001
    assert manifest.position(("steps", 10_000, "driver")) == (10_003, 24)
