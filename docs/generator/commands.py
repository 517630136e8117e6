"""The page of all commands, from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from docs.generator.tables import cell, code, table
from osiris.cli.group import COMMANDS
from osiris.cli.main import PROGRAM, app

__all__ = ["describe"]

_HEAD = """\
# Commands

Every command of `osiris` with its arguments, options and defaults, as `osiris COMMAND --help` tells them.
[The command line](cli.md) says what is the same for all of them: output, exit codes, secrets, completion.

"""
_FACTS = re.compile(r"\s*\[((?:default: |env var: |required|[x0-9.<>=]+)[^\[\]]*)\]$")


def describe() -> str:
    """The page."""
    root: Any = get_command(app)
    context = root.make_context(PROGRAM, [], resilient_parsing=True)
    commands = [(name, root.resolve_command(context, [name])[1]) for name in COMMANDS]
    overview = [[f"[`{PROGRAM} {name}`](#{PROGRAM}-{name})", cell(COMMANDS[name])] for name in COMMANDS]
    sections = [section for name, command in commands for section in _sections(f"{PROGRAM} {name}", command, context)]
    top = f"Options of `{PROGRAM}` itself:\n\n{_parameters(root, context)}"
    return "\n".join([_HEAD + table(["command", "does"], overview), top, *sections])


def _sections(path: str, command: Any, parent: Any) -> Iterator[str]:
    context = command.make_context(path.rpartition(" ")[2], [], parent=parent, resilient_parsing=True)
    deeper = getattr(command, "commands", None)
    text = _prose(command.help or "")
    if deeper:
        yield f"## {path}\n\n{text}\n"
        for name, one in deeper.items():
            yield from _sections(f"{path} {name}", one, context)
        return
    level = "##" if path.count(" ") == 1 else "###"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    usage = re.sub(r"\[(\[\w+\](?:\.\.\.)?)\](?:\.\.\.)?", r"\1", usage)
    yield f"{level} {path}\n\n{text}\n\n```text\n{usage}\n```\n\n{_parameters(command, context)}"


def _prose(text: str) -> str:
    """Paragraphs of help, quoted commands in the type of code."""
    paragraphs = [" ".join(part.split()) for part in text.replace("\f", "").split("\n\n")]
    return "\n\n".join(re.sub(r"'([^']+)'", r"`\1`", part) for part in paragraphs)


def _parameters(command: Any, context: Any) -> str:
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        names, text = re.sub(r" <[^>]+>$", "", record[0]), record[1]
        said = _FACTS.search(text)
        facts = said[1].split("; ") if said else []
        default = next((fact.removeprefix("default: ") for fact in facts if fact.startswith("default: ")), "")
        others = [fact for fact in facts if not fact.startswith("default: ")]
        meaning = cell(_FACTS.sub("", text)) + "".join(f" ({code(fact)})" for fact in others)
        if getattr(parameter, "count", False):
            default = ""
        rows.append([code(names.strip()), meaning, cell(default)])
    return table(["argument or option", "meaning", "default"], rows) if rows else "It takes no options.\n"
