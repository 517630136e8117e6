"""``osiris new``: a package of one's own to begin with, which works and passes the conformance kit."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osiris.cli import terminal
from osiris.cli.options import Json, read_path
from osiris.cli.terminal import clean, styled, tell, write

if TYPE_CHECKING:
    from osiris.cli.scaffold import Kind, PackageName

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is for, as 'shop': the package is shop-osiris.")]
Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        "-d",
        metavar="DIR",
        parser=read_path,
        help="Where; must be empty.  [default: NAME-osiris, here]",
    ),
]

DESCRIPTIONS = {
    "pyproject.toml": "name, entry point, the osiris-core it is for",
    "src/*/plugin.py": "what it offers; imported by every osiris command",
    "src/*/config.py": "the options that users write",
    "src/*/extractor.py": "reads: put your source here",
    "src/*/writer.py": "writes, all or nothing: put your target here",
    "src/*/adapter.py": "where pipelines run: put your place here",
    "tests/": "the conformance kit, and a pipeline that runs",
    "README.md": "for users and for you: what to change first",
    "LICENSE": "none is chosen yet",
}


@app.callback()
def new() -> None:
    """Begin a package of your own: a driver family or an adapter."""


@app.command()
def driver(name: Name, directory: Directory = None, as_json: Json = False) -> None:
    """Make a package with an extractor and a writer.

    They work: tables in Arrow files of a folder. Its tests are the conformance kit; change the code until it reads
    and writes what yours should, and keep the tests passing.
    """
    _create("driver", name, directory, as_json)


@app.command()
def adapter(name: Name, directory: Directory = None, as_json: Json = False) -> None:
    """Make a package with an adapter.

    It works: the engine in this process. Its tests are the conformance kit; change the code until it runs pipelines
    where yours should, and keep the tests passing.
    """
    _create("adapter", name, directory, as_json)


def _create(kind: Kind, text: str, directory: Path | None, as_json: bool) -> None:
    from osiris.cli.scaffold import PackageName, package_files, write_package

    name = PackageName.parse(text)
    folder = directory if directory is not None else Path(name.distribution)
    files = package_files(kind, name)
    write_package(folder, files)
    warning = _twin(kind, name)
    steps = _next_steps(folder, name)
    if as_json:
        terminal.write_json(
            {
                "status": "success",
                "kind": kind,
                "name": name.name,
                "distribution": name.distribution,
                "package": name.package,
                "directory": str(folder.absolute()),
                "files": list(files),
                "next": steps,
                "warnings": [warning] if warning else [],
            }
        )
        return
    what = "driver family" if kind == "driver" else "adapter"
    write(f"Created {clean(folder)}: the package {name.distribution} with the {what} {name.name!r}.")
    for pattern, description in DESCRIPTIONS.items():
        path = pattern.replace("*", name.package)
        if any(file.startswith(path) for file in files):
            write(f"  {path:<{len(name.package) + 20}}{description}")
    write()
    write("Next:")
    for step in steps:
        write(f"  {styled(clean(step), 'bold', stream=sys.stdout)}")
    if warning:
        tell(f"{styled('warning:', 'bold', 'yellow')} {clean(warning)}")


def _next_steps(folder: Path, name: PackageName) -> list[str]:
    enter = [] if folder.absolute() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    return [*enter, "pip install --editable '.[test]'", "pytest", f"osiris plugins check {name.distribution}"]


def _twin(kind: Kind, name: PackageName) -> str | None:
    """What to say where an installed package has that name already: two of one name are not used."""
    from osiris.core.plugins import Catalog

    group = "osiris.drivers" if kind == "driver" else "osiris.adapters"
    for entry in Catalog.current().plugins():
        if (entry.group, entry.name) == (group, name.name) and entry.distribution != name.distribution:
            return f"{entry.owner} is installed and offers {name.name!r} too; with both installed, neither is used"
    return None
