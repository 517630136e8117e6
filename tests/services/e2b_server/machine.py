"""What sandboxes get from the machine they are on: folders, a Python, and namespaces where it has them."""

from __future__ import annotations

import ensurepip
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .guest.namespaces import SYSTEM

LOADER = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
"""What this Python may need to start, and so a sandbox's."""


@dataclass(frozen=True)
class Machine:
    """What all sandboxes of a server have in common.

    ``namespaces``: whether a sandbox has a root folder and processes of its own; else its paths are mapped.
    ``python``: the folder of the ``python3`` that sandboxes find first. ``exposed``: folders of the machine to be
    read there, beside the system's.
    """

    folder: Path
    namespaces: bool
    python: str
    exposed: tuple[str, ...]


def python_folders() -> tuple[str, ...]:
    """Where this Python and what it imports are, outermost folders only, without the system's."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]
    found += [os.path.realpath(path) for path in found]
    folders: list[str] = []
    for path in sorted({os.path.normpath(one) for one in found if one and Path(one).is_dir()}, key=len):
        hidden = path in ("/", "/tmp", "/home", "/root", "/var", "/opt", str(Path.cwd()))
        above = [*folders, *(f"/{name}" for name in SYSTEM)]
        if not hidden and not any(path == one or path.startswith(one + "/") for one in above):
            folders.append(path)
    return tuple(folders)


def make_bare_python(folder: Path) -> Path:
    """A Python with pip and nothing else, which works wherever it is copied to."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    if pip := importlib.util.find_spec("pip"):
        shutil.copytree(Path(str(pip.origin)).parent, packages / "pip")
    else:
        (wheel,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
        shutil.unpack_archive(wheel, packages, "zip")
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n')
        script.chmod(0o755)
    return folder


def copy_or_link(source: str, target: str) -> str:
    """Copy a file; of Python's packages, which are replaced and never changed, link it."""
    if "/site-packages/" in source:
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))


def first_process(config: dict[str, Any]) -> list[str]:
    """The command line of a sandbox's first process."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("guest")), json.dumps(config)]


def allows_namespaces(folder: Path, exposed: tuple[str, ...]) -> bool:
    """Whether this machine lets us give a sandbox a root folder and processes of its own."""
    root = folder / "probe"
    root.mkdir()
    config = {"namespaces": True, "root": str(root), "exposed": exposed, "marker": "", "probe": True}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            first_process(config),
            stdin=theirs.fileno(),
            capture_output=True,
            check=False,
        )
    return done.returncode == 0
