"""What the operating system says of a process: its memory, when it started, and what it holds.

On Linux two small files answer both; importing psutil would cost a small run 10 ms.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osiris.core.errors import ExecutionError, UsageError
from osiris.core.privacy import make_private_folder

__all__ = ["held", "limit_memory", "open_files", "resident_bytes", "started_at"]

_ALLOCATORS = 3 << 29
"""What allocators may reserve in advance: Arrow's takes 1 GiB at once."""

_STACK = 64 << 20
"""For the threads of one core, of several libraries."""

_GONE = (b"Z", b"X")  # a killed process whose parent has not looked yet is still listed


def resident_bytes() -> int:
    """The physical memory that this process holds now."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import psutil

    return int(psutil.Process().memory_info().rss)


def open_files() -> int:
    """How many file descriptors this process has open: files, sockets, pipes."""
    if sys.platform == "linux":
        return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # one was for looking
    import psutil

    return int(psutil.Process().num_fds())


def limit_memory(limit: int) -> None:
    """Let the operating system refuse this process more memory than ``limit`` bytes and some room.

    What is counted is address space, which is more than is used: allocators reserve it in advance, threads have
    stacks. So this does not keep the limit, but ends what would go far beyond it: an allocation then fails
    (``MemoryError``). Does nothing where the system knows no such limit.
    """
    if sys.platform != "linux":
        return
    import resource

    fields = Path("/proc/self/statm").read_bytes().split()
    most = int(fields[5]) * resource.getpagesize() + limit + _ALLOCATORS + _STACK * (os.cpu_count() or 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        allowed = most if soft == resource.RLIM_INFINITY else min(soft, most)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


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


@contextmanager
def held(path: Path, *, patience: float = 0.0, pause: Callable[[float], object] = time.sleep) -> Iterator[None]:
    """Hold a lock file while the block runs: one process at a time, and none that has died.

    Args:
        path: The file; made where it is missing. It stays, because removing it would let two in.
        patience: Seconds to wait for whoever holds it.
        pause: Lets seconds pass meanwhile; what it raises ends the waiting.

    Raises:
        UsageError: Somebody else holds it (code ``session.in_use``).
        ExecutionError: The file cannot be made (code ``session.unwritable``).
    """
    try:
        make_private_folder(path.parent)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ExecutionError(
            f"the session folder cannot be written: {path.parent}: {error.strerror or error}",
            hint="check permissions and free space, or choose another folder with --session-dir",
            code="session.unwritable",
            path=str(path.parent),
        ) from error
    try:
        deadline = time.monotonic() + patience
        while not _locked(file):
            if time.monotonic() >= deadline:
                raise UsageError(
                    f"another process is running in {path.parent}",
                    hint="wait for it, or stop it; 'osiris runs list' shows what runs",
                    code="session.in_use",
                    path=str(path.parent),
                )
            pause(0.02)
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    if sys.platform == "win32":  # no lock that ends with its process there: the state file has to do
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the state file has to do
        return True
    return True


def _linux_start(pid: int) -> float | None:
    # The program's name comes second, in parentheses, and may hold anything; field 3 follows the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if fields[0] in _GONE:
        return None
    return _linux_boot() + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _linux_boot() -> float:
    with Path("/proc/stat").open("rb") as file:
        return next(float(line.split()[1]) for line in file if line.startswith(b"btime "))
