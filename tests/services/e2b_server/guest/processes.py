"""The processes of a sandbox: started, signalled, counted, reaped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import Protocol


class Paths(Protocol):
    """Where the paths of the sandbox are."""

    def inside(self, path: str) -> str:
        """A path of the sandbox as this process must open it."""
        ...

    def in_text(self, text: str) -> str:
        """A command line with such paths in it."""
        ...


class Processes:
    """Starts processes and signals them."""

    def __init__(self, paths: Paths, marker: str, in_namespace: bool) -> None:
        """``marker``: an environment entry that every process of this sandbox has."""
        self.paths = paths
        self.marker = marker
        self.in_namespace = in_namespace

    def spawn(self, args: list[str], envs: dict[str, str], cwd: str, descriptors: list[int]) -> int:
        """Start a program; raises the OSError of what kept it from starting."""
        args = [self.paths.in_text(arg) for arg in args]
        envs = {name: self.paths.in_text(value) for name, value in envs.items()}
        folder = self.paths.inside(cwd)
        ready, trouble = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            self.become(args, envs, folder, descriptors, trouble)
        os.close(trouble)
        with os.fdopen(ready, "rb") as pipe:
            failed = pipe.read()
        if failed:
            os.waitpid(child, 0)
            number, name = json.loads(failed)
            raise OSError(number, os.strerror(number), name)
        return child

    def become(self, args: list[str], envs: dict[str, str], folder: str, descriptors: list[int], trouble: int) -> None:
        """In the new process: turn into the program, or say why not. Does not return."""
        where = folder
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target, inheritable=True)
            os.chdir(folder)
            where = args[0]
            os.execvpe(args[0], args, envs)
        except OSError as error:
            os.write(trouble, json.dumps([error.errno, where]).encode())
        finally:
            os._exit(127)

    def all(self) -> list[int]:
        """The pids of the sandbox's processes, this one left out."""
        pids = others()
        if self.in_namespace:
            return pids
        below = set(self.family(os.getpid(), pids))  # those whose environment was emptied, too
        return [pid for pid in pids if pid in below or carries(pid, self.marker)]

    def signal_all(self, number: int) -> None:
        """Send a signal to every process of the sandbox."""
        for pid in self.all():
            self.signal(pid, number)

    def signal(self, pid: int, number: int) -> bool:
        """Send a signal to one process; False where it is gone."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def kill_all(self) -> bool:
        """Kill all there are; whether there were any. A namespace kills its own when its first process ends."""
        pids = [] if self.in_namespace else self.all()
        kill(pids)
        return bool(pids)

    def memory(self) -> dict[int, int]:
        """Resident bytes by pid."""
        sizes = {}
        for pid in self.all():
            try:
                with open(f"/proc/{pid}/statm") as file:
                    sizes[pid] = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, IndexError):
                continue
        return sizes

    def children(self, pid: int) -> list[int]:
        """A process and all below it."""
        return [pid, *self.family(pid, self.all())]

    def family(self, top: int, pids: list[int]) -> list[int]:
        """Those of ``pids`` that are below a process."""
        below: dict[int, list[int]] = {}
        for pid in pids:
            try:
                with open(f"/proc/{pid}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(pid)
        family = list(below.get(top, []))
        for pid in family:
            family += below.get(pid, [])
        return family

    def seconds(self) -> float:
        """The processor time that the living have used."""
        ticks = 0
        for pid in self.all():
            try:
                with open(f"/proc/{pid}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def others() -> list[int]:
    """All processes there are to see but this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def carries(pid: int, marker: str) -> bool:
    """Whether a process has an entry in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marker.encode() in file.read().split(b"\0")
    except OSError:
        return False


def kill(pids: list[int]) -> None:
    """Kill processes; those that are gone already are fine."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_marked(marker: str) -> bool:
    """Kill all processes that carry a marker; whether there were any."""
    pids = [pid for pid in others() if carries(pid, marker)]
    kill(pids)
    return bool(pids)


def reap(report: Callable[[int, int], None]) -> None:
    """Collect the processes that have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        report(pid, status)
