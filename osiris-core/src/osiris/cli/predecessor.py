"""What a project of osiris-pipeline leaves behind: its ``osiris.yaml``, of which the default profile counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["find_default_profile", "is_of_predecessor"]


def is_of_predecessor(settings: Any) -> bool:
    """Whether the content of an ``osiris.yaml`` is that of osiris-pipeline (``version: '2.0'``)."""
    return isinstance(settings, dict) and str(settings.get("version", "")).startswith("2")


def find_default_profile(project: Path) -> str | None:
    """The profile that the predecessor took where none was named: ``filesystem.profiles.default``.

    None where the project has no such file, or nothing like that in it; what is wrong with it is told by those who
    need the rest.
    """
    try:
        text = (project / "osiris.yaml").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if "profiles" not in text:
        return None
    import yaml

    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    filesystem = settings.get("filesystem") if is_of_predecessor(settings) else None
    profiles = filesystem.get("profiles") if isinstance(filesystem, dict) else None
    if not isinstance(profiles, dict) or not profiles.get("enabled"):
        return None
    default = profiles.get("default")
    return default if isinstance(default, str) else None
