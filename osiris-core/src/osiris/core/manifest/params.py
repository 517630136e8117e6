"""Parameters of a pipeline: declared in it, given for a run, filled in where ``${params.name}`` stands.

A value comes from the first of these that has one: the command line, a variable ``OSIRIS_PARAM_NAME``, the profile
that was chosen, the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from osiris.core.manifest.param_sources import note_missing, take_given, take_variables
from osiris.core.manifest.param_values import TYPES, ParamType, as_text, match, read, type_of
from osiris.core.manifest.profiles import read_profiles
from osiris.core.manifest.references import Reference, parse
from osiris.core.manifest.report import Path, Report, describe, suggest
from osiris.core.quick_dataclass import dataclass

__all__ = ["Given", "Param", "Params", "read_params"]

_KEYS = ("type", "default", "description", "enum", "choices", "required")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is given for one run.

    Attributes:
        values: By name, as on the command line; text is converted to the declared type.
        profile: The name of a profile.
        default_profile: The name of the profile to take where none is named, if the file has it.
        environment: Where ``OSIRIS_PARAM_NAME`` is looked up.
        complete: Whether a parameter without a value is a mistake. Where it is none, its uses in ``config`` stay.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    default_profile: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class Param:
    """One declared parameter."""

    name: str
    type: ParamType
    default: Any = None
    required: bool = False
    choices: tuple[Any, ...] = ()
    description: str | None = None

    def convert(self, value: Any) -> Any:
        """``value`` in the parameter's type; text, as from a command line, is read.

        Raises:
            ValueError: It does not fit; the text says how.
        """
        return self.choose(read(value, self.type) if isinstance(value, str) else match(value, self.type))

    def choose(self, value: Any) -> Any:
        """``value``, if it is one of the choices.

        Raises:
            ValueError: There are choices, and it is none of them.
        """
        if self.choices and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(as_text(choice) for choice in self.choices)}")
        return value

    def give(self, value: Any, origin: str, path: Path, report: Report, values: dict[str, Any]) -> None:
        """Put ``value`` in its type into ``values``, or note what is wrong with it.

        Args:
            value: As given.
            origin: Where it comes from, in words.
            path: Where a mistake is shown.
            report: Takes it.
            values: Values by name.
        """
        try:
            converted = self.convert(value)
        except ValueError as error:
            message = f"parameter {self.name!r}: the value of {origin} {error}"
            hint = f"if it may be, declare another type: {self.name}: {{type: string}}"
            if self.choices:
                near = suggest(as_text(value), [as_text(choice) for choice in self.choices])
                hint = f"did you mean {near}?" if near else "or add it to the parameter's enum"
            elif self.type == "string":
                hint = "put it in quotes"
            report.add("manifest.param_value", message, path, hint, at_key=True)
            return
        if _plain(converted, path, report):
            values[self.name] = converted


class Params:
    """The values of one run.

    Attributes:
        declared: What the manifest declares, by name.
        values: The resolved values; those that are wrong are missing here, and noted in the report.
        sources: Where each value comes from: ``command line``, ``OSIRIS_PARAM_X``, ``profile x``, ``default``.
        profile: The name of the profile that was taken.
    """

    def __init__(
        self,
        declared: Mapping[str, Param],
        values: Mapping[str, Any],
        names: frozenset[str],
        sources: Mapping[str, str] | None = None,
        profile: str | None = None,
    ) -> None:
        self.declared = dict(declared)
        self.values = dict(values)
        self.sources = dict(sources or {})
        self.profile = profile
        self._names = names  # with the wrongly declared ones: their uses are not a second mistake

    def fill(self, value: Any, path: Path, report: Report) -> Any:
        """``value`` with its parameters filled in, as new containers.

        ``${params.x}`` alone becomes the value itself; inside a longer text it becomes text.
        """
        if isinstance(value, str):
            return self._fill_text(value, path, report) if "${" in value else value
        if isinstance(value, dict):
            return {key: self.fill(item, (*path, key), report) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, (*path, index), report) for index, item in enumerate(value)]
        return value

    def fill_in_text(self, value: Any, path: Path, report: Report) -> Any:
        """As :meth:`fill`, for what is a text whatever a parameter in it is."""
        filled = self.fill(value, path, report)
        return as_text(filled) if isinstance(value, str) else filled

    def _fill_text(self, text: str, path: Path, report: Report) -> Any:
        references = parse(text)
        params = [reference for reference in references if reference.kind == "param"]
        for reference in params:
            if reference.name not in self._names:
                report.add(*_undeclared(reference, path, self._names))
        if not params or any(reference.name not in self.values for reference in params):
            return text
        if params[0].text == text:
            return self.values[params[0].name]
        return self._join(text, references, path, report)

    def _join(self, text: str, references: list[Reference], path: Path, report: Report) -> str:
        filled, end = "", 0
        for reference in references:
            if reference.kind == "param":
                filled += text[end : reference.start] + as_text(self.values[reference.name])
                end = reference.start + len(reference.text)
        filled += text[end:]
        kept = [reference.text for reference in references if reference.kind != "param"]
        if [reference.text for reference in parse(filled)] != kept:
            # A value that ends in `$` before a `{` would make, or break, a reference that nobody wrote.
            message = "the parameter's value and the text around it read as a reference"
            report.add("manifest.reference", message, path, "leave out the $ or { at the end of one of them")
        return filled


def read_params(raw: Any, profiles: Any, given: Given, report: Report) -> Params:
    """The parameters that ``raw`` declares, with the values ``given`` for this run.

    Args:
        raw: The manifest's ``params``; None where it has none.
        profiles: The manifest's ``profiles``; None where it has none.
        given: For this run.
        report: Takes every mistake.
    """
    declared: dict[str, Param] = {}
    if raw is not None and not isinstance(raw, dict):
        hint = 'as params: {limit: 5, day: "2026-01-31"}'
        report.add("manifest.wrong_type", f"params must be a mapping, but is {describe(raw)}", ("params",), hint)
        return Params({}, {}, frozenset(given.values))
    for name, declaration in (raw or {}).items():
        param = _declare(name, declaration, report)
        if param is not None:
            declared[name] = param
    names = frozenset(raw or ())
    values: dict[str, Any] = {name: param.default for name, param in declared.items() if not param.required}
    sources = dict.fromkeys(values, "default")
    chosen = given.profile
    if chosen is None and isinstance(profiles, dict) and given.default_profile in profiles:
        chosen = given.default_profile
    from_profile = read_profiles(profiles, chosen, declared, names, report)
    values |= from_profile
    sources |= dict.fromkeys(from_profile, f"profile {chosen}")
    take_variables(declared, given.environment, set(given.values), values, sources, report)
    take_given(declared, names, given.values, values, sources, report)
    if given.complete:
        note_missing(declared, sources, report)
    return Params(declared, values, names, sources, chosen)


def _declare(name: str, raw: Any, report: Report) -> Param | None:
    path: Path = ("params", name)
    before = len(report.problems)
    if not _NAME.fullmatch(name):
        hint = "letters, digits, _ and -, not beginning with a digit"
        report.add("manifest.param", f"{name!r} cannot be the name of a parameter", path, hint, at_key=True)
    if isinstance(raw, list):
        hint = f'several values: as one text, {name}: "a,b"; allowed values: {name}: {{enum: [...]}}'
        report.add("manifest.wrong_type", "a parameter is a number, a text or a boolean, not a list", path, hint)
    if len(report.problems) > before or report.is_unreadable(path) or report.is_unreadable((*path, "default")):
        return None
    declaration = raw if isinstance(raw, dict) else {"default": raw}
    for key in declaration:
        if key not in _KEYS:
            near = suggest(key, _KEYS)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(_KEYS)}"
            report.add("manifest.unknown_key", f"unknown key {key!r} in a parameter", (*path, key), hint, at_key=True)
    param = _described(name, declaration, path, report)
    return param if len(report.problems) == before else None


def _described(name: str, raw: dict[str, Any], path: Path, report: Report) -> Param | None:
    default, kind = raw.get("default"), raw.get("type")
    if kind is None:
        kind = type_of(default)
    if kind not in TYPES:
        near = suggest(kind, TYPES) if isinstance(kind, str) else None
        hint = f"did you mean {near}?" if near else f"one of {', '.join(TYPES)}"
        key = "type" if "type" in raw else "default"
        report.add("manifest.wrong_type", f"parameter {name!r} cannot be of this type", (*path, key), hint)
        return None
    choices = raw.get("enum", raw.get("choices"))
    if choices is not None and not (isinstance(choices, list) and choices):
        key = "enum" if "enum" in raw else "choices"
        report.add(
            "manifest.wrong_type", f"{key} must be a list of the allowed values", (*path, key), f"as {key}: [dev, prod]"
        )
        return None
    required = raw.get("required", "default" not in raw)
    if not isinstance(required, bool):
        message = f"required must be true or false, but is {describe(required)}"
        report.add("manifest.wrong_type", message, (*path, "required"), "write required: true")
        return None
    if required and "default" in raw:
        report.add("manifest.param", "a parameter with a default is not required", (*path, "required"), "remove one")
        return None
    param = Param(
        name=name,
        type=kind,
        required=required,
        choices=tuple(choices or ()),
        description=raw.get("description"),
    )
    if default is None:
        return param
    return _with_default(param, default, path, report)


def _with_default(param: Param, default: Any, path: Path, report: Report) -> Param | None:
    place: Path = (*path, "default")
    try:
        default = param.choose(match(default, param.type))
    except ValueError as error:
        hint = "take one of these, or add it to them"
        if type_of(default) != param.type:
            known = type_of(default) in TYPES
            hint = f"write another default, or type: {type_of(default)}" if known else "write another default"
        report.add("manifest.param", f"parameter {param.name!r}: the default {error}", place, hint)
        return None
    if not _plain(default, place, report):
        return None
    return Param(
        name=param.name, type=param.type, default=default, choices=param.choices, description=param.description
    )


def _plain(value: Any, path: Path, report: Report) -> bool:
    if not isinstance(value, str) or not parse(value):
        return True
    hint = "put the reference into config, or write $${ for the characters ${"
    report.add("manifest.reference", "the value of a parameter cannot be a reference", path, hint)
    return False


def _undeclared(reference: Reference, path: Path, names: frozenset[str]) -> tuple[str, str, Path, str]:
    near = suggest(reference.name, names)
    hint = f"did you mean ${{params.{near}}}?" if near else f"declare it: params: {{{reference.name}: ...}}"
    return "manifest.param_unknown", f"there is no parameter {reference.name!r}", path, hint
