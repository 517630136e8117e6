"""The guard: a suite that changes the kit's tests, or drops some without a word, does not pass as conforming."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osiris.testing.contract import Contract, is_kit_class, rules

__all__ = ["breaches", "selects_by_hand"]

_SELECTING = ("-k", "-m", "--deselect", "--lf", "--last-failed", "--sw", "--stepwise")


def breaches(suite: type) -> list[str]:
    """What a suite does to the kit's tests that it must not; empty where it only overrides fixtures."""
    if not issubclass(suite, Contract) or is_kit_class(suite):
        return []
    found = [
        f"{suite.__name__}.{name} {what}"
        for name, rule in rules(suite).items()
        if (what := _done_to(inspect.getattr_static(suite, name, None), rule.function))
    ]
    if any(_is_loose_xfail(mark) for mark in _marks(suite)):
        found.append(f"{suite.__name__} is marked xfail as a whole without strict=True and a reason")
    return found


def selects_by_hand(arguments: Iterable[str]) -> bool:
    """Whether whoever typed this command line asked for a selection of tests."""
    return any(argument.startswith(_SELECTING) or "::" in argument for argument in arguments)


def _done_to(found: Any, original: Any) -> str | None:
    if found is original:
        return None
    if found is None:
        return "is set to None"
    marks = [mark for mark in _marks(found) if mark.name == "xfail"]
    if not marks:
        return "overrides a test of the kit"
    if any(_is_loose_xfail(mark) for mark in marks):
        return "overrides a test of the kit with an xfail that lacks strict=True or a reason"
    return None


def _marks(thing: Any) -> Iterator[Any]:
    marks = getattr(thing, "pytestmark", [])
    for mark in marks if isinstance(marks, list | tuple) else [marks]:
        yield getattr(mark, "mark", mark)


def _is_loose_xfail(mark: Any) -> bool:
    keywords: Mapping[str, Any] = mark.kwargs
    return mark.name == "xfail" and not (keywords.get("strict") is True and keywords.get("reason") and not mark.args)
