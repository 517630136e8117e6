"""Two runs are compared by what they told and left: what differs is named, what may differ is not looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from osiris.testing.parity import Observation, differences, exact, observe, portable
from osiris.testing.reference import EngineAdapter, load_pipeline


@pytest.fixture
def two(tmp_path: Path) -> list[Observation]:
    seen = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        seen.append(observe(load_pipeline("several-outputs"), EngineAdapter(), tmp_path / name))
    return seen


def test_two_runs_in_two_folders_are_the_same(two: list[Observation]) -> None:
    one, other = two
    assert differences(exact(one), exact(other), strict=True) == []
    assert differences(portable(one), portable(other), strict=True) == []
    assert set(one.files) == {
        "artifacts/kept/customers.csv",
        "out/customers.csv",
        "out/customers.jsonl",
        "out/customers.parquet",
    }


def test_a_changed_file_is_named(two: list[Observation], tmp_path: Path) -> None:
    one, other = two
    changed = replace(other, files={**other.files, "out/customers.csv": ["x\n"], "out/more.csv": ["y\n"]})
    lines = differences(portable(one), portable(changed))
    assert [line.partition(":")[0] for line in lines] == [
        "files.out/customers.csv",
        "files.out/more.csv is not expected",
    ]


@pytest.mark.parametrize(
    ("expected", "found", "lines"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, ["a: expected 1, found 2"]),
        ({"a": 1}, {}, ["a is missing: expected 1"]),
        ({"events": {"s": []}}, {"events": {"s": [], "t": []}}, ["events.t is not expected: []"]),
        (
            [{"event": "x"}, {"event": "y"}],
            [{"event": "y"}, {"event": "x"}],
            [": expected x, y; found y, x"],
        ),
        ([{"event": "x", "n": 1}], [{"event": "x", "n": 2}], ["[1 x].n: expected 1, found 2"]),
        ([], [{"event": "x"}], [": expected none; found x"]),
        ([1, 2], [1], [": expected [1, 2], found [1]"]),
        (None, {"code": "x"}, [": expected None, found {'code': 'x'}"]),
    ],
)
def test_differences(expected: Any, found: Any, lines: list[str]) -> None:
    assert differences(expected, found) == lines


def test_strict_sees_further_keys() -> None:
    assert differences({"a": 1}, {"a": 1, "b": 2}, strict=True) == ["b is not expected: 2"]


def test_what_is_not_text_is_compared_by_hash(tmp_path: Path) -> None:
    class Binary(EngineAdapter):
        def execute(self, prepared: Any, context: Any) -> None:
            super().execute(prepared, context)
            (context.base_dir / "out" / "picture").write_bytes(b"\xff\x00")

    seen = observe(load_pipeline("order-alone"), Binary(), tmp_path)
    assert seen.files["out/picture"]["length"] == 2
    assert len(seen.files["out/picture"]["digest"]) == 64
