"""``osiris runs``: what ran, from the session folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osiris.cli import figures, terminal
from osiris.cli.completion import complete_sessions
from osiris.cli.options import Json, SessionDir
from osiris.cli.project import find_project, sessions_root
from osiris.cli.runs_purge import purge_runs
from osiris.cli.summary import STYLES, nearby, write_summary, write_way_on
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, tell, write
from osiris.core.errors import UsageError

if TYPE_CHECKING:
    from osiris.core.session import Session, SessionInfo

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def runs() -> None:
    """List past runs, show one, or remove old ones."""


app.command("purge")(purge_runs)


@app.command("list")
def list_runs(
    session_dir: SessionDir = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="Show the newest N.")] = 20,
    as_json: Json = False,
) -> None:
    """List runs, newest first: success, failed, cancelled, running, or interrupted (its process is gone)."""
    from osiris.core.session import list_sessions

    root = sessions_root(find_project(), session_dir)
    found = list_sessions(root)
    shown = found[:limit]
    if as_json:
        terminal.write_json({"sessions": [info.to_dict() for info in shown], "total": len(found)})
        return
    if not found:
        tell(f"no runs yet in {nearby(root)}")
        return
    rows: list[list[Cell]] = [
        [info.id, info.pipeline, (info.status, STYLES.get(info.status, "")), _local(info.started), _took(info)]
        for info in shown
    ]
    write_table(["session", "pipeline", "status", "started", "time"], rows, right=[4], whole=range(5), spare=[3, 4, 1])
    if len(shown) < len(found):
        write(f"... and {figures.count(len(found) - len(shown), 'older run')}; see them with --limit {len(found)}")


@app.command()
def show(
    session: Annotated[
        str,
        typer.Argument(
            metavar="[SESSION]",
            help="Its id, the beginning or end of it, its folder, or 'last'.",
            autocompletion=complete_sessions,
        ),
    ] = "last",
    session_dir: SessionDir = None,
    as_json: Json = False,
) -> None:
    """Show one run: its steps, what it wrote, and its error."""
    from osiris.core.session import Session, latest

    root = sessions_root(find_project(), session_dir)
    newest = latest(root) if session == "last" else None
    if session == "last" and newest is None:
        raise UsageError(
            f"there is no run in {nearby(root)}", hint="make one with 'osiris run'", code="session.not_found"
        )
    found = Session.open(newest.dir if newest else session, root)
    result = found.result()
    if as_json:
        errors = [event for event in found.events() if event.get("event") == "step_failed"]
        facts = found.plan_facts()
        kept = {key: facts.get(key) or {} for key in ("fingerprints", "source", "drivers")}
        terminal.write_json({**found.info.to_dict(), **kept, "result": result, "failed_steps": errors})
        return
    _write_head(found)
    if result is not None:
        write_summary({**result, "session_dir": str(found.dir)})  # it may have been moved since
        _write_error(result.get("error"))
    else:
        _write_unfinished(found)
    _write_fingerprints(found.plan_facts())
    if result is None and found.info.status == "interrupted":  # last: what one wants to do now
        write_way_on(found.dir)


def _write_fingerprints(facts: Mapping[str, Any]) -> None:
    """By what to see whether two runs ran the same."""
    prints = facts.get("fingerprints") or {}
    if prints:
        write()
        shown = [f"{name} {prints[name][:12]}" for name in ("text", "manifest", "params", "drivers") if name in prints]
        write(clean(f"fingerprints: {', '.join(shown)}"))


def _write_head(session: Session) -> None:
    info = session.info
    where = f" on {info.adapter}" if info.adapter else ""
    write(f"{clean(info.pipeline)}{clean(where)}, started {_local(info.started)}")
    write()


def _write_error(error: Mapping[str, Any] | None) -> None:
    if not error:
        return
    write()
    step = (error.get("facts") or {}).get("step_id")
    write(clean(f"error:   {error.get('message')}" + (f" (step {step})" if step else "")))
    if error.get("hint"):
        write(clean(f"hint:    {error['hint']}"))


def _write_unfinished(session: Session) -> None:
    """A run without a result: still going, or killed. Its events say how far it came."""
    events = Counter(str(event.get("event")) for event in session.events())
    done = events["step_complete"]
    write(f"{session.info.status}: {figures.count(done, 'step')} finished, {events['step_start'] - done} not")
    write(f"session: {nearby(session.dir)}")


def _local(started: str) -> str:
    when = _parse(started)
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def _took(info: SessionInfo) -> str:
    begun = _parse(info.started)
    ended = _parse(info.ended or "") or (datetime.now(UTC) if info.status == "running" else None)
    return "" if begun is None or ended is None else figures.duration((ended - begun).total_seconds() * 1000)


def _parse(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
