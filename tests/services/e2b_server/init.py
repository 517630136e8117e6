"""The first process of a sandbox: starts its processes, reaps them, opens its files.

Run as a program (``python -I -S init.py CONFIG``) with a Unix socket as descriptor 0. Where the machine allows it,
it moves into user, mount and process namespaces of its own first, with a root folder of its own: the system's
folders read-only, the test environment's Python read-only, everything else private. Elsewhere it stays outside and
maps the sandbox's paths into the sandbox's folder. When the socket closes, everything in the sandbox dies.

Both directions speak frames: four bytes of length, then JSON; descriptors travel beside a frame, in order.
Requests carry ``id`` and ``op``; answers carry ``id`` and ``result`` or ``error``; ends of processes carry ``exit``.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import stat
import sys
from typing import Any

NEW_MOUNTS, NEW_USER, NEW_PIDS = 0x00020000, 0x10000000, 0x20000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc")
LIVE = ("dev", "sys")
HOME = "/home/user"
LIBC = ctypes.CDLL(None, use_errno=True)


def call(result: int, what: str) -> None:
    """Raise the OSError of a C function that failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """mount(2)."""
    as_bytes = kind.encode() if kind else None
    call(LIBC.mount(source.encode(), target.encode(), as_bytes, ctypes.c_ulong(flags), None), f"mount {target}")


def make_read_only(path: str) -> None:
    """Make a mounted tree read-only; where the kernel is too old for the whole tree, its top."""
    attributes = (ctypes.c_uint64 * 4)(1, 0, 0, 0)
    done = LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes))
    if done != 0 and os.geteuid() == 0:
        mount("none", path, None, MS_REMOUNT | MS_BIND | MS_RDONLY)


def bind(source: str, target: str, *, read_only: bool) -> None:
    """Show a folder or file of the machine in the sandbox."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        make_read_only(target)


def leave_the_machine() -> None:
    """New namespaces; as an ordinary user, in a user namespace in which that user is itself."""
    user, group = os.geteuid(), os.getegid()
    flags = NEW_MOUNTS | NEW_PIDS | (NEW_USER if user != 0 else 0)
    call(LIBC.unshare(flags), "unshare")
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def enter_root(root: str, exposed: list[str]) -> None:
    """Build the sandbox's root folder out of the machine's system folders and go there."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    for name in SYSTEM + LIVE:
        source, target = f"/{name}", f"{root}/{name}"
        if os.path.islink(source):
            if not os.path.lexists(target):
                os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            bind(source, target, read_only=name in SYSTEM)
    for path in exposed:
        bind(path, root + path, read_only=True)
    resolver = os.path.realpath("/etc/resolv.conf")
    if not resolver.startswith("/etc/") and os.path.isfile(resolver):
        bind(resolver, root + resolver, read_only=True)
    os.makedirs(f"{root}/proc", exist_ok=True)
    mount("proc", f"{root}/proc", "proc", 0)
    os.chroot(root)
    os.chdir("/")


class Paths:
    """Where the sandbox's paths are: themselves in a root of one's own, below a folder elsewhere."""

    def __init__(self, root: str) -> None:
        """``root``: what stands before every path; empty in a root of one's own."""
        self.root = root

    def inside(self, path: str) -> str:
        """A path of the sandbox as this process must open it."""
        path = path.replace("~", HOME, 1) if path == "~" or path.startswith("~/") else path
        path = os.path.normpath(os.path.join(HOME, path))
        if not self.root or path == self.root or path.startswith(self.root + "/"):
            return path
        return self.root + path

    def outside(self, path: str) -> str:
        """A path of this process as the sandbox's owner knows it."""
        if self.root and (path == self.root or path.startswith(self.root + "/")):
            return path[len(self.root) :] or "/"
        return path

    def in_text(self, text: str) -> str:
        """A command line in which the home folder stands for where it really is."""
        if not self.root:
            return text
        return re.sub(r"(?<![\w./-])/home/user(?![\w-])", lambda _: self.root + HOME, text)


