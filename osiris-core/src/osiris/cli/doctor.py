"""``osiris doctor``: is everything there that a run needs?"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import typer

from osiris.cli import figures, terminal
from osiris.cli.connection_checks import describe_driver_for, find_problems
from osiris.cli.failure import list_problems
from osiris.cli.options import Json, SessionDir
from osiris.cli.project import MARKER, find_project, sessions_root
from osiris.cli.terminal import clean, styled, write
from osiris.core import __version__
from osiris.core.errors import InvalidPipelineError, OsirisError, PluginError, UsageError
from osiris.core.quick_dataclass import dataclass

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; ``exit_code`` is the command's where this one is the worst."""

    what: str
    state: Literal["ok", "warn", "fail"] = "ok"
    found: str = ""
    hint: str | None = None
    exit_code: int = 0


@app.command()
def doctor(session_dir: SessionDir = None, as_json: Json = False) -> int:
    """Check the installation and the project, and say what to do.

    Exit code 0 if nothing fails, 3 if a project file is wrong, 4 if a plugin is, 5 if the machine lacks something.
    """
    project = find_project()
    findings = [
        *_check_python(),
        *_check_plugins(),
        *_check_scan(),
        *_check_project(project),
        *_check_disk(sessions_root(project, session_dir)),
    ]
    failed = [finding for finding in findings if finding.state == "fail"]
    if as_json:
        status = "failed" if failed else "success"
        terminal.write_json({"status": status, "checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _write(finding)
    return max((finding.exit_code for finding in failed), default=0)


def _write(finding: Finding) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[finding.state]
    state = styled(f"{finding.state:<4}", colour, stream=sys.stdout)
    write(f"{state}  {clean(finding.what)}" + (f": {clean(finding.found)}" if finding.found else ""))
    if finding.hint:
        write(f"      hint: {clean(finding.hint)}")


def _check_python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(what="Python", found=f"{version} ({sys.executable})")
    yield Finding(what="osiris-core", found=f"{__version__} ({Path(__file__).parent.parent})")


def _check_plugins() -> Iterator[Finding]:
    from osiris.core.plugins import Catalog

    catalog = Catalog.current()
    for warning in catalog.warnings():  # before anything is described: what is wrong with the environment itself
        yield Finding(what="environment", state="warn", found=warning)
    for report in catalog.report():
        what = f"{report.group.removeprefix('osiris.').removesuffix('s')} {report.name}"
        owner = f"{report.distribution} {report.version}"
        if report.state == "ok":
            yield Finding(what=what, found=owner)
        elif report.state == "blocked":
            yield Finding(what=what, state="warn", found=report.reason or "blocked", hint=report.hint)
        else:
            found = report.reason or report.state
            yield Finding(what=what, state="fail", found=found, hint=report.hint, exit_code=PluginError.exit_code)
        for warning in report.warnings:
            yield Finding(what=what, state="warn", found=warning)
    if not catalog.adapter_names():
        hint = "pip install osiris-adapter-local"
        yield Finding(what="adapters", state="fail", found="none", hint=hint, exit_code=PluginError.exit_code)
    if not catalog.driver_families():
        hint = "pip install osiris-core[standard]"
        yield Finding(what="drivers", state="warn", found="none", hint=hint)


def _check_scan() -> Iterator[Finding]:
    try:
        from osiris.csv_scan import why_not_compiled
    except ImportError:  # large CSV files are checked more slowly; that is all
        return
    problem = why_not_compiled()
    if problem is None:
        yield Finding(what="osiris-csv-scan", found="compiled")
    else:
        hint = "pip install --force-reinstall osiris-csv-scan; without it, large CSV files take longer"
        yield Finding(what="osiris-csv-scan", state="warn", found=problem, hint=hint)


def _check_project(project: Path) -> Iterator[Finding]:
    if (project / MARKER).is_file():
        mistakes = list(_check_settings(project))
        yield from mistakes or [Finding(what="project", found=str(project))]
    else:
        found = f"no {MARKER} here or above: {project} is used"
        yield Finding(what="project", state="warn", found=found, hint="'osiris init' makes one")
    env_file = list(_check_env_file(project / ".env"))
    yield from env_file
    yield from _check_connections(project, with_secrets=not any(finding.state == "fail" for finding in env_file))


def _check_settings(project: Path) -> Iterator[Finding]:
    """What a run would say of osiris.yaml, and of the adapters that it names."""
    from osiris.cli.settings import read_settings
    from osiris.core.adapter_factory import AdapterFactory

    try:
        settings = read_settings(project).adapters
    except UsageError as error:
        yield from _mistakes("project", error)
        return
    for name in dict.fromkeys((settings.default, *settings.fallback)):
        try:
            AdapterFactory.create(name, **settings.options.get(name, {}))
        except PluginError as error:
            found = f"{MARKER}: {error.message}"
            yield Finding(what="project", state="fail", found=found, hint=error.hint, exit_code=error.exit_code)
        except UsageError as error:
            yield from _mistakes("project", error)


def _check_env_file(file: Path) -> Iterator[Finding]:
    from osiris.core.connections.env_file import read_variables

    if file.is_dir():
        hint = "variables come from the environment only"
        yield Finding(what="variables", state="warn", found=f"{file} is a folder", hint=hint)
    elif file.exists():
        try:
            found = figures.count(len(read_variables(file)), "variable")
        except InvalidPipelineError as error:
            yield from _mistakes("variables", error)
        else:
            yield Finding(what="variables", found=f"{found} in {file}")


def _check_connections(project: Path, *, with_secrets: bool) -> Iterator[Finding]:
    from osiris.core.connections import Connections, SecretResolver
    from osiris.core.plugins import Catalog

    resolver = SecretResolver({}, project / ".env", extra_schemes=Catalog.current().secret_resolvers)
    try:
        known = Connections.load(project)
    except InvalidPipelineError as error:
        yield from _mistakes("connections", error)
        return
    yield Finding(what="connections", found=figures.count(len(known.list()), "connection"))
    for connection in known.list():
        what = f"connection {connection.name}"
        try:
            problems = find_problems(connection, describe_driver_for(connection.family), known)
        except PluginError as error:  # nobody may use it
            yield Finding(what=what, state="warn", found=error.message, hint=error.hint)
            continue
        if problems:
            yield from _mistakes(what, InvalidPipelineError(problems=problems))
        elif with_secrets:
            try:
                resolver.resolve_all(connection.references())
            except OsirisError as error:
                yield Finding(what=what, state="warn", found=error.message, hint=error.hint)


def _mistakes(what: str, error: OsirisError) -> Iterator[Finding]:
    """One finding for everything that is wrong in a file of the project."""
    wrong = InvalidPipelineError.exit_code
    problems = list_problems(error)
    for problem in problems:
        found = f"{problem.place}: {problem.message}" if problem.place else problem.message
        yield Finding(what=what, state="fail", found=found, hint=problem.hint, exit_code=wrong)
    if not problems:
        yield Finding(what=what, state="fail", found=error.message, hint=error.hint, exit_code=wrong)


def _check_disk(root: Path) -> Iterator[Finding]:
    try:
        folder = next(parent for parent in (root, *root.parents) if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file", str(folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"osiris")
    except OSError as error:
        hint = "choose another folder with --session-dir"
        found = f"{root} cannot be written: {error.strerror}"
        yield Finding(what="sessions", state="fail", found=found, hint=hint, exit_code=5)
        return
    yield Finding(what="sessions", found=str(root))
    free = shutil.disk_usage(folder).free
    if free < _NO_SPACE:
        yield Finding(what="disk", state="fail", found=f"{figures.size(free)} free", hint="free some", exit_code=5)
    elif free < _LITTLE_SPACE:
        yield Finding(what="disk", state="warn", found=f"{figures.size(free)} free", hint="free some")
    else:
        yield Finding(what="disk", found=f"{figures.size(free)} free")
