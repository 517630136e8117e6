"""A manifest with mistakes, planned as far as it goes: one report instead of one after the other."""

from __future__ import annotations

from osiris.core.driver import DriverRegistry
from osiris.core.errors import ManifestError, Problem
from osiris.core.manifest.report import in_order
from osiris.core.planning.checks import ConnectionSource, Installed
from osiris.core.planning.planner import DriverSource, examine

__all__ = ["with_plan_problems"]

_HARMLESS = frozenset(
    {
        "manifest.unknown_key",
        "manifest.oml_option",
        "manifest.oml_needs",
        "manifest.duplicate_step",
        "manifest.duplicate_key",
    }
)
"""Mistakes beside values that are as they should be."""


def with_plan_problems(
    error: ManifestError,
    *,
    drivers: DriverSource | type[DriverRegistry] = DriverRegistry,
    connections: ConnectionSource | None = None,
    installed: Installed | None = None,
) -> ManifestError:
    """The same error with what planning finds wrong besides, as far as that does not follow from the first mistakes.

    Args:
        error: From loading a manifest.
        drivers: As for :func:`osiris.core.planning.make_plan`.
        connections: As there.
        installed: As there.
    """
    if error.draft is None:
        return error
    known = error.problems
    seen = examine(error.draft, drivers=drivers, connections=connections, installed=installed)
    further = [found for found in seen.findings.problems if _stands(found, known)]
    if not further:
        return error
    complete = ManifestError(problems=in_order([*known, *further]))
    complete.draft = error.draft
    return complete


def _stands(found: Problem, known: tuple[Problem, ...]) -> bool:
    """Whether a problem is one of its own, not an echo of a value that could not be read."""
    return not any(_is_in(found.path, problem.path) for problem in known if problem.code not in _HARMLESS)


def _is_in(path: str, place: str) -> bool:
    return bool(place) and (path == place or path.startswith((f"{place}.", f"{place}[")))