class Files:
    """The operations on files, one method each."""

    def __init__(self, paths: Paths) -> None:
        """``paths`` tells where things are."""
        self.paths = paths

    def entry(self, path: str) -> dict[str, Any]:
        """What stat(2) knows of one entry, followed through a symlink where it leads somewhere."""
        link = os.lstat(path)
        is_link = stat.S_ISLNK(link.st_mode)
        try:
            info = os.stat(path) if is_link else link
        except OSError:
            info = link
        try:
            owner = pwd.getpwuid(info.st_uid).pw_name
        except KeyError:
            owner = str(info.st_uid)
        kind = "dir" if stat.S_ISDIR(info.st_mode) else "file" if stat.S_ISREG(info.st_mode) else "other"
        return {
            "name": os.path.basename(path),
            "path": self.paths.outside(path),
            "type": kind,
            "size": info.st_size,
            "mode": stat.S_IMODE(info.st_mode),
            "permissions": stat.filemode(info.st_mode),
            "owner": owner,
            "modified_ns": info.st_mtime_ns,
            "target": os.readlink(path) if is_link else None,
        }

    def open(self, path: str, write: bool) -> tuple[dict[str, Any], int]:
        """Open a file to read, or to write from its beginning; the folders above are made."""
        real = self.paths.inside(path)
        if write:
            os.makedirs(os.path.dirname(real), exist_ok=True)
            descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        else:
            descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return self.entry(real), descriptor

    def stat(self, path: str) -> dict[str, Any]:
        """One entry."""
        return self.entry(self.paths.inside(path))

    def list(self, path: str, depth: int) -> list[dict[str, Any]]:
        """The entries of a folder, ``depth`` levels deep."""
        entries = []
        for name in sorted(os.listdir(self.paths.inside(path))):
            entry = self.entry(os.path.join(self.paths.inside(path), name))
            entries.append(entry)
            if depth > 1 and entry["type"] == "dir" and entry["target"] is None:
                entries += self.list(entry["path"], depth - 1)
        return entries

    def make_dir(self, path: str) -> dict[str, Any]:
        """Make a folder and those above it."""
        os.makedirs(self.paths.inside(path))
        return self.stat(path)

    def move(self, source: str, destination: str) -> dict[str, Any]:
        """Rename; the folders above the new name are made."""
        target = self.paths.inside(destination)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(self.paths.inside(source), target)
        return self.stat(destination)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all in it; nothing there is fine."""
        real = self.paths.inside(path)
        if os.path.isdir(real) and not os.path.islink(real):
            shutil.rmtree(real)
        elif os.path.lexists(real):
            os.remove(real)


class Processes:
    """Starts processes and signals them."""

    def __init__(self, paths: Paths, marker: str, in_namespace: bool) -> None:
        """``marker``: an environment entry that every process of this sandbox has."""
        self.paths = paths
        self.marker = marker.encode()
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
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
        return pids if self.in_namespace else [pid for pid in pids if self.is_ours(pid)]

    def is_ours(self, pid: int) -> bool:
        """Whether a process carries the sandbox's marker."""
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return self.marker in file.read().split(b"\0")
        except OSError:
            return False

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

    def kill_rest(self) -> None:
        """Kill all that is left, until nothing is; a namespace does that by itself."""
        while not self.in_namespace and (pids := self.all()):
            for pid in pids:
                self.signal(pid, signal.SIGKILL)
            reap(lambda pid, status: None)

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
        parents: dict[int, list[int]] = {}
        for other in self.all():
            try:
                with open(f"/proc/{other}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(other)
        family = [pid]
        for one in family:
            family += parents.get(one, [])
        return family


def reap(report: Any) -> None:
    """Collect the processes that have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        report(pid, status)


class Init:
    """Answers the server until it goes away."""

    def __init__(self, link: socket.socket, paths: Paths, marker: str, in_namespace: bool) -> None:
        """``link``: the socket to the server."""
        self.link = link
        self.files = Files(paths)
        self.processes = Processes(paths, marker, in_namespace)
        self.received = bytearray()
        self.descriptors: list[int] = []

    def run(self) -> None:
        """Serve until the socket closes, then end everything."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake)
        self.send({"ready": os.getpid()})
        while True:
            readable, _, _ = select.select([self.link, woken], [], [])
            if woken in readable:
                os.read(woken, 4096)
                reap(lambda pid, status: self.send({"exit": pid, "status": status}))
            if self.link in readable and not self.receive():
                break
        self.processes.kill_rest()

    def receive(self) -> bool:
        """Take what has come and answer it; False at the end."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.link, 1 << 16, 16, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        self.descriptors += descriptors
        self.received += data
        while len(self.received) >= 4:
            end = 4 + int.from_bytes(self.received[:4], "big")
            if len(self.received) < end:
                break
            request = json.loads(self.received[4:end])
            del self.received[:end]
            self.answer(request)
        return bool(data)

    def answer(self, request: dict[str, Any]) -> None:
        """Do one request and send what came of it."""
        number, op = request.pop("id"), request.pop("op")
        taken = [self.descriptors.pop(0) for _ in range(request.pop("fds", 0))]
        given: list[int] = []
        try:
            if op == "processes.spawn":
                result = self.processes.spawn(**request, descriptors=taken)
            elif op == "files.open":
                result, descriptor = self.files.open(**request)
                given.append(descriptor)
            else:
                room, _, name = op.partition(".")
                result = getattr(self.files if room == "files" else self.processes, name)(**request)
            self.send({"id": number, "result": result, "fds": len(given)}, given)
        except OSError as error:
            self.send({"id": number, "error": error.errno, "message": str(error.strerror)})
        finally:
            for descriptor in taken + given:
                os.close(descriptor)

    def send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        """Send one frame; nobody there to hear it is fine."""
        body = json.dumps(message).encode()
        frame = len(body).to_bytes(4, "big") + body
        try:
            sent = socket.send_fds(self.link, [frame], descriptors or [])
            self.link.sendall(frame[sent:])
        except ConnectionError:
            return


def die_with_parent() -> None:
    """Be killed when the parent is."""
    call(LIBC.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0), "prctl")


def main(config: dict[str, Any]) -> int:
    """Set the sandbox up and serve; ``probe``: only see whether the machine allows namespaces."""
    link = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    if not config["namespaces"]:
        call(LIBC.prctl(CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
        Init(link, Paths(config["root"]), config["marker"], in_namespace=False).run()
        return 0
    leave_the_machine()
    die_with_parent()  # after it: new rights take a wish for a death signal away
    child = os.fork()
    if child:
        link.close()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    die_with_parent()
    enter_root(config["root"], config["exposed"])
    if not config["probe"]:
        Init(link, Paths(""), config["marker"], in_namespace=True).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
