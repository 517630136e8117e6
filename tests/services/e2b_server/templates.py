"""Templates: what sandboxes can be made from, and how one is built."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_MADE = ("base", "code-interpreter-v1")


@dataclass
class Template:
    """One template: its names without tag, its size, what it was built from."""

    template_id: str
    name: str
    cpu_count: int = 2
    memory_mb: int = 1024
    envs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    ready: bool = True


class Templates:
    """All templates; the provider's own are there from the start."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where uploaded files go."""
        self.folder = folder
        self.known = {name: Template(secrets.token_hex(10), name) for name in READY_MADE}

    def find(self, reference: str) -> Template | None:
        """The template of an id or a name, with or without tag; None where there is none that is ready."""
        name, _, tag = reference.partition(":")
        for template in self.known.values():
            if reference == template.template_id or (name == template.name and (not tag or tag in template.tags)):
                return template if template.ready else None
        return None

    def new(self, name: str, **more: Any) -> Template:
        """Make a template known."""
        template = Template(secrets.token_hex(10), name, **more)
        self.known[name] = template
        return template


def build_id() -> str:
    """A new id of a build."""
    return str(uuid.uuid4())
