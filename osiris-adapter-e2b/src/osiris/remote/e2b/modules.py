"""The user's own modules: those that a step names as ``module:function``, and the neighbours that they import."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from importlib import metadata
from pathlib import Path
from typing import Any

from osiris.core.parsing import parse_python
from osiris.core.quick_dataclass import dataclass

__all__ = ["Modules", "find_modules", "named_functions"]

_FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass
class Modules:
    """What is to be sent for them.

    Attributes:
        beside: Files below the pipeline's folder, sent to the same place.
        loose: Files elsewhere on the path: the name to import from, and where each is.
        distributions: Installed packages that they are in or import.
    """

    beside: set[Path] = field(default_factory=set)
    loose: dict[str, Path] = field(default_factory=dict)
    distributions: set[str] = field(default_factory=set)


def named_functions(config: Any) -> Iterator[str]:
    """Every text in a config that reads ``module:function``: the modules' names."""
    if isinstance(config, str):
        if _FUNCTION.fullmatch(config):
            yield config.partition(":")[0]
    elif isinstance(config, Mapping):
        for item in config.values():
            yield from named_functions(item)
    elif isinstance(config, list | tuple):
        for item in config:
            yield from named_functions(item)


def find_modules(names: Iterable[str], base_dir: Path) -> Modules:
    """Where the modules are, and those that they import and that are the user's own, too.

    What cannot be found is left out: the step says so, as it does on this machine.
    """
    found = Modules()
    owners: Mapping[str, list[str]] | None = None
    todo = [name.partition(".")[0] for name in names]
    seen: set[str] = set()
    while todo:
        top = todo.pop()
        if top in seen or top in sys.stdlib_module_names or top == "osiris":
            continue
        seen.add(top)
        files = list(_files(base_dir / top))
        if files:
            found.beside.update(files)
        else:
            owners = metadata.packages_distributions() if owners is None else owners
            if top in owners:
                found.distributions.update(owners[top])
            else:
                files = _note_loose(top, found)
        todo += [name for file in files if file.suffix == ".py" for name in _imported(file)]
    return found


def _note_loose(top: str, found: Modules) -> list[Path]:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if not places and spec.origin and spec.origin.endswith(".py"):
        places = [Path(spec.origin).with_suffix("")]
    files = []
    for place in places:
        for file in _files(place):
            found.loose[file.relative_to(place.parent).as_posix()] = file
            files.append(file)
    return files


def _files(place: Path) -> Iterator[Path]:
    """The files of a module or package; ``place`` is without suffix."""
    single = place.with_name(f"{place.name}.py")
    if single.is_file():
        yield single
    if place.is_dir():
        yield from (path for path in sorted(place.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _imported(file: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    try:
        tree = parse_python(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names
