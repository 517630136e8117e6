"""Parameters: declared, given, filled in."""

from typing import Any

import pytest

from osiris.core.errors import ManifestError
from osiris.core.manifest import Manifest, manifest_from_dict, parse_manifest


def make(params: Any, config: Any = None, **given: Any) -> Manifest:
    steps = [{"id": "a", "driver": "x.y", "config": config or {}}]
    return manifest_from_dict({"version": "1.0.0", "params": params, "steps": steps}, params=given)


def codes(params: Any, config: Any = None, **given: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        make(params, config, **given)
    return [problem.code for problem in caught.value.problems]


def test_a_parameter_alone_keeps_its_type_and_inside_a_text_is_text() -> None:
    params = {"n": 3, "f": 1.5, "b": True, "s": "x"}
    config = {"n": "${params.n}", "f": "${params.f}", "b": "${params.b}", "t": "${params.s}-${params.n}-${params.b}"}
    assert make(params, config).steps[0]["config"] == {"n": 3, "f": 1.5, "b": True, "t": "x-3-true"}


def test_parameters_work_wherever_a_step_has_values() -> None:
    manifest = manifest_from_dict(
        {
            "version": 1,
            "params": {"d": "x.y", "up": "a", "n": 5},
            "steps": [
                {"id": "a", "driver": "${params.d}"},
                {
                    "id": "b",
                    "driver": "x.y",
                    "config": {"deep": [{"n": "${params.n}"}]},
                    "inputs": {"n": "${params.n}"},
                    "needs": ["${params.up}"],
                },
            ],
        }
    )
    first, second = manifest.steps
    assert first["driver"] == "x.y"
    assert second["config"] == {"deep": [{"n": 5}]}
    assert second["inputs"] == {"n": 5}
    assert second["needs"] == ["a"]


@pytest.mark.parametrize(
    ("declared", "given", "value"),
    [
        (10, "5", 5),
        (10, 5, 5),
        ({"type": "integer"}, "-5", -5),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "7", 7),
        (1.5, 2, 2),
        ({"type": "boolean"}, "yes", True),
        (True, "false", False),
        ("x", "007", "007"),
        (None, "x", "x"),
        ({"type": "string", "enum": ["a", "b"]}, "b", "b"),
        ({"type": "integer", "choices": [1, 2]}, "2", 2),
    ],
)
def test_given_text_is_converted(declared: Any, given: Any, value: Any) -> None:
    found = make({"p": declared}, p=given).params["p"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        (10, "5.0"),
        (10, "five"),
        (10, True),
        (10, 5.5),
        (1.5, "nan"),
        (1.5, "1e999"),
        (True, "maybe"),
        ("x", 5),
        ({"type": "string", "enum": ["a", "b"]}, "c"),
    ],
)
def test_given_values_that_do_not_fit_are_refused(declared: Any, given: Any) -> None:
    assert codes({"p": declared}, p=given) == ["manifest.param_value"]


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ({"type": "integer", "default": "10"}, "manifest.param"),
        ({"type": "string", "enum": ["a"], "default": "b"}, "manifest.param"),
        ({"required": True, "default": 1}, "manifest.param"),
        ({"type": "int"}, "manifest.wrong_type"),
        ({"type": ["integer"]}, "manifest.wrong_type"),
        ({"default": [1]}, "manifest.wrong_type"),
        ({"required": "yes"}, "manifest.wrong_type"),
        ({"enum": "a"}, "manifest.wrong_type"),
        ({"defualt": 1, "type": "integer"}, "manifest.unknown_key"),
        ([1, 2], "manifest.wrong_type"),
        ("${HOME_DIR}", "manifest.reference"),
    ],
)
def test_wrong_declarations_are_refused_once_although_they_are_used(declared: Any, code: str) -> None:
    assert codes({"p": declared}, {"x": "${params.p}"}) == [code]


def test_missing_and_unknown_parameters() -> None:
    assert codes({"p": {"type": "integer"}}, {"x": "${params.p}"}) == ["manifest.param_missing"]
    assert codes({"limit": 1}, {}, limt=5) == ["manifest.param_unknown"]
    with pytest.raises(ManifestError) as caught:
        make({"limit": 1}, {"n": "${params.limti}"})
    assert caught.value.hint == "did you mean ${params.limit}?"
    assert caught.value.problems[0].path == "steps[0].config.n"


def test_a_parameter_that_is_not_required_is_nothing() -> None:
    assert make({"p": {"required": False}}, {"x": "${params.p}", "y": "a${params.p}b"}).steps[0]["config"] == {
        "x": None,
        "y": "ab",
    }


def test_a_given_value_is_never_a_reference() -> None:
    assert codes({"p": "x"}, {"q": "${params.p}"}, p="${HOME}") == ["manifest.reference"]
    assert make({"p": "x"}, {"q": "${params.p}"}, p="$${HOME}").steps[0]["config"] == {"q": "$${HOME}"}


@pytest.mark.parametrize("config", ["${params.p}{HOME}", "${params.p}${HOME}"])
def test_a_value_and_its_surroundings_never_make_or_break_a_reference(config: str) -> None:
    assert codes({"p": "$"}, {"q": config}) == ["manifest.reference"]


def test_problems_stand_at_the_declaration() -> None:
    text = 'version: "1"\nparams:\n  limit: {type: integer, default: x}\nsteps: [{id: a, driver: x.y}]\n'
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text)
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == (3, 35)
