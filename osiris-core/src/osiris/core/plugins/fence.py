"""The version fence: is this plugin built for this osiris-core? Answered before anything of it is imported."""

from __future__ import annotations

import re

from osiris.core.errors import PluginVersionError
from osiris.core.parsing import read_requirement
from osiris.core.plugins.distributions import PluginEntry

__all__ = ["check_fence", "stated_range"]

_NUMBER = r"(\d+(?:\.\d+)*)"
_PLAIN_RANGE = re.compile(
    rf"osiris-core\s*\(?(?:>=\s*{_NUMBER}\s*,\s*<\s*{_NUMBER}|<\s*{_NUMBER}\s*,\s*>=\s*{_NUMBER})\)?\s*"
)
_ON_CORE = re.compile(r"^\s*osiris[-_.]+core(?![\w.-])", re.IGNORECASE)


def check_fence(entry: PluginEntry, core: str) -> str | None:
    """Compare what the plugin's distribution requires of osiris-core with version ``core``.

    Returns:
        A warning where the distribution states no bound; None where it does and is satisfied.

    Raises:
        PluginVersionError: It needs another osiris-core.
    """
    lines = [line for line in entry.requires if _ON_CORE.match(line)]
    if lines and all(_plainly_within(line, core) for line in lines):
        return None
    bounded = False
    for line in lines:
        requirement = read_requirement(line)
        if requirement is None:
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


def stated_range(entry: PluginEntry) -> str | None:
    """What the plugin's distribution requires of osiris-core, as ``>=1.0,<2``; None where it says nothing of it."""
    parts: list[str] = []
    for line in entry.requires:
        if not _ON_CORE.match(line):
            continue
        requirement = read_requirement(line)
        if requirement is None:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            parts += [str(requirement.specifier)] if requirement.specifier else []
    return _readable(",".join(parts)) or None


def _plainly_within(line: str, core: str) -> bool:
    """Whether ``line`` is ``osiris-core>=A,<B`` in plain numbers and ``core`` lies there; False: look closer.

    That is how plugins say it, and importing packaging costs every run more than all else that is done here.
    """
    said = _PLAIN_RANGE.fullmatch(line)
    if said is None or not re.fullmatch(_NUMBER, core):
        return False
    lower, upper = said[1] or said[4], said[2] or said[3]
    return _release(lower) <= _release(core) < _release(upper)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", version).split("."))


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
