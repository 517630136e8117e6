"""What the process takes while a run goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import perf_counter, process_time
from types import TracebackType

from osiris.core.engine.report import StepReport
from osiris.core.engine.settings import EventDoor
from osiris.core.process import open_files, resident_bytes

__all__ = ["ResourceSampler"]

_INTERVAL = 0.5
_LIMITED_INTERVAL = 0.02
_SHORT = 0.8
_MB = 1024 * 1024


class ResourceSampler:
    """Tells what the process takes, every half second and once at the end.

    ``memory_usage_mb`` (resident set), ``cpu_percent``, ``open_files``, and ``disk_usage_mb`` (what ``disk`` says).

    Args:
        door: Where they go.
        disk: Gives the bytes of intermediate data on disk.
        running: Gives the reports of the steps that run: each keeps the largest resident set seen meanwhile.
        limit: Bytes of resident memory; it is looked at more often where there is a limit.
        short: Called once when four fifths of it are taken.
        exceeded: Called once when it is exceeded.
    """

    def __init__(
        self,
        door: EventDoor,
        limit: int | None = None,
        short: Callable[[], object] = lambda: None,
        exceeded: Callable[[int], object] = lambda used: None,
        disk: Callable[[], int] = lambda: 0,
        running: Callable[[], Iterable[StepReport]] = tuple,
    ) -> None:
        self._door = door
        self._limit = limit
        self._short, self._exceeded = short, exceeded
        self._disk, self._running = disk, running
        self._stage = 0
        self._mark = (0.0, 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="osiris-resources", daemon=True)
        self.peak_mb = 0.0
        """The largest resident set seen, MB."""

    def __enter__(self) -> ResourceSampler:
        self._mark = (perf_counter(), process_time())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        self._door.log_metric("memory_peak_mb", round(self.peak_mb, 3), "MB")

    def _work(self) -> None:
        if self._limit is None:
            while not self._stop.wait(_INTERVAL):
                self._sample()
            return
        looks = 0
        while not self._stop.wait(_LIMITED_INTERVAL):
            looks += 1
            self._compare(self._limit)
            if looks % round(_INTERVAL / _LIMITED_INTERVAL) == 0:
                self._sample()

    def _compare(self, limit: int) -> None:
        used = resident_bytes()
        self._note(used / _MB)
        if used > limit * _SHORT and self._stage == 0:
            self._stage = 1
            self._door.log_event("memory_short", {"used_bytes": used, "limit_bytes": limit})
            self._short()
        if used > limit and self._stage == 1:
            self._stage = 2
            self._exceeded(used)

    def _sample(self) -> None:
        used = resident_bytes() / _MB
        self._note(used)
        self._door.log_metric("memory_usage_mb", round(used, 3), "MB")
        self._door.log_metric("cpu_percent", self._cpu_percent(), "%")
        self._door.log_metric("open_files", open_files(), "files")
        self._door.log_metric("disk_usage_mb", round(self._disk() / _MB, 3), "MB")

    def _note(self, used_mb: float) -> None:
        self.peak_mb = max(self.peak_mb, used_mb)
        for report in self._running():
            report.memory_peak_mb = max(report.memory_peak_mb, round(used_mb, 3))

    def _cpu_percent(self) -> float:
        """Processor time of all threads since the last look, of one core's; two busy cores are 200."""
        (wall, cpu), self._mark = self._mark, (perf_counter(), process_time())
        passed = self._mark[0] - wall
        return round(100 * (self._mark[1] - cpu) / passed, 1) if passed > 0 else 0.0
