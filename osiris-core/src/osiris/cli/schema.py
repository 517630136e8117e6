"""``osiris schema``: what an editor needs to complete and check pipeline files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from osiris.cli import terminal
from osiris.cli.model import config_schema
from osiris.core.driver import DriverSpec
from osiris.core.errors import PluginError

__all__ = ["app", "pipeline_schema"]

app = typer.Typer(rich_markup_mode=None)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_STEP_ID: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": 100}
_PARAM = {"type": "string", "pattern": r"^\$\{params\.[A-Za-z_][A-Za-z0-9_]*\}$"}

_TIME: dict[str, Any] = {"type": ["number", "string", "null"], "description": "Seconds, or as 500ms, 30s, 5m, 1h."}
_SIZE: dict[str, Any] = {"type": ["integer", "string"], "description": "Bytes, or as 500MB, 2GB, 1GiB."}
_KEPT: dict[str, Any] = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, {"$ref": "#/$defs/param"}]}
_MASK: dict[str, Any] = {
    "type": "object",
    "required": ["columns", "method"],
    "additionalProperties": False,
    "properties": {
        "columns": {
            "description": "The columns' names.",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": {"type": "string"}},
                {"$ref": "#/$defs/param"},
            ],
        },
        "method": {
            "description": "hash: sha256 in hex; redact: ***; partial: *** and a few characters.",
            "anyOf": [{"enum": ["hash", "redact", "partial"]}, {"$ref": "#/$defs/param"}],
        },
        "salt": {"type": "string", "description": "hash: the reference of a key, as ${MASK_KEY}; makes it an HMAC."},
        "first": {**_KEPT, "description": "partial: characters kept at the beginning; default 0."},
        "last": {**_KEPT, "description": "partial: characters kept at the end; default 4."},
    },
}


@app.command()
def schema(
    driver: Annotated[
        str | None, typer.Option("--driver", metavar="NAME", help="Print the schema of one driver's config only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", hidden=True, help="The output is JSON anyway.")] = False,
) -> None:
    """Print the JSON Schema of pipeline files, for editors.

    Holds the config of every installed driver. Save it and name it in the pipeline's first line:
    '# yaml-language-server: $schema=pipeline.schema.json'.
    """
    from osiris.core.plugins import Catalog

    if driver is None:
        terminal.write_json(pipeline_schema(Catalog.current().driver_specs()))
        return
    spec = Catalog.current().describe_driver(driver)
    found = config_schema(spec) or {"type": "object"}
    terminal.write_json({"$schema": DIALECT, "title": f"config of {driver}", **found})


def pipeline_schema(specs: list[DriverSpec]) -> dict[str, Any]:
    """The JSON Schema of a pipeline file whose steps may use the drivers given.

    A driver whose config model cannot be imported takes any config.
    """
    definitions: dict[str, Any] = {"param": _PARAM, "mask": _MASK}
    variants: list[dict[str, Any]] = []
    for spec in specs:
        definitions[f"step.{spec.name}"] = _step_variant(spec)
        variants.append({"$ref": f"#/$defs/step.{spec.name}"})
    known = sorted(spec.name for spec in specs)
    variants.append(
        {
            "title": "a driver that is not installed here",
            "properties": {"driver": {"type": "string", "not": {"enum": known}}, "config": {"type": "object"}},
        }
    )
    definitions["step"] = {**_step_base(), "oneOf": variants}
    return {
        "$schema": DIALECT,
        "title": "Osiris pipeline",
        "type": "object",
        "required": ["version", "steps"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {}},
        "properties": {
            "version": {
                "description": "Version of the file's form.",
                "anyOf": [
                    {"type": "string", "pattern": r"^1(\.\d+){0,2}$"},
                    {"type": "number", "minimum": 1, "exclusiveMaximum": 2},
                ],
            },
            "name": {"type": "string", "description": "The pipeline's name; default that of the file."},
            "description": {"type": "string"},
            "params": {
                "type": "object",
                "description": "Values that --param sets, used as ${params.name}.",
                "additionalProperties": {},
            },
            "profiles": {
                "type": ["object", "null"],
                "description": "Named sets of values of params, chosen with --profile.",
                "additionalProperties": {
                    "type": ["object", "null"],
                    "additionalProperties": False,
                    "properties": {"description": {"type": "string"}, "params": {"type": ["object", "null"]}},
                },
            },
            "base_dir": {
                "type": "string",
                "minLength": 1,
                "description": "Where relative paths begin, seen from this file's folder.",
            },
            "defaults": {
                "type": ["object", "null"],
                "description": "Options of every step that does not say otherwise.",
                "additionalProperties": False,
                "properties": _step_options(),
            },
            "breaker": {
                "description": "When a connection that keeps failing is left alone; false: never.",
                "anyOf": [
                    {"type": "boolean"},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"failures": {"type": "integer", "minimum": 1}, "pause": _TIME},
                    },
                    {"$ref": "#/$defs/param"},
                ],
            },
            "limits": {
                "type": "object",
                "description": "What the run may take at most.",
                "additionalProperties": False,
                "properties": {"memory": _SIZE, "disk": _SIZE, "time": _TIME},
            },
            "requires": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Distributions that must be installed, as osiris-driver-mysql>=1.",
            },
            "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
        },
        "$defs": definitions,
    }


def _step_base() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["id", "driver"],
        "additionalProperties": False,
        "properties": {
            "id": {**_STEP_ID, "description": "Its name in this pipeline."},
            "driver": {"type": "string", "description": "What it does: family.role."},
            "description": {"type": "string"},
            "config": {"type": ["object", "null"], "description": "The driver's options."},
            "inputs": {
                "type": ["object", "null"],
                "description": "Input name to ${step.df}, or to a plain value.",
            },
            "needs": {
                "type": ["array", "null"],
                "items": _STEP_ID,
                "description": "Steps that must have finished before.",
            },
            "mask": {
                "description": "Columns of its outputs that nobody after it sees in clear.",
                "anyOf": [
                    {"$ref": "#/$defs/mask"},
                    {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/mask"}},
                    {"type": "null"},
                    {"$ref": "#/$defs/param"},
                ],
            },
            **_step_options(),
        },
    }


def _step_options() -> dict[str, Any]:
    """What a step may say of how it is run; ``defaults`` may say the same for all."""
    retry = {
        "attempts": {"type": "integer", "minimum": 1, "maximum": 100},
        "delay": _TIME,
        "backoff": {"type": "number", "minimum": 1, "maximum": 100},
        "max_delay": _TIME,
        "jitter": _TIME,
        "on": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    }
    return {
        "retry": {
            "description": "How often it is tried, or how.",
            "anyOf": [
                {"type": ["integer", "boolean", "null"]},
                {"type": "object", "additionalProperties": False, "properties": retry},
                {"$ref": "#/$defs/param"},
            ],
        },
        "timeout": {**_TIME, "description": "What one attempt may take."},
        "on_error": {
            "description": "continue: steps that do not depend on it run on.",
            "anyOf": [{"enum": ["stop", "continue"]}, {"$ref": "#/$defs/param"}],
        },
        "checkpoint": {
            "description": "Keep what other steps use of its output on disk, for a later --resume.",
            "anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/param"}],
        },
    }


def _step_variant(spec: DriverSpec) -> dict[str, Any]:
    try:
        found = config_schema(spec)
    except PluginError:
        found = None
    config = {"type": "object"} if found is None else _relocated(found, f"#/$defs/step.{spec.name}/properties/config")
    return {
        "title": spec.name,
        "description": spec.summary,
        "properties": {"driver": {"const": spec.name}, "config": config},
        **({"required": ["config"]} if config.get("required") else {}),
    }


def _relocated(schema: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A config schema as part of the whole: references point to where it is now, and params may stand for values."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item.replace("#/", f"{place}/", 1) if key == "$ref" and isinstance(item, str) else moved(item)
                for key, item in value.items()
            }
        return [moved(item) for item in value] if isinstance(value, list) else value

    whole: dict[str, Any] = moved(dict(schema))
    for name, part in whole.get("properties", {}).items():
        kept = {key: part[key] for key in ("description", "title", "default") if key in part}
        whole["properties"][name] = {**kept, "anyOf": [part, {"$ref": "#/$defs/param"}]}
    return whole
