"""Mistakes of form and mistakes of sense in one report, and no echoes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from osiris.core.errors import ManifestError
from osiris.core.manifest import parse_manifest
from osiris.core.planning import with_plan_problems

Register = Callable[..., None]


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str
    limit: int | None = None
    query: str | None = None
    table: str | None = None

    @model_validator(mode="after")
    def one_source(self) -> Options:
        if self.query and self.table:
            raise ValueError("give query or table, not both")
        return self


class Nothing:
    def run(self, step_id: str, config: object, inputs: object, ctx: object) -> dict[str, object]:
        return {}


@pytest.fixture(autouse=True)
def drivers(register: Register) -> None:
    register("test.source", Nothing(), role="extractor", max_inputs=0)
    register("test.sink", Nothing(), role="writer", outputs=(), input_names=("df",), max_inputs=1)
    register("test.model", Nothing(), config_model=f"{__name__}:Options")


def report(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text)
    complete = with_plan_problems(caught.value)
    return [(problem.line, problem.code) for problem in complete.problems]


def test_both_kinds_in_the_order_of_the_file() -> None:
    text = """\
version: "1.0.0"
stepz: []
steps:
  - id: a
    driver: test.sorce
    confg: {}
  - id: b
    driver: test.sink
    inputs: {df: "${nope.df}"}
  - id: c
    driver: test.source
    needs: [d]
  - id: d
    driver: test.source
    needs: [c]
"""
    assert report(text) == [
        (2, "manifest.unknown_key"),
        (5, "plugin.not_found"),
        (6, "manifest.unknown_key"),
        (9, "plan.unknown_step"),
        (12, "plan.cycle"),
    ]


@pytest.mark.parametrize(
    "step",
    [
        "just text",
        "{id: a}",
        "{driver: test.source}",
        "{id: a, driver: [x]}",
        "{id: a, driver: test.source, config: text}",
        "{id: a, driver: test.sink, inputs: [x]}",
        "{id: ../../x, driver: test.sink}",
    ],
)
def test_what_could_not_be_read_is_not_complained_of_twice(step: str) -> None:
    found = report(f'version: "1.0.0"\nsteps:\n  - {step}\n  - {{id: z, driver: test.source}}\n')
    assert len(found) == 1
    assert found[0][1].startswith("manifest.")


def test_duplicates_do_not_look_like_cycles() -> None:
    text = """\
version: "1.0.0"
steps:
  - {id: a, driver: test.source}
  - {id: a, driver: test.source, needs: [a]}
"""
    assert report(text) == [(4, "manifest.duplicate_step")]


def test_what_hangs_on_an_id_that_is_there_twice_is_not_told() -> None:
    text = """\
version: "1.0.0"
steps:
  - {id: a, driver: test.sink}
  - {id: a, driver: test.source}
  - {id: b, driver: test.sink, inputs: {df: "${a.df}"}, needs: [c]}
  - {id: c, driver: test.source, needs: [b, d]}
"""
    assert report(text) == [(4, "manifest.duplicate_step"), (5, "plan.cycle"), (6, "plan.unknown_step")]


def test_an_id_that_cannot_be_read_may_be_the_one_that_is_meant() -> None:
    text = """\
version: "1.0.0"
steps:
  - {id: my source, driver: test.source, needs: [other]}
  - {id: b, driver: test.sink, inputs: {df: "${source.df}", left: 1}, needs: [my source, other]}
"""
    assert report(text) == [
        (3, "manifest.step_id"),
        (3, "plan.unknown_step"),
        (4, "plan.unknown_step"),
        (4, "plan.unknown_input"),
        (4, "plan.unknown_step"),
    ]


def test_a_broken_parameter_hides_only_what_hangs_on_it() -> None:
    text = """\
version: "1.0.0"
params:
  a: {type: intger, default: 3}
  b: {type: string, default: 3}
steps:
  - {id: r, driver: test.model, config: {pth: x, limit: "${params.a}"}, timeout: "${params.b}", retry: -1}
  - {id: s, driver: test.model, config: {path: x, query: "${params.b}", table: t}}
  - {id: t, driver: "${params.b}", inputs: {df: "${params.a}"}, needs: ["${params.b}"]}
limits: {time: "${params.b}", memory: much}
"""
    assert report(text) == [
        (3, "manifest.wrong_type"),
        (4, "manifest.param"),
        (6, "plan.config"),
        (6, "plan.config"),
        (6, "plan.policy"),
        (9, "plan.policy"),
    ]


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ("{}", "9" * 5000),
        (f"{{n: {'9' * 5000}}}", '"${params.n}"'),
        (f"{{n: {{default: {'9' * 5000}}}}}", '"${params.n}"'),
    ],
)
def test_a_number_that_cannot_be_read_is_told_once(params: str, limit: str) -> None:
    text = f"""\
version: "1.0.0"
params: {params}
steps: [{{id: r, driver: test.model, config: {{path: x, limit: {limit}, limti: 5}}}}]
"""
    codes = [code for _, code in report(text)]
    assert codes == ["manifest.number", "plan.config"]


def test_what_is_no_manifest_at_all_stays_as_it_is() -> None:
    assert report("- 1\n- 2\n") == [(1, "manifest.not_a_mapping")]


@pytest.mark.parametrize(
    "text",
    [
        "version: '1.0.0\nsteps: []",
        "version: '1.0.0'\nsteps: [}",
        "version: 1\nname: 5\nname: [x]\ndescription: {}\nrequires: 5\nsteps: text",
        "version: 1\nname: {}\nparams: [a]\nprofiles: {p: {params: 5}}\nsteps: []",
        "version: 1\ndefaults: 5\nparams: {a: [1], b: {enum: 5}, c: {required: 5}, d: {type: string, default: 5}}",
        "version: 1\nparams: {a: {enum: [x], default: y}}\nprofiles: {p: {params: {a: z}}}\nsteps: [5]",
        "version: 1\nsteps: [{id: 5, driver: test.model, config: text, inputs: [a], needs: a, retry: -1}]",
        "version: 1\nsteps: [{id: {}, driver: test.model, config: {path: [x]}, needs: [5], on_error: ignore}]",
        "version: 1\nsteps: [{id: a, driver: test.model, config: {path: {}, query: q, table: t}, checkpoint: 5}]",
        "version: 1\nsteps: [{id: a, driver: test.model, config: {path: a, query: q, table: t}, timeout: -1}]",
        "version: 1\nbreaker: {failures: 0, pause: -1, x: 1}\nlimits: {memory: x, x: 1}\nsteps: []",
        "version: 1\nsteps: [{id: a, driver: test.model, retry: {attempts: 0, backoff: 0, on: 5, x: 1}}]",
        "version: 1\nsteps: [{id: a, driver: test.model, mask: {columns: [5], method: partial, first: -1}}]",
        f"version: 1\nsteps: {'[' * 101}{']' * 101}",
        "version: *v\nsteps: []",
        "version: &v [*v]\nsteps: []",
        "version: 1\n<<: text\nsteps: [{id: a, driver: !x y, config: {n: !!int x, m: 1e999}}]",
        "oml_version: 0.1.0\nsteps: [{id: a, component: x, mode: sideways}, {id: b, component: y, mode: load}]",
    ],
)
def test_every_mistake_comes_with_what_to_do(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(f"oops: 1\n{text}")
    found = with_plan_problems(caught.value).problems
    assert [problem.message for problem in found if not problem.hint] == []
