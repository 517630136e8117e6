"""The page of the Python interface, from signatures and docstrings; nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

from docs.generator.tables import cell, code, table

__all__ = ["MODULES", "describe"]

MODULES = (
    "osiris.core.driver",
    "osiris.core.execution_adapter",
    "osiris.core.adapter_factory",
    "osiris.core.dataset",
    "osiris.core.errors",
    "osiris.core.cancellation",
    "osiris.core.hookspecs",
    "osiris.core.lifecycle",
)
_HEAD = """\
# Python reference

Every class and function of the contract, with its signature and docstring: what drivers, adapters and programs may
count on.
[The contract](contract.md) explains how they belong together; a module that is not here is not promised.

"""
_ARGUMENTS = re.compile(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)+)", re.MULTILINE)
_RESULT = re.compile(r"^(?:Returns|Yields):\n((?:    .*\n?)+)", re.MULTILINE)
_STARS = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
_ROLE = re.compile(r":\w+:`~?([^`]+)`")


def describe(root: Path) -> str:
    """The page."""
    sections = []
    for name in MODULES:
        file = (root / "osiris-core" / "src").joinpath(*name.split(".")).with_suffix(".py")
        module = griffe.visit(name, file, file.read_text(encoding="utf-8"))
        sections.append(f"## {name}\n\n{_prose(module)}")
        sections += _members(module)
    return re.sub(r"\n{3,}", "\n\n", _HEAD + "\n".join(sections)).rstrip() + "\n"


def _members(module: griffe.Module) -> Iterator[str]:
    exported = {str(name) for name in module.exports or []}
    own = [
        member
        for name, member in module.members.items()
        if (name in exported or name.startswith("osiris_")) and not member.is_alias
    ]
    for member in sorted(own, key=lambda member: member.lineno or 0):
        if isinstance(member, griffe.Class):
            yield _class(member)
        elif isinstance(member, griffe.Function):
            yield f"### {member.name}\n\n{_function(member)}"
        elif isinstance(member, griffe.Attribute):
            value = _double(str(member.value))
            yield f"### {member.name}\n\n```python\n{member.name} = {value}\n```\n\n{_prose(member)}"


def _class(item: griffe.Class) -> str:
    bases = f"({', '.join(str(base) for base in item.bases)})" if item.bases else ""
    start = item.members.get("__init__")
    given = {parameter.name for parameter in start.parameters} if isinstance(start, griffe.Function) else set()
    fields = [row for row in _fields(item) if row[0].strip("`") not in given or row[3]]
    in_table = not given and bool(fields)
    parts = [f"### {item.name}\n\n```python\nclass {item.name}{bases}\n```\n", _prose(item, arguments=not in_table)]
    if isinstance(start, griffe.Function) and not start.is_alias:
        parts[0] = f"### {item.name}\n\n```python\n{_signature(start, item.name, bases)}\n```\n"
        parts.append(_prose(start))
    if fields:
        parts.append(table(["attribute", "type", "default", ""], fields))
    for member in item.members.values():
        if member.name.startswith("_") or member.is_alias or not isinstance(member, griffe.Function):
            continue
        parts.append(f"#### {item.name}.{member.name}\n\n{_function(member)}")
    return "\n".join(part for part in parts if part)


def _fields(item: griffe.Class) -> list[list[str]]:
    rows = []
    described = _described(item)
    for member in item.members.values():
        if member.name.startswith("_") or not isinstance(member, griffe.Attribute):
            continue
        kind = code(str(member.annotation)) if member.annotation is not None else ""
        is_plain = (
            member.value is not None and str(member.value) != member.name and not str(member.value).startswith("field(")
        )
        rows.append(
            [
                code(member.name),
                kind.replace("ClassVar[str]", "str"),
                code(_double(str(member.value))) if is_plain and "property" not in member.labels else "",
                cell(_plain(member.docstring.value)) if member.docstring else described.get(member.name, ""),
            ]
        )
    return rows


def _described(item: griffe.Class) -> dict[str, str]:
    """What ``Args:`` says of each; several may be said together."""
    block = _ARGUMENTS.search(item.docstring.value) if item.docstring else None
    if block is None:
        return {}
    said = re.findall(r"^    (\w+(?:, \w+)*): (.+\n?(?:     +.+\n?)*)", block[1], re.MULTILINE)
    return {name: cell(_plain(text)) for names, text in said for name in names.split(", ")}


def _double(text: str) -> str:
    """Code with the quotes that people write."""
    return text if '"' in text else text.replace("'", '"')


def _function(item: griffe.Function) -> str:
    return f"```python\n{_signature(item, item.name)}\n```\n\n{_prose(item)}"


def _signature(item: griffe.Function, name: str, bases: str | None = None) -> str:
    given, starred = [], False
    for parameter in item.parameters:
        if parameter.name in ("self", "cls"):
            continue
        prefix = _STARS.get(parameter.kind, "") if parameter.kind is not None else ""
        starred = starred or prefix == "*"
        if parameter.kind is griffe.ParameterKind.keyword_only and not starred:
            given.append("*")
            starred = True
        kind = f": {parameter.annotation}" if parameter.annotation is not None else ""
        default = parameter.default if not prefix else None
        value = _double(str(default))
        equals = "" if default is None else f" = {value}" if kind else f"={value}"
        given.append(f"{prefix}{parameter.name}{kind}{equals}")
    returns = f" -> {item.returns}" if item.returns is not None and bases is None else ""
    word = "class " if bases is not None else "def "
    line = f"{word}{name}({', '.join(given)}){returns}"
    if len(line) <= 100:
        return line
    inner = "".join(f"    {one},\n" for one in given)
    return f"{word}{name}(\n{inner}){returns}"


def _prose(item: griffe.Object | griffe.Alias, *, arguments: bool = True) -> str:
    """A docstring as Markdown: text, then arguments, results and errors as lists."""
    if item.docstring is None:
        return ""
    parts = []
    for section in item.docstring.parse("google", warnings=False):
        if section.kind is griffe.DocstringSectionKind.text:
            parts.append(_text(section.value))
        elif section.kind in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes):
            lines = (f"* {code(one.name.rstrip(','))}: {_plain(one.description)}\n" for one in section.value)
            parts.append("".join(lines) if arguments else "")
        elif section.kind in (griffe.DocstringSectionKind.returns, griffe.DocstringSectionKind.yields):
            said = _RESULT.search(item.docstring.value)
            parts.append(f"Gives: {_plain(said[1])}\n" if said else "")
        elif section.kind is griffe.DocstringSectionKind.raises:
            lines = (f"* raises {code(str(one.annotation))}: {_plain(one.description)}\n" for one in section.value)
            parts.append("".join(lines))
        else:
            parts.append(_text(str(getattr(section.value, "contents", section.value))))
    return "\n".join(parts)


def _plain(text: str) -> str:
    return " ".join(_ROLE.sub(r"`\1`", text).replace("``", "`").split())


def _text(text: str) -> str:
    """reStructuredText, as far as docstrings here use it, as Markdown."""
    found = []
    for part in re.split(r"\n\n(?=\S)", text):
        before, colons, block = part.partition("::\n\n")
        if not colons or not block.startswith("    "):
            found.append(_ROLE.sub(r"`\1`", part).replace("``", "`") + "\n")
            continue
        lead = _ROLE.sub(r"`\1`", before).replace("``", "`").strip()
        lines = "\n".join(line.removeprefix("    ") for line in block.rstrip().split("\n"))
        found.append((f"{lead}:\n\n" if lead else "") + f"```text\n{lines}\n```\n")
    return "\n".join(found)
