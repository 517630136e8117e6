"""The command group: it knows every command's name and one line of help, and imports only the one that runs."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from osiris.cli.ending import await_threads
from osiris.cli.terminal import clean, styled, tell
from osiris.core.errors import OsirisError, RunCancelledError
from osiris.core.wording import text_of

__all__ = ["COMMANDS", "LazyGroup"]

COMMANDS: dict[str, str] = {
    "init": "Create a project that runs at once.",
    "run": "Run a pipeline.",
    "plan": "Show what would run, without running it.",
    "validate": "Check pipeline files and report every problem.",
    "compile": "Write a pipeline as a manifest, also one of the older dialect.",
    "runs": "List past runs, show one, or remove old ones.",
    "plugins": "List, show or check the installed plugins.",
    "drivers": "List drivers, or show one with its options.",
    "connections": "List connections, or test them.",
    "schema": "Print the JSON Schema of pipeline files, for editors.",
    "new": "Begin a package of your own: a driver family or an adapter.",
    "doctor": "Check the installation and the project.",
    "bench": "Measure an adapter with a pipeline.",
}
"""Every command of our own: its name, which is also its module below ``osiris.cli``, and one line of help."""

_COMPLETION_OPTIONS = {"install_completion", "show_completion"}


class LazyGroup(TyperGroup):
    """Holds a stub for each command; help and completion see the stubs, running one loads its module."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, summary in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=summary, rich_markup_mode=None)
        self._contributed: dict[str, tuple[str, str]] | None = None

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, those of installed plugins last."""
        self._add_contributed()
        return super().list_commands(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that ``args`` begin with, loaded.

        Raises:
            OsirisError: A plugin offers the command and cannot be imported.
        """
        if args[0] not in COMMANDS:
            self._add_contributed()
        name, stub, rest = super().resolve_command(ctx, args)
        if stub is None or name is None:
            return name, None, rest
        command = self._load(name)
        if ctx.resilient_parsing:
            _keep_values_raw(command, ctx)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C where it has no handler of its own becomes a handled error."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise RunCancelledError("interrupted by Ctrl-C", signal=2) from error
        except SystemExit as stop:
            # A plugin's command may end as programs do; of ours none does, so that it was something they loaded.
            if ctx.invoked_subcommand is None or ctx.invoked_subcommand in COMMANDS:
                raise
            raise typer.Exit(_exit_code(stop)) from stop

    def _load(self, name: str) -> Any:
        app = import_module(f"osiris.cli.{name}").app if name in COMMANDS else self._load_contributed(name)
        command: Any = get_command(app)
        command.name = name
        _make_plain(command)
        return command

    def _load_contributed(self, name: str) -> typer.Typer:
        target = (self._contributed or {})[name][1]
        module, _, attribute = target.partition(":")
        try:
            app = getattr(import_module(module), attribute or "app")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too
            raise _broken(name, target, f"{type(error).__name__}: {text_of(error)}") from error
        await_threads()
        if not isinstance(app, typer.Typer):
            raise _broken(name, target, f"it is a {type(app).__name__}, not a typer.Typer")
        return app

    def _add_contributed(self) -> None:
        """Ask the plugins for commands, once, and only where one is installed."""
        if self._contributed is not None:
            return
        self._contributed = {}
        for name, (summary, target) in _contributed_commands().items():
            if name not in COMMANDS:
                self._contributed[name] = (summary, target)
                self.commands[name] = TyperCommand(name, help=summary, rich_markup_mode=None)


def _contributed_commands() -> dict[str, tuple[str, str]]:
    from importlib.metadata import entry_points

    readable = True
    try:
        if not entry_points(group="osiris.plugins"):
            return {}
    except Exception:  # metadata of anybody's that is damaged: the catalogue reads them one by one
        readable = False
    from osiris.core.plugins import Catalog

    try:
        catalog = Catalog.current()
        found = dict(catalog.cli_commands())
    except OsirisError:
        return {}  # a broken plugin never breaks the command line; `osiris plugins list` says why
    if not readable and "_OSIRIS_COMPLETE" not in os.environ:
        for warning in catalog.environment_warnings():
            tell(f"{styled('warning:', 'bold', 'yellow')} {clean(warning)}")
    return found


def _exit_code(stop: SystemExit) -> int:
    """What Python itself makes of it: a text is told, and is a failure."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    tell(clean(text_of(stop.code)))
    return 1


def _broken(name: str, target: str, reason: str) -> OsirisError:
    from osiris.core.errors import PluginBrokenError

    return PluginBrokenError(
        f"command {name!r} cannot be loaded from {target}: {reason}",
        hint="run 'osiris plugins list' to see which package offers it",
    )


def _keep_values_raw(command: Any, ctx: Any) -> None:
    # Completion wants no values; Typer would import pydantic to convert them.
    for param in command.get_params(ctx):
        param.process_value = lambda ctx, value: value
    for child in getattr(command, "commands", {}).values():
        _keep_values_raw(child, ctx)


def _make_plain(command: Any) -> None:
    # Typer's rich help imports a Markdown parser and a highlighter: several times the cost of all else.
    command.rich_markup_mode = None
    command.params = [param for param in command.params if param.name not in _COMPLETION_OPTIONS]
    for child in getattr(command, "commands", {}).values():
        _make_plain(child)
