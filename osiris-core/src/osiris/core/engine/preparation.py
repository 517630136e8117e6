"""A manifest to a prepared run: planned, connections unfolded, the few secret values fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from osiris.core.connections import Connections, SecretReference, SecretResolver, secret_references
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import Plan, PlannedStep, make_plan
from osiris.core.plugins import Catalog

__all__ = ["prepare"]


def prepare(manifest: Mapping[str, Any], context: EventDoor) -> PreparedRun:
    """Check the manifest and gather what its steps need. Nothing runs, nothing is written.

    Args:
        manifest: A :class:`~osiris.core.manifest.Manifest`, or its data as a plain mapping.
        context: The run. Where ``context.plan`` is the plan of this very manifest, it is used as it is.

    Returns:
        A prepared run whose ``package`` is the :class:`~osiris.core.planning.Plan`.

    Raises:
        InvalidPipelineError: The manifest, a connection or a reference is wrong.
        PluginError: A driver is missing or broken.
    """
    settings = RunSettings.of(context)
    connections = Connections.load(settings.project_dir)
    plan = getattr(context, "plan", None)
    if not isinstance(plan, Plan) or plan.manifest is not manifest:
        plan = make_plan(manifest, connections=connections, checks=[Catalog.current().plan_checks])
    return PreparedRun(
        manifest=plan.manifest,
        configs={step.id: _unfolded(step, connections) for step in plan.steps},
        environment=_secrets(plan, connections, settings),
        artifacts_dir=settings.artifacts_dir,
        run_id=settings.session_id,
        metadata={"fingerprint": plan.fingerprint, "steps": len(plan.steps), "stages": len(plan.stages)},
        package=plan,
    )


def _unfolded(step: PlannedStep, connections: Connections) -> dict[str, Any]:
    config = dict(step.config)
    named = config.get("connection")
    if step.spec.connection_family is None or named is None:
        return config
    if isinstance(named, str):
        connection = connections.get(named, family=step.spec.connection_family)
        config["resolved_connection"] = dict(connection.values)
    else:
        config["resolved_connection"] = dict(named)
    return config


def _secrets(plan: Plan, connections: Connections, settings: RunSettings) -> dict[str, str]:
    """The values of all references, by the text between their braces."""
    references = [found for step in plan.steps for found in _references(step, connections)]
    if not references:
        return {}
    resolver = SecretResolver(
        settings.environment, settings.project_dir / ".env", extra_schemes=Catalog.current().secret_resolvers
    )
    return {text[2:-1]: value for text, value in resolver.resolve_all(references).items()}


def _references(step: PlannedStep, connections: Connections) -> Iterator[SecretReference]:
    named = step.config.get("connection")
    if step.spec.connection_family is not None and isinstance(named, str):
        yield from connections.get(named, family=step.spec.connection_family).references()
    yield from secret_references(step.config, owner=f"step {step.id}")
