"""``osiris plugins``: who is installed, how each is, and whether it keeps what it promises."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from osiris.cli import terminal
from osiris.cli.options import Json
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, styled, tell, write

if TYPE_CHECKING:
    from osiris.core.plugins.details import PluginDetails
    from osiris.core.plugins.findings import Finding

__all__ = ["STATES", "app"]

app = typer.Typer(rich_markup_mode=None, help="List, show or check the installed plugins.", no_args_is_help=False)

STATES = {"ok": "green", "broken": "red", "incompatible": "red", "conflict": "red", "blocked": "yellow"}
FINDINGS = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "yellow"}
OFFERS = {
    "driver": "driver",
    "adapter": "adapter",
    "event_sinks": "event sinks",
    "plan_checks": "plan checks",
    "secret_scheme": "secret scheme",
    "command": "command",
}
NO_PLUGIN = "no plugin is installed; 'pip install osiris-core[standard]' brings the usual ones"


@app.callback()
def plugins() -> None:
    """List, show or check the installed plugins."""


@app.command("list")
def list_plugins(as_json: Json = False) -> None:
    """List every installed plugin: ok, broken, incompatible, conflict or blocked, and why."""
    from osiris.core.plugins import Catalog

    reports = Catalog.current().report()
    if as_json:
        terminal.write_json({"plugins": [report.to_dict() for report in reports]})
        return
    if not reports:
        tell(NO_PLUGIN)
        return
    rows: list[list[Cell]] = [
        [
            report.name,
            _kind(report.group),
            (report.state, STATES[report.state]),
            f"{report.distribution} {report.version}",
            (", ".join(report.offers), "dim"),
        ]
        for report in reports
    ]
    write_table(["name", "kind", "state", "package", "offers"], rows, spare=[3, 1])
    for report in reports:
        if report.reason:
            write(f"\n{clean(report.name)} is {report.state}: {clean(report.reason)}")
            if report.hint:
                write(f"  hint: {clean(report.hint)}")
        for warning in report.warnings:
            write(f"\n{clean(report.name)}: {clean(warning)}")


def _complete(incomplete: str) -> list[str]:
    from contextlib import suppress

    with suppress(Exception):
        from osiris.core.plugins import Catalog

        entries = Catalog.current().plugins()
        names = {entry.name for entry in entries} | {entry.distribution for entry in entries}
        return sorted(name for name in names if name.startswith(incomplete))
    return []


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="PLUGIN", help="A plugin, or the package that brings it.", autocompletion=_complete)
    ],
    as_json: Json = False,
) -> None:
    """Show a plugin: version, origin, state, the osiris-core it is built for, and all that it offers."""
    from osiris.core.plugins import Catalog
    from osiris.core.plugins.details import find_plugins, plugin_details

    catalog = Catalog.current()
    details = [plugin_details(catalog, entry) for entry in find_plugins(catalog, name)]
    if as_json:
        terminal.write_json({"plugins": [each.to_dict() for each in details]})
        return
    for number, (_, owned) in enumerate(groupby(sorted(details, key=_package), key=_package)):
        if number:
            write()
        _write_package(list(owned))


def _package(details: PluginDetails) -> tuple[str, str]:
    return details.report.distribution, details.report.version


def _write_package(details: Sequence[PluginDetails]) -> None:
    first = details[0]
    write(styled(clean(" ".join(_package(first))), "bold", stream=sys.stdout))
    where = {"editable": "editable, from", "wheel": "wheel, in", "folder": "folder"}[first.installed]
    write(f"  installed: {where} {clean(first.report.origin)}")
    fits = f"this is {first.core}" + ("" if first.fits else ": it does not fit")
    write(f"  needs: osiris-core {clean(first.requires or '(it does not say which)')}; {fits}")
    for each in details:
        report = each.report
        state = styled(report.state, STATES[report.state], stream=sys.stdout)
        write(f"  {_kind(report.group)} {clean(report.name)} ({clean(each.module)}): {state}")
        for offer in each.offers:
            write(clean(f"    {OFFERS[offer.kind]} {offer.name}" + (f": {offer.summary}" if offer.summary else "")))
        if report.reason:
            write(f"    why: {clean(report.reason)}")
        if report.hint:
            write(f"    hint: {clean(report.hint)}")
        for warning in report.warnings:
            write(f"    warning: {clean(warning)}")


@app.command()
def check(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLUGIN]",
            help="A plugin, or the package that brings it.  [default: all]",
            autocompletion=_complete,
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Load everything that plugins promise, and say what is not right.

    Exit code 0 if nothing fails, else 4. What is built for another osiris-core, or blocked, is not imported.
    """
    from osiris.cli.group import COMMANDS
    from osiris.core.plugins import Catalog
    from osiris.core.plugins.details import find_plugins
    from osiris.core.plugins.inspection import inspect_plugins

    catalog = Catalog.current()
    entries = catalog.plugins() if name is None else find_plugins(catalog, name)
    findings = inspect_plugins(catalog, entries, own_commands=COMMANDS)
    failed = _write_json(list(findings)) if as_json else sum(_write(finding) for finding in findings)
    if not entries and not as_json:
        tell(NO_PLUGIN)
    return 4 if failed else 0


def _write_json(findings: Sequence[Finding]) -> int:
    failed = sum(finding.state == "fail" for finding in findings)
    status = "failed" if failed else "success"
    terminal.write_json({"status": status, "findings": [finding.to_dict() for finding in findings]})
    return failed


def _write(finding: Finding) -> bool:
    state = styled(f"{finding.state:<7}", FINDINGS[finding.state], stream=sys.stdout)
    write(f"{state}  {clean(finding.distribution)}: {clean(finding.what)}: {' '.join(clean(finding.message).split())}")
    if finding.hint:
        write(f"         hint: {clean(finding.hint)}")
    return finding.state == "fail"


def _kind(group: str) -> str:
    return group.removeprefix("osiris.").removesuffix("s")
