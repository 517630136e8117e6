"""What the metadata of the installed distributions says: read, never imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import cache
from importlib import metadata
from operator import attrgetter
from pathlib import Path

import osiris.core
from osiris.core.quick_dataclass import dataclass

__all__ = ["ADAPTERS", "DRIVERS", "GROUPS", "OTHERS", "PluginEntry", "Scan", "core_version", "normalise", "scan"]

ADAPTERS = "osiris.adapters"
DRIVERS = "osiris.drivers"
OTHERS = "osiris.plugins"
GROUPS = (ADAPTERS, DRIVERS, OTHERS)

PREDECESSOR = "osiris-pipeline"

_ORDER = attrgetter("group", "name", "distribution", "version", "value", "origin")


@dataclass(frozen=True, kw_only=True)
class PluginEntry:
    """One entry point, as its distribution's metadata states it.

    Attributes:
        group: ``osiris.adapters``, ``osiris.drivers`` or ``osiris.plugins``.
        name: The adapter's name or the driver family.
        distribution: The name to ``pip install``.
        version: The distribution's version.
        value: The module that the entry point names, as ``acme.plugin``.
        origin: Where the distribution is: its source folder when editable, else the folder it was installed to.
        requires: Its ``Requires-Dist`` lines.
        editable: Whether it is used right from its source folder.
    """

    group: str
    name: str
    distribution: str
    version: str
    value: str
    origin: str = ""
    requires: tuple[str, ...] = field(default=(), repr=False)
    editable: bool = False

    def __lt__(self, other: PluginEntry) -> bool:
        return bool(_ORDER(self) < _ORDER(other))

    @property
    def owner(self) -> str:
        """``acme-osiris 1.0``, for messages."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One look at the environment.

    Attributes:
        entries: Every entry point of the three groups, sorted.
        warnings: What is wrong with the environment itself.
    """

    entries: tuple[PluginEntry, ...]
    warnings: tuple[str, ...] = ()


def scan(path: Sequence[str] | None = None) -> Scan:
    """Read the metadata of all distributions on ``path`` (default ``sys.path``), once each.

    A distribution found twice (an editable install beside an ordinary one) counts where ``import`` would
    find it: first on the path. One whose metadata cannot be read is skipped, with a warning.
    """
    entries: set[PluginEntry] = set()
    warnings: list[str] = []
    seen: set[str] = set()
    for distribution in _distributions(path):
        try:
            text = distribution.read_text("entry_points.txt")
            # Parsing the metadata costs a hundred times what reading this file does; most have nothing for us.
            if not text or "[osiris." not in text.replace("[ ", "["):
                continue
            owned = _entries_of(distribution)
        except Exception as error:  # a damaged installation of somebody else's must not stop us
            warnings.append(f"the metadata of {_named(distribution)} cannot be read: {type(error).__name__}: {error}")
            continue
        name = normalise(owned[0].distribution) if owned else ""
        if name in seen or not owned or _shadowed(distribution, name, path):
            continue
        seen.add(name)
        entries.update(owned)
    if _installed(PREDECESSOR, path):
        warnings.append(
            f"{PREDECESSOR}, the predecessor, is installed in the same environment; its package 'osiris' and this one "
            f"overwrite each other; run: pip uninstall {PREDECESSOR}, then pip install --force-reinstall osiris-core"
        )
    return Scan(entries=tuple(sorted(entries)), warnings=tuple(sorted(warnings)))


@cache
def core_version() -> str:
    """The version of the installed osiris-core; the source's own where there is no metadata."""
    try:
        return metadata.version("osiris-core")
    except metadata.PackageNotFoundError:
        return osiris.core.__version__


def normalise(name: str) -> str:
    """A distribution's name in the one spelling that counts: ``Acme_Osiris`` is ``acme-osiris``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(path: Sequence[str] | None) -> Iterator[metadata.Distribution]:
    return iter(metadata.distributions() if path is None else metadata.distributions(path=list(path)))


def _named(distribution: metadata.Distribution) -> str:
    """Which one it is, as far as that can be said of one that is damaged: its name, and its folder."""
    place = getattr(distribution, "_path", None) or distribution.locate_file("")
    try:
        name = distribution.metadata["Name"]
    except Exception:
        name = None
    return f"{name} in {place}" if name else str(place)


def _entries_of(distribution: metadata.Distribution) -> list[PluginEntry]:
    points = [point for point in distribution.entry_points if point.group in GROUPS]
    if not points:
        return []
    head = distribution.metadata
    if "Name" not in head or "Version" not in head:
        raise ValueError("it states no name or no version")
    name, version = head["Name"], head["Version"]
    origin, editable = _origin(distribution)
    # distribution.requires would parse the metadata once more.
    requires = tuple(head.get_all("Requires-Dist") or distribution.requires or ())
    return [
        PluginEntry(
            group=point.group,
            name=point.name,
            distribution=name,
            version=version,
            value=point.value.partition("[")[0].strip(),  # extras behind it are history, but allowed
            origin=origin,
            requires=requires,
            editable=editable,
        )
        for point in points
    ]


def _origin(distribution: metadata.Distribution) -> tuple[str, bool]:
    """Where it is, and whether that is its source folder."""
    direct = distribution.read_text("direct_url.json")
    if direct:
        facts = json.loads(direct)
        url = str(facts.get("url", ""))
        if facts.get("dir_info", {}).get("editable") and url.startswith("file://"):
            return url.removeprefix("file://"), True
    return str(Path(str(distribution.locate_file("")))), False


def _shadowed(distribution: metadata.Distribution, name: str, path: Sequence[str] | None) -> bool:
    """Whether an installation of the same distribution, without entry points perhaps, comes earlier on the path."""
    first = _installed(name, path)
    return first is not None and str(first.locate_file("")) != str(distribution.locate_file(""))


def _installed(name: str, path: Sequence[str] | None) -> metadata.Distribution | None:
    if path is None:
        return next(iter(metadata.distributions(name=name)), None)
    return next(iter(metadata.distributions(name=name, path=list(path))), None)
