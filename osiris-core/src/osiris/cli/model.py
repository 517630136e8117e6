"""The config models of drivers, as JSON Schema and as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.driver import DriverSpec
from osiris.core.errors import PluginBrokenError
from osiris.core.planning.models import load_model
from osiris.core.plugins.quiet_pydantic import without_pydantic_plugins
from osiris.core.quick_dataclass import dataclass
from osiris.core.wording import text_of

__all__ = ["Option", "config_schema", "list_options"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a driver's config; ``default`` is JSON, empty where there is none."""

    name: str
    type: str
    required: bool
    default: str
    description: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return dict(self.__dict__)


def config_schema(spec: DriverSpec) -> dict[str, Any] | None:
    """The JSON Schema of a driver's ``config``; None where any mapping is taken.

    Raises:
        PluginBrokenError: The model cannot be imported or has no schema.
    """
    if spec.config_model is None:
        return None
    model = load_model(spec.config_model)
    try:
        with without_pydantic_plugins():
            schema: dict[str, Any] = model.model_json_schema()
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {text_of(error)}"
        raise PluginBrokenError(
            f"the config model of driver {spec.name!r} ({spec.config_model}) has no schema: {said}",
            hint="run 'osiris plugins list' to see which package offers it",
            plugin=spec.family,
        ) from error
    return schema


def list_options(schema: Mapping[str, Any]) -> list[Option]:
    """The options that a config schema knows, required ones first."""
    definitions = schema.get("$defs", {})
    if "$ref" in schema:  # of a model that holds itself
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
    required = set(schema.get("required", ()))
    found = [
        Option(
            name=name,
            type=_type(part, definitions),
            required=name in required,
            default=_default(part) if name not in required else "",
            description=" ".join(str(part.get("description", "")).split()),
        )
        for name, part in schema.get("properties", {}).items()
    ]
    return sorted(found, key=lambda option: not option.required)


def _default(part: Mapping[str, Any]) -> str:
    import json

    value = part.get("default")
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _type(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value may be, in few words: ``text``, ``int | null``, ``"append" | "fail"``, ``list of text``."""
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        return _type(definitions.get(name, {}), definitions) or name
    if "const" in part:
        return f'"{part["const"]}"'
    if "enum" in part:
        return " | ".join(f'"{value}"' for value in part["enum"])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in part:
            kinds = dict.fromkeys(_type(item, definitions) for item in part[key] if item.get("type") != "null")
            return " | ".join(kind for kind in kinds if kind)
    return _simple_type(part, definitions)


def _simple_type(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    kind = part.get("type")
    if kind == "array":
        return f"list of {_type(part.get('items', {}), definitions) or 'anything'}"
    if kind == "object":
        values = part.get("additionalProperties")
        return f"mapping to {_type(values, definitions)}" if isinstance(values, dict) and values else "mapping"
    words = {"string": "text", "integer": "int", "number": "number", "boolean": "bool", "null": "null"}
    return words.get(str(kind), "anything")
