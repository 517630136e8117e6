"""What ``osiris plugins show`` tells: one entry point, where it comes from, whether it fits, and all that it offers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from osiris.core.driver import DriverSpec
from osiris.core.errors import PluginError, PluginNotFoundError, PluginVersionError
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.plugins.distributions import OTHERS, PluginEntry, core_version, normalise
from osiris.core.plugins.fence import check_fence, stated_range
from osiris.core.plugins.known import ADAPTERS as KNOWN_ADAPTERS
from osiris.core.plugins.known import DRIVER_FAMILIES, closest
from osiris.core.plugins.report import PluginReport, report_on
from osiris.core.quick_dataclass import dataclass

if TYPE_CHECKING:
    from osiris.core.plugins.catalog import Catalog

__all__ = ["Installed", "Kind", "Offer", "PluginDetails", "bears_hooks", "find_plugins", "plugin_details"]

Kind = Literal["driver", "adapter", "event_sinks", "plan_checks", "secret_scheme", "command"]
Installed = Literal["editable", "wheel", "folder"]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One thing that a plugin brings.

    Attributes:
        kind: What it is.
        name: A driver's or adapter's name, a scheme, a command; the hook's name for sinks and checks.
        summary: One line; may be empty.
    """

    kind: Kind
    name: str
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class PluginDetails:
    """All about one entry point.

    Attributes:
        report: Name, distribution, version, origin, state, and why it is not ok.
        module: The module that the entry point names.
        installed: ``editable`` (its origin is its source folder), ``wheel`` (as pip installs), or ``folder``.
        requires: What it requires of osiris-core, as ``>=1.0,<2``; None: nothing.
        core: The version of osiris-core here.
        fits: Whether that is within ``requires``.
        offers: What it brings; empty where it is not ok, as it was not asked then.
    """

    report: PluginReport
    module: str
    installed: Installed
    requires: str | None
    core: str
    fits: bool
    offers: tuple[Offer, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form: the report's, with ``module``, ``installed``, ``contract`` and full ``offers``."""
        return {
            **self.report.to_dict(),
            "module": self.module,
            "installed": self.installed,
            "contract": {"requires": self.requires, "core": self.core, "fits": self.fits},
            "offers": [asdict(offer) for offer in self.offers],
        }


def find_plugins(catalog: Catalog, name: str) -> list[PluginEntry]:
    """Every entry point of that name, or of the distribution of that name.

    Raises:
        PluginNotFoundError: There is none; says what was probably meant, or what to install.
    """
    entries = catalog.plugins()
    wanted = normalise(name)
    found = [entry for entry in entries if entry.name == name or normalise(entry.distribution) == wanted]
    if found:
        return found
    family = name.partition(".")[0]
    if family != name and any(entry.name == family for entry in entries):
        return find_plugins(catalog, family)
    known = {**KNOWN_ADAPTERS, **DRIVER_FAMILIES}
    if name in known or wanted in known.values():
        package = known.get(name, wanted)
        raise PluginNotFoundError(
            f"plugin {name!r} is not installed; it is part of {package}",
            hint=f"pip install {package}",
            code="plugin.not_installed",
            plugin=name,
            distribution=package,
        )
    meant = closest(name, {entry.name for entry in entries} | {entry.distribution for entry in entries})
    raise PluginNotFoundError(
        f"there is no plugin {name!r}",
        hint=f"did you mean {meant!r}?" if meant else "'osiris plugins list' shows those that are installed",
        plugin=name,
        suggestion=meant,
    )


def plugin_details(catalog: Catalog, entry: PluginEntry) -> PluginDetails:
    """Describe one entry point and say all about it; never raises for the plugin's fault."""
    error: PluginError | None = None
    offers: tuple[Offer, ...] = ()
    warnings: list[str] = []
    try:
        specs = catalog.describe(entry)
    except PluginError as fault:
        error, specs = fault, ()
    try:
        note = check_fence(entry, core_version())
        warnings += [note] if note else []
        fits = True
    except PluginVersionError:
        fits = False
    if error is None:
        try:
            offers = tuple(_offers(catalog, entry, specs))
        except PluginError as fault:
            warnings.append(fault.message)
    return PluginDetails(
        report=report_on(entry, error=error, offers=tuple(offer.name for offer in offers), warnings=tuple(warnings)),
        module=entry.value,
        installed=_installed(entry),
        requires=stated_range(entry),
        core=core_version(),
        fits=fits,
        offers=offers,
    )


def _offers(catalog: Catalog, entry: PluginEntry, specs: tuple[DriverSpec | AdapterSpec | str, ...]) -> Iterator[Offer]:
    for spec in specs:
        if isinstance(spec, DriverSpec):
            yield Offer(kind="driver", name=spec.name, summary=spec.summary)
        elif isinstance(spec, AdapterSpec):
            yield Offer(kind="adapter", name=spec.name, summary=spec.summary)
    if bears_hooks(catalog, entry):
        for hook in catalog.hooks_of(entry):
            yield from _answers_of(catalog, entry, hook)


def bears_hooks(catalog: Catalog, entry: PluginEntry) -> bool:
    """Whether the hooks of the entry's module are told with this entry; with one of those that share the module."""
    sharing = [
        other for other in catalog.plugins() if (other.distribution, other.value) == (entry.distribution, entry.value)
    ]
    return entry == next((other for other in sharing if other.group == OTHERS), sharing[0])


def _answers_of(catalog: Catalog, entry: PluginEntry, hook: str) -> Iterator[Offer]:
    if hook == "osiris_event_sinks":
        yield Offer(kind="event_sinks", name=hook, summary="hears runs")
    elif hook == "osiris_check_plan":
        yield Offer(kind="plan_checks", name=hook, summary="checks plans")
    elif hook == "osiris_secret_resolvers":
        for scheme, function in _mapping(catalog, entry, hook):
            yield Offer(kind="secret_scheme", name=scheme, summary=_first_line(function))
    elif hook == "osiris_cli_commands":
        for name, command in _mapping(catalog, entry, hook):
            summary = command[0] if isinstance(command, list | tuple) and command else ""
            yield Offer(kind="command", name=name, summary=str(summary))


def _mapping(catalog: Catalog, entry: PluginEntry, hook: str) -> Iterator[tuple[str, Any]]:
    for answer in catalog.ask(entry, hook):
        if isinstance(answer, Mapping):
            yield from ((str(name), value) for name, value in answer.items())


def _first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _installed(entry: PluginEntry) -> Installed:
    if entry.editable:
        return "editable"
    for distribution in metadata.distributions(name=entry.distribution, path=[entry.origin]):
        return "wheel" if distribution.read_text("WHEEL") else "folder"
    return "folder"
