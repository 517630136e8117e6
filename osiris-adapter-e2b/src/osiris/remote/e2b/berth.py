"""A sandbox made ready: created, all that the plan needs uploaded, what is missing installed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import secrets
import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import field
from time import monotonic
from typing import Any

from packaging.utils import canonicalize_name

from osiris.core.engine.settings import RunSettings
from osiris.core.errors import PrepareError
from osiris.core.quick_dataclass import dataclass
from osiris.remote.e2b.cargo import Cargo
from osiris.remote.e2b.lease import Lease
from osiris.remote.e2b.mirror import Mirror
from osiris.remote.e2b.options import E2BOptions
from osiris.remote.e2b.requirements import Needs, python_version
from osiris.remote.e2b.sdk import Cloud, Sandbox
from osiris.remote.e2b.supplies import Supplies
from osiris.remote.e2b.template import need_template

__all__ = ["Berth", "Tell", "Ticket", "make_ready"]

Tell = Callable[[str, Mapping[str, Any]], object]

_INSTALL_SECONDS = 1800.0
_PROBE = """
import glob, json, os, platform, sys
found = {}
for folder in reversed([entry for entry in sys.path if entry]):
    for path in glob.glob(glob.escape(folder) + "/*.dist-info"):
        name, _, version = os.path.basename(path)[:-10].partition("-")
        found[name] = version
print(json.dumps({"home": os.path.expanduser("~"), "python": platform.python_version(),
    "executable": sys.executable, "distributions": found}))
"""


@dataclass(frozen=True)
class Ticket:
    """Whose sandbox it is.

    Attributes:
        run_id: The session's id.
        run_key: The same for every attempt at this run, and for no other run.
        attempt: This attempt's own.
    """

    run_id: str
    run_key: str
    attempt: str

    @classmethod
    def of(cls, settings: RunSettings) -> Ticket:
        """A new attempt's."""
        identity = json.dumps([socket.gethostname(), str(settings.session_dir.absolute()), settings.session_id])
        key = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return cls(settings.session_id, key, secrets.token_hex(16))

    @property
    def metadata(self) -> dict[str, str]:
        """What E2B keeps beside the sandbox."""
        return {
            "osiris_adapter": "e2b",
            "osiris_run_id": self.run_id,
            "osiris_run": self.run_key,
            "osiris_attempt": self.attempt,
        }


@dataclass
class Berth:
    """A sandbox, and what is known of it.

    Attributes:
        sandbox: It.
        lease: Its life.
        folder: Where everything of ours is.
        python: The program.
        parts: Milliseconds by what they went to.
    """

    sandbox: Sandbox
    lease: Lease
    folder: str = ""
    python: str = ""
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def mirror(self) -> Mirror:
        """Paths here and there."""
        return Mirror(f"{self.folder}/fs")

    def outpost(self, task: str, argument: str) -> str:
        """The command line of one of the outpost's tasks."""
        # Nothing that is installed is needed: to look for it would take longer than most tasks.
        return shlex.join([self.python, "-I", "-S", f"{self.folder}/outpost.py", task, argument])

    def command(self, task: str, given: Mapping[str, Any]) -> str:
        """The same of a task that answers; what may be asked again is done once."""
        return self.outpost(task, json.dumps({"folder": self.folder, "call": secrets.token_hex(6), **given}))

    async def ask(self, task: str, given: Mapping[str, Any], *, timeout: float = 600.0) -> dict[str, Any]:
        """Have the outpost do a task.

        Raises:
            PrepareError: ``e2b.outpost_failed``: it could not.
        """
        done = await self.sandbox.run(self.command(task, given), timeout=timeout)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {"error": (done.stderr or done.stdout).strip()[-1000:] or f"exit code {done.code}"}
        if "error" in answer:
            raise PrepareError(
                f"the sandbox cannot {task} what it was sent: {answer['error']}",
                hint="see whether its disk is full",
                code="e2b.outpost_failed",
            )
        return answer


async def make_ready(
    cloud: Cloud,
    options: E2BOptions,
    ticket: Ticket,
    supplies: Supplies,
    environment: Mapping[str, str],
    tell: Tell,
    created: Callable[[Berth], object],
) -> Berth:
    """Create a sandbox and bring everything there.

    Args:
        cloud: Where.
        options: The adapter's.
        ticket: Whose it is.
        supplies: What the plan needs; found and packed in another thread while the sandbox comes up.
        environment: Variables that the worker gets.
        tell: Takes the events.
        created: Told of the sandbox as soon as there is one.

    Raises:
        PrepareError: It cannot be made ready.
        UnreachableError: E2B does not answer.
    """
    begun = monotonic()
    await cloud.begin()
    loaded = (monotonic() - begun) * 1000
    finding = asyncio.create_task(asyncio.to_thread(supplies.find))
    packing = asyncio.create_task(_packed(supplies, finding))
    for task in (finding, packing):  # where something else fails first, nobody asks
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        template = options.template
        if options.builds_template:
            template = await need_template(cloud, await finding, options, tell)
        berth = await _create(cloud, options, ticket, template, tell)
        created(berth)
        begun = monotonic()
        probe, size = await asyncio.gather(_probe(berth.sandbox), berth.sandbox.size())
        berth.parts["create"] += loaded + (monotonic() - begun) * 1000
        berth.python = probe["executable"]
        berth.folder = f"{probe['home']}/.osiris/{ticket.attempt[:12]}"
        tell(
            "sandbox_created", {"sandbox_id": berth.sandbox.id, **size, "duration_ms": round(berth.parts["create"], 3)}
        )
        _compare_python(probe["python"])
        begun = monotonic()
        cargo = await packing
        await _upload(berth, cargo, environment)
    finally:
        packing.cancel()
    berth.parts["upload"] = (monotonic() - begun) * 1000
    told = {"bytes": cargo.size, "files": cargo.files, "distributions": list(cargo.wheels)}
    tell("files_uploaded", {**told, "sha256": cargo.sha256, "duration_ms": round(berth.parts["upload"], 3)})
    begun = monotonic()
    there = {str(canonicalize_name(name)): version for name, version in probe["distributions"].items()}
    await _install(berth, (await finding).missing(there), options, tell)
    berth.parts["install"] = (monotonic() - begun) * 1000
    return berth


