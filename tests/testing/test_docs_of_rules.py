"""The page about the kit says what the kit does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import osiris.testing
from osiris.testing.contract import Contract, rules
from osiris.testing.sample_tables import KINDS
from osiris.testing.step_contract import StepContract

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
SUITES = [
    suite
    for name in osiris.testing.__all__
    if isinstance(suite := getattr(osiris.testing, name), type) and issubclass(suite, Contract)
]


def test_every_rule_is_on_the_page_in_its_own_words():
    on_page = dict(re.findall(r"^\| `(test_\w+)` \| (.+) \|$", PAGE, re.MULTILINE))
    in_code = {name: rule.says.replace("``", "`") for suite in SUITES for name, rule in rules(suite).items()}
    assert on_page == in_code


def test_every_fixture_of_drivers_is_on_the_page():
    source = inspect.getsource(StepContract).partition("# what the rules use")[0]
    overridden = set(re.findall(r"def (\w+)\(self", source)) | {
        "input_names",
        "unsupported",
        "lossless_types",
        "expected",
    }
    table = PAGE.partition("## Fixtures")[2].partition("## A context")[0]
    assert overridden == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_every_kind_of_value_is_on_the_page():
    (line,) = [line for line in PAGE.splitlines() if line.startswith("| `unsupported` |")]
    assert re.findall(r"`(\w+)`", line)[1:] == list(KINDS)
