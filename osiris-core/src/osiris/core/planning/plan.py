"""The plan: what planning knows once it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Literal

from osiris.core.driver import DriverSpec
from osiris.core.errors import Problem
from osiris.core.planning.masking import MaskRule
from osiris.core.planning.policy import BreakerPolicy, LimitPolicy, StepPolicy
from osiris.core.quick_dataclass import dataclass

__all__ = ["Edge", "Plan", "PlannedStep", "Stage"]


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One use of an output: ``producer``'s ``output`` is ``consumer``'s input ``name``.

    ``kind`` is ``stream`` (pulled batch by batch inside one stage; the output's only use) or ``store``
    (kept whole between stages: several users, or a user that wants it whole).
    """

    producer: str
    output: str
    consumer: str
    name: str
    kind: Literal["stream", "store"]


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step, checked.

    Attributes:
        id: Its id.
        driver: The driver's name.
        spec: What the driver says of itself.
        config: As written, params filled in, ``${...}`` secret references kept.
        inputs: The edges that feed it, by input name.
        values: Inputs that are plain values, by input name.
        after: All steps that must have finished before it (``needs`` without data, and producers).
        policy: What its ``retry``, ``timeout`` and ``on_error`` say, defaults merged.
        masks: What its ``mask`` says: columns of its outputs that nobody after it sees in clear.
        connection: What the connection of its config says, ``${...}`` secret references kept; None: it has none, or
            connections were not looked up.
    """

    id: str
    driver: str
    spec: DriverSpec
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Edge] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    policy: StepPolicy = field(default_factory=StepPolicy)
    masks: tuple[MaskRule, ...] = ()
    connection: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def salts(self) -> dict[str, list[str]]:
        """The references of the keys that ``masks`` use, in a form in which references are looked for."""
        return {"salt": [rule.salt for rule in self.masks if rule.salt is not None]}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Steps that stream into each other, upstream first; ``after`` are the indices of stages it waits for."""

    index: int
    steps: tuple[str, ...]
    after: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A manifest that can run.

    Attributes:
        manifest: What was planned, resolved; a mapping with ``version``, ``name``, ``steps``.
        steps: In an order in which they could run one after the other; ties in the order of the manifest.
        stages: In the same kind of order.
        edges: Every use of every output.
        fingerprint: sha256 of the resolved manifest and the drivers' names, hex.
        warnings: What is not wrong but worth saying.
        breaker: When a connection that keeps failing is left alone; None: never.
        limits: What the run may take at most.
    """

    manifest: Mapping[str, Any]
    steps: tuple[PlannedStep, ...]
    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...]
    fingerprint: str
    warnings: tuple[Problem, ...] = ()
    breaker: BreakerPolicy | None = None
    limits: LimitPolicy = field(default_factory=LimitPolicy)

    @cached_property
    def by_id(self) -> Mapping[str, PlannedStep]:
        """The steps by id."""
        return {step.id: step for step in self.steps}

    @cached_property
    def uses(self) -> Mapping[str, tuple[Edge, ...]]:
        """The edges that leave each step, by step id; steps whose output nobody uses have none."""
        found: dict[str, list[Edge]] = {step.id: [] for step in self.steps}
        for edge in self.edges:
            found[edge.producer].append(edge)
        return {step_id: tuple(edges) for step_id, edges in found.items()}
