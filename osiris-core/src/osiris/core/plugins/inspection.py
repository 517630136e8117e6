"""``osiris plugins check``: is a plugin right, down to the last import string? Everything that may be loaded is.

What the fence or a permission forbids is not imported; a finding says so.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from osiris.core.driver import DriverSpec
from osiris.core.errors import PluginBrokenError, PluginError, PluginVersionError
from osiris.core.execution_adapter import AdapterSpec
from osiris.core.plugins import known
from osiris.core.plugins.details import bears_hooks
from osiris.core.plugins.distributions import ADAPTERS, DRIVERS, OTHERS, PluginEntry, core_version
from osiris.core.plugins.fence import check_fence, stated_range
from osiris.core.plugins.findings import Finding, Subject
from osiris.core.plugins.hook_checks import check_hooks
from osiris.core.plugins.lightness import heavy_imports
from osiris.core.plugins.report import BLOCKED_CODE
from osiris.core.plugins.spec_checks import check_adapter, check_driver

if TYPE_CHECKING:
    from osiris.core.plugins.catalog import Catalog

__all__ = ["inspect_plugins"]

_FAMILY = re.compile(r"[a-z][a-z0-9_]*")
_ADAPTER = re.compile(r"[a-z][a-z0-9_-]*")
_LOWER = re.compile(r">|==|~=")
_UPPER = re.compile(r"<|==|~=")


def inspect_plugins(
    catalog: Catalog, entries: Iterable[PluginEntry], *, own_commands: Collection[str] = ()
) -> Iterator[Finding]:
    """Look at everything that these entry points promise, one distribution after the other.

    Args:
        catalog: Where they are from.
        entries: Which ones.
        own_commands: The commands that ``osiris`` has itself: a plugin's of that name would never be reached.

    Yields:
        One finding for each thing that was looked at. Nothing raises for a plugin's fault.
    """
    for _, owned in groupby(sorted(entries, key=lambda entry: (*_owner(entry), entry)), key=_owner):
        yield from _inspect_distribution(catalog, list(owned), own_commands)


def _owner(entry: PluginEntry) -> tuple[str, str]:
    return entry.distribution, entry.version


def _inspect_distribution(
    catalog: Catalog, entries: Sequence[PluginEntry], own_commands: Collection[str]
) -> Iterator[Finding]:
    yield _check_bounds(entries[0])
    seen: set[str] = set()
    for entry in entries:
        with contextlib.redirect_stdout(sys.stderr):  # what packages print while they are looked at
            findings = list(_inspect(catalog, entry, own_commands, first=entry.value not in seen))
        seen.add(entry.value)
        yield from findings


def _check_bounds(entry: PluginEntry) -> Finding:
    """Is it built for this osiris-core, and does it say until which?"""
    subject = Subject(entry, "osiris-core", "bounds")
    stated, core = stated_range(entry), core_version()
    advice = f'its authors should require "osiris-core>={core.partition(".")[0]}.0,<{int(core.partition(".")[0]) + 1}"'
    try:
        note = check_fence(entry, core)
    except PluginVersionError as error:
        return subject.fail(error)
    if note is not None or stated is None:
        return subject.warn(note or f"{entry.owner} states no bound", hint=advice)
    if not _LOWER.search(stated) or not _UPPER.search(stated):
        return subject.warn(f"it requires {stated}, which is open on one side", hint=advice)
    return subject.ok(f"it requires {stated}; this is {core}")


def _inspect(catalog: Catalog, entry: PluginEntry, own_commands: Collection[str], *, first: bool) -> Iterator[Finding]:
    subject = Subject(entry, _kind(entry), "module")
    try:
        specs = catalog.describe(entry)
    except PluginError as error:
        yield _not_described(subject, error)
        return
    yield _check_name(entry)
    if first:
        yield _check_lightness(entry)
    for spec in specs:
        if isinstance(spec, DriverSpec):
            yield from check_driver(catalog, entry, spec)
        elif isinstance(spec, AdapterSpec):
            yield from check_adapter(catalog, entry, spec)
    if bears_hooks(catalog, entry):
        yield from check_hooks(catalog, entry, own_commands)
        yield from _check_unasked_hooks(catalog, entry)


def _not_described(subject: Subject, error: PluginError) -> Finding:
    if isinstance(error, PluginVersionError):
        return subject.skipped(f"{subject.entry.value} was not imported: it is built for another osiris-core")
    if error.code == BLOCKED_CODE:
        return subject.skipped(f"{subject.entry.value} was not imported: {error.message}", hint=error.hint)
    if not isinstance(error, PluginBrokenError):
        return subject.fail(error, also=f"{subject.entry.value} was not imported")
    return subject.fail(error)


def _check_name(entry: PluginEntry) -> Finding:
    """Is the name one that users can write, and nobody else's?"""
    subject = Subject(entry, _kind(entry), "name")
    if entry.group == OTHERS:
        return subject.ok(f"{entry.value} was imported and its hooks fit")
    if not (_FAMILY if entry.group == DRIVERS else _ADAPTER).fullmatch(entry.name):
        hint = "use a small letter, then small letters, digits and _"
        return subject.warn(f"the name {entry.name!r} is hard to write in a pipeline", hint=hint)
    owner = (known.DRIVER_FAMILIES if entry.group == DRIVERS else known.ADAPTERS).get(entry.name)
    if owner is not None and owner != entry.distribution:
        return subject.warn(f"{entry.name!r} is the name that {owner} brings", hint="choose a name of its own")
    return subject.ok(f"{entry.value} was imported and describes what the name promises")


def _check_lightness(entry: PluginEntry) -> Finding:
    """Does planning a pipeline, or listing drivers, import more than the module?"""
    subject = Subject(entry, f"module {entry.value}", "light")
    try:
        heavy = heavy_imports(entry.value)
    except PluginError as error:
        return subject.fail(error)
    if heavy:
        hint = "import inside the functions that need it, or in the modules that import strings name"
        return subject.warn(f"it is not light: it imports {', '.join(heavy)}", hint=hint)
    return subject.ok("it is light: the standard library and the contract alone")


def _check_unasked_hooks(catalog: Catalog, entry: PluginEntry) -> Iterator[Finding]:
    """A hook that no entry point leads to is asked by luck alone.

    Sinks and plan checks of a driver family are another matter: they are asked where a pipeline uses the family.
    """
    needed = {
        "osiris_drivers": DRIVERS,
        "osiris_adapters": ADAPTERS,
        "osiris_secret_resolvers": OTHERS,
        "osiris_cli_commands": OTHERS,
    }
    groups = {
        other.group
        for other in catalog.plugins()
        if (other.distribution, other.value) == (entry.distribution, entry.value)
    }
    for hook in catalog.hooks_of(entry):
        group = needed.get(hook)
        if group is not None and group not in groups:
            yield Subject(entry, f"hook {hook}", "entry_point").warn(
                f"{entry.value} implements {hook}, but the package has no entry point of group {group} for it",
                hint=f'add [project.entry-points."{group}"] with {entry.name} = "{entry.value}"',
            )


def _kind(entry: PluginEntry) -> str:
    return {DRIVERS: "driver family", ADAPTERS: "adapter"}.get(entry.group, "plugin") + f" {entry.name}"
