"""What the hooks of group ``osiris.plugins`` answer, looked at before anybody needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osiris.core.errors import PluginError
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.findings import Finding, Subject
from osiris.core.plugins.loading import load_object

if TYPE_CHECKING:
    from osiris.core.plugins.catalog import Catalog

__all__ = ["check_hooks"]

_SCHEME = re.compile(r"[a-z][a-z0-9_+.-]*")
_BUILT_IN_SCHEMES = ("env", "file", "keyring")
_COMMAND = re.compile(r"[a-z][a-z0-9_-]*")
_IN_A_RUN = {
    "osiris_event_sinks": "it is there; it is asked before the first event of a run, so it was not called",
    "osiris_check_plan": "it is there; it is asked at the end of planning, so it was not called",
}


def check_hooks(catalog: Catalog, entry: PluginEntry, own_commands: Collection[str]) -> Iterator[Finding]:
    """Look at every hook that one entry point's module implements, except those of drivers and adapters."""
    for hook in catalog.hooks_of(entry):
        subject = Subject(entry, f"hook {hook}", "hook")
        if hook in _IN_A_RUN:
            yield subject.ok(_IN_A_RUN[hook])
        elif hook == "osiris_secret_resolvers":
            yield from _check_each(catalog, subject, hook, _scheme_fault)
        elif hook == "osiris_cli_commands":
            yield from _check_each(
                catalog, subject, hook, lambda name, value: _command_fault(entry, name, value, own_commands)
            )


def _check_each(
    catalog: Catalog, subject: Subject, hook: str, fault: Callable[[str, Any], str | None]
) -> Iterator[Finding]:
    """Call the hook and look at each name that it offers."""
    try:
        answers = catalog.ask(subject.entry, hook)
    except PluginError as error:
        yield subject.fail(error)
        return
    hint = "this is for the authors of the package to put right; see osiris.core.hookspecs"
    noun = "secret scheme" if hook == "osiris_secret_resolvers" else "command"
    for answer in answers:
        if not isinstance(answer, Mapping):
            yield subject.wrong(f"it returned a {type(answer).__name__} where a mapping is asked for", hint=hint)
            continue
        for name, value in answer.items():
            named = Subject(subject.entry, f"{noun} {name}", "hook")
            others = _other_owners(catalog, subject.entry, hook, name)
            if told := fault(name, value):
                yield named.wrong(told, hint=hint)
            elif others:
                told = f"it is offered by {subject.entry.owner} and by {' and by '.join(others)}; none of them is used"
                yield named.wrong(told, hint="uninstall the one you do not want")
            else:
                yield named.ok("it can be called" if noun == "secret scheme" else f"{value[1]} is a typer app")


def _other_owners(catalog: Catalog, entry: PluginEntry, hook: str, name: str) -> list[str]:
    return [
        other.owner
        for other, answer in catalog.hook(hook)
        if other.value != entry.value and isinstance(answer, Mapping) and name in answer
    ]


def _scheme_fault(name: Any, function: Any) -> str | None:
    if not isinstance(name, str) or not _SCHEME.fullmatch(name):
        return "no reference can name it: a scheme is a small letter, then small letters, digits, _, +, . and -"
    if name in _BUILT_IN_SCHEMES:
        return "Osiris has that scheme itself; this one is never asked"
    return None if callable(function) else f"it is a {type(function).__name__}, not a function from text to value"


def _command_fault(entry: PluginEntry, name: Any, command: Any, own: Collection[str]) -> str | None:
    import typer

    if not isinstance(name, str) or not _COMMAND.fullmatch(name):
        return "nobody can type it: a command is a small letter, then small letters, digits, _ and -"
    if name in own:
        return "osiris has that command itself; this one is never reached"
    if not (isinstance(command, list | tuple) and len(command) == 2 and all(isinstance(part, str) for part in command)):
        return "it must be a pair of texts: one line of help, and package.module:app"
    module, _, attribute = command[1].partition(":")
    try:
        app = load_object(f"{module}:{attribute or 'app'}", entry, f"command {name!r}")
    except PluginError as error:
        return error.message
    return None if isinstance(app, typer.Typer) else f"{command[1]} is a {type(app).__name__}, not a typer.Typer"
