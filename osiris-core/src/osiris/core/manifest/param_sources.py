"""Where the values of parameters come from, other than the file: variables and the command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from osiris.core.manifest.report import Path, Report, suggest

if TYPE_CHECKING:
    from osiris.core.manifest.params import Param

__all__ = ["VARIABLE_PREFIX", "note_missing", "take_given", "take_variables", "variable_of"]

VARIABLE_PREFIX = "OSIRIS_PARAM_"


def variable_of(name: str) -> str:
    """The environment variable of a parameter: of ``since-day`` it is ``OSIRIS_PARAM_SINCE_DAY``."""
    return VARIABLE_PREFIX + name.upper().replace("-", "_")


def take_variables(
    declared: Mapping[str, Param],
    environment: Mapping[str, str],
    given: Collection[str],
    values: dict[str, Any],
    sources: dict[str, str],
    report: Report,
) -> None:
    """Take values from variables, but those of parameters that are ``given`` anyway."""
    variables = _variables(environment)
    if not variables:
        return
    users: dict[str, list[str]] = {}
    for name in declared:
        users.setdefault(variable_of(name), []).append(name)
    for wanted, names in users.items():
        left = [name for name in names if name not in given]
        if wanted not in variables or not left:
            continue
        variable = variables[wanted]
        if len(names) > 1:
            message = f"{variable} could mean parameter {' or '.join(map(repr, names))}"
            path: Path = ("params", names[-1])
            report.add("manifest.param_value", message, path, "use --param, or rename one", at_key=True)
            continue
        sources[left[0]] = variable
        values.pop(left[0], None)
        declared[left[0]].give(environment[variable], variable, ("params", left[0]), report, values)


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that set parameters, by their name in upper case; one written so goes before others."""
    found: dict[str, str] = {}
    for name in environment:
        upper = name.upper()
        if upper.startswith(VARIABLE_PREFIX) and (name == upper or upper not in found):
            found[upper] = name
    return found


def take_given(
    declared: Mapping[str, Param],
    names: frozenset[str],
    given: Mapping[str, Any],
    values: dict[str, Any],
    sources: dict[str, str],
    report: Report,
) -> None:
    """Take the values that the command line gives."""
    for name, value in given.items():
        if name not in names:
            near = suggest(name, names)
            known = f"known: {', '.join(sorted(names))}" if names else "this pipeline declares no params"
            hint = f"did you mean {near}?" if near else known
            report.add("manifest.param_unknown", f"there is no parameter {name!r}", ("params",), hint)
        elif name in declared:
            values.pop(name, None)
            sources[name] = "command line"
            declared[name].give(value, "--param", ("params", name), report, values)


def note_missing(declared: Mapping[str, Param], sources: Mapping[str, str], report: Report) -> None:
    """Note every parameter that nobody gives a value."""
    for name in declared:
        if name in sources:
            continue
        path: Path = ("params", name)
        hint = f"give it with --param {name}=..., or give it a default"
        near = suggest(name, [other for other in declared if not report.is_moved(("params", other))])
        if near is not None and report.is_moved(path):
            hint = f"did you mean ${{params.{near}}}? Else {hint}"
        report.add("manifest.param_missing", f"parameter {name!r} has no value", path, hint, at_key=True)
