"""Finds, in the sources, every place that gives an error a code, with what is said there and what is to be done."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["CODE", "Site", "Source", "find_sites"]

CODE = re.compile(r"[a-z][a-z0-9]*(?:\.[a-z][a-z0-9_]*)+")
_NAME = re.compile(r"[a-z][a-z0-9_]+")
_NO_CODE = re.compile(r".*\.(?:json|jsonl|yaml|lock|tar|py|gz|new)")

# Where a code is put together from a family and a name: the names are the first texts of these tuples and calls.
TABLES = {
    "osiris.drivers.duckdb.database": "duckdb.",
    "osiris.drivers.mysql.errors": "mysql.",
    "osiris.drivers.supabase.errors": "supabase.",
    "osiris.drivers.supabase.rest_errors": "supabase.",
    "osiris.cli.failure": "system.",
}
# Where the codes of others are taken over under another first part.
RENAMED = {"osiris.core.manifest.positions": ("manifest.", "connection.")}


@dataclass(frozen=True)
class Site:
    """One place: ``raised`` is the class or function that is called there, None in a table of codes."""

    code: str
    module: str
    line: int
    message: str | None = None
    hint: str | None = None
    raised: str | None = None
    warning: bool = False


class Source:
    """One module, read."""

    def __init__(self, module: str, file: Path) -> None:
        self.module = module
        self.tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        self.nodes = list(ast.walk(self.tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.constants = {
            target.id: node.value.value
            for node in self.tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, str)
        }
        self.functions = {node.name: node for node in self.nodes if isinstance(node, ast.FunctionDef)}

    def learn(self, constants: Mapping[str, str]) -> None:
        """Know the codes that other modules of the distribution have names for."""
        self.constants = {**constants, **self.constants}

    def function_of(self, node: ast.AST) -> ast.FunctionDef | None:
        """The innermost function that the node is in."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.FunctionDef):
                return node
        return None

    def text(self, node: ast.expr | None) -> str | None:
        """What an expression says, with an ellipsis for what is filled in; None where it says nothing fixed."""
        match node:
            case ast.Constant(value=str(value)):
                return value.replace("{}", "…")
            case ast.JoinedStr():
                parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
                parts = [part.replace("{}", "…") for part in parts]
                return re.sub(r"…(?:\W{0,2}…)+", "…", "".join(parts))
            case ast.BinOp(op=ast.Add()):
                left, right = self.text(node.left), self.text(node.right)
                return (left or "…") + (right or "…") if left or right else None
            case ast.IfExp():
                found = [said for said in (self.text(node.body), self.text(node.orelse)) if said]
                return " / ".join(found) or None
            case ast.Name(id=name):
                return self.constants.get(name) or self._assigned(node, name)
            case ast.Call(func=ast.Attribute(attr="format" | "strip" | "rstrip", value=inner)):
                said = self.text(inner)
                return re.sub(r"\{\w*\}", "…", said) if said else None
        return None

    def _assigned(self, node: ast.AST, name: str) -> str | None:
        function = self.function_of(node)
        if function is None:
            return None
        before = [
            one.value
            for one in ast.walk(function)
            if isinstance(one, ast.Assign)
            and one.lineno < getattr(node, "lineno", 0)
            and any(isinstance(target, ast.Name) and target.id == name for target in one.targets)
        ]
        return self.text(before[-1]) if before else None

    def codes(self, node: ast.expr) -> list[str]:
        """The codes that an expression may be."""
        match node:
            case ast.Constant(value=str(value)) if CODE.fullmatch(value) and not _NO_CODE.fullmatch(value):
                return [value]
            case ast.IfExp():
                return self.codes(node.body) + self.codes(node.orelse)
            case ast.Name(id=name) if name in self.constants:
                return self.codes(ast.Constant(self.constants[name]))
        return []


def find_sites(source: Source, families: set[str], kinds: Mapping[str, str]) -> Iterator[Site]:
    """Every site of a module.

    Args:
        source: The module.
        families: The first parts that a code may have where it stands alone.
        kinds: The code of each class of errors, for where none is given.

    Raises:
        ValueError: A code is put together in a way that nobody explains here.
    """
    for node in source.nodes:
        if isinstance(node, ast.Call):
            yield from _of_call(source, node, families, kinds)
        elif isinstance(node, ast.ClassDef):
            yield from _of_class(source, node)
        elif isinstance(node, ast.Tuple):
            yield from _of_pair(source, node, families)
        elif source.module in TABLES and isinstance(node, ast.Dict):
            yield from _of_errno(source, node)


