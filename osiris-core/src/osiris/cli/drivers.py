"""``osiris drivers``: what steps can do, and which options each driver takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from osiris.cli import terminal
from osiris.cli.model import config_schema, list_options
from osiris.cli.options import Json
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, styled, tell, write
from osiris.core.driver import DriverSpec

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def drivers() -> None:
    """List drivers, or show one with its options."""


@app.command("list")
def list_drivers(as_json: Json = False) -> None:
    """List every driver of every installed family."""
    from osiris.core.plugins import Catalog

    specs = Catalog.current().driver_specs()
    if as_json:
        terminal.write_json({"drivers": [_brief(spec) for spec in specs]})
        return
    if not specs:
        tell("no driver is installed; 'pip install osiris-core[standard]' brings the usual ones")
        return
    rows: list[list[Cell]] = [[spec.name, (spec.role, "dim"), spec.summary] for spec in specs]
    write_table(["driver", "role", "what it does"], rows, spare=[1])
    for warning in Catalog.current().warnings():
        tell(f"{styled('warning:', 'bold', 'yellow')} {clean(warning)}")


def _complete(incomplete: str) -> list[str]:
    from contextlib import suppress

    with suppress(Exception):
        from osiris.core.plugins import Catalog

        return [spec.name for spec in Catalog.current().driver_specs() if spec.name.startswith(incomplete)]
    return []


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="DRIVER", help="family.role", autocompletion=_complete)],
    as_json: Json = False,
) -> None:
    """Show one driver: options with types, defaults and descriptions, inputs, and an example step."""
    from osiris.core.plugins import Catalog

    spec = Catalog.current().describe_driver(name)
    schema = config_schema(spec)
    example = _example(spec)
    if as_json:
        options = None if schema is None else [option.to_dict() for option in list_options(schema)]
        terminal.write_json({**_brief(spec), "options": options, "config_schema": schema, "example": example})
        return
    owner = Catalog.current().distribution_of(name)
    origin = f", from {owner[0]} {owner[1]}" if owner else ""
    write(f"{styled(clean(spec.name), 'bold', stream=sys.stdout)}: {clean(spec.summary)}")
    write(clean(f"{spec.role}{origin}; {_inputs(spec)}{_connection(spec)}"))
    write()
    _write_options(schema)
    write()
    write("Example:")
    write(_indented_yaml([example]))


def _write_options(schema: Mapping[str, Any] | None) -> None:
    options = [] if schema is None else list_options(schema)
    if not options:
        write("Takes any option." if schema is None else "Takes no options.")
        return
    rows: list[list[Cell]] = [
        [
            (option.name, "bold"),
            (option.type, "cyan"),
            "required" if option.required else option.default,
            option.description,
        ]
        for option in options
    ]
    write_table(["option", "type", "default", "what it means"], rows)


def _brief(spec: DriverSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "summary": spec.summary,
        "role": spec.role,
        "inputs": {
            "form": spec.input_form,
            "names": None if spec.input_names is None else list(spec.input_names),
            "min": spec.min_inputs,
            "max": spec.max_inputs,
        },
        "outputs": list(spec.outputs),
        "connection_family": spec.connection_family,
        "capabilities": sorted(spec.capabilities),
    }


def _inputs(spec: DriverSpec) -> str:
    if spec.max_inputs == 0:
        return "takes no inputs"
    names = " or ".join(repr(name) for name in spec.input_names) if spec.input_names else "any name"
    if spec.min_inputs == spec.max_inputs:
        amount = "1 input" if spec.max_inputs == 1 else f"{spec.max_inputs} inputs"
    elif spec.max_inputs is None:
        amount = f"{spec.min_inputs} or more inputs"
    else:
        amount = f"{spec.min_inputs} to {spec.max_inputs} inputs"
    form = {"stream": "streamed", "arrow": "as an Arrow table", "pandas": "as a pandas DataFrame"}[spec.input_form]
    return f"takes {amount} ({names}), {form}"


def _connection(spec: DriverSpec) -> str:
    return f"; connection: @{spec.connection_family}.<alias>" if spec.connection_family else ""


def _example(spec: DriverSpec) -> dict[str, Any]:
    step: dict[str, Any] = {"id": spec.name.partition(".")[2] or spec.name, "driver": spec.name}
    if spec.example:
        step["config"] = dict(spec.example)
    if spec.min_inputs or spec.role != "extractor":
        names = (spec.input_names or ("df",))[: max(1, spec.min_inputs)]
        step["inputs"] = dict.fromkeys(names, "${upstream_step.df}")
    return step


def _indented_yaml(value: object) -> str:
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return "\n".join(f"  {clean(line)}" for line in text.rstrip().split("\n"))
