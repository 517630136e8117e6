"""Which versions of drivers a plan is made for."""

from __future__ import annotations

from osiris.core.driver import DriverRegistry
from osiris.core.planning.plan import Plan
from osiris.core.plugins import Catalog

__all__ = ["driver_versions"]


def driver_versions(plan: Plan) -> dict[str, str]:
    """Distribution and version, as ``osiris-driver-duckdb 1.0.0``, of what brings each driver.

    Drivers that were registered at run time have none.
    """
    names = {step.driver for step in plan.steps if not DriverRegistry.is_registered(step.driver)}
    owners = {name: Catalog.current().distribution_of(name) for name in names}
    return {name: f"{owner[0]} {owner[1]}" for name, owner in sorted(owners.items()) if owner is not None}
