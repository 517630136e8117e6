"""Which plugins may be imported at all: two environment variables of whoever runs the machine."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from osiris.core.plugins.distributions import PluginEntry, normalise
from osiris.core.quick_dataclass import dataclass

__all__ = ["ALLOW", "DENY", "Permission"]

ALLOW = "OSIRIS_PLUGINS_ALLOW"
DENY = "OSIRIS_PLUGINS_DENY"


@dataclass(frozen=True)
class Permission:
    """The two lists; each item is a plugin's name or a distribution's, ``*`` stands for anything.

    ``deny`` goes before ``allow``; an empty ``allow`` allows everything.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Permission:
        """Read both variables; items are separated by commas."""
        return cls(_items(environment.get(ALLOW, "")), _items(environment.get(DENY, "")))

    def refuses(self, entry: PluginEntry) -> str | None:
        """The variable that forbids this plugin; None where nothing does."""
        if _matches(self.deny, entry):
            return DENY
        if self.allow and not _matches(self.allow, entry):
            return ALLOW
        return None


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _matches(patterns: tuple[str, ...], entry: PluginEntry) -> bool:
    distribution = normalise(entry.distribution)
    return any(
        fnmatchcase(entry.name, pattern) or fnmatchcase(distribution, normalise(pattern)) for pattern in patterns
    )