async def _packed(supplies: Supplies, finding: asyncio.Task[Needs]) -> Cargo:
    needs = await finding
    return await asyncio.to_thread(supplies.pack, needs)


async def _create(cloud: Cloud, options: E2BOptions, ticket: Ticket, template: str | None, tell: Tell) -> Berth:
    begun = monotonic()
    sandbox = await cloud.create(
        template=template,
        timeout=options.timeout,
        metadata=ticket.metadata,
        network=options.rules,
        internet=options.internet,
        idempotency_key=ticket.attempt,
    )

    def limited(seconds_left: float) -> None:
        tell("sandbox_limit_reached", {"sandbox_id": sandbox.id, "seconds_left": round(seconds_left, 1)})

    return Berth(
        sandbox,
        Lease(sandbox, options.timeout, limited),
        parts={"create": (monotonic() - begun) * 1000, "install": 0.0},
    )


async def _probe(sandbox: Sandbox) -> dict[str, Any]:
    find = f"P=$(command -v python{python_version()} || command -v python3 || command -v python) || exit 97"
    done = await sandbox.run(f'{find}; exec "$P" -c {shlex.quote(_PROBE)}')
    if done.code == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    what = "has no python" if done.code == 97 else f"cannot run python: {done.stderr.strip()[-500:]}"
    raise PrepareError(
        f"the sandbox's template {what}",
        hint=f"use a template with Python {python_version()}, or leave out option template=",
        code="e2b.no_python",
    )


def _compare_python(found: str) -> None:
    if found.split(".")[:2] == python_version().split("."):
        return
    raise PrepareError(
        f"the sandbox is not of the same versions: python: wanted {python_version()}, found {found}",
        hint=f"use a template with Python {python_version()}, or leave out option template= so that one is built",
        code="worker.mismatch",
        wanted={"python": platform.python_version()},
        found={"python": found},
    )


async def _upload(berth: Berth, cargo: Cargo, environment: Mapping[str, str]) -> None:
    folder, sandbox = berth.folder, berth.sandbox
    uploads = [sandbox.write(f"{folder}/{cargo.name}", cargo.archive)]
    uploads += [sandbox.write(f"{folder}/large/{item.sha256}", item.path) for item in _once(cargo)]
    await asyncio.gather(*uploads)
    first = (
        f"import os, tarfile; os.chdir({folder!r}); os.chmod('.', 0o700); "
        f"os.path.exists('outpost.py') or tarfile.open({cargo.name!r}).extract('outpost.py')"
    )
    task = {"cargo": {"name": cargo.name, "sha256": cargo.sha256}}
    bootstrap = shlex.join([berth.python, "-I", "-S", "-W", "ignore", "-c", first])
    # One command, because each is a journey.
    done = await sandbox.run(f"{bootstrap} && {berth.command('unpack', task)}", timeout=600)
    if done.code != 0 or "error" in (answer := json.loads(done.stdout)):
        said = done.stderr.strip()[-1000:] if done.code != 0 else answer["error"]
        raise PrepareError(
            f"the sandbox cannot unpack what it was sent: {said}",
            hint="see whether its disk is full",
            code="e2b.outpost_failed",
        )
    if environment:
        # By a file: what is in a file is in none of the provider's logs.
        await sandbox.write(f"{folder}/worker/environment.json", json.dumps(dict(environment)).encode())


def _once(cargo: Cargo) -> list[Any]:
    return list({item.sha256: item for item in cargo.large}.values())


async def _install(berth: Berth, missing: list[str], options: E2BOptions, tell: Tell) -> None:
    if not missing:
        return
    if options.install == "none":
        raise PrepareError(
            f"the sandbox lacks {', '.join(missing)}",
            hint="put them into the template, or let them be installed: install=pip",
            code="e2b.not_installed",
            missing=missing,
        )
    begun = monotonic()
    done = await berth.ask("install", {"requirements": missing}, timeout=_INSTALL_SECONDS)
    if done["code"] != 0:
        raise PrepareError(
            f"{', '.join(missing)} cannot be installed in the sandbox: {done['said'].strip()[-1000:]}",
            hint="may the sandbox reach the package index (option network=), and which one (env=PIP_INDEX_URL=...)?",
            code="e2b.install_failed",
            missing=missing,
        )
    tell("dependency_installed", {"packages": missing, "duration_ms": round((monotonic() - begun) * 1000, 3)})
