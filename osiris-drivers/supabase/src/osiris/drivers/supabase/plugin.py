"""What the Supabase family says of itself, and its check of plans; imports no client, pyarrow or pydantic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osiris.core.driver import DriverSpec
from osiris.core.errors import Problem
from osiris.core.hookspecs import hookimpl

if TYPE_CHECKING:
    from osiris.core.planning import Plan

__all__ = ["osiris_check_plan", "osiris_drivers"]

_HERE = "osiris.drivers.supabase"


@hookimpl
def osiris_drivers() -> list[DriverSpec]:
    """The two drivers of the family."""
    return [
        DriverSpec(
            name="supabase.extractor",
            summary="Read a table of Supabase, or over Postgres any query",
            factory=f"{_HERE}.extractor:SupabaseExtractor",
            config_model=f"{_HERE}.config:ExtractorConfig",
            connection_family="supabase",
            connection_model=f"{_HERE}.config:SupabaseConnection",
            role="extractor",
            input_form="stream",
            input_names=(),
            max_inputs=0,
            capabilities=frozenset({"sql", "rest"}),
            example={"connection": "@supabase.main", "table": "orders", "columns": ["id", "amount"]},
        ),
        DriverSpec(
            name="supabase.writer",
            summary="Write a table of Supabase: append, replace or upsert",
            factory=f"{_HERE}.writer:SupabaseWriter",
            config_model=f"{_HERE}.config:WriterConfig",
            connection_family="supabase",
            connection_model=f"{_HERE}.config:SupabaseConnection",
            role="writer",
            input_form="stream",
            min_inputs=1,
            max_inputs=1,
            outputs=(),
            capabilities=frozenset({"append", "replace", "upsert", "sql", "rest"}),
            example={"connection": "@supabase.main", "table": "orders", "write_mode": "upsert", "primary_key": "id"},
        ),
    ]


@hookimpl
def osiris_check_plan(plan: Plan) -> Sequence[Problem]:
    """What the plan says it will do over REST and cannot do atomically, as warnings."""
    found = []
    for step in plan.steps:
        if step.driver == "supabase.writer" and _goes_over_rest(step.config):
            mode = step.config.get("write_mode", "append")
            found.append(
                Problem(
                    code="supabase.not_atomic",
                    message=f"step {step.id!r}: {mode} over REST is not one transaction: {_IF_IT_FAILS[mode]}",
                    hint="give the connection a pg_dsn and use transport postgres for all or nothing",
                    path=f"steps[{_place(plan, step.id)}].config",
                    severity="warning",
                )
            )
    return found


_IF_IT_FAILS: Mapping[Any, str] = {
    "append": "batches written before a failure stay",
    "upsert": "batches written before a failure stay",
    "replace": "new rows become visible before the old ones are gone",
}


def _goes_over_rest(config: Mapping[str, Any]) -> bool:
    """Whether the plan alone tells so; what a named connection holds is not in it."""
    connection = config.get("connection")
    transport = config.get("transport", "auto")
    inline_rest = isinstance(connection, Mapping) and connection.get("pg_dsn") is None
    return bool(transport == "rest" or (transport == "auto" and inline_rest))


def _place(plan: Plan, step_id: str) -> int:
    return next(index for index, step in enumerate(plan.manifest["steps"]) if step["id"] == step_id)
