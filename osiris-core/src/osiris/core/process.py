"""What the operating system says of a process: its memory, and when it started.

On Linux two small files answer both; importing psutil would cost a small run 10 ms.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["resident_bytes", "started_at"]

_GONE = (b"Z", b"X")  # a killed process whose parent has not looked yet is still listed


def resident_bytes() -> int:
    """The physical memory that this process holds now."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import psutil

    return int(psutil.Process().memory_info().rss)


def started_at(pid: int) -> float | None:
    """When the process started, seconds since the epoch; None where it does not run (any more)."""
    if sys.platform == "linux":
        try:
            return _linux_start(pid)
        except OSError:
            return None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.Error, ValueError, OverflowError):
        return None


def _linux_start(pid: int) -> float | None:
    # The program's name comes second, in parentheses, and may hold anything; field 3 follows the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if fields[0] in _GONE:
        return None
    return _linux_boot() + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _linux_boot() -> float:
    with Path("/proc/stat").open("rb") as file:
        return next(float(line.split()[1]) for line in file if line.startswith(b"btime "))
