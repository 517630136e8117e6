"""What makes two plans the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["fingerprint"]


def fingerprint(manifest: Mapping[str, Any], drivers: Iterable[str]) -> str:
    """sha256, in hex, of a resolved manifest and the names of its drivers; the order of keys does not matter."""
    content = {"manifest": manifest, "drivers": sorted(set(drivers))}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
