"""Mistakes of form and mistakes of sense in one report, and no echoes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osiris.core.errors import ManifestError
from osiris.core.manifest import parse_manifest
from osiris.core.planning import with_plan_problems

Register = Callable[..., None]


class Nothing:
    def run(self, step_id: str, config: object, inputs: object, ctx: object) -> dict[str, object]:
        return {}


@pytest.fixture(autouse=True)
def drivers(register: Register) -> None:
    register("test.source", Nothing(), role="extractor", max_inputs=0)
    register("test.sink", Nothing(), role="writer", outputs=(), input_names=("df",), max_inputs=1)


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


def test_what_is_no_manifest_at_all_stays_as_it_is() -> None:
    assert report("- 1\n- 2\n") == [(1, "manifest.not_a_mapping")]
