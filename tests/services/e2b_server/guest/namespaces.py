"""A root folder and processes of a sandbox's own."""

from __future__ import annotations

import ctypes
import os
import signal

NEW_MOUNTS, NEW_USER, NEW_PIDS = 0x00020000, 0x10000000, 0x20000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc")
LIVE = ("dev", "sys")
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


def die_with_parent() -> None:
    """Be killed when the parent is."""
    call(LIBC.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of processes below that lose theirs."""
    call(LIBC.prctl(CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
