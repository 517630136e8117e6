"""One thing that ``osiris plugins check`` looked at, and how it was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from osiris.core.errors import PluginError
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.quick_dataclass import dataclass

__all__ = ["Finding", "FindingState", "Subject"]

FindingState = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the check.

    Attributes:
        plugin, group, distribution, version: The entry point, as in :class:`~osiris.core.plugins.PluginEntry`.
        what: What was looked at: ``driver acme.extractor``.
        rule: Which of its duties, a stable word: ``bounds``, ``module``, ``name``, ``light``, ``factory``,
            ``config_model``, ``connection_model``, ``options_model``, ``described``, ``example``, ``shape``,
            ``needs``, ``hook``, ``entry_point``.
        state: ``ok``, ``warn`` (works, but should be better), ``fail`` (will not work) or ``skipped``.
        message: What was found.
        hint: What to do about it.
    """

    plugin: str
    group: str
    distribution: str
    version: str
    what: str
    rule: str
    state: FindingState
    message: str
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """What is being looked at, so that findings can be made of it."""

    entry: PluginEntry
    what: str
    rule: str

    def ok(self, message: str) -> Finding:
        """It is as it should be."""
        return self._finding("ok", message)

    def warn(self, message: str, *, hint: str) -> Finding:
        """It works, but should be better."""
        return self._finding("warn", message, hint)

    def skipped(self, message: str, *, hint: str | None = None) -> Finding:
        """It was not looked at; the message says why."""
        return self._finding("skipped", message, hint)

    def wrong(self, message: str, *, hint: str) -> Finding:
        """It will not work."""
        return self._finding("fail", message, hint)

    def fail(self, error: PluginError, *, also: str = "") -> Finding:
        """It will not work, as an error says."""
        return self._finding("fail", f"{error.message}; {also}" if also else error.message, error.hint)

    def _finding(self, state: FindingState, message: str, hint: str | None = None) -> Finding:
        return Finding(
            plugin=self.entry.name,
            group=self.entry.group,
            distribution=self.entry.distribution,
            version=self.entry.version,
            what=self.what,
            rule=self.rule,
            state=state,
            message=message,
            hint=hint,
        )
