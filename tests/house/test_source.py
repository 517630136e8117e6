"""Rules of the house about single files; import-linter holds those about layers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base", "shared"}
NAMESPACES = ("osiris", "osiris/drivers", "osiris/runtime", "osiris/remote")
CLIENTS = [
    ("osiris-adapter-e2b", "e2b"),
    ("osiris-driver-duckdb", "duckdb"),
    ("osiris-driver-filesystem", "fsspec"),
    ("osiris-driver-mysql", "pymysql"),
    ("osiris-driver-pandas", "pandas"),
    ("osiris-driver-supabase", "httpx"),
    ("osiris-driver-supabase", "psycopg"),
]
HEAVY = ("duckdb", "fsspec", "numpy", "pandas", "psutil", "pyarrow", "pydantic", "rich", "typer", "yaml")


def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"), filename=str(module))


def test_nobody_owns_a_namespace(distribution):
    for namespace in NAMESPACES:
        assert not (distribution.folder / "src" / namespace / "__init__.py").exists()


def test_a_module_is_a_noun_of_the_domain(modules):
    assert [name for name, path in modules.items() if {path.stem.strip("_"), path.parent.name} & VAGUE] == []


def test_a_file_can_be_read_in_one_sitting(modules):
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules.items()}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def test_nothing_is_left_for_later(modules):
    words = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    assert [name for name, path in modules.items() if words.search(path.read_text(encoding="utf-8"))] == []


def test_only_the_command_line_prints(modules):
    guilty = [
        f"{name}:{node.lineno}"
        for name, path in modules.items()
        if not name.startswith("osiris/cli/")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert guilty == []


def test_an_error_is_never_judged_by_its_text(modules):
    """``"timeout" in str(error)`` works until a library changes a word."""
    text_of_error = re.compile(
        r"\bstr\((?:e|err|error|exc|exception)\)|\b(?:e|err|error|exc|exception)\.(?:message|args)\b"
    )
    guilty = [
        f"{name}:{node.lineno}"
        for name, path in modules.items()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Constant)
        and any(isinstance(operator, ast.In | ast.NotIn) for operator in node.ops)
        and text_of_error.search(ast.unparse(node))
    ]
    assert guilty == []


@pytest.mark.parametrize(("name", "client"), CLIENTS)
def test_one_module_imports_the_client(name, client, distributions, imported):
    (distribution,) = [one for one in distributions if one.name == name]
    users = [
        module.relative_to(distribution.folder).as_posix()
        for module in distribution.modules
        if client in {name.split(".")[0] for name in imported(parse(module))}
    ]
    assert len(users) == 1, users


def test_only_its_own_distribution_imports_a_client(distributions, imported):
    for distribution in distributions:
        strangers = {client for owner, client in CLIENTS if owner != distribution.name} - {"pandas"}
        for module in distribution.modules:
            assert strangers.isdisjoint(name.split(".")[0] for name in imported(parse(module))), module


def test_pandas_is_imported_only_inside_functions(distributions, imported):
    """A run without a pandas step must not pay for it; a DataFrame asked for is another matter."""
    for distribution in distributions:
        if distribution.name == "osiris-driver-pandas":
            continue
        for module in distribution.modules:
            top = ast.Module([n for n in parse(module).body if not isinstance(n, ast.FunctionDef | ast.ClassDef)], [])
            assert "pandas" not in {name.split(".")[0] for name in imported(top)}, module


def plugin_modules(distributions) -> list[str]:
    groups = ("osiris.adapters", "osiris.drivers", "osiris.plugins")
    return [
        value.partition(":")[0]
        for distribution in distributions
        for group in groups
        for value in distribution.project.get("entry-points", {}).get(group, {}).values()
    ]


def test_describing_plugins_imports_nothing_heavy(distributions):
    names = plugin_modules(distributions)
    assert names
    code = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert sorted(set(HEAVY) & set(seen)) == []


def test_imports_are_found(imported):
    """Imports inside functions and after an ``else`` count; those for type checkers do not."""
    code = """
import typing
if typing.TYPE_CHECKING:
    import pandas
else:
    import duckdb
def f():
    import fsspec.core
"""
    assert imported(code) == {"typing", "duckdb", "fsspec.core"}
