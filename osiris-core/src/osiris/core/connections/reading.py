"""``osiris_connections.yaml`` to connections, every mistake with its place.

The same YAML as in pipeline files: dates, ``on`` and ``007`` are texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from osiris.core.connections.file import Connection
from osiris.core.connections.references import malformed_references
from osiris.core.errors import ConnectionConfigError, InvalidPipelineError, Problem
from osiris.core.manifest.positions import Document, compose, locate
from osiris.core.manifest.report import Report, describe, suggest

__all__ = ["read_connections"]

MAX_BYTES = 1_000_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

Position = tuple[str | int, ...]


def read_connections(file: Path) -> list[Connection]:
    """Read the file.

    Raises:
        ConnectionConfigError: With every mistake found.
    """
    text = _text_of(file)
    try:
        document = compose(text, str(file))
    except InvalidPipelineError as error:
        raise ConnectionConfigError(problems=[_ours(problem) for problem in error.problems]) from None
    report = Report(str(file), document.place)
    report.problems += [_ours(problem) for problem in document.problems]
    connections = _Reader(document, report).connections()
    if report.problems:
        report.stop(ConnectionConfigError)
    return connections


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise _unreadable(file, f"is larger than {MAX_BYTES:,} bytes", "is this the right file?")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except OSError as error:
        raise _unreadable(file, f"cannot be read: {error.strerror}", None) from None


def _unreadable(file: Path, why: str, hint: str | None) -> ConnectionConfigError:
    problem = Problem(code="connection.file", message=f"the file {why}", hint=hint, file=str(file))
    return ConnectionConfigError(problems=[problem])


def _ours(problem: Problem) -> Problem:
    return replace(problem, code=problem.code.replace("manifest.", "connection.", 1))


class _Reader:
    def __init__(self, document: Document, report: Report) -> None:
        self.document = document
        self.report = report

    def connections(self) -> list[Connection]:
        data = self.document.value
        if data is None:
            return []
        if not isinstance(data, dict):
            self.report.add(
                "connection.type",
                f"the file holds {describe(data)}; it must be a mapping of families",
                (),
                "begin with 'connections:'",
            )
            return []
        self.check_version(data)
        if "connections" not in data:
            return self.families({key: value for key, value in data.items() if key != "version"}, ())
        for key in data:
            if key not in ("version", "connections"):
                meant = suggest(key, ("version", "connections"))
                told = f"did you mean {meant!r}?" if meant else "put families below 'connections:'"
                self.report.add("connection.unknown_key", f"unknown key {key!r}", (key,), told, at_key=True)
        return self.families(data["connections"], ("connections",))

    def check_version(self, data: Mapping[str, Any]) -> None:
        version = data.get("version", 1)
        if isinstance(version, bool) or str(version).partition(".")[0] != "1":
            self.report.add(
                "connection.version", f"version {version!r} is not understood", ("version",), "write: version: 1"
            )

    def families(self, data: Any, path: Position) -> list[Connection]:
        return [
            connection
            for family, aliases in self.mapping(data, path, "families").items()
            for connection in self.aliases(family, aliases, (*path, family))
        ]

    def aliases(self, family: str, data: Any, path: Position) -> list[Connection]:
        self.check_name(family, path)
        found = []
        for alias, values in self.mapping(data, path, f"{family} connections").items():
            here = (*path, alias)
            self.check_name(alias, here)
            found.append(self.connection(family, alias, self.mapping(values, here, "options"), here))
        defaults = [connection.alias for connection in found if connection.default]
        if len(defaults) > 1:
            self.report.add(
                "connection.two_defaults",
                f"{' and '.join(defaults)} are both the default of {family}",
                (*path, defaults[1], "default"),
                "keep 'default: true' in one of them",
            )
        return found

    def connection(self, family: str, alias: str, data: Mapping[str, Any], path: Position) -> Connection:
        default = data.get("default", False)
        if not isinstance(default, bool):
            self.report.add(
                "connection.type", f"default is {describe(default)}", (*path, "default"), "write: default: true"
            )
        values = {key: value for key, value in data.items() if key != "default"}
        for where, text in malformed_references(values):
            self.report.add(
                "connection.reference",
                f"{text} is no reference",
                (*path, *where),
                "write ${NAME}, ${NAME:-default}, ${file:/path} or ${keyring:service/name}; $${ for the characters ${",
            )
        return Connection(
            family=family,
            alias=alias,
            values=values,
            default=default is True,
            file=self.report.file,
            line=self.position(path, at_key=True)[0],
            lines={where: self.position((*path, *where)) for where in _paths(values, ())},
        )

    def position(self, path: Position, *, at_key: bool = False) -> tuple[int, int]:
        return locate(self.document.place, path, at_key=at_key) or (1, 1)

    def mapping(self, value: Any, path: Position, of: str) -> dict[str, Any]:
        if value is None:  # the name alone, nothing below it
            return {}
        if isinstance(value, dict):
            return value
        name = str(path[-1]) if path else "the file"
        self.report.add("connection.type", f"{name} holds {describe(value)}; it must be a mapping of {of}", path)
        return {}

    def check_name(self, name: str, path: Position) -> None:
        if not _NAME.fullmatch(name):
            self.report.add(
                "connection.name",
                f"{name!r} cannot be part of a connection's name",
                path,
                "use letters, digits, _ and -, not beginning with a digit",
                at_key=True,
            )


def _paths(value: Any, path: Position) -> list[Position]:
    """The path of everything below ``path`` in nested mappings and lists."""
    if isinstance(value, Mapping):
        items: list[tuple[str | int, Any]] = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list) else []
    return [found for key, item in items for found in ((*path, key), *_paths(item, (*path, key)))]
