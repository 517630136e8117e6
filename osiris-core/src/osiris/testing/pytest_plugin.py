"""The kit's pytest plugin: ``pytest_plugins = ["osiris.testing.pytest_plugin"]`` in the top ``conftest.py``.

It keeps suites honest (:mod:`osiris.testing.guard`) and shows the rule, and how to mend a breach, where a rule fails.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from osiris.testing.contract import Rule, is_kit_class, rules
from osiris.testing.guard import breaches, selects_by_hand

__all__: list[str] = []

_CHOSEN = "osiris_chosen_by_hand"
_lost = pytest.StashKey[set[pytest.Item]]()


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest explain the asserts of the suites."""
    for name in ("package", "driver", "extractor", "transform", "writer", "adapter"):
        module = f"osiris.testing.{name}_contract"
        if module not in sys.modules:
            pytest.register_assert_rewrite(module)
    config.stash[_lost] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> list[pytest.Item] | None:
    """Collect no suite of the kit itself, and none that changes the kit's tests."""
    if is_kit_class(obj):
        return []
    if isinstance(obj, type) and isinstance(collector, pytest.Module) and collector.istestclass(obj, name):
        found = breaches(obj)
        if found:
            raise collector.CollectError(
                "\n".join(f"{breach}" for breach in found)
                + "\nOverride fixtures, never tests. Where a rule cannot be kept, say so:"
                + '\n    @pytest.mark.xfail(strict=True, reason="...")'
                + "\n    def test_of_the_kit(self, ...): super().test_of_the_kit(...)"
            )
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, Any, Any]:
    """Bring back, to fail, the rules that settings or a conftest took away."""
    rules_before = [item for item in items if _rule_of(item)]
    result = yield
    left = set(items)
    lost = [item for item in rules_before if item not in left]
    if lost and not _chosen_by_hand(config):
        config.stash[_lost].update(lost)
        items.extend(lost)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a rule that was taken away, with the reason."""
    if item in item.config.stash[_lost]:
        pytest.fail(
            "this rule of the kit was deselected, and not on the command line; "
            'where it cannot be kept, say so: @pytest.mark.xfail(strict=True, reason="...")',
            pytrace=False,
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell workers of pytest-xdist, which do not see the command line."""
    node.workerinput[_CHOSEN] = selects_by_hand(node.config.invocation_params.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the rule to a report of its failure."""
    report = yield
    rule = _rule_of(item) if report.failed else None
    if rule is not None:
        report.sections.append((f"rule {rule.contract}.{rule.name}", f"{rule.says}\n{rule.mend}".strip()))
    return report


def _rule_of(item: pytest.Item) -> Rule | None:
    suite = getattr(item, "cls", None)
    name = getattr(item, "originalname", item.name)
    return rules(suite).get(name) if isinstance(suite, type) else None


def _chosen_by_hand(config: pytest.Config) -> bool:
    told = getattr(config, "workerinput", None)
    return bool(told[_CHOSEN]) if told is not None else selects_by_hand(config.invocation_params.args)
