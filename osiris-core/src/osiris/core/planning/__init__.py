"""Manifest and driver specs to a Plan. Pure: no clock, no network, no environment."""

from osiris.core.planning.draft import with_plan_problems
from osiris.core.planning.plan import Edge, Plan, PlannedStep, Stage
from osiris.core.planning.planner import make_plan

__all__ = ["Edge", "Plan", "PlannedStep", "Stage", "make_plan", "with_plan_problems"]
