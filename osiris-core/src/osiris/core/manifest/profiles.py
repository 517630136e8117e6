"""Profiles: named sets of parameter values, as ``profiles: {prod: {params: {limit: 5}}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osiris.core.manifest.report import Path, Report, describe, suggest

if TYPE_CHECKING:
    from osiris.core.manifest.params import Param

__all__ = ["read_profiles"]

_KEYS = ("params", "description")


def read_profiles(
    raw: Any, chosen: str | None, declared: Mapping[str, Param], names: frozenset[str], report: Report
) -> dict[str, Any]:
    """The values that the chosen profile gives, by parameter; all profiles are checked, whichever is chosen.

    Args:
        raw: The manifest's ``profiles``; None where it has none.
        chosen: A name; None: no profile.
        declared: The parameters that are declared as they should be.
        names: Theirs, and those of wrongly declared ones.
        report: Takes every mistake.
    """
    profiles: dict[str, Any] = {}
    if raw is not None and not isinstance(raw, dict):
        hint = "as profiles: {prod: {params: {limit: 5}}}"
        report.add("manifest.wrong_type", f"profiles must be a mapping, but is {describe(raw)}", ("profiles",), hint)
    else:
        for name, profile in (raw or {}).items():
            profiles[name] = _values(profile, ("profiles", name), declared, names, report)
    if chosen is None:
        return {}
    if chosen not in profiles:
        _refuse(chosen, profiles, report)
    found: dict[str, Any] = profiles.get(chosen, {})
    return found


def _refuse(chosen: str, profiles: Mapping[str, Any], report: Report) -> None:
    near = suggest(chosen, profiles)
    known = f"its profiles: {', '.join(profiles)}" if profiles else "this pipeline has no profiles"
    hint = f"did you mean {near}?" if near else known
    report.add("manifest.profile_unknown", f"there is no profile {chosen!r}", ("profiles",), hint)


def _values(
    raw: Any, path: Path, declared: Mapping[str, Param], names: frozenset[str], report: Report
) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        hint = "a mapping with params"
        report.add("manifest.wrong_type", f"a profile must be a mapping, but is {describe(raw)}", path, hint)
        return {}
    for key in raw:
        if key not in _KEYS:
            near = suggest(key, _KEYS)
            hint = f"did you mean {near}?" if near else "a profile has params and a description, nothing else"
            report.add("manifest.unknown_key", f"unknown key {key!r} in a profile", (*path, key), hint, at_key=True)
    params = raw.get("params")
    if params is not None and not isinstance(params, dict):
        place, hint = (*path, "params"), "as params: {limit: 5}"
        report.add("manifest.wrong_type", f"params must be a mapping, but is {describe(params)}", place, hint)
        return {}
    found: dict[str, Any] = {}
    for name, value in (params or {}).items():
        _value(name, value, (*path, "params", name), declared, names, found, report)
    return found


def _value(
    name: str,
    value: Any,
    path: Path,
    declared: Mapping[str, Param],
    names: frozenset[str],
    found: dict[str, Any],
    report: Report,
) -> None:
    if name not in names:
        near = suggest(name, names)
        hint = f"did you mean {near}?" if near else f"declare it: params: {{{name}: ...}}"
        report.add("manifest.param_unknown", f"there is no parameter {name!r}", path, hint, at_key=True)
        return
    param = declared.get(name)
    if param is None:  # already told
        return
    before = len(report.problems)
    param.give(value, f"profile {path[1]!r}", path, report, found)
    if len(report.problems) > before:  # it is there, though it cannot be read
        found.pop(name, None)
