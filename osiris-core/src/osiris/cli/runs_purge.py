"""``osiris runs purge``: old sessions, listed and removed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from osiris.cli import figures, terminal
from osiris.cli.options import Json, SessionDir
from osiris.cli.project import find_project, sessions_root
from osiris.cli.summary import STYLES, nearby
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import tell, write
from osiris.core.errors import ExecutionError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from osiris.core.session import SessionStatus
    from osiris.core.session.retention import Purged, PurgeReport

__all__ = ["purge_runs"]

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def purge_runs(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Remove those that ended longer ago, as 12h, 30d, 2w."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", min=0, help="Keep the newest N, whatever their age.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Remove only these: success, failed, cancelled, interrupted; may be repeated.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    session_dir: SessionDir = None,
    as_json: Json = False,
) -> int:
    """Remove the folders of old runs: events, results, artifacts and checkpoints.

    Never removes a run that is going on, nor anything that is not the folder of a run. Also clears away
    what killed processes left.
    """
    from osiris.core.session.retention import purge

    if older_than is None and keep is None:
        raise UsageError(
            "which runs to remove was not said",
            hint="give --older-than 30d, or --keep 20; --dry-run shows what would go",
            code="usage.purge",
        )
    age = None if older_than is None else _age(older_than)
    kinds = _kinds(status)
    root = sessions_root(find_project(), session_dir)
    if session_dir is not None and not root.is_dir():
        raise UsageError(
            f"there is no folder {nearby(root)}",
            hint="name the folder that holds the sessions",
            code="session.root_unreadable",
        )
    report = purge(root, older_than=age, keep=keep or 0, statuses=kinds, dry_run=dry_run)
    error = _failure(report)
    if as_json:
        _write_json(report, error, dry_run)
    else:
        _write_report(report, root, dry_run)
        if error is not None:
            raise error
    return 0 if error is None else error.exit_code


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text.strip())
    try:
        if match is not None:
            return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        pass
    raise UsageError(f"--older-than {text!r} is no age", hint="a number and m, h, d or w, as 12h, 30d, 2w")


def _kinds(given: list[str] | None) -> tuple[SessionStatus, ...]:
    from osiris.core.session.retention import REMOVABLE

    unknown = [name for name in given or () if name not in REMOVABLE]
    if unknown:
        hint = f"one of {', '.join(REMOVABLE)}"
        if unknown[0] in ("running", "broken"):
            hint += f"; a run that is {unknown[0]} is never removed"
        raise UsageError(f"--status {unknown[0]!r} cannot be removed", hint=hint)
    return tuple(kind for kind in REMOVABLE if not given or kind in given)


def _failure(report: PurgeReport) -> ExecutionError | None:
    if not report.failed:
        return None
    return ExecutionError(
        f"{figures.count(len(report.failed), 'folder')} could not be removed: {report.failed[0].error}",
        hint="check who may write there, and purge again: they are hidden from the list already",
        code="session.not_removed",
        failed=[found.to_dict() for found in report.failed],
    )


def _write_json(report: PurgeReport, error: ExecutionError | None, dry_run: bool) -> None:
    terminal.write_json(
        {
            "status": "success" if error is None else "failed",
            "dry_run": dry_run,
            "removed": [found.to_dict() for found in report.removed],
            "leftovers": [found.to_dict() for found in report.leftovers],
            "in_use": list(report.in_use),
            "bytes": report.size,
            **({} if error is None else {"error": error.to_dict()}),
        }
    )


def _write_report(report: PurgeReport, root: Path, dry_run: bool) -> None:
    if report.removed or report.leftovers:
        rows = [_row(found) for found in (*report.removed, *report.leftovers)]
        write_table(
            ["session", "pipeline", "status", "ended", "size"], rows, right=[4], whole=range(5), spare=[3, 1, 4]
        )
        write()
    what = figures.count(len(report.removed), "run")
    if report.leftovers:
        what += f" and {figures.count(len(report.leftovers), 'leftover')} of killed processes"
    if report.removed or report.leftovers:
        write(f"{'would remove' if dry_run else 'removed'} {what}, {figures.size(report.size)}")
    else:
        write(f"nothing to remove in {nearby(root)}")
    if report.in_use:
        tell(f"left alone, because a process works with them: {', '.join(report.in_use)}")


def _row(found: Purged) -> list[Cell]:
    if found.status is None:
        return [found.id, "", "leftover", "", figures.size(found.size)]
    ended = "" if found.ended is None else f"{found.ended.astimezone():%Y-%m-%d %H:%M:%S}"
    status = (found.status, STYLES.get(found.status, ""))
    return [found.id, found.pipeline, status, ended, figures.size(found.size)]
