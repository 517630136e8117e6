"""The project around a command: its folder, its pipeline file, where its sessions are, and ``k=v`` options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from osiris.core.errors import ConnectionConfigError, UsageError

__all__ = ["find_pipeline", "find_project", "parse_pairs", "read_env_file", "sessions_root"]

MARKER = "osiris.yaml"
DEFAULT_PIPELINE = "pipeline.yaml"


def find_project(pipeline: Path | None = None) -> Path:
    """The project folder: the nearest that holds ``osiris.yaml``, seen from the pipeline file, then from here."""
    here = Path.cwd()
    starts = [here] if pipeline is None else [pipeline.resolve().parent, here]
    for start in starts:
        for folder in (start, *start.parents):
            if (folder / MARKER).is_file():
                return folder
    return here


def find_pipeline(given: Path | None) -> Path:
    """The pipeline file: the one given, else ``pipeline.yaml`` here.

    Raises:
        UsageError: None was given and there is none here.
    """
    if given is not None:
        return given
    default = Path(DEFAULT_PIPELINE)
    if not default.is_file():
        raise UsageError(
            f"no pipeline was named and there is no {DEFAULT_PIPELINE} in this folder",
            hint="name a pipeline file, or begin with 'osiris init'",
            code="usage.no_pipeline",
        )
    return default


def sessions_root(project: Path, session_dir: Path | None = None) -> Path:
    """The folder that holds one folder for each run."""
    return (session_dir or project / ".osiris" / "runs").expanduser().absolute()


def parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str]:
    """``["a=1", "b=x=y"]`` to ``{"a": "1", "b": "x=y"}``; the last of a name counts.

    Raises:
        UsageError: There is no ``=``, or nothing before it.
    """
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} {pair!r} is not name=value", hint=f"write {option} name=value")
        found[name.strip()] = value
    return found


def read_env_file(path: Path | None) -> dict[str, str]:
    """The variables of the file that ``--env-file`` names; empty where none was named.

    Raises:
        UsageError: It cannot be read, or says something that is no variable.
    """
    if path is None:
        return {}
    from osiris.core.connections.env_file import read_variables

    try:
        return read_variables(path)
    except ConnectionConfigError as error:
        told = UsageError(error.message, hint=error.hint, code="usage.env_file")
        if error.problems:
            told.facts["problems"] = [replace(one, code=told.code).to_dict() for one in error.problems]
        raise told from None
