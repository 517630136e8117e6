"""Options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from osiris.cli.completion import complete_adapters, complete_sessions

__all__ = [
    "Adapter",
    "AdapterOption",
    "Checkpoint",
    "ChosenAdapter",
    "EnvFile",
    "Fallback",
    "Force",
    "Json",
    "MaxMemory",
    "Parallel",
    "Param",
    "Pipeline",
    "Profile",
    "Resume",
    "SessionDir",
    "Timeout",
    "read_name",
    "read_path",
]


def read_path(text: str | Path) -> Path:
    """A path as it is given. Who opens it tells what is wrong with it, in our words.

    Raises:
        BadParameter: It is empty, as a variable of the shell that is not set.
    """
    if not str(text):
        raise typer.BadParameter("it is empty")
    return Path(text)


def read_name(text: str) -> str:
    """A name that is not empty; raises as :func:`read_path`."""
    if not text:
        raise typer.BadParameter("it is empty")
    return text


Pipeline = Annotated[
    Path | None,
    typer.Argument(metavar="[PIPELINE]", parser=read_path, help="The pipeline file.  [default: pipeline.yaml]"),
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a param of the pipeline; may be repeated."),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Take the params of this profile of the pipeline."),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        parser=read_path,
        help="Take variables from FILE before those of the environment.",
    ),
]
SessionDir = Annotated[
    Path | None,
    typer.Option(
        "--session-dir",
        metavar="DIR",
        parser=read_path,
        help="The folder of sessions.  [default: PROJECT/.osiris/runs]",
    ),
]
Adapter = Annotated[
    str,
    typer.Option(
        "--adapter", "-a", metavar="NAME", parser=read_name, help="Where to run.", autocompletion=complete_adapters
    ),
]
ChosenAdapter = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        "-a",
        metavar="NAME",
        parser=read_name,
        help="Where to run.  [default: that of osiris.yaml, else local]",
        autocompletion=complete_adapters,
    ),
]
AdapterOption = Annotated[
    list[str] | None,
    typer.Option("--adapter-option", metavar="NAME=VALUE", help="Set an option of the adapter; may be repeated."),
]
Parallel = Annotated[
    int | None,
    typer.Option("--parallel", metavar="N", min=1, help="Run at most N independent stages at the same time."),
]
Fallback = Annotated[
    list[str] | None,
    typer.Option("--fallback", metavar="NAME", help="Run here if the adapter's place cannot be had; may be repeated."),
]
Checkpoint = Annotated[
    bool, typer.Option("--checkpoint", help="Keep what steps give to others on disk, for a later --resume.")
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="SESSION",
        help="Go on where this run stopped: its id, the beginning or end of it, its folder, or 'last'.",
        autocompletion=complete_sessions,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="With --resume: go on although the pipeline or a driver was changed.")
]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", help="Stop the run before it takes more, as 500MB; spools first."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, help="Stop the run, as failed, after this time."),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document.")]
