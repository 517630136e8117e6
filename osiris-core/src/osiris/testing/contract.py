"""What every suite of the kit is: a class whose tests are rules, and whose fixtures an author overrides."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from osiris.core.quick_dataclass import dataclass

__all__ = ["Contract", "Rule", "is_kit_class", "must_override", "rules"]

_KIT = "osiris.testing."


class Contract:
    """Base of the suites. A method ``test_*`` of a class of the kit is a rule.

    A rule tests one thing. Its docstring's first paragraph is the rule in one sentence, the second how to mend
    a breach; the plugin shows both when the rule fails.
    """


@dataclass(frozen=True)
class Rule:
    """One rule of the kit.

    Attributes:
        name: The test's name, as ``test_streams``.
        contract: The class that states it, as ``DriverContract``.
        says: The rule in one sentence.
        mend: How to mend a breach.
        function: The test.
    """

    name: str
    contract: str
    says: str
    mend: str
    function: Callable[..., Any]


def rules(suite: type) -> dict[str, Rule]:
    """The rules that a suite inherits from the kit, by name; empty for a class that is no suite."""
    found: dict[str, Rule] = {}
    for base in reversed(inspect.getmro(suite)):
        if is_kit_class(base):
            for name, function in vars(base).items():
                if name.startswith("test_") and callable(function):
                    says, _, mend = (inspect.getdoc(function) or "").partition("\n\n")
                    found[name] = Rule(name, base.__name__, _line(says), _line(mend), function)
    return found


def is_kit_class(thing: object) -> bool:
    """Whether this is a suite of the kit itself, not an author's."""
    return isinstance(thing, type) and issubclass(thing, Contract) and thing.__module__.startswith(_KIT)


def must_override(fixture: str, meaning: str) -> NoReturn:
    """Fail in a fixture that only the author can give.

    Args:
        fixture: Its name.
        meaning: What it should return.
    """
    pytest.fail(f"the suite does not say {fixture}: override the fixture {fixture!r} ({meaning})", pytrace=False)


def _line(paragraph: str) -> str:
    return " ".join(paragraph.split())
