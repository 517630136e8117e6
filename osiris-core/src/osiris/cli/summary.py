"""How the result of a run is shown: its steps, what it wrote, where its session is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from osiris.cli import figures, terminal
from osiris.cli.project import find_project, sessions_root
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, styled, write

__all__ = ["STYLES", "nearby", "write_summary", "write_way_on"]

STYLES = {
    "success": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "broken": "red",
    "running": "cyan",
    "not stopped": "yellow",
    "aborted": "yellow",
    "skipped": "dim",
}
"""The colour of each status of a run or a step."""

_MOST_STEPS = 40


def write_summary(result: Mapping[str, Any]) -> None:
    """Print what ``RunResult.to_dict()`` says."""
    on_terminal = terminal.is_terminal(sys.stdout)
    steps: Sequence[Mapping[str, Any]] = result.get("steps") or ()
    if steps:
        _write_steps(steps, on_terminal=on_terminal)
        write()
    status = str(result["status"])
    headline = styled(status, "bold", STYLES.get(status, "bold"), stream=sys.stdout)
    done, total = result.get("steps_completed", 0), result.get("steps_total", 0)
    write(
        f"{headline}: {done:,} of {figures.count(total, 'step')}, {figures.rows(result.get('total_rows', 0))}"
        f" in {figures.duration(result.get('duration_ms', 0))}"
    )
    restored = sum(step.get("restored") is True for step in steps)
    if restored:
        write(f"resumed: {figures.count(restored, 'step')} had ended well before")
    _write_skipped(steps)
    for output in result.get("outputs") or ():
        write(f"output:  {_output(output)}")
    artifacts = result.get("artifacts") or ()
    if artifacts:
        write(f"kept:    {figures.count(len(artifacts), 'artifact')} in the session's artifacts folder")
    write(f"session: {nearby(result['session_dir'])}")
    if status != "success":
        write_way_on(Path(str(result["session_dir"])))


def write_way_on(folder: Path) -> None:
    """Say how the run of this session, which did not end well, goes on: as it can be pasted here."""
    try:
        is_known = folder.parent.resolve() == sessions_root(find_project()).resolve()
    except OSError:  # the current folder is gone
        is_known = False
    session = folder.name[-6:] if is_known else nearby(folder)  # its id means something only where it is looked for
    write(f"resume:  osiris run --resume {shlex.quote(clean(session))}")


def _write_skipped(steps: Sequence[Mapping[str, Any]]) -> None:
    """The steps that were stopped, and those that never began, by reason: one line for each."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        told = {"aborted": "stopped:", "skipped": "not run:"}.get(str(step.get("status")))
        if told and step.get("reason"):
            by_reason.setdefault((told, clean(step["reason"])), []).append(clean(step["id"]))
    for (told, reason), names in by_reason.items():
        more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
        write(f"{told} {', '.join(names[:5])}{more} ({reason})")


def nearby(path: object) -> str:
    """A path as short as it can be written from here; a URL as it is."""
    if "://" in str(path):
        return clean(path)
    whole = Path(str(path))
    try:
        return clean(whole.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return clean(whole)


def _write_steps(steps: Sequence[Mapping[str, Any]], *, on_terminal: bool) -> None:
    shown = steps
    if on_terminal and len(steps) > _MOST_STEPS:
        unsuccessful = [step for step in steps if step.get("status") != "success"]
        shown = (unsuccessful or list(steps))[:_MOST_STEPS]
    titles = ["step", "driver", "status", "rows", "size", "time"]
    write_table(titles, [_step_cells(step) for step in shown], right=[3, 4, 5], whole=range(6), spare=[1, 4, 5])
    if len(shown) < len(steps):
        write(f"... and {figures.count(len(steps) - len(shown), 'more step')}; all of them with --json")


def _step_cells(step: Mapping[str, Any]) -> list[Cell]:
    status = str(step.get("status", ""))
    if status == "running":  # the run is over: it was not waited for any longer
        status = "not stopped"
    timed = status not in ("skipped", "pending") and (status != "not stopped" or step.get("duration_ms"))
    return [
        str(step.get("id", "")),
        (str(step.get("driver", "")), "dim"),
        (status, STYLES.get(status, "")),
        f"{step.get('rows_out') or step.get('rows_in') or 0:,}",
        figures.size(step.get("bytes_out") or step.get("bytes_in") or 0),
        figures.duration(step.get("duration_ms")) if timed else "",
    ]


def _output(output: Mapping[str, Any]) -> str:
    location = str(output.get("location", ""))
    facts = [figures.rows(output["rows"])] if output.get("rows") is not None else []
    if output.get("bytes") is not None:
        facts.append(figures.size(output["bytes"]))
    return nearby(location) + (f" ({', '.join(facts)})" if facts else "")
