"""A manifest to a prepared run: planned, connections unfolded, the few secret values fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
        environment=_secrets(plan, connections, settings, context),
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


def _secrets(plan: Plan, connections: Connections, settings: RunSettings, door: EventDoor) -> dict[str, str]:
    """The values of all references, by the text between their braces; each step's use of one is told."""
    asked = [(step.id, found) for step in plan.steps for found in _references(step, connections)]
    if not asked:
        return {}
    resolver = SecretResolver(
        settings.environment, settings.project_dir / ".env", extra_schemes=Catalog.current().secret_resolvers
    )
    try:
        values = resolver.resolve_all(reference for _, reference in asked)
    finally:  # where some have no value, the others were read all the same
        _tell_resolved(asked, resolver, door)
    return {text[2:-1]: value for text, value in values.items()}


def _tell_resolved(asked: Iterable[tuple[str, SecretReference]], resolver: SecretResolver, door: EventDoor) -> None:
    for step_id, reference in asked:
        source = resolver.resolved(reference)
        if source is not None:
            told = {"step_id": step_id, "secret": reference.told, "used_by": reference.owner, "option": reference.key}
            door.log_event("secret_resolved", {**told, "source": source.place})


def _references(step: PlannedStep, connections: Connections) -> Iterator[SecretReference]:
    named = step.config.get("connection")
    if step.spec.connection_family is not None and isinstance(named, str):
        yield from connections.get(named, family=step.spec.connection_family).references()
    yield from secret_references(step.config, owner=f"step {step.id}")
    yield from secret_references(step.salts, owner=f"step {step.id}")
