"""Builds of templates: the steps run in a sandbox of their own, whose folder later sandboxes begin with."""

from __future__ import annotations

import base64
import shlex
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .guest.paths import HOME, Paths
from .process import events, subscribe
from .sandbox import Sandbox
from .templates import Build
from .wire import ConnectError

if TYPE_CHECKING:
    from .cloud import Cloud


class StepFailedError(Exception):
    """A step of a build has failed."""


async def run_steps(cloud: Cloud, build: Build) -> None:
    """Build: run the steps, or only take note of them where the server's options say so."""
    for number, step in enumerate(build.steps, 1):
        build.log(f"[{number}/{len(build.steps)}] {step['type']} {' '.join(step.get('args', []))}")
        if step["type"] == "ENV":
            args = step["args"]
            build.envs |= dict(zip(args[::2], args[1::2], strict=True))
        elif step["type"] == "WORKDIR":
            build.workdir = step["args"][0]
    if cloud.options.builds == "run":
        await run_in_sandbox(cloud, build)
    else:
        build.status = "ready"


async def run_in_sandbox(cloud: Cloud, build: Build) -> None:
    """Run the steps of a build for real, and keep the folder."""
    sandbox = await cloud.bring_up("build", None, build, {}, bare=True)
    sandbox.keep_folder = True
    sandbox.workdir = HOME
    done = 0
    try:
        for step in build.steps:
            await run_step(cloud, sandbox, build, step)
            done += 1
        build.root, build.status = sandbox.root, "ready"
    except StepFailedError as error:
        build.log(str(error), "error")
        build.failure, build.status = (str(error), str(done + 1)), "error"
    finally:
        sandbox.end("stopped")


async def run_step(cloud: Cloud, sandbox: Sandbox, build: Build, step: dict[str, Any]) -> None:
    """Run one step.

    Raises:
        StepFailedError: It failed.
    """
    args = step.get("args", [])
    if step["type"] == "RUN":
        await run_command(cloud, sandbox, build, args[0])
    elif step["type"] == "WORKDIR":
        await run_command(cloud, sandbox, build, f"mkdir -p {shlex.quote(args[0])}")
        sandbox.workdir = args[0]
    elif step["type"] == "ENV":
        sandbox.envs |= dict(zip(args[::2], args[1::2], strict=True))
    elif step["type"] == "COPY":
        copy_in(cloud.templates.upload(step["filesHash"]), sandbox, args[0], args[1])


async def run_command(cloud: Cloud, sandbox: Sandbox, build: Build, command: str) -> None:
    """Run a command of a build and log what it says."""
    config = {"cmd": "/bin/bash", "args": ["-l", "-c", command]}
    try:
        process = await cloud.tables[sandbox.sandbox_id].start({"process": config, "stdin": False})
    except ConnectError as error:
        raise StepFailedError(str(error)) from error
    async for event in events(process, subscribe(process), keepalive=60):
        for data in event.get("data", {}).values():
            build.log(base64.b64decode(data).decode("utf-8", "replace").rstrip("\n"))
        if "end" in event and event["end"]["exitCode"] != 0:
            raise StepFailedError(f"failed to run command '{command}': {event['end']['status']}")


def copy_in(archive: Path, sandbox: Sandbox, source: str, destination: str) -> None:
    """Copy files of the build's context into a sandbox, as COPY of a Dockerfile does."""
    inside = Paths("").inside(str(Path(sandbox.workdir, destination)))
    target = Path(str(sandbox.root) + inside)
    with tempfile.TemporaryDirectory(dir=sandbox.folder) as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="fully_trusted")
        found = sorted(Path(folder).glob(source.strip("/"))) if source.strip("./") else [Path(folder)]
        if not found:
            raise StepFailedError(f"nothing to copy at '{source}'")
        for path in found:
            if path.is_dir():
                shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
                continue
            into = target / path.name if destination.endswith("/") or len(found) > 1 or target.is_dir() else target
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)
