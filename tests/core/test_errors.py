"""The error tree: stable codes, exit codes, and every error the same after a journey."""

from __future__ import annotations

import json
import pickle
import re
from decimal import Decimal
from pathlib import Path

import pytest

import osiris.core.errors as errors
from osiris.core.errors import (
    DriverError,
    ExecutionError,
    InvalidPipelineError,
    ManifestError,
    OsirisError,
    PlanError,
    Problem,
    RunCancelledError,
    StepError,
)

TREE = [getattr(errors, name) for name in errors.__all__ if name != "Problem"]
DRAWN = dict(re.findall(r"[├└]── (\w+) +(\d+(?:/\d+)?)?", errors.__doc__))


def facts_of(error):
    return {
        "type": type(error),
        "args": error.args,
        "message": error.message,
        "hint": error.hint,
        "code": error.code,
        "retryable": error.retryable,
        "facts": error.facts,
    }


def test_everything_in_the_module_is_in_the_tree_and_drawn():
    assert all(issubclass(kind, OsirisError) for kind in TREE)
    assert {kind.__name__ for kind in TREE} == {"OsirisError", *DRAWN}


@pytest.mark.parametrize("kind", TREE)
def test_codes_are_dotted_and_its_own(kind):
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", kind.code)
    assert [other for other in TREE if other.code == kind.code] == [kind]


@pytest.mark.parametrize("kind", [kind for kind in TREE if DRAWN.get(kind.__name__)])
def test_exit_codes_are_the_drawn_ones(kind):
    assert str(kind.exit_code) in DRAWN[kind.__name__].split("/")


@pytest.mark.parametrize(
    ("kind", "code"), [(OsirisError, 1), (ManifestError, 3), (PlanError, 3), (DriverError, 5), (RunCancelledError, 130)]
)
def test_exit_codes(kind, code):
    assert kind("x").exit_code == code


@pytest.mark.parametrize("kind", TREE)
def test_an_error_has_a_message_a_hint_a_code_and_facts(kind):
    error = kind("no such table 'a'", hint="create it", code="mysql.no_table", table="a")
    assert (str(error), error.message, error.hint) == ("no such table 'a'",) * 2 + ("create it",)
    assert (error.code, error.facts, error.retryable) == ("mysql.no_table", {"table": "a"}, False)
    assert kind.code != "mysql.no_table"
    assert kind("x").code == kind.code


@pytest.mark.parametrize("kind", TREE)
@pytest.mark.parametrize("full", [True, False])
def test_pickle_keeps_everything(kind, full):
    error = kind("x", hint="h", code="a.b", path="p", n=1) if full else kind("x")
    if full:
        error.retryable = True
    again = pickle.loads(pickle.dumps(error))
    assert facts_of(again) == facts_of(error)
    assert again.exit_code == error.exit_code


@pytest.mark.parametrize("kind", TREE)
@pytest.mark.parametrize("full", [True, False])
def test_the_travelling_form_keeps_everything(kind, full):
    error = kind("x", hint="h", code="a.b", path="p", rows=[1, {"a": None}]) if full else kind("x")
    error.retryable = full
    sent = json.dumps(error.to_dict(), allow_nan=False)
    again = OsirisError.from_dict(json.loads(sent))
    assert facts_of(again) == facts_of(error)
    assert str(again) == "x"
    with pytest.raises(kind, match="x"):
        raise again


def test_facts_travel_as_json():
    error = StepError("x", path=Path("a"), price=Decimal("1.10"), names={"b"}, nested={1: (Path("c"),)})
    assert json.loads(json.dumps(error.to_dict()))["facts"] == {
        "path": "a", "price": "1.10", "names": ["b"], "nested": {"1": ["c"]},
    }  # fmt: skip


@pytest.mark.parametrize("data", [{}, {"type": "SomethingNew", "message": "x", "code": "new.thing"}, {"type": None}])
def test_an_unknown_error_is_an_execution_error(data):
    error = OsirisError.from_dict(data)
    assert type(error) is ExecutionError
    assert error.code == data.get("code", "run.failed")


