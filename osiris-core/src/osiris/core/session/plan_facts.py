"""What a session keeps of a plan, and the fingerprints by which two runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from osiris.core.manifest import Manifest
from osiris.core.manifest.compiled import compiled_document
from osiris.core.planning import digest, driver_versions

if TYPE_CHECKING:
    from osiris.core.planning import Plan

__all__ = ["plan_facts"]


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The content of ``plan.json``."""
    drivers = driver_versions(plan)
    return {
        "fingerprint": plan.fingerprint,
        "fingerprints": _fingerprints(plan, drivers),
        "source": _source(plan.manifest),
        "drivers": drivers,
        "steps": [{"id": step.id, "driver": step.driver, "after": list(step.after)} for step in plan.steps],
        "stages": [asdict(stage) for stage in plan.stages],
        "edges": [asdict(edge) for edge in plan.edges],
        "warnings": [problem.to_dict() for problem in plan.warnings],
    }


def _fingerprints(plan: Plan, drivers: Mapping[str, str]) -> dict[str, str]:
    """sha256, in hex, of what decided the run: equal where it was the same.

    ``text`` is that of the file, byte for byte; ``manifest`` what it compiles to, whatever the values of parameters;
    ``params`` these values; ``drivers`` the drivers with their versions; ``plan`` the manifest with its values and
    the names of its drivers.
    """
    names = {step.driver: drivers.get(step.driver) for step in plan.steps}
    found = {"params": digest(plan.manifest.get("params") or {}), "drivers": digest(names), "plan": plan.fingerprint}
    if isinstance(plan.manifest, Manifest):
        found["manifest"] = digest(compiled_document(plan.manifest, given=False))
        if plan.manifest.origin.sha256 is not None:
            found["text"] = plan.manifest.origin.sha256
    return found


def _source(manifest: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(manifest, Manifest):
        return {}
    return {
        "dialect": "oml" if manifest.oml else "manifest",
        "file": None if manifest.file is None else str(manifest.file),
        "profile": manifest.origin.params.profile,
        "params_from": manifest.param_sources,
    }
