"""How a run is told while it goes: a live line per step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from osiris.cli import figures, terminal
from osiris.cli.terminal import clean, styled, tell
from osiris.core.events.bus import Event, Metric
from osiris.core.quick_dataclass import dataclass

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

__all__ = ["EventLines", "LiveLines", "PlainLines", "Quiet", "Teller", "choose_teller"]

StepState = Literal["waiting", "running", "done", "failed", "stopped", "skipped"]

_SIGNS: dict[StepState, tuple[str, str, str]] = {
    "waiting": ("·", ".", "dim"),
    "running": ("▸", ">", "cyan"),
    "done": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "stopped": ("■", "-", "yellow"),
    "skipped": ("-", "-", "dim"),
}
"""How each state looks, where there is Unicode and where there is not, and in which style."""

_WORTH_A_RATE_MS = 100


class Teller:
    """A sink that tells the run as a story; a context manager around the run."""

    def on_event(self, event: Event) -> None:
        """Tell one event, or not."""

    def on_metric(self, metric: Metric) -> None:
        """Tell one number, or not."""

    def close(self) -> None:
        """Nothing more comes."""

    def restore(self) -> None:
        """Give the terminal back at once; from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Quiet(Teller):
    """Tells nothing."""


def choose_teller(steps: Mapping[str, str], *, quiet: bool, verbose: bool) -> Teller:
    """The way that fits stderr and the user's wish; ``steps`` are the steps' drivers by id, in order."""
    if quiet:
        return Quiet()
    if verbose:
        return EventLines()
    if terminal.is_terminal(sys.stderr):
        return LiveLines(steps)
    return PlainLines(steps)


class PlainLines(Teller):
    """One line for each step that ends."""

    def __init__(self, steps: Mapping[str, str]) -> None:
        self._ended: set[str] = set()
        self._total = len(steps)

    def on_event(self, event: Event) -> None:
        """Tell the end of a step, and that it is tried again."""
        name, step = event["event"], clean(event.get("step_id", ""))
        if name == "step_retry":
            self._ended.difference_update(_names(event, "steps"))
            tell(f"{step}: {_retry(event)}")
        if name not in ("step_complete", "step_failed", "step_skipped", "step_restored"):
            return
        self._ended.add(step)
        place = f"[{len(self._ended)}/{self._total}] {step}"
        took = figures.duration(_number(event, "duration_ms"))
        if name == "step_complete":
            tell(f"{place}: {figures.rows(_rows(event))} in {took}")
        elif name == "step_failed":
            tell(f"{place}: stopped" if _is_stopped(event) else f"{place}: failed after {took}")
        elif name == "step_restored":
            tell(f"{place}: done before, {figures.rows(_rows(event))}")
        else:
            tell(f"{place}: skipped")


class EventLines(Teller):
    """Every event and metric as it comes, with the tracebacks of steps that failed."""

    _STAMPED = frozenset({"schema", "seq", "ts", "session_id", "event", "type", "traceback", "metric", "value", "unit"})

    def __init__(self) -> None:
        self._begun = monotonic()

    def on_event(self, event: Event) -> None:
        """Tell it, whatever it is."""
        facts: Mapping[str, Any] = event
        colour = {"error": "red", "complete": "green"}.get(event["type"], "cyan")
        tell(f"{self._clock()} {styled(clean(event['event']), colour)}{self._details(event)}")
        if "traceback" in facts:
            trace = clean(facts["traceback"])
            tell("\n".join(f"    {line}" for line in trace.rstrip().split("\n")))

    def on_metric(self, metric: Metric) -> None:
        """Tell it."""
        value = f"{clean(metric['metric'])} = {metric['value']:g} {clean(metric.get('unit', ''))}".rstrip()
        tell(f"{self._clock()} {styled(value, 'dim')}{self._details(metric)}")

    def _clock(self) -> str:
        return styled(f"{monotonic() - self._begun:8.3f}", "dim")

    def _details(self, record: Mapping[str, Any]) -> str:
        facts = {key: value for key, value in record.items() if key not in self._STAMPED}
        return "".join(f" {clean(key)}={clean(_short(value))}" for key, value in facts.items())


@dataclass
class _Step:
    id: str
    driver: str
    state: StepState = "waiting"
    rows: int = 0
    begun: float = 0.0
    took_ms: float | None = None

    def elapsed_ms(self, now: float) -> float | None:
        if self.took_ms is not None or not self.begun:
            return self.took_ms
        return (now - self.begun) * 1000


