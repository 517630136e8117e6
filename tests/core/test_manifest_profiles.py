"""Where a parameter's value comes from: the command line, a variable, a profile, the default."""

from __future__ import annotations

from typing import Any

import pytest

from osiris.core.errors import ManifestError, Problem
from osiris.core.manifest import Manifest, manifest_from_dict, parse_manifest

HEAD = {"manifest": 'version: "1.0.0"\n', "oml": 'oml_version: "0.1.0"\n'}
STEP = {
    "manifest": "steps: [{id: a, driver: x.y, config: {n: '${params.n}', t: 'x-${params.n}'}}]\n",
    "oml": "steps: [{id: a, component: x.y, config: {n: '${params.n}', t: 'x-${params.n}'}}]\n",
}
BODY = """\
params: {n: {default: 3}, region: north}
profiles:
  prod: {params: {n: 5}}
  test: {description: A small part, params: {n: "4", region: south}}
  none: {}
"""
both = pytest.mark.parametrize("dialect", ["manifest", "oml"])


def read(body: str, dialect: str = "manifest", **given: Any) -> Manifest:
    return parse_manifest(HEAD[dialect] + body + STEP[dialect], file="p.yaml", **given)


def refused(body: str, dialect: str = "manifest", **given: Any) -> list[Problem]:
    with pytest.raises(ManifestError) as caught:
        read(body, dialect, **given)
    return list(caught.value.problems)


def found(body: str, dialect: str = "manifest", **given: Any) -> list[tuple[str, int | None, int | None]]:
    return [(problem.code, problem.line, problem.column) for problem in refused(body, dialect, **given)]


VARIABLE = {"OSIRIS_PARAM_N": "6"}


@both
@pytest.mark.parametrize(
    ("given", "value", "source"),
    [
        ({}, 3, "default"),
        ({"profile": "prod"}, 5, "profile prod"),
        ({"profile": "none"}, 3, "default"),
        ({"environment": VARIABLE}, 6, "OSIRIS_PARAM_N"),
        ({"environment": VARIABLE, "profile": "prod"}, 6, "OSIRIS_PARAM_N"),
        ({"params": {"n": "7"}}, 7, "command line"),
        ({"params": {"n": "7"}, "profile": "prod"}, 7, "command line"),
        ({"params": {"n": "7"}, "environment": VARIABLE, "profile": "prod"}, 7, "command line"),
        ({"params": {"region": "x"}, "environment": {"OSIRIS_PARAM_OTHER": "1"}}, 3, "default"),
    ],
)
def test_the_first_that_has_a_value_decides(dialect: str, given: dict[str, Any], value: int, source: str) -> None:
    manifest = read(BODY, dialect, **given)
    assert manifest.params["n"] == value
    assert type(manifest.params["n"]) is int
    assert manifest.param_sources["n"] == source
    assert manifest.steps[0]["config"] == {"n": value, "t": f"x-{value}"}


@both
def test_a_profile_may_hold_texts_where_numbers_are_meant(dialect: str) -> None:
    assert read(BODY, dialect, profile="test").params == {"n": 4, "region": "south"}


@both
def test_a_profile_that_is_not_there(dialect: str) -> None:
    [problem] = refused(BODY, dialect, profile="prd")
    assert (problem.code, problem.line, problem.message) == (
        "manifest.profile_unknown",
        4,
        "there is no profile 'prd'",
    )
    assert problem.hint == "did you mean prod?"
    [problem] = refused(BODY, dialect, profile="zzz")
    assert problem.hint == "its profiles: prod, test, none"
    [problem] = refused("params: {n: 1}\n", dialect, profile="prod")
    assert problem.hint == "this pipeline has no profiles"


@both
def test_all_mistakes_of_profiles_are_told_whichever_is_chosen(dialect: str) -> None:
    body = """\
params: {n: {default: 3}}
profiles:
  prod: {params: {m: 5, n: five}, step: 1}
  test: [1]
  dev: {params: [n]}
  more: {parms: {n: 5}, params: {n: [1]}}
"""
    assert found(body, dialect) == [
        ("manifest.param_unknown", 4, 19),
        ("manifest.param_value", 4, 25),
        ("manifest.unknown_key", 4, 35),
        ("manifest.wrong_type", 5, 9),
        ("manifest.wrong_type", 6, 17),
        ("manifest.unknown_key", 7, 10),
        ("manifest.param_value", 7, 34),
    ]
    hints = [problem.hint for problem in refused(body, dialect)]
    assert hints[0] == "declare it: params: {m: ...}"
    assert hints[5] == "did you mean params?"
    assert found("params: {n: 1}\nprofiles: 5\n", dialect) == [("manifest.wrong_type", 3, 11)]


