"""Where something stands in a manifest."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Path", "format_path"]

Path = tuple[str | int, ...]


def format_path(path: Sequence[str | int]) -> str:
    """``steps[2].config.limit``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
