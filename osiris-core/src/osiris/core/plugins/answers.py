"""What the hooks of group ``osiris.plugins`` answer, checked and put together.

A wrong answer never reaches the run: it is left out and remembered as the fault of who gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from osiris.core.errors import PluginConflictError, Problem
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.loading import misfit

if TYPE_CHECKING:
    from osiris.core.plugins.catalog import Catalog

__all__ = ["cli_commands", "event_sinks", "plan_checks", "secret_resolvers"]


def event_sinks(catalog: Catalog, context: ExecutionContext) -> list[Any]:
    """Sinks for this run, in the order of their plugins' names."""
    found: list[Any] = []
    catalog.forget_faults("osiris_event_sinks")
    for entry, answer in catalog.hook("osiris_event_sinks", context=context):
        sinks = answer if isinstance(answer, list | tuple) else [answer]
        for sink in sinks:
            if all(callable(getattr(sink, method, None)) for method in ("on_event", "on_metric", "close")):
                found.append(sink)
            else:
                _refuse(catalog, entry, "osiris_event_sinks", f"a {type(sink).__name__}, which is no sink")
    return found


def plan_checks(catalog: Catalog, plan: Any) -> list[Problem]:
    """Problems that plugins see in a plan; a check that fails is a warning among them."""
    catalog.forget_faults("osiris_check_plan")
    before = set(catalog.warnings())
    found: list[Problem] = []
    for entry, answer in catalog.hook("osiris_check_plan", plan=plan):
        problems = answer if isinstance(answer, list | tuple) else [answer]
        if all(isinstance(problem, Problem) for problem in problems):
            found += problems
        else:
            _refuse(catalog, entry, "osiris_check_plan", "something that is no list of Problem")
    for message in catalog.warnings():
        if message not in before:
            found.append(Problem(code="plugin.broken", message=message, severity="warning"))
    return found


def secret_resolvers(catalog: Catalog) -> dict[str, Callable[[str], str]]:
    """Secret schemes by name."""
    found: dict[str, Callable[[str], str]] = {}
    for scheme, offers in _by_name(catalog, "osiris_secret_resolvers", callable).items():
        owners = [entry.owner for entry, _ in offers]
        found[scheme] = offers[0][1] if len(offers) == 1 else _refusal(scheme, owners)
    return found


def cli_commands(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Commands by name: (one-line help, import string)."""
    found: dict[str, tuple[str, str]] = {}
    for name, offers in _by_name(catalog, "osiris_cli_commands", _is_command).items():
        if len(offers) > 1:
            others = " and by ".join(entry.owner for entry, _ in offers)
            for entry, _ in offers:
                _refuse(catalog, entry, "osiris_cli_commands", f"the command {name!r}, which is offered by {others}")
            continue
        found[name] = tuple(offers[0][1])
    return found


def _by_name(catalog: Catalog, hook: str, fits: Callable[[Any], bool]) -> dict[str, list[tuple[PluginEntry, Any]]]:
    found: dict[str, list[tuple[PluginEntry, Any]]] = {}
    for entry, answer in catalog.hook(hook):
        if not isinstance(answer, Mapping):
            _refuse(catalog, entry, hook, f"a {type(answer).__name__} where a mapping is asked for")
            continue
        for name, value in answer.items():
            if isinstance(name, str) and fits(value):
                found.setdefault(name, []).append((entry, value))
            else:
                _refuse(catalog, entry, hook, f"something unusable as {name!r}")
    return dict(sorted(found.items()))


def _is_command(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _refusal(scheme: str, owners: list[str]) -> Callable[[str], str]:
    def refuse(rest: str) -> str:
        raise PluginConflictError(
            f"the secret scheme {scheme!r} is offered by {' and by '.join(owners)}; none of them is used",
            hint="uninstall the one you do not want",
        )

    return refuse


def _refuse(catalog: Catalog, entry: PluginEntry, hook: str, what: str) -> None:
    catalog.note_fault(entry, hook, misfit(entry, f"its hook {hook} returned {what}"))
