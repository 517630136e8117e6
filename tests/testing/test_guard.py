"""The kit's plugin: suites are kept honest, rules are shown, nothing of the kit itself is collected."""

from __future__ import annotations

import pytest

import osiris.testing
from osiris.testing.contract import Contract, is_kit_class, rules

HEAD = """
import pytest
from osiris.testing import PackageContract
class TestPackage(PackageContract):
    @pytest.fixture
    def distribution(self):
        return "osiris-driver-pandas"
"""
RULE = "test_has_the_name_it_says"
STRICT = '@pytest.mark.xfail(strict=True, reason="it is so")'


@pytest.fixture
def suite(pytester):
    """Run a suite of the kit to which something is added; indented by one level."""

    def run(added: str = "", *arguments: str, conftest: str = "", ini: str = "") -> pytest.RunResult:
        pytester.makeconftest(f'pytest_plugins = ["osiris.testing.pytest_plugin"]\n{conftest}')
        pytester.makeini(f"[pytest]\n{ini}")
        lines = "".join(f"    {line}\n" for line in added.splitlines())
        pytester.makepyfile(HEAD + lines)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *arguments)

    return run


ALL = len(rules(osiris.testing.PackageContract))


def test_overriding_fixtures_is_what_it_is_for(suite):
    suite().assert_outcomes(passed=ALL)


@pytest.mark.parametrize(
    "added",
    [
        f"def {RULE}(self): ...",
        f"{RULE} = None",
        f"@pytest.mark.skip\ndef {RULE}(self): ...",
        f"@pytest.mark.xfail\ndef {RULE}(self): assert False",
        f"@pytest.mark.xfail(strict=True)\ndef {RULE}(self): assert False",
        f"@pytest.mark.xfail(reason='so')\ndef {RULE}(self): assert False",
        f"@pytest.mark.xfail(False, strict=True, reason='so')\ndef {RULE}(self): ...",
        "pytestmark = pytest.mark.xfail(reason='so')",
    ],
)
def test_changing_a_rule_is_an_error_of_collection(suite, added):
    result = suite(added)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TestPackage*xfail*" if added.startswith("pytestmark") else f"*TestPackage.{RULE} *"])
    result.stdout.fnmatch_lines(["*Override fixtures, never tests.*"])


def test_a_base_class_in_between_changes_no_rule_either(suite, pytester):
    pytester.makepyfile(
        test_between=f"""
        from osiris.testing import PackageContract
        class Between(PackageContract):
            def {RULE}(self): ...
        class TestPackage(Between): ...
    """
    )
    assert suite("", "test_between.py").ret == pytest.ExitCode.INTERRUPTED


def test_what_cannot_be_kept_may_be_said(suite):
    result = suite(f"{STRICT}\ndef {RULE}(self): assert False")
    result.assert_outcomes(passed=ALL - 1, xfailed=1)


def test_what_is_kept_after_all_is_told(suite):
    result = suite(f"{STRICT}\ndef {RULE}(self, distribution, installed): super().{RULE}(distribution, installed)")
    result.assert_outcomes(passed=ALL - 1, failed=1)


DROP = f"def pytest_collection_modifyitems(items):\n    items[:] = [one for one in items if one.name != {RULE!r}]"


@pytest.mark.parametrize(
    ("away", "workers"),
    [
        ({"ini": f"addopts = --deselect=test_rules_come_back.py::TestPackage::{RULE}"}, []),
        ({"ini": f'addopts = -k "not {RULE}"'}, []),
        ({"ini": f'addopts = -k "not {RULE}"'}, ["-n", "2"]),
        ({"conftest": DROP}, []),
    ],
    ids=["deselect", "keyword", "keyword-xdist", "conftest"],
)
def test_rules_come_back(suite, away, workers):
    result = suite("", *workers, **away)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["errors"]) == (ALL - 1, 1)
    result.stdout.fnmatch_lines(["*this rule of the kit was deselected, and not on the command line*"])


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_the_command_line_may_choose(suite, workers):
    suite("", "-k", RULE, *workers).assert_outcomes(passed=1, deselected=0 if workers else ALL - 1)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_rule_that_fails_is_shown_with_its_remedy(suite, workers):
    result = suite("@pytest.fixture\ndef distribution(self):\n    return 'no-such-distribution'", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    rule = rules(osiris.testing.PackageContract)[RULE]
    result.stdout.fnmatch_lines([f"*rule PackageContract.{RULE}*", rule.says, rule.mend])


def test_a_fixture_that_is_missing_is_named(suite, pytester):
    pytester.makepyfile(
        test_writer="from osiris.testing import WriterContract\nclass TestWriter(WriterContract): ...",
        conftest='pytest_plugins = ["osiris.testing.pytest_plugin"]',
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*override the fixture 'driver_name'*"])


def test_nothing_of_the_kit_is_collected(pytester):
    """Not even where somebody has pytest collect every class that is called a contract."""
    pytester.makeconftest('pytest_plugins = ["osiris.testing.pytest_plugin"]')
    pytester.makeini("[pytest]\npython_classes = *Contract Test*")
    pytester.makepyfile("from osiris.testing import *\nfrom osiris.testing import Contract\ndef test_one(): ...")
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=1)


SUITES = [
    found
    for name in osiris.testing.__all__
    if isinstance(found := getattr(osiris.testing, name), type) and issubclass(found, Contract)
]


@pytest.mark.parametrize("contract", SUITES, ids=lambda contract: contract.__name__)
def test_every_rule_says_itself_and_its_remedy(contract):
    assert is_kit_class(contract)
    assert not contract.__name__.startswith("Test")
    for rule in rules(contract).values():
        assert rule.says.endswith("."), rule.name
        assert rule.mend, rule.name
