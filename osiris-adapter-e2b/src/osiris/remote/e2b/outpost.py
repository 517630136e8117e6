"""The program that runs in the sandbox beside the engine: unpacks what came, starts the worker, packs what goes home.

Standard library only, one file: it is sent, and started before anything else is there. It takes the name of a task
and, for most, a JSON object; it answers with one JSON object on standard output.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BLOCK = 1024 * 1024
_TOLD = 256 * 1024
"""Bytes of an archive that go home with the answer: to fetch it is another journey."""


def unpack(task: dict[str, Any]) -> dict[str, Any]:
    """Unpack the cargo: wheels to ``packages``, files to ``fs``; note how everything looks before the run.

    ``folder``: where all of it is; ``cargo``: the archive's name and sha256. What else has to be done is in the cargo.
    """
    import zipfile

    root = Path(task["folder"])
    archive = root / task["cargo"]["name"]
    if _sha256(archive) != task["cargo"]["sha256"]:
        return {"error": "the cargo was damaged on its way"}
    for name in ("packages", "modules", "fs", "worker"):
        (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "fully_trusted_filter"):  # ours: the hash says so
            tar.extraction_filter = tarfile.fully_trusted_filter
        tar.extractall(root)  # noqa: S202
    for wheel in sorted((root / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as content:
            content.extractall(root / "packages")  # noqa: S202
    contents = json.loads((root / "contents.json").read_text())
    for folder in contents["folders"]:
        (root / "fs" / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    uses = Counter(item["sha256"] for item in contents["large"])
    for item in contents["large"]:
        goal = root / "fs" / item["path"].lstrip("/")
        goal.parent.mkdir(parents=True, exist_ok=True)
        uses[item["sha256"]] -= 1
        move = shutil.copyfile if uses[item["sha256"]] else shutil.move  # others may have the same content
        move(root / "large" / item["sha256"], goal)
        os.utime(goal, ns=(item["mtime_ns"], item["mtime_ns"]))
        goal.chmod(item["mode"])
    for name in ("wheels", "large"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "before.json").write_text(json.dumps(_look(root / "fs")))
    return {}


def install(task: dict[str, Any]) -> dict[str, Any]:
    """Install packages by pip into ``site`` of the folder."""
    import subprocess

    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--target", str(Path(task["folder"]) / "site"), *task["requirements"]]
    variables = {**os.environ, **_left_environment(Path(task["folder"]), keep=True)}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)  # noqa: S603
    return {"code": done.returncode, "said": (done.stderr or done.stdout)[-4000:]}


def work(folder: Path) -> None:
    """Become the worker. Does not return."""
    environment = {**os.environ, **_left_environment(folder)}
    places = [str(folder / name) for name in ("packages", "site", "modules") if (folder / name).is_dir()]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    environment["OSIRIS_WORKER_PYTHONPATH"] = ""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # so that it and all it starts can be ended together
    place = folder / "fs" / json.loads((folder / "worker.json").read_text())["cwd"].lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    os.chdir(place)
    os.execve(sys.executable, [sys.executable, "-u", "-B", "-P", "-m", "osiris.core.remote.worker"], environment)  # noqa: S606


def changes(task: dict[str, Any]) -> dict[str, Any]:
    """What the run changed below ``fs``: new and other files, and what is gone.

    ``small``: up to this size they are packed into ``home.tar``. ``without``: folders that stay, as paths here.
    """
    root = Path(task["folder"])
    before = json.loads((root / "before.json").read_text())
    after = _look(root / "fs", task["without"])
    told = []
    with tarfile.open(root / "home.tar", "w") as tar:
        for path, facts in sorted(after["files"].items()):
            if before["files"].get(path) == facts:
                continue
            size, changed_ns, mode, _ = facts
            real = root / "fs" / path.lstrip("/")
            packed = size <= task["small"]
            if packed:
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size = size
                with real.open("rb") as file:
                    tar.addfile(member, file)
            one = {"path": path, "size": size, "mtime_ns": changed_ns, "mode": mode}
            told.append({**one, "sha256": _sha256(real), "packed": packed})
    archive = (root / "home.tar").read_bytes() if (root / "home.tar").stat().st_size <= _TOLD else None
    return {
        "archive": None if archive is None else base64.b64encode(archive).decode(),
        "changed": told,
        "gone": sorted(set(before["files"]) - set(after["files"])),
        "folders": sorted(set(after["folders"]) - set(before["folders"])),
        "gone_folders": sorted(set(before["folders"]) - set(after["folders"]), reverse=True),
    }


def vitals(task: dict[str, Any]) -> dict[str, Any]:
    """Memory of the machine in MB, and how many processes the system has killed for want of it."""
    found: dict[str, Any] = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = int(rest.split()[0]) // 1024
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            found["oom_kill"] = int(line.split()[1])
    return found


def _left_environment(folder: Path, *, keep: bool = False) -> dict[str, str]:
    """The variables that were left in a file, which is removed."""
    place = folder / "worker" / "environment.json"
    if not place.exists():
        return {}
    text = place.read_text()
    if not keep:
        place.unlink()
    found: dict[str, str] = json.loads(text)
    return found


def _look(root: Path, without: Sequence[str] = ()) -> dict[str, Any]:
    """Size, time, mode and number of each file below ``root``, by path from there; and the folders."""
    found: dict[str, Any] = {"files": {}, "folders": []}
    for place, folders, files in os.walk(root):
        below = place[len(str(root)) :]
        folders[:] = [name for name in folders if f"{below}/{name}" not in without]
        found["folders"] += [f"{below}/{name}" for name in folders]
        for name in files:
            real = Path(place, name)
            if not real.is_file():
                continue
            facts = real.stat()
            found["files"][f"{below}/{name}"] = [facts.st_size, facts.st_mtime_ns, facts.st_mode & 0o777, facts.st_ino]
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def answer(name: str, task: dict[str, Any]) -> str:
    """Do a task once: who asks again, because the answer was lost on its way, gets the same one.

    ``call``: the same when it is asked again.
    """
    tasks = {"unpack": unpack, "install": install, "changes": changes, "vitals": vitals}
    place = Path(task["folder"]) / f"answer-{task['call']}.json"
    with (Path(task["folder"]) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first one may still be at it
        if not place.exists():
            draft = place.with_suffix(".part")
            draft.write_text(json.dumps(tasks[name](task)))
            draft.rename(place)
        return place.read_text()


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1] == "work":
        work(Path(sys.argv[2]))
    else:
        sys.stdout.write(answer(sys.argv[1], json.loads(sys.argv[2])) + "\n")


if __name__ == "__main__":
    main()
