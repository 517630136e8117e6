"""Parameters of a pipeline: declared in it, given on the command line, filled in where ``${params.name}`` stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from osiris.core.manifest.references import Reference, parse
from osiris.core.manifest.report import Path, Report, describe, suggest

__all__ = ["Param", "Params", "read_params"]

ParamType = Literal["integer", "number", "string", "boolean"]
_TYPES: tuple[ParamType, ...] = ("integer", "number", "string", "boolean")
_KEYS = ("type", "default", "description", "enum", "choices", "required")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


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
        return self.choose(_read(value, self.type) if isinstance(value, str) else _match(value, self.type))

    def choose(self, value: Any) -> Any:
        """``value``, if it is one of the choices.

        Raises:
            ValueError: There are choices, and it is none of them.
        """
        if self.choices and value not in self.choices:
            raise ValueError(f"must be one of {_listed(self.choices)}")
        return value


class Params:
    """The values of one run.

    Attributes:
        declared: What the manifest declares, by name.
        values: The resolved values; those that are wrong are missing here, and noted in the report.
    """

    def __init__(self, declared: Mapping[str, Param], values: Mapping[str, Any], names: frozenset[str]) -> None:
        self.declared = dict(declared)
        self.values = dict(values)
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
            report.add("manifest.reference", "the parameter's value and the text around it read as a reference", path)
        return filled


def as_text(value: Any) -> str:
    """A parameter's value inside a longer text: as YAML would write it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_params(raw: Any, given: Mapping[str, Any], report: Report) -> Params:
    """The parameters that ``raw`` declares, with the values ``given`` for this run.

    Args:
        raw: The manifest's ``params``; None where it has none.
        given: By name; text is converted to the declared type.
        report: Takes every mistake.
    """
    declared: dict[str, Param] = {}
    names: set[str] = set()
    if raw is not None and not isinstance(raw, dict):
        report.add("manifest.wrong_type", f"params must be a mapping, but is {describe(raw)}", ("params",))
        return Params({}, {}, frozenset(given))
    for name, declaration in (raw or {}).items():
        names.add(name)
        param = _declare(name, declaration, report)
        if param is not None:
            declared[name] = param
    values = {name: param.default for name, param in declared.items() if not param.required}
    for name, value in given.items():
        if name not in names:
            near = suggest(name, names)
            known = f"known: {', '.join(names)}" if names else "this pipeline declares no params"
            hint = f"did you mean {near}?" if near else known
            report.add("manifest.param_unknown", f"there is no parameter {name!r}", ("params",), hint)
        elif name in declared:
            values.pop(name, None)
            _give(declared[name], value, values, report)
    for name, param in declared.items():
        if param.required and name not in given:
            hint = f"give it with --param {name}=..., or give it a default"
            report.add(
                "manifest.param_missing", f"parameter {name!r} has no value", ("params", name), hint, at_key=True
            )
    return Params(declared, values, frozenset(names))


def _give(param: Param, value: Any, values: dict[str, Any], report: Report) -> None:
    path = ("params", param.name)
    try:
        converted = param.convert(value)
    except ValueError as error:
        report.add("manifest.param_value", f"parameter {param.name!r}: the value given {error}", path, at_key=True)
        return
    if _plain(converted, path, report):
        values[param.name] = converted


def _declare(name: str, raw: Any, report: Report) -> Param | None:
    path: Path = ("params", name)
    before = len(report.problems)
    if not _NAME.fullmatch(name):
        hint = "letters, digits, _ and -, not beginning with a digit"
        report.add("manifest.param", f"{name!r} cannot be the name of a parameter", path, hint, at_key=True)
    if isinstance(raw, list):
        report.add("manifest.wrong_type", "a parameter is a number, a text or a boolean, not a list", path)
    if len(report.problems) > before:
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
        kind = _type_of(default)
    if kind not in _TYPES:
        hint = f"one of {', '.join(_TYPES)}"
        key = "type" if "type" in raw else "default"
        report.add("manifest.wrong_type", f"parameter {name!r} cannot be of this type", (*path, key), hint)
        return None
    choices = raw.get("enum", raw.get("choices"))
    if choices is not None and not (isinstance(choices, list) and choices):
        report.add("manifest.wrong_type", "enum must be a list of the allowed values", (*path, "enum"))
        return None
    required = raw.get("required", "default" not in raw)
    if not isinstance(required, bool):
        report.add(
            "manifest.wrong_type", f"required must be true or false, but is {describe(required)}", (*path, "required")
        )
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
        default = param.choose(_match(default, param.type))
    except ValueError as error:
        report.add("manifest.param", f"parameter {param.name!r}: the default {error}", place)
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


def _type_of(default: Any) -> str:
    if isinstance(default, bool):
        return "boolean"
    if isinstance(default, int):
        return "integer"
    if isinstance(default, float):
        return "number"
    return "string" if default is None or isinstance(default, str) else type(default).__name__


def _match(value: Any, kind: ParamType) -> Any:
    fits = {
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
    }
    if not fits[kind]:
        raise ValueError(f"must be {_article(kind)}, but is {describe(value)}")
    return value


def _read(text: str, kind: ParamType) -> Any:
    if kind == "string":
        return text
    if kind == "boolean":
        if text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
    elif re.fullmatch(r"[-+]?[0-9]{1,1000}", text):
        return int(text)
    elif kind == "number" and re.fullmatch(
        r"[-+]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,3})?", text
    ):
        number = float(text)
        if abs(number) != float("inf"):
            return number
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    raise ValueError(f"must be {_article(kind)}, but is {shown!r}")


def _article(kind: str) -> str:
    return {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}[kind]


def _listed(choices: tuple[Any, ...]) -> str:
    return ", ".join(as_text(choice) for choice in choices)
