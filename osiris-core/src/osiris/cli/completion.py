"""What a shell offers after Tab for values. Only lists: no plugin is imported; what goes wrong offers nothing."""

from __future__ import annotations

from contextlib import suppress

from osiris.cli.project import find_project, sessions_root

__all__ = ["complete_adapters", "complete_sessions"]


def complete_adapters(incomplete: str) -> list[str]:
    """Names of installed adapters."""
    with suppress(Exception):
        from osiris.core.plugins import Catalog

        return [name for name in Catalog.current().adapter_names() if name.startswith(incomplete)]
    return []


def complete_sessions(incomplete: str) -> list[str]:
    """Ids of past runs, newest first."""
    with suppress(OSError):
        root = sessions_root(find_project())
        names = sorted((folder.name for folder in root.iterdir() if folder.is_dir()), reverse=True)
        return [name for name in ("last", *names[:50]) if name.startswith(incomplete)]
    return []
