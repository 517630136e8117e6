"""``osiris plugins``: who is installed, and how each is."""

from __future__ import annotations

import typer

from osiris.cli import terminal
from osiris.cli.options import Json
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, tell, write

__all__ = ["STATES", "app"]

app = typer.Typer(rich_markup_mode=None, help="List the installed plugins and their state.", no_args_is_help=False)

STATES = {"ok": "green", "broken": "red", "incompatible": "red", "conflict": "red", "blocked": "yellow"}


@app.callback()
def plugins() -> None:
    """List the installed plugins and their state."""


@app.command("list")
def list_plugins(as_json: Json = False) -> None:
    """List every installed plugin: ok, broken, incompatible, conflict or blocked, and why."""
    from osiris.core.plugins import Catalog

    reports = Catalog.current().report()
    if as_json:
        terminal.write_json({"plugins": [report.to_dict() for report in reports]})
        return
    if not reports:
        tell("no plugin is installed; 'pip install osiris-core[standard]' brings the usual ones")
        return
    rows: list[list[Cell]] = [
        [
            report.name,
            report.group.removeprefix("osiris.").removesuffix("s"),
            (report.state, STATES[report.state]),
            f"{report.distribution} {report.version}",
            (", ".join(report.offers), "dim"),
        ]
        for report in reports
    ]
    write_table(["name", "kind", "state", "package", "offers"], rows)
    for report in reports:
        if report.reason:
            write(f"\n{clean(report.name)} is {report.state}: {clean(report.reason)}")
            if report.hint:
                write(f"  hint: {clean(report.hint)}")
        for warning in report.warnings:
            write(f"\n{clean(report.name)}: {clean(warning)}")
