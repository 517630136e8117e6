"""From a pipeline file to a plan: what ``run``, ``plan``, ``compile`` and ``bench`` do first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osiris.cli.predecessor import find_default_profile
from osiris.cli.variables import find_variables
from osiris.core.errors import ManifestError
from osiris.core.quick_dataclass import dataclass

if TYPE_CHECKING:
    from osiris.core.connections import Connections
    from osiris.core.manifest import Manifest
    from osiris.core.planning import Plan

__all__ = ["PlannedPipeline", "load_and_plan", "plan_pipeline"]


@dataclass(frozen=True, kw_only=True)
class PlannedPipeline:
    """A pipeline that can run.

    Attributes:
        file: Where it was read.
        project: Its project folder: connections, ``.env``, sessions.
        base_dir: Where its relative paths begin.
        manifest: What the file says.
        connections: What the project knows.
        plan: What would run.
    """

    file: Path
    project: Path
    base_dir: Path
    manifest: Manifest
    connections: Connections
    plan: Plan


def plan_pipeline(
    file: Path,
    project: Path,
    params: Mapping[str, Any],
    *,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    checkpoint: bool = False,
) -> PlannedPipeline:
    """Read, check and plan a pipeline file. Nothing runs.

    Args:
        file: The pipeline file.
        project: The project folder.
        params: Values of params by name.
        profile: The name of one of the file's profiles.
        environment: Variables that go before those of the process and of ``.env``.
        checkpoint: Whether every step is to be kept that does not say otherwise.

    Raises:
        InvalidPipelineError: With every problem found.
        PluginError: A driver is missing or broken.
    """
    from osiris.core.connections import Connections

    connections = Connections.load(project)
    manifest, plan = load_and_plan(
        file,
        connections=connections,
        checkpoint=checkpoint,
        params=params,
        profile=profile,
        default_profile=find_default_profile(project),
        environment=find_variables(project, environment or {}),
    )
    return PlannedPipeline(
        file=file,
        project=project,
        # The older dialect's paths begin in the current folder.
        base_dir=Path.cwd() if manifest.oml else (file.resolve().parent / (manifest.base_dir or "")).resolve(),
        manifest=manifest,
        connections=connections,
        plan=plan,
    )


def load_and_plan(
    file: Path, *, connections: Connections | None, checkpoint: bool = False, **given: Any
) -> tuple[Manifest, Plan]:
    """What a pipeline file says, and what would run; all that is wrong with both in one error.

    Args:
        file: The pipeline file.
        connections: Those of the project; None: what steps connect to is not checked.
        checkpoint: As in :func:`plan_pipeline`.
        given: Further arguments of :func:`osiris.core.manifest.load_manifest`.

    Raises:
        InvalidPipelineError: With every problem found.
        PluginError: A driver is missing or broken.
    """
    from osiris.core.manifest import load_manifest
    from osiris.core.planning import make_plan, with_plan_problems
    from osiris.core.plugins import Catalog

    try:
        manifest = load_manifest(file, **given)
    except ManifestError as error:
        raise with_plan_problems(error, connections=connections, installed=_installed_version) from None
    if checkpoint:
        manifest = manifest.checkpointed()
    checks = [Catalog.current().plan_checks]
    return manifest, make_plan(manifest, connections=connections, checks=checks, installed=_installed_version)


def _installed_version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
