"""Manifests to plans: wiring, order, drivers, fingerprint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from osiris.core.driver import DriverSpec
from osiris.core.errors import (
    ManifestError,
    OsirisError,
    PlanError,
    PluginBrokenError,
    PluginError,
    PluginNotFoundError,
    Problem,
)
from osiris.core.manifest import parse_manifest
from osiris.core.planning import Plan, make_plan

Place = tuple[str, int | None, int | None]


class Drivers:
    """Four drivers that say what they are, one that says nothing, and one that is broken."""

    specs: ClassVar = {
        spec.name: spec
        for spec in (
            DriverSpec(
                name="x.extractor", summary="", factory="", role="extractor", input_form="stream", outputs=("df", "bad")
            ),
            DriverSpec(name="x.transform", summary="", factory="", input_form="stream"),
            DriverSpec(name="x.join", summary="", factory="", input_names=("left", "right"), min_inputs=2),
            DriverSpec(
                name="x.writer",
                summary="",
                factory="",
                role="writer",
                input_form="stream",
                min_inputs=1,
                max_inputs=1,
                outputs=(),
            ),
            DriverSpec.for_unknown("mine"),
        )
    }

    def __init__(self) -> None:
        self.asked: list[str] = []

    def spec(self, name: str) -> DriverSpec:
        self.asked.append(name)
        if name == "x.broken":
            raise PluginBrokenError("x is broken", hint="reinstall it")
        if name not in self.specs:
            raise PluginNotFoundError(f"there is no driver {name!r}", hint="install one")
        return self.specs[name]


def plan(steps: str, **options: Any) -> Plan:
    return make_plan(parse_manifest(f"version: 1\nsteps:\n{steps}", file="p.yaml"), drivers=Drivers(), **options)


def problems(steps: str, kind: type[OsirisError] = PlanError, **options: Any) -> list[Problem]:
    with pytest.raises(kind) as caught:
        plan(steps, **options)
    assert type(caught.value) is kind
    return [Problem(**problem) for problem in caught.value.facts["problems"]]


def found(steps: str, **options: Any) -> list[Place]:
    return [(problem.code, problem.line, problem.column) for problem in problems(steps, **options)]


READ = "- {id: a, driver: x.extractor}\n"


def test_a_pipeline_of_three() -> None:
    made = plan(
        READ
        + '- {id: b, driver: x.transform, config: {q: 1}, inputs: {rows: "${a}", n: 5, t: "$${x}"}}\n'
        + '- {id: c, driver: x.writer, inputs: {df: "${b.df}"}, needs: [a]}\n'
    )
    assert [step.id for step in made.steps] == ["a", "b", "c"]
    assert [stage.steps for stage in made.stages] == [("a",), ("b", "c")]
    second, third = made.steps[1:]
    assert second.spec.name == second.driver == "x.transform"
    assert second.config == {"q": 1}
    assert second.values == {"n": 5, "t": "${x}"}
    assert (second.inputs["rows"].producer, second.inputs["rows"].output) == ("a", "df")
    assert third.after == ("b", "a")
    assert made.by_id["c"] is third
    assert [edge.consumer for edge in made.uses["a"]] == ["b"]
    assert made.warnings == ()


def test_needs_split_stages_and_data_joins_them() -> None:
    chain = (
        READ
        + '- {id: b, driver: x.transform, inputs: {df: "${a}"}}\n- {id: c, driver: x.writer, inputs: {df: "${b}"}}\n'
    )
    assert [stage.steps for stage in plan(chain).stages] == [("a", "b", "c")]
    made = plan(chain.replace("}}\n- {id: c", "}, needs: [a]}\n- {id: c"))
    assert [(stage.steps, stage.after) for stage in made.stages] == [(("a",), ()), (("b", "c"), (0,))]
    assert [edge.kind for edge in made.edges] == ["store", "stream"]


def test_steps_run_after_what_they_use_in_whatever_order_they_are_written() -> None:
    made = plan('- {id: w, driver: x.writer, inputs: {df: "${a}"}}\n' + READ + "- {id: z, driver: mine}\n")
    assert [step.id for step in made.steps] == ["a", "w", "z"]


def test_the_manifest_of_the_guide_as_a_plain_dict(register: Callable[..., None]) -> None:
    class TestDriver:
        def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> dict[str, Any]:
            return {}

    register("test.driver", TestDriver())
    data = {"version": "1.0.0", "steps": [{"id": "test_step", "driver": "test.driver", "config": {"test": True}}]}
    made = make_plan(data)
    assert made.manifest.to_dict()["steps"][0]["id"] == "test_step"  # type: ignore[attr-defined]
    assert made.steps[0].config == {"test": True}
    assert made.warnings == ()


def test_a_plain_dict_that_is_no_manifest() -> None:
    with pytest.raises(ManifestError):
        make_plan({"version": "1.0.0"})


@pytest.mark.parametrize(
    ("steps", "expected", "hint"),
    [
        ('- {id: b, driver: mine, inputs: {df: "${aa}"}}', ("plan.unknown_step", 4, 38), "did you mean a?"),
        ('- {id: b, driver: mine, inputs: {df: "${zzz}"}}', ("plan.unknown_step", 4, 38), "the steps: a, b"),
        ("- {id: b, driver: mine, needs: [A]}", ("plan.unknown_step", 4, 33), "did you mean a?"),
        ('- {id: b, driver: mine, inputs: {df: "${a.dff}"}}', ("plan.unknown_output", 4, 38), "did you mean df?"),
        ('- {id: b, driver: mine, inputs: {df: "${a.zzz}"}}', ("plan.unknown_output", 4, 38), "its outputs: df, bad"),
        ('- {id: b, driver: x.extractor, inputs: {df: "${a}"}}', ("plan.unknown_input", 4, 41), "use needs"),
        ('- {id: b, driver: x.join, inputs: {lift: "${a}"}}', ("plan.unknown_input", 4, 36), "did you mean left?"),
        ('- {id: b, driver: x.join, inputs: {left: "${a}"}}', ("plan.too_few_inputs", 4, 35), "${a.df}"),
        ("- {id: b, driver: x.writer}", ("plan.too_few_inputs", 4, 3), 'inputs: {df: "${a.df}"}'),
        ('- {id: b, driver: x.writer, inputs: {x: "${a}", y: "${a.bad}"}}', ("plan.too_many_inputs", 4, 37), "join"),
        ('- {id: b, driver: mine, inputs: {df: "${b}"}}', ("plan.cycle", 4, 38), "another step"),
        ("- {id: b, driver: mine, needs: [b]}", ("plan.cycle", 4, 33), "another step"),
    ],
)
def test_mistakes_in_wiring(steps: str, expected: Place, hint: str) -> None:
    [problem] = problems(READ + steps)
    assert (problem.code, problem.line, problem.column) == expected
    assert hint in str(problem.hint)


def test_a_writer_has_no_output() -> None:
    write = '- {id: w, driver: x.writer, inputs: {df: "${a}"}}\n'
    [problem] = problems(READ + write + '- {id: b, driver: mine, inputs: {df: "${w}"}}\n')
    assert (problem.code, problem.line, problem.column) == ("plan.no_output", 5, 38)


@pytest.mark.parametrize("driver", ["x.writer", "x.transform"])
def test_a_step_that_uses_its_own_output(driver: str) -> None:
    [problem] = problems(f'- {{id: w, driver: {driver}, inputs: {{df: "${{w.df}}"}}}}\n')
    assert (problem.code, problem.line, problem.column) == ("plan.cycle", 3, 17 + len(driver) + 17)
    assert problem.message == "step 'w' uses its own output: ${w.df}"


def test_every_cycle_is_shown_as_its_path() -> None:
    steps = """\
