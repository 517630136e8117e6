"""The page of all error codes, from the sources of every distribution."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import osiris.core.errors
from docs.generator.sites import CODE, Site, Source, find_sites, renamed
from docs.generator.tables import cell, code, table
from osiris.core.errors import InvalidPipelineError, OsirisError

__all__ = ["describe", "read_sites"]

_HEAD = """\
# Error codes

Every code that Osiris and its own packages give an error, what is said with it, and what to do.

Codes are stable: programs branch on them, never on the text. `--json` shows them as `error.code`, events as
`error.code` of `step_failed` and its like, Python as `OsirisError.code`. An ellipsis stands for what is filled in: a
name, a place, the words of a server.
[Troubleshooting](troubleshooting.md) begins at what you see instead. A package of somebody else has codes of its own.

| exit | whose fault |
| --- | --- |
| 2 | how the command, or an API, was called |
| 3 | the pipeline, the plan, or a connections file |
| 4 | a plugin |
| 5 | the run, or the place where it ran |

"""
_EXITS = {"connection": "3", "manifest": "3", "plan": "3", "plugin": "4", "usage": "2", "osiris": "1"}
_MANY = ("usage", "driver.failed")  # said in too many ways to list
_NOTES = {
    "connection.failed": "a connection cannot be opened, and its driver does not say why",
    "engine.bug": "the engine itself raised something that no error of a step is",
    "plan.config": "an option of the step does not fit the model of its driver's config",
    "plan.mask": "what `mask` asks for cannot be done",
    "plan.policy": "`retry`, `timeout`, `on_error`, `breaker` or `limits` says something that cannot be meant",
    "usage.env_file": "what `--env-file` names cannot be read, or holds a line that is no variable",
    "plan.secret_in_clear": "a password, token or key stands in the file",
}
_COMMENTS = {
    "system": "What the operating system refused, by the name of its error.",
    "duckdb": "Where nothing is said, it is what DuckDB says.",
    "mysql": "Where nothing is said, it is what MySQL says, with its number.",
    "supabase": "Where nothing is said, it is what Postgres or PostgREST says, with SQLSTATE and HTTP status.",
    "connection": "`osiris_connections.yaml`, and every `${reference}` wherever it stands.",
}


def describe(root: Path) -> str:
    """The page."""
    by_family: dict[str, dict[str, list[Site]]] = defaultdict(lambda: defaultdict(list))
    owners: dict[str, set[str]] = defaultdict(set)
    returns: dict[str, str] = {}
    for distribution, source, sites in read_sites(root):
        returns |= {f"{source.module}.{name}": _returned(node) for name, node in source.functions.items()}
        for site in sites:
            family = site.code.split(".")[0]
            by_family[family][site.code].append(site)
            owners[family].add(distribution)
    sections = []
    for family in sorted(by_family):
        rows = [_row(name, sites, returns) for name, sites in sorted(by_family[family].items())]
        of = "osiris-core" if "osiris-core" in owners[family] else ", ".join(sorted(owners[family]))
        comment = " ".join(filter(None, [f"From {of}.", _COMMENTS.get(family)]))
        sections.append(f"## {family}\n\n{comment}\n\n{table(['code', 'exit', 'says', 'what to do'], rows)}")
    return _HEAD + "\n".join(sections)


def read_sites(root: Path) -> Iterator[tuple[str, Source, list[Site]]]:
    """Each module of each distribution with its sites."""
    sources = [
        (distribution, Source(".".join(file.relative_to(folder / "src").with_suffix("").parts), file))
        for distribution, folder in _distributions(root)
        for file in sorted((folder / "src").rglob("*.py"))
    ]
    families = {
        node.value.value.split(".")[0]
        for _, source in sources
        for node in source.nodes
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str) and CODE.fullmatch(node.value.value)
    } | {kind.code.split(".")[0] for kind in _kinds().values()} - {"osiris"}
    kinds = {name: kind.code for name, kind in _kinds().items()}
    for distribution, source in sources:
        source.learn({name: text for owner, one in sources if owner == distribution for name, text in _named(one)})
        names = _driver_names(source)
        sites = [site for site in find_sites(source, families, kinds) if site.code not in names]
        yield distribution, source, sites + [other for site in sites if (other := renamed(site))]


def _distributions(root: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted([*root.glob("osiris-*/pyproject.toml"), *root.glob("osiris-drivers/*/pyproject.toml")]):
        yield tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"], file.parent


def _named(source: Source) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in source.constants.items() if name.isupper() and CODE.fullmatch(text))


def _driver_names(source: Source) -> set[str]:
    return {
        word.value.value
        for node in source.nodes
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "name" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
    }


def _kinds() -> dict[str, type[OsirisError]]:
    return {name: getattr(osiris.core.errors, name) for name in osiris.core.errors.__all__ if name != "Problem"}


def _returned(function: ast.FunctionDef) -> str:
    return ast.unparse(function.returns) if function.returns is not None else ""


def _row(name: str, sites: list[Site], returns: Mapping[str, str]) -> list[str]:
    exits = sorted({_exit(site, returns) for site in sites})
    said = [site for site in sites if site.raised not in _kinds() or site.module != osiris.core.errors.__name__]
    if name in _MANY or not any(site.message or site.hint for site in said):
        said = [site for site in sites if site not in said] or sites
    says = _several(site.message for site in said) or _NOTES.get(name, "")
    return [code(name), ", ".join(exits), says, _several(site.hint for site in said)]


def _several(texts: Iterable[str | None]) -> str:
    return "<br>".join(dict.fromkeys(cell(text).removesuffix(".") for text in texts if text and text.strip("… ")))


def _exit(site: Site, returns: Mapping[str, str]) -> str:
    if site.warning:
        return "a warning"
    for name in (site.raised or "", returns.get(f"{site.module}.{site.raised}", "")):
        if name in _kinds():
            return "130, 143" if name == "RunCancelledError" else str(_kinds()[name].exit_code)
    if site.raised in ("Problem", "add", "note", "note_at", "note_in_file", "note_mismatches", "stop", "problem"):
        return str(InvalidPipelineError.exit_code)
    return _EXITS.get(site.code.split(".")[0], "5")