def test_a_plugins_class_with_one_of_our_names_decides_nothing():
    class PlanError(OsirisError):
        code = "evil"

    assert type(OsirisError.from_dict({"type": "PlanError", "message": "x"})) is errors.PlanError


def test_an_error_of_a_subclass_elsewhere_comes_back_with_its_code():
    class MySqlError(DriverError):
        code = "mysql.failed"

    again = OsirisError.from_dict(MySqlError("x", retryable=True).to_dict())
    assert (type(again), again.code, again.retryable) == (ExecutionError, "mysql.failed", True)


PROBLEMS = (
    Problem(code="plan.unknown_key", message="unknown key 'retyr'", hint="retry?", file="p.yaml", line=3, column=5),
    Problem(code="plan.cycle", message="a -> b -> a", path="steps[0]"),
)


def test_all_problems_are_carried_and_told():
    error = PlanError(problems=PROBLEMS)
    assert error.message == "2 mistakes; the first: p.yaml:3:5: unknown key 'retyr'"
    assert (error.code, error.hint) == ("plan.unknown_key", None)
    assert [problem["code"] for problem in error.facts["problems"]] == ["plan.unknown_key", "plan.cycle"]


def test_one_problem_is_the_message_and_the_hint():
    error = ManifestError(problems=PROBLEMS[:1])
    assert error.message == "p.yaml:3:5: unknown key 'retyr'"
    assert error.hint == "retry?"
    assert InvalidPipelineError().message == "the pipeline is not valid"


@pytest.mark.parametrize(
    "travel", [lambda e: pickle.loads(pickle.dumps(e)), lambda e: OsirisError.from_dict(e.to_dict())]
)
@pytest.mark.parametrize("kind", [kind for kind in TREE if issubclass(kind, InvalidPipelineError)])
def test_problems_travel(kind, travel):
    again = travel(kind(problems=PROBLEMS))
    assert type(again) is kind
    assert again.problems == PROBLEMS
    assert facts_of(again) == facts_of(kind(problems=PROBLEMS))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, ""),
        ({"file": "p.yaml"}, "p.yaml"),
        ({"file": "p.yaml", "line": 3}, "p.yaml:3"),
        ({"file": "p.yaml", "line": 3, "column": 0}, "p.yaml:3:0"),
    ],
)
def test_a_place_is_a_link(place, expected):
    assert Problem(code="x", message="y", **place).place == expected


def test_a_problem_tells_only_what_it_knows():
    assert Problem(code="x", message="y", line=3).to_dict() == {
        "code": "x", "message": "y", "path": "", "line": 3, "severity": "error",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"), [(ValueError("x"), "x"), (b"m", "m"), (None, "DriverError"), (5, "5"), ("", "DriverError")]
)
def test_what_is_no_text_becomes_text(given, message):
    error = DriverError(given, hint=["y"], code=7)
    assert (error.message, str(error), error.args) == (message, message, (message,))
    assert (error.hint, error.code) == ("['y']", "7")


class Unready(DriverError):
    """A class of somebody else's that does not call its base."""

    def __init__(self, table):
        self.table = table


class Unwilling(DriverError):
    """One that leaves by whatever it is asked."""

    code = property(lambda self: "acme.own")

    def __str__(self):
        raise SystemExit(0)

    to_dict = __str__


def test_a_subclass_that_does_not_call_its_base_can_be_told():
    error = Unready("orders")
    error.facts.setdefault("step_id", "a")
    assert json.loads(json.dumps(error.to_dict())) == {
        "type": "Unready", "code": "driver.failed", "message": "orders", "hint": None, "retryable": False,
        "facts": {"step_id": "a"},
    }  # fmt: skip
    assert str(error) == "orders"
    with pytest.raises(AttributeError, match="tabel"):
        _ = error.tabel


def test_a_subclass_that_raises_when_it_is_told_is_told_all_the_same():
    knot: dict = {}
    knot["self"] = knot
    told = Unwilling("m", code="acme.given", knot=knot, item=Unwilling("inside")).to_dict()
    assert (told["code"], told["message"]) == ("acme.own", "m")
    assert json.loads(json.dumps(told["facts"]))["item"] == "<Unwilling>"
