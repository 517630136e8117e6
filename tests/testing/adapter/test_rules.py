"""Each rule of AdapterContract is seen to hold for a right adapter, and to fail for one that breaks it alone."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

# Before the runs in this process: what they import is forgotten after each, and these can be imported only once.
import duckdb
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet
import pytest

from osiris.core.plugins import Catalog
from osiris.testing import AdapterContract
from osiris.testing.contract import rules
from osiris.testing.reference import pipelines

PRELOADED = (duckdb, pd, pyarrow.dataset, pyarrow.parquet)
FAKES = Path(__file__).with_name("wrong_adapters.py")
SUITE = """
import pytest

import wrong_adapters
from osiris.testing import AdapterContract


class TestFake(AdapterContract):
    @pytest.fixture
    def adapter_name(self):
        return "fake"

    @pytest.fixture
    def adapter(self):
        return wrong_adapters.{name}

    @pytest.fixture
    def extra_events(self):
        return ["fake_*"]

    @pytest.fixture
    def patience(self):
        return wrong_adapters.{name}.patience
"""


def load_fakes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wrong_adapters", FAKES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PARITY = [name for name, rule in rules(AdapterContract).items() if rule.contract == "AdapterParityContract"]
NEEDED = {"csv-sql-csv", "on-error-continue", "several-outputs"}
LEFT_OUT = [
    f"--deselect=test_fake.py::TestFake::{rule}[{pipeline}]"
    for rule in PARITY
    for pipeline in pipelines()
    if pipeline not in NEEDED
]
"""Of the corpus, three pipelines are enough to see a rule fail."""
BROKEN = {
    fake.breaks: name for name, fake in vars(load_fakes()).items() if inspect.isclass(fake) and hasattr(fake, "breaks")
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OSIRIS_FAKE", "as it was")
    yield
    Catalog.reset()


def outcomes(pytester: pytest.Pytester, fake: str) -> tuple[set[str], set[str], set[str]]:
    """Rules that hold, that do not, and the text of the failures."""
    pytester.makeconftest('pytest_plugins = ["osiris.testing.pytest_plugin"]')
    pytester.makepyfile(wrong_adapters=FAKES.read_text("utf-8"), test_fake=SUITE.format(name=fake))
    pytester.syspathinsert()
    ran = pytester.inline_run("-q", "-p", "no:cacheprovider", "-W", "error", *LEFT_OUT)
    passed, _, failed = ran.listoutcomes()
    return (
        {report.location[2].partition(".")[2].partition("[")[0] for report in passed},
        {report.location[2].partition(".")[2].partition("[")[0] for report in failed},
        {report.longreprtext for report in failed},
    )


def test_every_rule_has_an_adapter_that_breaks_it() -> None:
    assert set(BROKEN) - {None} == set(rules(AdapterContract))


@pytest.mark.parametrize("rule", rules(AdapterContract).values(), ids=lambda rule: rule.name)
def test_every_rule_says_what_it_is_and_how_to_mend_a_breach(rule) -> None:
    assert rule.says.endswith(".")
    assert rule.mend.endswith(".")
    assert len(rule.says) < 200


def test_a_right_adapter_keeps_all(pytester: pytest.Pytester) -> None:
    held, broken, told = outcomes(pytester, "Right")
    assert broken == set(), told
    assert held == set(rules(AdapterContract))


@pytest.mark.parametrize(("rule", "fake"), [item for item in BROKEN.items() if item[0]])
def test_a_wrong_adapter_breaks_its_rule_alone(rule: str, fake: str, pytester: pytest.Pytester) -> None:
    _, broken, told = outcomes(pytester, fake)
    assert broken == {rule}, told