def _of_call(source: Source, call: ast.Call, families: set[str], kinds: Mapping[str, str]) -> Iterator[Site]:
    named = {word.arg: word.value for word in call.keywords if word.arg}
    given = named.get("code")
    if isinstance(given, ast.JoinedStr):
        yield from _put_together(source, given)
        return
    codes = source.codes(given) if given is not None else []
    positional = list(call.args)
    if given is None:
        for argument in call.args[:3]:
            codes = [one for one in source.codes(argument) if one.split(".")[0] in families]
            if codes and not isinstance(argument, ast.Name):
                positional.remove(argument)
                break
            codes = []
    raised = ast.unparse(call.func).rpartition(".")[2]
    if raised == "_Meaning" and source.module in TABLES and len(call.args) > 1:
        codes, positional = [TABLES[source.module] + str(source.text(call.args[0]))], []
        named["hint"] = call.args[1]
    if given is None and not codes and raised in kinds and "problems" not in named:
        codes = [kinds[raised]]
    if raised in ("startswith", "match", "get", "removeprefix", "register"):
        return
    if not codes:
        return
    texts = [said for said in map(source.text, positional) if said and not CODE.fullmatch(said) and " " in said]
    message = source.text(named.get("message")) or (texts.pop(0) if texts else None)
    hint = source.text(named.get("hint")) or (texts.pop(0) if texts else None)
    warning = source.text(named.get("severity")) == "warning" or raised in ("_warn", "warn", "warning")
    for code in codes:
        yield Site(code, source.module, call.lineno, message, hint, raised, warning)


def _is_name(arguments: list[ast.expr]) -> bool:
    first = arguments[0] if arguments else None
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and bool(_NAME.fullmatch(first.value))


def _put_together(source: Source, code: ast.JoinedStr) -> Iterator[Site]:
    """``f"manifest.{code}"`` in a function that is given ``code``: look at its calls."""
    function = source.function_of(code)
    match code.values:
        case [ast.Constant(value=str(first)), ast.FormattedValue(value=ast.Name(id=name))] if function is not None:
            names = [argument.arg for argument in function.args.args]
            if name in names:
                for call in _calls(source, function.name):
                    given = dict(zip(names, call.args, strict=False)) | {k.arg: k.value for k in call.keywords}
                    short = source.text(given.get(name))
                    if short:
                        said = source.text(given.get("message")), source.text(given.get("hint"))
                        yield Site(first + short, source.module, call.lineno, *said, raised=function.name)
                return
    if source.module not in TABLES:
        place = f"{source.module}:{code.lineno}"
        raise ValueError(f"{place} puts a code together; say in docs/generator/sites.py where its names come from")


def _calls(source: Source, function: str) -> Iterator[ast.Call]:
    for node in source.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == function:
            yield node


def _of_class(source: Source, node: ast.ClassDef) -> Iterator[Site]:
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
                pass
            case ast.AnnAssign(target=ast.Name(id="code"), value=ast.Constant(value=str(code))):
                pass
            case _:
                continue
        first = (ast.get_docstring(node) or "").split("\n")[0].replace("``", "`").rstrip(".")
        yield Site(code, source.module, node.lineno, first or None, raised=node.name)


def _of_pair(source: Source, node: ast.Tuple, families: set[str]) -> Iterator[Site]:
    """``"mysql.timeout", "make the query do less"``, or the same in a table."""
    hint = source.text(node.elts[1]) if len(node.elts) > 1 else None
    if hint is None or " " not in hint:
        return
    codes = [code for code in source.codes(node.elts[0]) if code.split(".")[0] in families]
    if source.module in TABLES and _is_name(node.elts[:1]):
        codes = [TABLES[source.module] + str(source.text(node.elts[0]))]
    for code in codes:
        yield Site(code, source.module, node.lineno, None, hint)


def _of_errno(source: Source, node: ast.Dict) -> Iterator[Site]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Attribute) and ast.unparse(key.value) == "errno":
            code = TABLES[source.module] + key.attr.lower()
            yield Site(code, source.module, key.lineno, None, source.text(value), "ExecutionError")


def renamed(site: Site) -> Site | None:
    """The same under the first part that another room gives it, where one does."""
    if site.module not in RENAMED:
        return None
    before, after = RENAMED[site.module]
    return replace(site, code=site.code.replace(before, after, 1))
