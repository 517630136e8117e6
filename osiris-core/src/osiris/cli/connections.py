"""``osiris connections``: which there are, and whether they work."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osiris.cli import figures, terminal
from osiris.cli.connection_checks import describe_driver_for, find_problems
from osiris.cli.options import EnvFile, Json
from osiris.cli.project import find_project, read_env_file
from osiris.cli.table import Cell, write_table
from osiris.cli.terminal import clean, styled, tell, write
from osiris.core.errors import ConnectionConfigError, ExecutionError, OsirisError, Problem
from osiris.core.wording import text_of

if TYPE_CHECKING:
    from osiris.core.connections import Connection, Connections

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def connections() -> None:
    """List connections, or test them."""


@app.command("list")
def list_connections(as_json: Json = False) -> None:
    """List the connections of osiris_connections.yaml; secrets are shown as their references."""
    from osiris.core.connections import Connections

    project = find_project()
    found = Connections.load(project).list()
    if as_json:
        terminal.write_json({"connections": [_brief(connection) for connection in found]})
        return
    if not found:
        tell(f"no connections in {clean(project / 'osiris_connections.yaml')}")
        return
    rows: list[list[Cell]] = [
        [
            (connection.name, "bold"),
            "yes" if connection.default else "",
            (", ".join(f"{key}={value}" for key, value in _shown(connection).items()), "dim"),
        ]
        for connection in found
    ]
    write_table(["connection", "default", "values"], rows)


def _complete(incomplete: str) -> list[str]:
    from contextlib import suppress

    with suppress(Exception):
        from osiris.core.connections import Connections

        names = [one.name for one in Connections.load(find_project()).list()]
        return [name for name in names if name.startswith(incomplete)]
    return []


@app.command("test")
def check_connections(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONNECTION]", help="@family.alias or @family; default all of them.", autocompletion=_complete
        ),
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Open each connection, change nothing, and tell how long it took. Exit code 5 if one does not work."""
    from osiris.core.connections import Connections

    environment = read_env_file(env_file)
    project = find_project()
    known = Connections.load(project)
    chosen = known.list() if name is None else [known.get(name if name.startswith("@") else f"@{name}")]
    if not chosen and not as_json:
        tell(f"no connections in {clean(project / 'osiris_connections.yaml')}")
    results = [_try(connection, known, environment, project) for connection in chosen]
    failed = [result for result in results if result["status"] != "success"]
    if as_json:
        document: dict[str, Any] = {"status": "failed" if failed else "success", "connections": results}
        if failed:
            document["error"] = failed[0]["error"]
        terminal.write_json(document)
        return ExecutionError.exit_code if failed else 0
    for result in results:
        _write(result)
    return ExecutionError.exit_code if failed else 0


def _try(connection: Connection, known: Connections, environment: dict[str, str], project: Path) -> dict[str, Any]:
    from osiris.core.connections import redacted_streams

    label = connection.name
    begun = perf_counter()
    try:
        with terminal.kept_for_result(), redacted_streams():  # a driver may print
            facts = _check(connection, known, environment, project)
    except OsirisError as error:
        return {"connection": label, "status": "failed", "error": error.to_dict()}
    except (Exception, SystemExit) as error:  # a driver's own: its author forgot to translate it
        told = ExecutionError(f"{type(error).__name__}: {text_of(error)}", code="connection.failed")
        return {"connection": label, "status": "failed", "error": told.to_dict()}
    return {
        "connection": label,
        "status": "success",
        "latency_ms": round((perf_counter() - begun) * 1000, 3),
        "facts": dict(facts),
    }


def _check(connection: Connection, known: Connections, environment: dict[str, str], project: Path) -> Mapping[str, Any]:
    """Let a driver of the family open the connection, if it is as a pipeline could use it."""
    from osiris.core.connections import SecretResolver, fill
    from osiris.core.driver import DriverRegistry
    from osiris.core.plugins import Catalog

    spec = describe_driver_for(connection.family)
    problems = find_problems(connection, spec, known)
    if problems:
        raise ConnectionConfigError(problems=problems)
    resolver = SecretResolver(environment, project / ".env", extra_schemes=Catalog.current().secret_resolvers)
    values = fill(connection.values, resolver.resolve_all(connection.references()))
    driver = DriverRegistry.get(spec.name)
    try:
        with TemporaryDirectory(prefix="osiris-check-") as folder:
            facts = driver.check({"connection": connection.name}, _context(values, Path(folder), project))
    finally:
        driver.close()
    if not isinstance(facts, Mapping | None):
        raise ExecutionError(
            f"check() of {spec.name} returned a {type(facts).__name__}, not a mapping",
            hint="tell the authors of the driver",
            code="connection.bad_check",
        )
    return facts or {}


def _context(values: Any, folder: Path, project: Path) -> Any:
    """What a driver may use while it checks: as in a run, with a folder that goes afterwards."""
    from osiris.core.engine import make_step_context
    from osiris.core.execution_adapter import ExecutionContext

    return make_step_context(ExecutionContext("check", folder, base_dir=project), "check", connection=values)


def _write(result: dict[str, Any]) -> None:
    label = styled(clean(result["connection"]), "bold", stream=sys.stdout)
    if result["status"] == "success":
        facts = ", ".join(f"{name} {value}" for name, value in result["facts"].items())
        told = clean(f" ({facts})" if facts else "")
        took = figures.duration(result["latency_ms"])
        write(f"{label}: {styled('ok', 'green', stream=sys.stdout)} in {took}{told}")
        return
    error = result["error"]
    failed = styled("failed", "red", stream=sys.stdout)
    for told in (error.get("facts") or {}).get("problems") or [error]:
        place = f"{Problem(**told).place}: " if "file" in told else ""
        write(f"{label}: {failed}: {clean(place + told['message'])}")
        if told.get("hint"):
            write(f"  hint: {clean(told['hint'])}")


def _brief(connection: Connection) -> dict[str, Any]:
    return {
        "connection": connection.name,
        "family": connection.family,
        "alias": connection.alias,
        "default": connection.default,
        "values": _shown(connection),
        "file": None if connection.file is None else str(connection.file),
        "line": connection.line,
    }


_SECRET_KEYS = ("password", "passwd", "secret", "token", "key", "dsn", "credential")


def _shown(connection: Connection) -> dict[str, Any]:
    """The values for showing: references as they are, what looks like a secret in clear as ``***``."""
    from osiris.core.connections import MASK

    def masked(key: str, value: Any) -> Any:
        secret = any(word in key.lower() for word in _SECRET_KEYS)
        return MASK if secret and isinstance(value, str) and "${" not in value else value

    return {key: masked(key, value) for key, value in connection.values.items()}