@dataclass
class LiveLines(Teller):
    """A line per step with rows, rate and time, redrawn while the run goes; gone when it is over."""

    steps: Mapping[str, str]
    _lines: dict[str, _Step] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _live: Any = field(default=None, init=False)
    _phase: str = field(default="starting", init=False)
    _unicode: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._lines = {step_id: _Step(step_id, driver) for step_id, driver in self.steps.items()}

    def __enter__(self) -> Self:
        from rich.live import Live

        self._unicode = terminal.is_unicode(sys.stderr)  # Live puts its own in place of sys.stderr
        self._console = terminal.console(sys.stderr)
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=8,
            transient=terminal.is_terminal(sys.stdout),  # the result, which comes there, says it all again
        )
        self._live.start(refresh=True)
        return self

    def close(self) -> None:
        """Take the lines away and show the cursor again."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError, ValueError):
                live.stop()

    def restore(self) -> None:
        """Take the lines away, without waiting long for whoever is drawing; then at least show the cursor."""
        import os

        closing = threading.Thread(target=self.close, daemon=True)
        closing.start()
        closing.join(0.5)
        if closing.is_alive():
            with suppress(OSError):
                os.write(2, b"\x1b[?25h\r\n")

    def on_event(self, event: Event) -> None:
        """Take it over into the step's line."""
        with self._lock:
            name = event["event"]
            if name in ("prepare_start", "execute_start", "collect_start"):
                self._phase = {"prepare": "preparing", "execute": "running", "collect": "collecting"}[name[:-6]]
            line = self._lines.get(event.get("step_id", ""))
            if line is not None:
                self._update(line, name, event)

    def _update(self, line: _Step, name: str, event: Event) -> None:
        if name == "step_start":
            line.state, line.begun, line.took_ms, line.rows = "running", monotonic(), None, 0
        elif name == "step_progress":
            line.rows = int(_number(event, "rows") or 0)
        elif name == "step_complete":
            line.state, line.rows, line.took_ms = "done", _rows(event), _number(event, "duration_ms")
        elif name == "step_failed":
            line.state, line.took_ms = "stopped" if _is_stopped(event) else "failed", _number(event, "duration_ms")
        elif name == "step_restored":
            line.state, line.rows, line.took_ms = "done", _rows(event), 0.0
        elif name == "step_skipped":
            line.state = "skipped"

    def _draw(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            lines = list(self._lines.values())
            phase = self._phase
            now = monotonic()
            room = max(3, self._console.size.height - 4)
            shown = lines if len(lines) <= room else _most_telling(lines, room - 1)
            wide = self._console.size.width >= 80
            table = Table.grid(padding=(0, 2, 0, 0))
            for justify in ("left", "left", "left", "right", "right", "right"):
                table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
            for line in shown:
                _add_line(table, line, now, wide=wide, fancy=self._unicode)
            ended = sum(line.state not in ("waiting", "running") for line in lines)
        hidden = len(lines) - len(shown)
        more = f", {hidden:,} not shown" if hidden else ""
        return Group(table, Text(f"{phase}: {ended:,} of {figures.count(len(lines), 'step')}{more}", style="dim"))


def _add_line(table: Table, line: _Step, now: float, *, wide: bool, fancy: bool) -> None:
    from rich.text import Text

    sign, plain, style = _SIGNS[line.state]
    elapsed = line.elapsed_ms(now)
    speed = figures.rate(line.rows, elapsed / 1000) if elapsed and elapsed >= _WORTH_A_RATE_MS else ""
    table.add_row(
        Text(sign if fancy else plain, style=style),
        Text(clean(line.id), style="bold" if line.state == "running" else ""),
        Text(clean(line.driver) if wide else "", style="dim"),
        figures.rows(line.rows) if line.state != "waiting" else "",
        Text(speed, style="dim"),
        figures.duration(elapsed) if line.state not in ("waiting", "skipped") else "",
    )


def _most_telling(lines: list[_Step], room: int) -> list[_Step]:
    """Where not all fit: what failed, what runs, then what ended last and what comes next, in order."""
    weight = {"failed": 0, "running": 1, "stopped": 2, "done": 3, "waiting": 4, "skipped": 5}
    ranked = sorted(range(len(lines)), key=lambda i: (weight[lines[i].state], -i if lines[i].state == "done" else i))
    return [lines[index] for index in sorted(ranked[:room])]


def _retry(event: Mapping[str, Any]) -> str:
    pause = figures.duration(_number(event, "delay_ms"))
    following = int(_number(event, "attempt") or 0) + 1
    return f"again in {pause}, attempt {following} of {event.get('attempts')}"


def _names(event: Mapping[str, Any], key: str) -> list[str]:
    names = event.get(key)
    return [clean(name) for name in names] if isinstance(names, list) else []


def _rows(event: Mapping[str, Any]) -> int:
    """What a step did, in rows: what it gave, or where it only takes, what it took."""
    return int(_number(event, "rows_out") or _number(event, "rows_in") or 0)


def _is_stopped(event: Mapping[str, Any]) -> bool:
    """Whether a step that did not finish was stopped, by a signal or because another failed."""
    error = event.get("error")
    return isinstance(error, Mapping) and error.get("code") in ("step.aborted", "run.cancelled")


def _number(event: Mapping[str, Any], key: str) -> float | None:
    value = event.get(key)
    return value if isinstance(value, int | float) else None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
