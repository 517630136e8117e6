"""``osiris plan``: what would run, where each secret comes from; nothing runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from osiris.cli import failure, terminal
from osiris.cli.loading import plan_pipeline
from osiris.cli.options import EnvFile, Json, Param, Pipeline, Profile
from osiris.cli.project import find_pipeline, find_project, parse_pairs, read_env_file
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, styled, write

if TYPE_CHECKING:
    from osiris.cli.loading import PlannedPipeline

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)

_LONGEST_VALUE = 60


@app.command()
def plan(
    pipeline: Pipeline = None,
    param: Param = None,
    profile: Profile = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Show what would run, without running it.

    Shows each param's value and where it comes from, the order, the stages (steps that stream into each
    other), drivers with versions, and which variable each secret comes from and whether it is set; never a
    secret's value.
    """
    environment, params = read_env_file(env_file), parse_pairs(param, "--param")
    file = find_pipeline(pipeline)
    planned = plan_pipeline(file, find_project(file), params, profile=profile, environment=environment)
    document = describe(planned, environment)
    if as_json:
        terminal.write_json(document)
    else:
        _write(planned, document)


def describe(planned: PlannedPipeline, environment: Mapping[str, str]) -> dict[str, Any]:
    """The plan as one JSON-able document."""
    from osiris.core.plugins import Catalog

    plan = planned.plan
    stage_of = {step_id: stage.index for stage in plan.stages for step_id in stage.steps}
    steps = []
    for step in plan.steps:
        owner = Catalog.current().distribution_of(step.driver)
        steps.append(
            {
                "id": step.id,
                "driver": step.driver,
                "distribution": owner[0] if owner else None,
                "version": owner[1] if owner else None,
                "stage": stage_of[step.id],
                "after": list(step.after),
                "inputs": {name: f"{edge.producer}.{edge.output}" for name, edge in step.inputs.items()},
                "connection": step.config.get("connection") if step.spec.connection_family else None,
                "mask": [rule.to_dict() for rule in step.masks],
            }
        )
    return {
        "status": "success",
        "pipeline": planned.manifest.name,
        "file": str(planned.file),
        "fingerprint": plan.fingerprint,
        "profile": planned.manifest.origin.params.profile,
        "params": planned.manifest.params,
        "params_from": planned.manifest.param_sources,
        "steps": steps,
        "stages": [
            {"index": stage.index, "steps": list(stage.steps), "after": list(stage.after)} for stage in plan.stages
        ],
        "edges": [
            {
                "from": f"{edge.producer}.{edge.output}",
                "to": f"{edge.consumer}.{edge.name}",
                "kind": edge.kind,
            }
            for edge in plan.edges
        ],
        "secrets": list(_secrets(planned, environment)),
        "warnings": [problem.to_dict() for problem in plan.warnings],
    }


def _secrets(planned: PlannedPipeline, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    from osiris.core.connections import SecretResolver, secret_references
    from osiris.core.plugins import Catalog

    resolver = SecretResolver(environment, planned.project / ".env", extra_schemes=Catalog.current().secret_resolvers)
    for step in planned.plan.steps:
        references = secret_references(step.config, owner=f"step {step.id}")
        references += secret_references(step.salts, owner=f"step {step.id}")
        named = step.config.get("connection")
        if step.spec.connection_family and isinstance(named, str):
            references += planned.connections.get(named, family=step.spec.connection_family).references()
        for reference in references:
            source = resolver.source(reference)
            yield {
                "step": step.id,
                "used_by": reference.owner,
                "option": reference.key,
                "reference": reference.told,
                "from": source.place,
                "available": source.found,
            }


def _write(planned: PlannedPipeline, document: Mapping[str, Any]) -> None:
    failure.tell_warnings(planned.plan.warnings)
    write(f"{styled(clean(document['pipeline']), 'bold', stream=sys.stdout)} ({clean(document['file'])})")
    write()
    if document["params"]:
        sources = document["params_from"]
        write_table(
            ["param", "value", "comes from"],
            [[name, _shown(value), sources[name]] for name, value in document["params"].items()],
        )
        write()
    rows: list[list[Cell]] = [
        [
            str(step["stage"] + 1),
            (step["id"], "bold"),
            step["driver"],
            f"{step['distribution']} {step['version']}" if step["distribution"] else "registered at run time",
            _inputs_cell(step, document["edges"]),
        ]
        for step in document["steps"]
    ]
    write_table(["stage", "step", "driver", "package", "inputs"], rows, right=[0], whole=[1, 2], spare=[3, 0])
    masked: list[list[Cell]] = [
        [", ".join(rule["columns"]), rule["method"], (step["id"], "bold")]
        for step in document["steps"]
        for rule in step["mask"]
    ]
    if masked:
        write()
        write_table(["masked columns", "method", "from step"], masked)
    if document["secrets"]:
        write()
        write_table(["secret", "used by", "comes from"], [_secret_cells(secret) for secret in document["secrets"]])
    write()
    write("Nothing was run.")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}\u2026"


def _inputs_cell(step: Mapping[str, Any], edges: list[Mapping[str, Any]]) -> Cell:
    kinds = {edge["to"]: edge["kind"] for edge in edges}
    inputs = [
        f"{name} = {source} ({kinds.get(step['id'] + '.' + name, 'store')})" for name, source in step["inputs"].items()
    ]
    producers = {source.partition(".")[0] for source in step["inputs"].values()}
    order = [f"after {before}" for before in step["after"] if before not in producers]
    return (", ".join([*inputs, *order]), "dim")


def _secret_cells(secret: Mapping[str, Any]) -> list[Cell]:
    origin: Cell = (secret["from"], "green") if secret["available"] else ("NOT SET", "red")
    return [secret["reference"], secret["used_by"], origin]
