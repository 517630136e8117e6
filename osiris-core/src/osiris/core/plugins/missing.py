"""The errors for names that cannot be given: nobody offers them, two do, or it is not allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from osiris.core.errors import PluginConflictError, PluginError, PluginNotFoundError
from osiris.core.plugins.distributions import DRIVERS, PluginEntry
from osiris.core.plugins.known import ADAPTERS, DRIVER_FAMILIES, closest
from osiris.core.plugins.permission import DENY
from osiris.core.plugins.report import BLOCKED_CODE

__all__ = ["blocked", "driver_of_family", "plugin", "twins"]


def plugin(group: str, asked: str, installed: Iterable[str]) -> PluginNotFoundError:
    """No installed package offers this adapter or driver.

    Args:
        group: The entry-point group that was looked into.
        asked: What the user wrote: an adapter's name, or ``family.role``.
        installed: The names that are there (adapters, or families).
    """
    drivers = group == DRIVERS
    known = DRIVER_FAMILIES if drivers else ADAPTERS
    name, _, role = asked.partition(".") if drivers else (asked, "", "")
    what = f"driver {asked!r}" if drivers else f"adapter {asked!r}"
    installed = sorted(installed)
    if name in known:
        return PluginNotFoundError(
            f"{what} is not installed; it is part of {known[name]}",
            hint=f"pip install {known[name]}",
            code="plugin.not_installed",
            plugin=name,
            distribution=known[name],
        )
    meant = closest(name, {*installed, *known})
    listed = ", ".join(installed) or "none"
    told = f"installed {'driver families' if drivers else 'adapters'}: {listed}"
    if meant is not None:
        full = f"{meant}.{role}" if role else meant
        bring = "" if meant in installed else f" (pip install {known[meant]})"
        told = f"did you mean {full!r}{bring}? {told}"
    return PluginNotFoundError(f"there is no {what}", hint=told, plugin=name, suggestion=meant)


def driver_of_family(asked: str, drivers: Sequence[str]) -> PluginNotFoundError:
    """The family is there and healthy, but has no such driver."""
    family, _, role = asked.partition(".")
    listed = ", ".join(drivers)
    meant = closest(asked, drivers) if role else None
    if role:
        message = f"driver family {family!r} has no driver {asked!r}"
    else:
        message = f"{asked!r} is a driver family, not a driver"
    return PluginNotFoundError(
        message,
        hint=(f"did you mean {meant!r}? " if meant else "") + f"it has {listed}",
        plugin=family,
        suggestion=meant,
    )


def twins(entries: Sequence[PluginEntry]) -> PluginConflictError:
    """Two distributions offer the same name; neither is used, because a guess could run the wrong code."""
    first = entries[0]
    owners = [entry.owner for entry in entries]
    kind = {"osiris.drivers": "driver family", "osiris.adapters": "adapter"}.get(first.group, "plugin")
    return PluginConflictError(
        f"{kind} {first.name!r} is offered by {' and by '.join(owners)}; none of them is used",
        hint=f"pip uninstall the one you do not want, or set {DENY}={entries[-1].distribution}",
        plugin=first.name,
        distributions=owners,
    )


def blocked(entry: PluginEntry, variable: str) -> PluginError:
    """Whoever runs the machine does not want this plugin."""
    return PluginError(
        f"plugin {entry.name!r} ({entry.owner}) is blocked by {variable}",
        hint=f"take {entry.name!r} out of {variable}" if variable == DENY else f"add {entry.name!r} to {variable}",
        code=BLOCKED_CODE,
        plugin=entry.name,
        distribution=entry.distribution,
    )
