"""The door of the room: :func:`make_plan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

from osiris.core.driver import DriverRegistry, DriverSpec
from osiris.core.errors import PluginError, Problem
from osiris.core.manifest import Manifest, manifest_from_dict
from osiris.core.manifest.report import in_order
from osiris.core.manifest.schema import STEP_OPTIONS
from osiris.core.planning.checks import ConnectionSource, Installed, check_params, check_requires, check_steps
from osiris.core.planning.findings import Findings
from osiris.core.planning.fingerprint import fingerprint
from osiris.core.planning.graph import find_cycles, sort
from osiris.core.planning.masking import MaskRule, read_masks
from osiris.core.planning.plan import Edge, Plan, PlannedStep
from osiris.core.planning.policy import (
    BreakerPolicy,
    LimitPolicy,
    Note,
    StepPolicy,
    read_breaker,
    read_limits,
    read_policy,
)
from osiris.core.planning.stages import choose_kinds, make_stages
from osiris.core.planning.wiring import Wiring, wire
from osiris.core.quick_dataclass import dataclass

__all__ = ["DriverSource", "Examination", "PlanCheck", "examine", "make_plan"]

PlanCheck = Callable[[Plan], Iterable[Problem]]
_MAX_SHOWN = 12  # steps of a cycle


class DriverSource(Protocol):
    """Where drivers are described: a :class:`~osiris.core.driver.DriverRegistry`, or anything like it."""

    def spec(self, name: str) -> DriverSpec:
        """What the driver says of itself; raises PluginError where it cannot be used."""


def make_plan(
    manifest: Mapping[str, Any],
    *,
    drivers: DriverSource | type[DriverRegistry] = DriverRegistry,
    connections: ConnectionSource | None = None,
    checks: Sequence[PlanCheck] = (),
    installed: Installed | None = None,
) -> Plan:
    """Check a manifest and decide how it runs. Pure: nothing runs, no environment, clock or network is read.

    Args:
        manifest: A :class:`~osiris.core.manifest.Manifest`, or its data as a plain mapping.
        drivers: Where drivers are described.
        connections: Where ``@family.alias`` is looked up; None: those are not checked.
        checks: Asked at the end about a plan that is otherwise right; their problems join the report.
        installed: Gives the installed version of a distribution for ``requires``; None: only their form is checked.

    Raises:
        ManifestError: ``manifest`` is plain data and not well-formed.
        PlanError: With every problem found, each with its place.
        PluginError: Nothing else is wrong than drivers that are missing or broken: the first of their errors,
            all of them in ``facts["problems"]``.
    """
    read = manifest if isinstance(manifest, Manifest) else manifest_from_dict(manifest)
    seen = examine(read, drivers=drivers, connections=connections, installed=installed)
    findings = seen.findings
    findings.stop_if_wrong()
    _warn_of_unused(read, seen.specs, seen.wiring, findings)
    plan = _plan(read, seen, connections, findings)
    for check in checks:
        for problem in check(plan):
            findings.add(problem)
    findings.stop_if_wrong()
    return replace(plan, warnings=tuple(in_order(findings.warnings)))


@dataclass(frozen=True, kw_only=True)
class Examination:
    """A manifest looked at from all sides; only without problems among its findings can it become a plan."""

    findings: Findings
    specs: Mapping[str, DriverSpec]
    wiring: Wiring
    order: list[int]
    policies: list[StepPolicy]
    masks: list[tuple[MaskRule, ...]]
    breaker: BreakerPolicy | None
    limits: LimitPolicy


def examine(
    manifest: Manifest,
    *,
    drivers: DriverSource | type[DriverRegistry],
    connections: ConnectionSource | None,
    installed: Installed | None,
) -> Examination:
    """Every check but those of plugins; takes drafts too, in which ids may be missing or stand twice."""
    findings = Findings(manifest)
    specs = _describe(manifest, drivers, findings)
    wiring = wire(manifest, specs, findings)
    order = _order(manifest, wiring, findings)
    check_requires(manifest, installed, findings)
    check_params(manifest, findings)
    check_steps(manifest, specs, connections, findings)
    policies = [_policy(step, index, findings) for index, step in enumerate(manifest["steps"])]

    def noting(key: str) -> Note:
        return lambda message, path, hint: findings.note("plan.policy", message, (key, *path), hint)

    return Examination(
        findings=findings,
        specs=specs,
        wiring=wiring,
        order=order,
        policies=policies,
        masks=[_masks(step, index, specs, findings) for index, step in enumerate(manifest["steps"])],
        breaker=read_breaker(manifest.get("breaker"), noting("breaker")),
        limits=read_limits(manifest.get("limits"), noting("limits")),
    )


_PLAIN = StepPolicy()


def _policy(step: Mapping[str, Any], index: int, findings: Findings) -> StepPolicy:
    options = {key: step[key] for key in STEP_OPTIONS if key in step}
    if not options:
        return _PLAIN

    def note(message: str, path: tuple[str, ...], hint: str) -> None:
        findings.note("plan.policy", message, ("steps", index, *path), hint)

    return read_policy(options, note)


def _masks(
    step: Mapping[str, Any], index: int, specs: Mapping[str, DriverSpec], findings: Findings
) -> tuple[MaskRule, ...]:
    if "mask" not in step:
        return ()

    def note(message: str, path: tuple[str | int, ...], hint: str) -> None:
        findings.note("plan.mask", message, ("steps", index, *path), hint)

    spec = specs.get(step["driver"])
    if spec is not None and not spec.outputs:
        hint = "mask the output of a step before it"
        note(f"{spec.name} only writes: it has no output to mask", ("mask",), hint)
    return read_masks(step["mask"], note)


def _describe(
    manifest: Manifest, drivers: DriverSource | type[DriverRegistry], findings: Findings
) -> dict[str, DriverSpec]:
    """The spec of every driver that can be used, by name; the others are noted at each of their steps."""
    specs: dict[str, DriverSpec | PluginError] = {}
    for index, step in enumerate(manifest["steps"]):
        name = step["driver"]
        if name not in specs:
            try:
                specs[name] = drivers.spec(name)
            except PluginError as error:
                specs[name] = error
        spec = specs[name]
        if isinstance(spec, PluginError):
            findings.blame(spec, ("steps", index, "driver"))
    return {name: spec for name, spec in specs.items() if isinstance(spec, DriverSpec)}


def _order(manifest: Manifest, wiring: Wiring, findings: Findings) -> list[int]:
    """The steps, as numbers in the manifest, each after those it waits for; cycles are noted."""
    number = {step["id"]: index for index, step in enumerate(manifest["steps"])}
    waits = [[number[other] for other in wiring.after(index)] for index in range(len(manifest["steps"]))]
    order = sort(waits)
    if len(order) < len(waits):
        for cycle in find_cycles(waits):
            _note_cycle(manifest, cycle, wiring, findings)
    return order


def _note_cycle(manifest: Manifest, cycle: list[int], wiring: Wiring, findings: Findings) -> None:
    steps = manifest["steps"]
    ids = [steps[index]["id"] for index in cycle]
    before, closing = ids[-2], cycle[0]
    edge = next((name for name, edge in wiring.edges[closing].items() if edge.producer == before), None)
    key = ("needs", steps[closing]["needs"].index(before)) if edge is None else ("inputs", edge)
    path = ("steps", closing, *key)
    if len(cycle) == 2:
        findings.note("plan.cycle", f"step {before!r} waits for itself", path, "name another step here")
        return
    if len(ids) > _MAX_SHOWN:
        ids = [*ids[: _MAX_SHOWN // 2], f"({len(ids) - _MAX_SHOWN} more)", *ids[-_MAX_SHOWN // 2 :]]
    findings.note("plan.cycle", f"steps wait for each other: {' -> '.join(ids)}", path, "take one of these out")


def _plan(manifest: Manifest, seen: Examination, connections: ConnectionSource | None, findings: Findings) -> Plan:
    order, specs, wiring, policies = seen.order, seen.specs, seen.wiring, seen.policies
    steps = [manifest["steps"][index] for index in order]
    after = {step["id"]: wiring.after(index) for step, index in zip(steps, order, strict=True)}
    edges = choose_kinds(
        after,
        [edge for index in order for edge in wiring.edges[index].values()],
        readers={step["id"] for step in steps if specs[step["driver"]].input_form == "stream"},
        needs={step["id"]: wiring.needs[index] for step, index in zip(steps, order, strict=True)},
        kept={step["id"] for step, index in zip(steps, order, strict=True) if policies[index].checkpoint},
    )
    inputs: dict[str, dict[str, Edge]] = {step_id: {} for step_id in after}
    for edge in edges:
        inputs[edge.consumer][edge.name] = edge
    return Plan(
        manifest=manifest,
        steps=tuple(
            PlannedStep(
                id=step["id"],
                driver=step["driver"],
                spec=specs[step["driver"]],
                config=step["config"],
                inputs=inputs[step["id"]],
                values=wiring.values[index],
                after=after[step["id"]],
                policy=policies[index],
                masks=seen.masks[index],
                connection=_connection(step, specs[step["driver"]], connections),
            )
            for step, index in zip(steps, order, strict=True)
        ),
        stages=make_stages(after, edges),
        edges=tuple(edges),
        fingerprint=fingerprint(dict(manifest), specs),
        warnings=tuple(findings.warnings),
        breaker=seen.breaker,
        limits=seen.limits,
    )


def _connection(
    step: Mapping[str, Any], spec: DriverSpec, connections: ConnectionSource | None
) -> Mapping[str, Any] | None:
    named = step["config"].get("connection")
    if spec.connection_family is None or named is None:
        return None
    if isinstance(named, str):
        return None if connections is None else connections.get(named, family=spec.connection_family).values
    return cast("Mapping[str, Any]", named)


def _warn_of_unused(manifest: Manifest, specs: Mapping[str, DriverSpec], wiring: Wiring, findings: Findings) -> None:
    used = {edge.producer for edges in wiring.edges for edge in edges.values()}
    for index, step in enumerate(manifest["steps"]):
        spec = specs[step["driver"]]
        # A driver that says nothing of itself may well be there for what it does, not for what it gives.
        says = spec.role == "extractor" or spec.config_model is not None
        if says and spec.outputs and spec.role != "writer" and step["id"] not in used:
            message = f"nothing uses the output of step {step['id']!r}"
            problem = manifest.problem("plan.unused_output", message, ("steps", index), "write it, or remove the step")
            findings.add(replace(problem, severity="warning"))
