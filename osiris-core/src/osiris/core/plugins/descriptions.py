"""What a plugin's module says of its drivers or adapter, checked before anybody relies on it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar, get_args

from osiris.core.driver import DriverSpec, InputForm, Role
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.hooks import Hooks
from osiris.core.plugins.loading import misfit

__all__ = ["described_adapter", "described_drivers"]

Spec = TypeVar("Spec", DriverSpec, AdapterSpec)

_IMPORT_STRING = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$")


def described_drivers(entry: PluginEntry, hooks: Hooks, siblings: Collection[str]) -> tuple[DriverSpec, ...]:
    """The drivers of a family, sorted by name.

    Args:
        entry: The family.
        hooks: Where its module is registered.
        siblings: All families that this module describes; the hook answers for all of them at once.

    Raises:
        PluginBrokenError: The answer is not a list of specs, or a spec is not one of this family's.
    """
    found: dict[str, DriverSpec] = {}
    for spec in _answers(entry, hooks, "osiris_drivers", DriverSpec):
        _check_strings(entry, spec.name, factory=spec.factory, config_model=spec.config_model)
        _check_strings(entry, spec.name, connection_model=spec.connection_model)
        family, _, role = spec.name.partition(".")
        if family not in siblings or not role:
            raise misfit(entry, f"it describes a driver {spec.name!r}, which is not of family {entry.name!r}")
        if spec.input_form not in get_args(InputForm) or spec.role not in get_args(Role):
            raise misfit(
                entry,
                f"driver {spec.name!r} has input_form {spec.input_form!r} and role {spec.role!r}; "
                f"known are {', '.join(get_args(InputForm))} and {', '.join(get_args(Role))}",
            )
        if family == entry.name:
            if spec.name in found:
                raise misfit(entry, f"it describes driver {spec.name!r} twice")
            found[spec.name] = spec
    if not found:
        raise misfit(entry, f"it describes no driver of family {entry.name!r}")
    return tuple(found[name] for name in sorted(found))


def described_adapter(entry: PluginEntry, hooks: Hooks, siblings: Collection[str]) -> AdapterSpec:
    """The adapter of an entry point; arguments and errors as for :func:`described_drivers`."""
    found: list[AdapterSpec] = []
    for spec in _answers(entry, hooks, "osiris_adapters", AdapterSpec):
        _check_strings(entry, spec.name, factory=spec.factory, options_model=spec.options_model)
        if spec.name not in siblings:
            raise misfit(entry, f"it describes an adapter {spec.name!r} that has no entry point of that name")
        if spec.name == entry.name:
            found.append(spec)
    if len(found) != 1:
        raise misfit(entry, f"it describes {'no' if not found else 'more than one'} adapter {entry.name!r}")
    return found[0]


def _answers(entry: PluginEntry, hooks: Hooks, hook: str, kind: type[Spec]) -> list[Spec]:
    if hook not in hooks.implemented(entry):
        raise misfit(entry, f"its module {entry.value} has no hook {hook} (is it marked with @hookimpl?)")
    specs: list[Spec] = []
    for answer in hooks.ask(entry, hook):
        if not isinstance(answer, list | tuple):
            raise misfit(entry, f"its hook {hook} returned {_kind(answer)}, not a list of {kind.__name__}")
        for item in answer:
            if not isinstance(item, kind):
                raise misfit(entry, f"its hook {hook} returned {_kind(item)} among the {kind.__name__}s")
            if not all(isinstance(text, str) for text in (item.name, item.summary)):
                raise misfit(entry, f"its hook {hook} returned a {kind.__name__} whose name or summary is no text")
            specs.append(item)
    return specs


def _check_strings(entry: PluginEntry, owner: str, **references: Any) -> None:
    for attribute, reference in references.items():
        if reference is None and attribute != "factory":
            continue
        if not (isinstance(reference, str) and _IMPORT_STRING.match(reference)):
            raise misfit(entry, f"{attribute} of {owner!r} is {reference!r}; it must read 'package.module:Name'")


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
