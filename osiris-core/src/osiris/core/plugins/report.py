"""What ``osiris plugins list`` shows: every plugin that is there, with its state."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from osiris.core.errors import OsirisError, PluginConflictError, PluginVersionError
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.quick_dataclass import dataclass

__all__ = ["BLOCKED_CODE", "PluginReport", "State", "report_on"]

State = Literal["ok", "broken", "incompatible", "conflict", "blocked"]

BLOCKED_CODE = "plugin.blocked"


@dataclass(frozen=True, kw_only=True)
class PluginReport:
    """One line of the list.

    Attributes:
        group, name, distribution, version, origin: As in :class:`~osiris.core.plugins.PluginEntry`.
        state: ``ok``, ``broken``, ``incompatible`` (another osiris-core), ``conflict`` (twins) or ``blocked``.
        reason: Why it is not ok; None where it is.
        hint: What to do about it.
        offers: The names it brings: drivers, the adapter, or the hooks it answers.
        warnings: What is not wrong but worth saying.
    """

    group: str
    name: str
    distribution: str
    version: str
    origin: str
    state: State
    reason: str | None = None
    hint: str | None = None
    offers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)


def report_on(
    entry: PluginEntry,
    *,
    error: OsirisError | None = None,
    offers: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> PluginReport:
    """The report on one entry point, from what it offers or from the error that describing it raised."""
    return PluginReport(
        group=entry.group,
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        origin=entry.origin,
        state=_state(error),
        reason=None if error is None else error.message,
        hint=None if error is None else error.hint,
        offers=offers,
        warnings=warnings,
    )


def _state(error: OsirisError | None) -> State:
    if error is None:
        return "ok"
    if error.code == BLOCKED_CODE:
        return "blocked"
    if isinstance(error, PluginVersionError):
        return "incompatible"
    return "conflict" if isinstance(error, PluginConflictError) else "broken"
