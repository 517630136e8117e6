"""Manifest and driver specs to a Plan. Pure: no clock, no network, no environment."""

from osiris.core.planning.draft import with_plan_problems
from osiris.core.planning.plan import Edge, Plan, PlannedStep, Stage
from osiris.core.planning.planner import make_plan
from osiris.core.planning.policy import BreakerPolicy, LimitPolicy, RetryPolicy, StepPolicy, read_size

__all__ = [
    "BreakerPolicy",
    "Edge",
    "LimitPolicy",
    "Plan",
    "PlannedStep",
    "RetryPolicy",
    "Stage",
    "StepPolicy",
    "make_plan",
    "read_size",
    "with_plan_problems",
]
