"""The checkout, seen from outside."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Distribution:
    """One member of the workspace."""

    folder: Path
    settings: dict[str, Any]

    @property
    def project(self) -> dict[str, Any]:
        return self.settings["project"]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def modules(self) -> list[Path]:
        return sorted((self.folder / "src").rglob("*.py"))


def find_imports(tree: ast.AST) -> Iterator[str]:
    """The modules that running this code may import, dotted; not those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                yield node.module
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from find_imports(ast.Module([other], []))
        else:
            yield from find_imports(node)


def read_distributions() -> list[Distribution]:
    files = [*ROOT.glob("osiris-*/pyproject.toml"), *ROOT.glob("osiris-drivers/*/pyproject.toml")]
    return [Distribution(file.parent, tomllib.loads(file.read_text(encoding="utf-8"))) for file in sorted(files)]


DISTRIBUTIONS = read_distributions()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "distribution" in metafunc.fixturenames:
        metafunc.parametrize("distribution", DISTRIBUTIONS, ids=lambda one: one.name)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def distributions() -> list[Distribution]:
    """Every member of the workspace."""
    return DISTRIBUTIONS


@pytest.fixture(scope="session")
def modules() -> dict[str, Path]:
    """Every module that is shipped, by its path below ``src``."""
    return {
        module.relative_to(one.folder / "src").as_posix(): module for one in DISTRIBUTIONS for module in one.modules
    }


@pytest.fixture(scope="session")
def workspace() -> dict[str, Any]:
    """The root's pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def imported() -> Callable[[str | ast.AST], set[str]]:
    """The modules that some code may import when it runs, dotted; not those for type checkers only."""
    return lambda code: set(find_imports(ast.parse(code) if isinstance(code, str) else code))
