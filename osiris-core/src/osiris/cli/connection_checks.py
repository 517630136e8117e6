"""Connections, checked as those of a pipeline are, also where no pipeline uses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from osiris.core.errors import PluginNotFoundError, Problem
from osiris.core.manifest.report import suggest

if TYPE_CHECKING:
    from osiris.core.connections import Connection, Connections
    from osiris.core.driver import DriverSpec

__all__ = ["describe_driver_for", "find_problems"]


def describe_driver_for(family: str) -> DriverSpec:
    """The driver that opens connections of a family: an extractor where there is one.

    Raises:
        PluginError: No driver that is installed does, or the one that would is broken.
    """
    from osiris.core.plugins import Catalog

    catalog = Catalog.current()
    usable = [spec for spec in catalog.driver_specs() if spec.connection_family is not None]
    specs = [spec for spec in usable if spec.connection_family == family]
    if specs:
        return min(specs, key=lambda spec: (spec.role != "extractor", spec.name))
    families = sorted({str(spec.connection_family) for spec in usable})
    meant = suggest(family, families)
    hint = (f"did you mean {meant}? " if meant else "") + f"they open {', '.join(families) or 'none'}"
    try:
        catalog.describe_driver(f"{family}.extractor")
    except PluginNotFoundError as error:
        if error.code == "plugin.not_installed":
            hint = error.hint or hint
    raise PluginNotFoundError(f"no installed driver opens connections of family {family!r}", hint=hint)


def find_problems(connection: Connection, spec: DriverSpec, connections: Connections) -> list[Problem]:
    """What ``osiris validate`` says of a connection that a step of this driver uses.

    Args:
        connection: One of ``connections``.
        spec: The driver; only what it says of connections counts.
        connections: All of the project.
    """
    from osiris.core.manifest import manifest_from_dict
    from osiris.core.planning.checks import check_steps
    from osiris.core.planning.findings import Findings

    step = {"id": "check", "driver": spec.name, "config": {"connection": connection.name}}
    manifest = manifest_from_dict({"version": "1.0.0", "name": "check", "steps": [step]})
    findings = Findings(manifest)
    check_steps(manifest, {spec.name: replace(spec, config_model=None)}, connections, findings)
    return findings.problems
