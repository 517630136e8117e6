"""A program: let a writer run, killed before each of its changes to the file system in turn; then settle, run again.

Usage: ``kill_points.py ROOT STATE SCENARIO``. Before every attempt the folder ``before`` of ROOT is copied to
``ROOT/<n>-<m>``; there the writer is killed before its n-th change, then ``committed()`` before its m-th (0: not at
all), and then everything goes to its end. Says on its last line how many points there were.

Changes are seen by an audit hook, and processes are forked: every state between two system calls is reached.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from osiris.core.dataset import Dataset

CHANGES = {"open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir"}
KILLED = -signal.SIGKILL
TABLE = pa.table({"a": pa.array([1, 2, 3], pa.int64()), "b": pa.array(["x", "y", "x"], pa.string())})


class Store(LocalFileSystem):
    """As object stores do it: moving is a copy and a delete."""

    protocol = "store"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return LocalFileSystem._strip_protocol(str(path).removeprefix("store://"))

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        AbstractFileSystem.mv(self, path1, path2, **options)


class Step:
    """A step's context on a folder."""

    step_id, session_id, connection = "save", "run", None

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder, self.state = folder, state
        self.told: list[dict[str, Any]] = []

    @property
    def state_dir(self) -> Path:
        self.state.mkdir(parents=True, exist_ok=True)
        return self.state

    def raise_if_cancelled(self) -> None:
        pass

    def log_metric(self, *args: Any, **tags: Any) -> None:
        pass

    def add_output(self, location: str, **facts: Any) -> None:
        self.told.append({"location": location, **facts})

    def resolve_path(self, path: str | Path) -> Path:
        return self.folder / path


def kill_before(number: int, folders: tuple[Path, ...], no_links: bool) -> None:
    """From now on: kill this process before its ``number``-th change below ``folders``."""
    changes = 0

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event not in CHANGES or not str(arguments[0]).startswith(tuple(map(str, folders))):
            return
        if event == "open" and not set(str(arguments[1] or "r")) & set("wax+"):
            return
        changes += 1
        if changes == number:
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.link" and no_links:
            raise PermissionError(1, "no hard links here")

    sys.addaudithook(see)


def apart(work: Callable[[], None]) -> int:
    """Do it in a process of its own; its exit code."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(root: Path, states: Path, scenario: dict[str, Any]) -> None:
    kind, config, no_links = scenario["kind"], dict(scenario["config"]), scenario.get("no_links", False)
    module = import_module(f"osiris.drivers.filesystem.{kind}_writer")
    fsspec.register_implementation("store", Store)
    # What every child would do again.
    import_module("osiris.core.tabular")
    models = import_module(f"osiris.drivers.filesystem.{kind}_config")
    getattr(models, kind.capitalize() + "WriterConfig").model_validate(config)
    gc.freeze()

    def attempt(name: str, *, kill: int = 0, ask: bool = True) -> int:
        folder, state = root / name, states / name
        step = Step(folder, state)
        writer = getattr(module, kind.capitalize() + "Writer")()
        own = {**config, "path": config["path"].replace("ROOT", str(folder))}

        def work() -> None:
            if kill:
                kill_before(kill, (folder, state), no_links)
            told = writer.committed("save", own, step) if ask else None
            if told is None:
                writer.run("save", own, {"df": Dataset.of(TABLE)}, step)
                (told,) = step.told
            (states / f"{name}.json").write_text(json.dumps(told))

        return apart(work)

    def once(n: int, m: int) -> tuple[bool, bool, bool]:
        """Whether it ended before its n-th change, what it noted last was ``renaming``, and there was an m-th one."""
        name = f"{n}-{m}"
        shutil.copytree(root / "before", root / name)
        ended = attempt(name, kill=n, ask=False) != KILLED
        note = states / name / "commit.json"
        renaming = note.exists() and json.loads(note.read_text())["phase"] == "renaming"
        code = attempt(name, kill=m)
        asked_again = code == KILLED
        if asked_again:
            code = attempt(name)
        if code != 0:
            raise SystemExit(f"{name}: the last attempt ended with {code}")
        return ended, renaming, asked_again

    points, n, ended = 0, 0, False
    while not ended:
        n += 1
        ended, renaming, _ = once(n, 0)
        points += 1
        asked_again, m = scenario.get("twice", False) and renaming, 0
        while asked_again:
            m += 1
            _, _, asked_again = once(n, m)
            points += 1
    print(points, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
