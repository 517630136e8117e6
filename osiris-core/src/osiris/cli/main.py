"""The ``osiris`` command: parses, dispatches, and turns every error into its form and exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from traceback import walk_tb
from typing import Annotated, Any

import typer
from typer.main import get_command

from osiris.cli import failure, terminal
from osiris.cli.ending import end_process
from osiris.cli.group import LazyGroup
from osiris.core import __version__
from osiris.core.errors import OsirisError, PluginBrokenError
from osiris.core.wording import text_of

__all__ = ["app", "main"]

PROGRAM = "osiris"
BROKEN_PIPE = 141  # what a shell says of a program that SIGPIPE ended

app = typer.Typer(
    name=PROGRAM,
    cls=LazyGroup,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # Typer imports pydantic to convert the None that these flags of its own have unless they are given.
        "default_map": {"help": False, "install_completion": False, "show_completion": False},
    },
    epilog="Begin with 'osiris init demo', then 'cd demo' and 'osiris run'.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def osiris(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run data pipelines: extract, transform, write; the same on this machine and elsewhere."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; default those of the process, which is then ended at once where
            that can be done.

    Returns:
        The exit code: 0 ok, 1 bug, 2 usage, 3 invalid pipeline or plan, 4 plugin, 5 the run failed,
        130 or 143 interrupted.
    """
    if arguments is not None:
        return _run(list(arguments))
    code = _run(sys.argv[1:])
    end_process(code)
    return code


def _run(given: list[str]) -> int:
    terminal.prepare()
    try:
        code = _dispatch(given)
        terminal.flush()
    except BrokenPipeError:
        terminal.discard()
        return BROKEN_PIPE
    except OsirisError as error:  # stdout itself cannot be written
        terminal.discard()
        failure.tell_error(error)
        return failure.exit_code(error)
    return code


def _dispatch(given: list[str]) -> int:
    as_json = _wants_json(given)
    try:
        returned: Any = get_command(app).main(given, prog_name=PROGRAM, standalone_mode=False)
    except BrokenPipeError:
        raise
    except SystemExit as stop:
        # Typer exits by itself after completion, and where help meets a closed pipe. Nobody else may: whatever code a
        # plugin gives, what was asked for was not done.
        if isinstance(stop.__context__, BrokenPipeError):
            raise BrokenPipeError from stop
        if _raised_at(stop)[0].startswith("typer."):
            return stop.code if isinstance(stop.code, int) else 0
        return failure.report(_ended_from_within(stop), as_json=as_json)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        return failure.report(error, as_json=as_json)
    return returned if isinstance(returned, int) else 0


def _raised_at(error: BaseException) -> tuple[str, str]:
    """The module whose code raised it, and ``file:line``; empty where that is not known."""
    frames = list(walk_tb(error.__traceback__))
    if not frames:
        return "", ""
    frame, line = frames[-1]
    return str(frame.f_globals.get("__name__", "")), f"{frame.f_code.co_filename}:{line}"


def _ended_from_within(stop: SystemExit) -> PluginBrokenError:
    place = _raised_at(stop)[1]
    return PluginBrokenError(
        f"something that was loaded ended the program: SystemExit({text_of(stop)})" + (f" at {place}" if place else ""),
        hint="what was asked for is not done; upgrade the package at that place, or tell its authors",
        place=place,
    )


def _wants_json(given: list[str]) -> bool:
    # Before anything is parsed: an error of parsing must come out as JSON too.
    if os.environ.get("_OSIRIS_COMPLETE"):
        return False
    return "--json" in given[: given.index("--") if "--" in given else len(given)]
