"""The version fence: is this plugin built for this osiris-core? Answered before anything of it is imported."""

from __future__ import annotations

import re

from osiris.core.errors import PluginVersionError
from osiris.core.plugins.distributions import PluginEntry

__all__ = ["check_fence"]

_ON_CORE = re.compile(r"^\s*osiris[-_.]+core(?![\w.-])", re.IGNORECASE)


def check_fence(entry: PluginEntry, core: str) -> str | None:
    """Compare what the plugin's distribution requires of osiris-core with version ``core``.

    Returns:
        A warning where the distribution states no bound; None where it does and is satisfied.

    Raises:
        PluginVersionError: It needs another osiris-core.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # costs more than everything else here

    bounded = False
    for line in filter(_ON_CORE.match, entry.requires):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            return f"{entry.owner}: its requirement {line!r} cannot be read"
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        bounded = bounded or bool(requirement.specifier)
        if not requirement.specifier.contains(core, prereleases=True):
            raise _unfit(entry, core, _readable(str(requirement.specifier)))
    if bounded:
        return None
    major = core.partition(".")[0]
    following = int(major) + 1 if major.isdigit() else major
    return (
        f'{entry.owner} states no bound on osiris-core; its authors should require "osiris-core>={major},<{following}"'
    )


def _readable(specifiers: str) -> str:
    # Packaging sorts "<3,>=2"; people write the lower bound first.
    return ",".join(sorted(specifiers.split(","), key=lambda text: (text.startswith("<"), text)))


def _unfit(entry: PluginEntry, core: str, needed: str) -> PluginVersionError:
    return PluginVersionError(
        f"plugin {entry.name!r} ({entry.owner}) needs osiris-core {needed}; this is {core}",
        hint=f"pip install --upgrade {entry.distribution} osiris-core, or pip install a release of "
        f"{entry.distribution} that was built for osiris-core {core}",
        plugin=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        needs=needed,
        core=core,
    )
