"""A JSON file that is never half-written."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["remove_drafts", "write_json"]

_READ_BY_PEOPLE = 250_000
"""Characters; a manifest of a thousand steps. What is longer is written without indentation."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` so that ``path`` is either what it was or complete, also after a power cut.

    Raises:
        OSError: It cannot be written; ``path`` is what it was.
    """
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    if len(text) < _READ_BY_PEOPLE:  # indented by Python code, ten times as slow
        text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(f"{text}\n".encode("utf-8", "backslashreplace"))  # a lone surrogate becomes its JSON escape
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def remove_drafts(folder: Path) -> None:
    """Remove what processes left in ``folder`` that were killed while they wrote; while nobody writes there."""
    for draft in folder.glob(".*.json.*"):
        draft.unlink(missing_ok=True)
