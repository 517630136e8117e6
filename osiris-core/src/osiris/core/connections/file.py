"""Named connections: ``@family.alias`` to what ``osiris_connections.yaml`` says, references kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from osiris.core.connections.references import SecretReference, secret_references
from osiris.core.errors import ConnectionConfigError
from osiris.core.quick_dataclass import dataclass

__all__ = ["FILE_NAME", "Connection", "Connections"]

FILE_NAME = "osiris_connections.yaml"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One connection, as written.

    Attributes:
        family: The kind of system, as ``mysql``.
        alias: Its name within the family.
        values: Its options; secrets as references (``${MYSQL_PASSWORD}``). Not shown by ``repr``.
        default: Whether it says ``default: true``.
        file: Where it was read.
        line: Its line there, from 1.
        lines: Line and column of each option that stands in the text, by path.
    """

    family: str
    alias: str
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    default: bool = False
    file: str | None = None
    line: int | None = None
    lines: Mapping[tuple[str | int, ...], tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """``@family.alias``."""
        return f"@{self.family}.{self.alias}"

    def references(self) -> list[SecretReference]:
        """The secret references in its values, with connection, file and line for messages."""
        return [self._placed(found) for found in secret_references(self.values, owner=f"connection {self.name}")]

    def _placed(self, reference: SecretReference) -> SecretReference:
        line, column = self.lines.get(reference.path, (self.line, None))
        return replace(reference, file=self.file, line=line, column=column)


class Connections:
    """All connections of a project.

    Args:
        connections: In any order; names must be unique.
        file: The file they come from, for messages; it need not exist.
    """

    def __init__(self, connections: Iterable[Connection] = (), *, file: str = FILE_NAME) -> None:
        self._by_family: dict[str, dict[str, Connection]] = {}
        for connection in sorted(connections, key=lambda item: (item.family, item.alias)):
            self._by_family.setdefault(connection.family, {})[connection.alias] = connection
        self._file = file

    @classmethod
    def load(cls, project_dir: str | Path) -> Connections:
        """Read ``osiris_connections.yaml`` of a project; without such a file there are no connections.

        Raises:
            ConnectionConfigError: With every mistake found, each with file, line and column.
        """
        file = Path(project_dir) / FILE_NAME
        if not file.exists():
            return cls(file=str(file))
        from osiris.core.connections.reading import read_connections  # brings PyYAML; most runs need none

        return cls(read_connections(file), file=str(file))

    def list(self) -> list[Connection]:
        """All connections by family and alias."""
        return [connection for aliases in self._by_family.values() for connection in aliases.values()]

    def get(self, name: str, *, family: str | None = None) -> Connection:
        """The connection that ``@family.alias`` names; ``@family`` is the family's default.

        The default is the one that says ``default: true``, else the one called ``default``, else the only one.

        Args:
            name: As written in the step's ``connection``.
            family: The family that the step's driver needs; None: any.

        Raises:
            ConnectionConfigError: There is no such connection; alternatives are in the hint.
        """
        wanted, _, alias = name.removeprefix("@").partition(".")
        if not name.startswith("@") or not wanted or (not alias and name.endswith(".")):
            raise self._not_a_name(name, family)
        if family is not None and wanted != family:
            raise self._wrong_family(name, wanted, family)
        aliases = self._by_family.get(wanted)
        if not aliases:
            raise self._no_family(name, wanted)
        if not alias:
            return self._default(name, wanted, aliases)
        if alias not in aliases:
            raise self._no_alias(name, alias, aliases)
        return aliases[alias]

    def _default(self, name: str, family: str, aliases: Mapping[str, Connection]) -> Connection:
        for connection in aliases.values():
            if connection.default:
                return connection
        if "default" in aliases:
            return aliases["default"]
        if len(aliases) == 1:
            return next(iter(aliases.values()))
        raise ConnectionConfigError(
            f"{name} is ambiguous: {self._file} has {len(aliases)} {family} connections and none is the default",
            hint=f"write one of {_names(aliases.values())}, or give one of them 'default: true'",
            code="connection.no_default",
        )

    def _not_a_name(self, name: str, family: str | None) -> ConnectionConfigError:
        meant = [connection for connection in self.list() if name in (connection.name[1:], connection.alias)]
        fitting = [connection for connection in meant if family in (None, connection.family)]
        told = f"did you mean {_names(fitting)}?" if fitting else f"write it as '@{family or 'family'}.alias'"
        return ConnectionConfigError(f"{name!r} is no connection's name", hint=told, code="connection.name")

    def _wrong_family(self, name: str, wanted: str, family: str) -> ConnectionConfigError:
        if wanted in self._by_family:
            message = f"{name} is a {wanted} connection; a {family} connection is needed here"
            return ConnectionConfigError(message, hint=self._alternatives(family), code="connection.family")
        if wanted in self._by_family.get(family, {}):
            told = f"did you mean '@{family}.{wanted}'?"
            return ConnectionConfigError(f"there is no connection {name}", hint=told, code="connection.unknown")
        return ConnectionConfigError(
            f"there is no connection {name}; a {family} connection is needed here",
            hint=self._alternatives(family),
            code="connection.unknown",
        )

    def _no_family(self, name: str, family: str) -> ConnectionConfigError:
        near = get_close_matches(family, self._by_family, n=1)
        told = f"did you mean '@{near[0]}{name[1 + len(family) :]}'? " if near else ""
        return ConnectionConfigError(
            f"there is no connection {name}: {self._file} has none of family {family!r}",
            hint=told + self._alternatives(None),
            code="connection.unknown",
        )

    def _no_alias(self, name: str, alias: str, aliases: Mapping[str, Connection]) -> ConnectionConfigError:
        near = get_close_matches(alias, aliases, n=1)
        told = f"did you mean {aliases[near[0]].name!r}? " if near else ""
        return ConnectionConfigError(
            f"there is no connection {name} in {self._file}",
            hint=f"{told}there are {_names(aliases.values())}",
            code="connection.unknown",
        )

    def _alternatives(self, family: str | None) -> str:
        found = [connection for connection in self.list() if family in (None, connection.family)]
        if found:
            return f"there are {_names(found)}"
        if Path(self._file).exists():
            return f"add it to {self._file}" if family is None else f"add a {family} connection to {self._file}"
        return f"create {self._file} (see: osiris init)"


def _names(connections: Iterable[Connection]) -> str:
    return ", ".join(connection.name for connection in connections)
