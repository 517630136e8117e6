"""Templates: what sandboxes are made from, known by names and tags."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_MADE = ("base", "code-interpreter-v1")
DEFAULT_TAG = "default"


@dataclass
class Build:
    """One build of a template and what came of it.

    ``status``: waiting, building, ready or error. ``root``: a folder that sandboxes begin with, where the steps were
    run. ``failure``: the message and the step of what went wrong.
    """

    build_id: str
    cpu_count: int = 2
    memory_mb: int = 1024
    request: dict[str, Any] = field(default_factory=dict)
    status: str = "waiting"
    envs: dict[str, str] = field(default_factory=dict)
    workdir: str = "~"
    root: Path | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)
    failure: tuple[str, str] | None = None

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps that the client asked for."""
        steps: list[dict[str, Any]] = self.request.get("steps", [])
        return steps

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the build's log."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.logs.append({"timestamp": at, "message": message, "level": level})


@dataclass
class Template:
    """One template: its name, its builds, and which tag means which of them."""

    template_id: str
    name: str
    builds: dict[str, Build] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def tagged(self, tag: str) -> Build | None:
        """The build that a tag means, None where there is none that is ready."""
        build = self.builds.get(self.tags.get(tag, ""))
        return build if build and build.status == "ready" else None


class Templates:
    """All templates; the provider's own are there from the start."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where uploaded files and built folders go."""
        self.folder = folder
        self.known: dict[str, Template] = {}
        for name in READY_MADE:
            template = self.name(name)
            build = self.begin(template, [DEFAULT_TAG])
            build.status = "ready"

    def name(self, name: str) -> Template:
        """The template of a name; a new one where there is none."""
        if name not in self.known:
            self.known[name] = Template(secrets.token_hex(10), name)
        return self.known[name]

    def begin(self, template: Template, tags: list[str], cpu_count: int = 2, memory_mb: int = 1024) -> Build:
        """A new build under the tags."""
        build = Build(str(uuid.uuid4()), cpu_count, memory_mb)
        template.builds[build.build_id] = build
        template.tags |= dict.fromkeys(tags, build.build_id)
        return build

    def by_id(self, template_id: str) -> Template | None:
        """The template of an id."""
        return next((one for one in self.known.values() if one.template_id == template_id), None)

    def find(self, reference: str) -> tuple[Template, Build] | None:
        """What an id or a name, with or without tag, means; None where nothing is ready there."""
        name, _, tag = reference.partition(":")
        template = self.known.get(name) or self.by_id(name)
        build = template.tagged(tag or DEFAULT_TAG) if template else None
        return (template, build) if template and build else None

    def exists(self, reference: str) -> Template | None:
        """The template of a name, from the moment a build was asked for; with a tag, once that tag is known."""
        name, _, tag = reference.partition(":")
        template = self.known.get(name) or self.by_id(name)
        return template if template and (not tag or tag in template.tags) else None

    def remove(self, reference: str) -> bool:
        """Forget a template; whether there was one."""
        template = self.exists(reference)
        return template is not None and self.known.pop(template.name, None) is not None

    def upload(self, files_hash: str) -> Path:
        """Where the files of a hash are kept."""
        return self.folder / "uploads" / f"{files_hash}.tar"
