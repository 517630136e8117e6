"""What makes two plans the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osiris.core.planning.plan import Plan

__all__ = ["digest", "fingerprint", "step_fingerprints"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(manifest: Mapping[str, Any], drivers: Iterable[str]) -> str:
    """sha256, in hex, of a resolved manifest and the names of its drivers; the order of keys does not matter."""
    content = {"manifest": manifest, "drivers": sorted(set(drivers))}
    return digest(content)


def step_fingerprints(plan: Plan, versions: Mapping[str, str]) -> dict[str, str]:
    """sha256, in hex, of what decides each step's result, by id: itself, and all that it reads from.

    What only says how it is to be run (``retry``, ``timeout``, ``checkpoint``, ...) makes no difference.

    Args:
        plan: The steps.
        versions: By driver name, the version of the distribution that brings it; registered at run time: none.
    """
    found: dict[str, str] = {}
    for step in plan.steps:
        content: dict[str, Any] = {
            "driver": [step.driver, versions.get(step.driver)],
            "config": step.config,
            "values": step.values,
            "inputs": {name: [found[edge.producer], edge.output] for name, edge in step.inputs.items()},
        }
        if step.masks:
            content["mask"] = [rule.to_dict() for rule in step.masks]
        found[step.id] = digest(content)
    return found


def digest(content: Mapping[str, Any]) -> str:
    """sha256, in hex, of plain data; the order of keys does not matter."""
    return hashlib.sha256(_ENCODER.encode(content).encode()).hexdigest()