- {id: a, driver: mine, inputs: {df: "${c}"}}
- {id: b, driver: mine, needs: [a]}
- {id: c, driver: mine, inputs: {df: "${b}"}}
- {id: me, driver: mine, needs: [me]}
- {id: after, driver: mine, needs: [c]}
"""
    first, second = problems(steps)
    assert first.message == "steps wait for each other: a -> b -> c -> a"
    assert (first.line, first.column) == (3, 38)
    assert second.message == "step 'me' waits for itself"


def test_a_very_long_cycle_is_shown_in_part() -> None:
    steps = "".join(f"- {{id: s{n}, driver: mine, needs: [s{(n - 1) % 5000}]}}\n" for n in range(5000))
    [problem] = problems(steps)
    assert "s0 -> s1" in problem.message
    assert len(problem.message) < 250


def test_only_plugins_at_fault_is_a_plugin_error_with_all_of_them() -> None:
    steps = "- {id: a, driver: x.broken}\n- {id: b, driver: nobody.has}\n- {id: c, driver: nobody.has}\n"
    listed = problems(steps, PluginBrokenError)
    assert [(problem.code, problem.line, problem.column) for problem in listed] == [
        ("plugin.broken", 3, 19),
        ("plugin.not_found", 4, 19),
        ("plugin.not_found", 5, 19),
    ]
    assert listed[1].hint == "install one"


def test_plugins_at_fault_among_other_mistakes_are_a_plan_error() -> None:
    steps = "- {id: a, driver: x.broken}\n- {id: b, driver: mine, needs: [zzz]}\n"
    assert [code for code, _, _ in found(steps)] == ["plugin.broken", "plan.unknown_step"]


def test_what_cannot_be_described_does_not_cause_further_mistakes() -> None:
    steps = '- {id: a, driver: x.broken}\n- {id: b, driver: x.writer, inputs: {df: "${a.anything}"}}\n'
    with pytest.raises(PluginError):
        plan(steps)


def test_each_driver_is_asked_for_once() -> None:
    drivers = Drivers()
    steps = "".join(f"- {{id: s{n}, driver: mine}}\n" for n in range(50))
    make_plan(parse_manifest(f"version: 1\nsteps:\n{steps}"), drivers=drivers)
    assert drivers.asked == ["mine"]


def test_an_output_that_nothing_uses_is_a_warning() -> None:
    [warning] = plan(READ + "- {id: b, driver: mine}\n").warnings
    assert (warning.code, warning.severity, warning.line) == ("plan.unused_output", "warning", 3)


REQUIRES = 'version: 1\nrequires: ["osiris-driver-mysql>=1", "other"]\nsteps: [{id: a, driver: mine}]'


def test_requires() -> None:
    manifest = parse_manifest(REQUIRES)
    make_plan(manifest, drivers=Drivers())
    make_plan(manifest, drivers=Drivers(), installed={"osiris-driver-mysql": "1.2", "other": "0"}.get)
    with pytest.raises(PlanError) as caught:
        make_plan(manifest, drivers=Drivers(), installed={"osiris-driver-mysql": "0.9"}.get)
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [
        ("plan.not_installed", 12),
        ("plan.not_installed", 38),
    ]
    assert caught.value.problems[0].hint == 'pip install "osiris-driver-mysql>=1"'
    with pytest.raises(PlanError) as caught:
        make_plan(parse_manifest(REQUIRES.replace("other", "a b")), drivers=Drivers())
    assert caught.value.code == "plan.requires"


def test_a_missing_package_and_its_driver_are_one_plugin_error() -> None:
    manifest = parse_manifest(REQUIRES.replace("mine", "mysql.extractor"))
    with pytest.raises(PluginNotFoundError) as caught:
        make_plan(manifest, drivers=Drivers(), installed={"other": "1"}.get)
    assert [problem["code"] for problem in caught.value.facts["problems"]] == ["plan.not_installed", "plugin.not_found"]


def test_checks_of_others_join_the_report() -> None:
    def check(made: Plan) -> list[Problem]:
        severity: Any = made.steps[0].config["severity"]
        return [Problem(code="acme.rule", message="not here", severity=severity)]

    made = plan("- {id: a, driver: mine, config: {severity: warning}}\n", checks=[check])
    assert [warning.code for warning in made.warnings] == ["acme.rule"]
    assert found("- {id: a, driver: mine, config: {severity: error}}\n", checks=[check])[0][0] == "acme.rule"


def test_the_fingerprint_is_of_what_runs() -> None:
    def of(text: str, **params: str) -> str:
        manifest = parse_manifest(text, params=params)
        return make_plan(manifest, drivers=Drivers()).fingerprint

    text = 'version: 1\nparams: {n: 1}\nsteps: [{id: a, driver: mine, config: {x: "${params.n}", y: 2}}]'
    same = of(text)
    assert len(same) == 64
    assert of(text.replace("y: 2", "y:   2") + "  # a comment") == same
    assert of(text.replace('x: "${params.n}", y: 2', 'y: 2, x: "${params.n}"')) == same
    assert of(text.replace("version: 1", 'version: "1.0.0"')) == same
    assert of(text, n="2") != same
    assert of(text.replace("y: 2", "y: 3")) != same
    assert of(text.replace("mine", "x.transform")) != same


@pytest.mark.parametrize("needs", ["s{0}", "s0"])
def test_ten_thousand_steps(needs: str) -> None:
    steps = "".join(
        f'- {{id: s{n}, driver: x.transform, inputs: {{df: "${{{needs.format(n - 1)}}}"}}}}\n' for n in range(1, 10_000)
    )
    made = plan("- {id: s0, driver: x.extractor}\n" + steps)
    assert len(made.steps) == 10_000
    assert len(made.stages) == (1 if needs == "s{0}" else 10_000)


def test_planning_reads_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PW", "hunter2")
    made = plan('- {id: a, driver: mine, config: {password: "${PW}"}}\n')
    assert made.steps[0].config == {"password": "${PW}"}
    assert list(tmp_path.iterdir()) == []