def test_a_reference_is_no_value() -> None:
    body = "params: {n: x}\nprofiles: {prod: {params: {n: '${PASSWORD}'}}}\n"
    assert found(body) == [("manifest.reference", 3, 31)]
    assert found("params: {n: x}\n", environment={"OSIRIS_PARAM_N": "${PW}"}) == [("manifest.reference", 2, 13)]


def test_a_variable_that_does_not_fit_is_named() -> None:
    [problem] = refused(BODY, environment={"OSIRIS_PARAM_N": "many"})
    assert problem.message == "parameter 'n': the value of OSIRIS_PARAM_N must be a whole number, but is 'many'"
    assert (problem.line, problem.column) == (2, 10)
    [problem] = refused(BODY, environment={"OSIRIS_PARAM_N": ""})
    assert "an empty text" in problem.message or "''" in problem.message
    assert read(BODY, environment={"OSIRIS_PARAM_REGION": ""}).params["region"] == ""


def test_a_variable_that_goes_behind_the_command_line_is_not_looked_at() -> None:
    assert read(BODY, params={"n": 1}, environment={"OSIRIS_PARAM_N": "many"}).params["n"] == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OSIRIS_PARAM_SINCE_DAY", "x"), ("OSIRIS_PARAM_since_day", "x"), ("osiris_param_Since_Day", "x")],
)
def test_names_of_variables(variable: str, value: str) -> None:
    manifest = read("params: {n: 1, since-day: d}\n", environment={variable: value})
    assert (manifest.params["since-day"], manifest.param_sources["since-day"]) == (value, variable)


def test_the_name_in_upper_case_goes_first() -> None:
    for environment in ({"OSIRIS_PARAM_N": "1", "OSIRIS_PARAM_n": "2"}, {"OSIRIS_PARAM_n": "2", "OSIRIS_PARAM_N": "1"}):
        assert read("params: {n: 0}\n", environment=environment).params == {"n": 1}


def test_a_variable_that_two_params_could_mean() -> None:
    body = "params: {a-b: x, a_b: y, n: 1}\n"
    [problem] = refused(body, environment={"OSIRIS_PARAM_A_B": "z"})
    assert (problem.code, problem.message) == (
        "manifest.param_value",
        "OSIRIS_PARAM_A_B could mean parameter 'a-b' or 'a_b'",
    )
    assert read(body, params={"a-b": "p"}, environment={}).params["a_b"] == "y"


def test_data_made_in_code_has_profiles_too() -> None:
    data = {
        "version": "1.0.0",
        "params": {"n": {"type": "integer"}},
        "profiles": {"prod": {"params": {"n": 5}}},
        "steps": [{"id": "a", "driver": "x.y"}],
    }
    assert manifest_from_dict(data, profile="prod").params == {"n": 5}
    with pytest.raises(ManifestError, match="no value"):
        manifest_from_dict(data)


def test_an_oml_param_need_not_be_declared() -> None:
    body = "profiles: {prod: {params: {n: 5}}}\n"
    assert read(body, "oml", profile="prod").steps[0]["config"] == {"n": 5, "t": "x-5"}
    assert read(body, "oml", params={"n": "7"}).params == {"n": 7}
    assert read("", "oml", params={"n": "7"}).params == {"n": "7"}
    assert found("", "oml") == [("manifest.param_missing", 2, 42)]
    [problem] = refused("params: {nn: 1}\n", "oml")
    assert problem.hint is not None
    assert problem.hint.startswith("did you mean ${params.nn}? Else give it with --param n=...")
    assert found("", "manifest", params={"n": "7"}) != []


def test_an_oml_profile_may_not_set_what_nothing_uses() -> None:
    [problem] = refused("params: {n: 1}\nprofiles: {prod: {params: {nn: 5}}}\n", "oml")
    assert (problem.code, problem.line, problem.hint) == ("manifest.param_unknown", 3, "did you mean n?")


def test_an_oml_param_without_type_and_default_has_that_of_its_profiles() -> None:
    body = "params: {n: {description: x}}\nprofiles: {prod: {params: {n: 5}}, test: {params: {n: 1}}}\n"
    assert read(body, "oml", profile="test").params == {"n": 1}
    mixed = body.replace("n: 1}", "n: x}")
    assert found(mixed, "oml", params={"n": "1"}) == [("manifest.param_value", 3, 28)]
