"""What the Supabase family says of itself, and its check of plans; imports no client, pyarrow or pydantic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

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
    """What a step's way to the project lacks, and what it will do over REST and cannot do atomically, as a warning."""
    found = []
    for step in plan.steps:
        if step.driver in ("supabase.extractor", "supabase.writer"):
            way = _way(step.config.get("transport", "auto"), step.connection)
            found += [
                Problem(
                    code=code,
                    message=f"step {step.id!r}: {message}",
                    hint=hint,
                    path=f"steps[{_place(plan, step.id)}].config",
                    severity=severity,
                )
                for code, message, hint, severity in _notes(step.driver, step.config, way)
            ]
    return found


def _way(transport: str, connection: Mapping[str, Any] | None) -> str:
    """``postgres``, ``rest``, what such a way lacks, or ``""`` where that cannot be known yet."""
    if connection is None:
        return transport if transport == "rest" else ""
    if connection.get("pg_dsn") is not None and transport != "rest":
        return "postgres"
    if transport == "postgres":
        return "pg_dsn"
    keys = (connection.get(name) for name in ("key", "service_role_key", "anon_key"))
    return "key" if connection.get("url") is None or all(key is None for key in keys) else "rest"


_Note = tuple[str, str, str, Literal["error", "warning"]]


def _notes(driver: str, config: Mapping[str, Any], way: str) -> Iterator[_Note]:
    if way == "pg_dsn":
        hint = "give the connection a pg_dsn, or use transport: rest"
        yield "supabase.no_dsn", "transport postgres needs pg_dsn, which the connection does not have", hint, "error"
    elif way == "key":
        hint = "give the connection url and key, or use transport: postgres"
        message = "transport rest needs url and a key, which the connection does not have"
        yield "supabase.no_key", message, hint, "error"
    elif way == "rest":
        for option in _POSTGRES_ONLY[driver]:
            if config.get(option):
                hint = f"give the connection a pg_dsn, or take {option} away"
                yield "supabase.needs_postgres", f"{option} needs Postgres, but this goes over REST", hint, "error"
        if driver == "supabase.writer":
            mode = config.get("write_mode", "append")
            message = f"{mode} over REST is not one transaction: {_IF_IT_FAILS[mode]}"
            hint = "give the connection a pg_dsn and use transport postgres for all or nothing"
            yield "supabase.not_atomic", message, hint, "warning"


_POSTGRES_ONLY: Mapping[str, Sequence[str]] = {
    "supabase.extractor": ("query",),
    "supabase.writer": ("create_if_missing",),
}
_IF_IT_FAILS: Mapping[Any, str] = {
    "append": "batches written before a failure stay",
    "upsert": "batches written before a failure stay",
    "replace": "new rows become visible before the old ones are gone",
}


def _place(plan: Plan, step_id: str) -> int:
    return next(index for index, step in enumerate(plan.manifest["steps"]) if step["id"] == step_id)
