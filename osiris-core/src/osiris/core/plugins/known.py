"""Names that Osiris knows although their package may not be installed, and the distribution that brings each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

__all__ = ["ADAPTERS", "DRIVER_FAMILIES", "closest"]

ADAPTERS: Mapping[str, str] = {
    "e2b": "osiris-adapter-e2b",
    "local": "osiris-adapter-local",
}

DRIVER_FAMILIES: Mapping[str, str] = {
    "duckdb": "osiris-driver-duckdb",
    "filesystem": "osiris-driver-filesystem",
    "mysql": "osiris-driver-mysql",
    "pandas": "osiris-driver-pandas",
    "supabase": "osiris-driver-supabase",
}


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant; None where nothing is near. Case does not count."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(candidates)}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
