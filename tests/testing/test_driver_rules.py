"""Every rule for drivers is kept by right drivers, and broken by a wrong one, which breaks no other."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

FAKES = Path(__file__).parent / "fakes"
sys.path.insert(0, str(FAKES))

from acme_drivers import Passer, Reader, Writer  # noqa: E402
from acme_wrong import WRONG, Wrong  # noqa: E402

from osiris.testing import ExtractorContract, TransformContract, WriterContract  # noqa: E402
from osiris.testing.contract import rules  # noqa: E402

KINDS = {
    "reader": (Reader, "extractor", "ReaderSuite", ExtractorContract),
    "passer": (Passer, "transform", "PasserSuite", TransformContract),
    "writer": (Writer, "writer", "WriterSuite", WriterContract),
}
CONFTEST = """
pytest_plugins = ["osiris.testing.pytest_plugin"]
from osiris.core.driver import DriverRegistry
from acme_drivers import spec
for name, module, driver, role, changes in {entries}:
    said = spec(name, role, **{{"factory": f"{{module}}:{{driver}}", **changes}})
    DriverRegistry.register(name, getattr(__import__(module), driver), spec=said)
"""


# Rules that need a process of their own are tried on the right drivers and on those that are wrong in just that.
ALONE = ("memory", "kill")


def of_kind(kind: str) -> list[Wrong]:
    return [wrong for wrong in WRONG if issubclass(wrong.driver, KINDS[kind][0])]


@pytest.mark.slow
@pytest.mark.timeout(900)  # a pytest of its own, with hundreds of tests
@pytest.mark.parametrize("kind", KINDS)
def test_each_rule_is_seen_to_fail(kind, pytester, monkeypatch):
    right, role, suite, _ = KINDS[kind]
    entries = [(f"acme.{right.__name__.lower()}", "acme_drivers", right.__name__, role, {})]
    entries += [
        (f"acme.{wrong.driver.__name__.lower()}", "acme_wrong", wrong.driver.__name__, role, dict(wrong.spec))
        for wrong in of_kind(kind)
    ]
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    pytester.makeconftest(CONFTEST.format(entries=entries))
    names = [driver for _, _, driver, _, _ in entries]
    classes = "\n".join(f"class Test{name}({suite}): ..." for name in names)
    pytester.makepyfile(f"from acme_suites import {suite}\n{classes}")
    slow = [right.__name__, *(wrong.driver.__name__ for wrong in of_kind(kind) if about(wrong, ALONE))]
    chosen = f"not ({' or '.join(ALONE)}) or {' or '.join(f'Test{name}' for name in slow)}"
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "error", "--junitxml=told.xml", "-k", chosen)
    failed = failures(pytester.path / "told.xml")
    assert failed.pop(f"Test{right.__name__}", set()) == set()
    for wrong in of_kind(kind):
        found = failed.pop(f"Test{wrong.driver.__name__}", set())
        rule = wrong.rule.partition(".")[2]
        assert {name.partition("[")[0] for name in found - wrong.also} == {rule}, wrong
        assert wrong.also <= found, wrong
    assert failed == {}


def about(wrong: Wrong, words: tuple[str, ...]) -> bool:
    return any(word in test for test in (wrong.rule, *wrong.also) for word in words)


def failures(report: Path) -> dict[str, set[str]]:
    """The tests that failed, by class."""
    found: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            found.setdefault(case.get("classname", "").rpartition(".")[2], set()).add(case.get("name", ""))
    return found


def test_every_rule_has_a_wrong_driver():
    stated = {f"{rule.contract}.{name}" for kind in KINDS.values() for name, rule in rules(kind[3]).items()}
    assert {wrong.rule for wrong in WRONG} == stated
