"""Manifest and driver specs to a Plan. Pure: no clock, no network, no environment."""

from osiris.core.planning.draft import with_plan_problems
from osiris.core.planning.fingerprint import digest, step_fingerprints
from osiris.core.planning.masking import MaskRule
from osiris.core.planning.plan import Edge, Plan, PlannedStep, Stage
from osiris.core.planning.planner import make_plan
from osiris.core.planning.policy import BreakerPolicy, LimitPolicy, RetryPolicy, StepPolicy, read_size
from osiris.core.planning.versions import driver_versions

__all__ = [
    "BreakerPolicy",
    "Edge",
    "LimitPolicy",
    "MaskRule",
    "Plan",
    "PlannedStep",
    "RetryPolicy",
    "Stage",
    "StepPolicy",
    "digest",
    "driver_versions",
    "make_plan",
    "read_size",
    "step_fingerprints",
    "with_plan_problems",
]
