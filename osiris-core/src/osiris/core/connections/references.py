"""Secret references in configs and connections: found, and filled in.

=========================  ======================================================
``${VAR}``                 an environment variable, or a line of ``.env``
``${VAR:-default}``        the same; ``default`` where it is unset or empty
``${file:/run/secrets/x}`` the content of a file, without its last line break
``${keyring:service/name}`` the password manager of the machine
``${scheme:rest}``         whatever a plugin's ``osiris_secret_resolvers`` offers
``$${``                    the characters ``${``
=========================  ======================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from osiris.core.errors import ConnectionConfigError
from osiris.core.quick_dataclass import dataclass

__all__ = ["SecretReference", "fill", "malformed_references", "parse_reference", "secret_references"]

_TOKEN = re.compile(r"\$\$\{|\$\{[^}]*\}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\}", re.DOTALL)
_SCHEME = re.compile(r"\$\{([a-z][a-z0-9_+.-]*):(?!-)(.+)\}", re.DOTALL)

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class SecretReference:
    """One ``${...}`` and where it stands.

    Attributes:
        text: As written: ``${MYSQL_PASSWORD}``.
        scheme: ``env``, ``file``, ``keyring`` or a plugin's.
        name: The variable, the file, or what follows the scheme.
        default: Of a variable; None where there is none.
        path: Where in the value that was searched.
        whole: Whether it is the whole text there, not a part of it.
        owner: Whose value it is, for messages: ``connection @mysql.main``.
        file: The file it was read from; None where it was not.
        line: Its line there, from 1.
        column: Its column there, from 1.
    """

    text: str
    scheme: str
    name: str
    default: str | None = None
    path: Path = ()
    whole: bool = True
    owner: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def key(self) -> str:
        """The name of the option that it fills: the last word in :attr:`path`; empty where there is none."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")

    @property
    def told(self) -> str:
        """What to call it where people look: the variable's name without a default, or ``scheme:name``."""
        return self.name if self.scheme == "env" else f"{self.scheme}:{self.name}"


def parse_reference(text: str) -> SecretReference | None:
    """``text`` as a reference; None where it is not exactly one."""
    if match := _VARIABLE.fullmatch(text):
        return SecretReference(text=text, scheme="env", name=match[1], default=match[2])
    if match := _SCHEME.fullmatch(text):
        return SecretReference(text=text, scheme=match[1], name=match[2])
    return None


def secret_references(value: Any, *, owner: str = "") -> list[SecretReference]:
    """Every secret reference in nested mappings, lists and texts, in order, repeated ones too.

    Anything else in ``${...}`` (``${orders.df}``) is not one and is left alone.

    Args:
        value: Where to search.
        owner: Whose value it is, for messages.
    """
    return list(_walk(value, (), owner))


def malformed_references(value: Any) -> list[tuple[Path, str]]:
    """Path and text of every ``${`` that begins no secret reference, where nothing else makes sense."""
    return list(_malformed(value, ()))


def fill(value: Any, secrets: Mapping[str, str]) -> Any:
    """``value`` with every secret reference replaced, and ``$${`` turned into ``${``; mappings and lists are new.

    Args:
        value: Nested mappings, lists and texts; keys are left as they are.
        secrets: Reference texts (``${MYSQL_PASSWORD}``) to values, from ``SecretResolver.resolve_all``.

    Raises:
        ConnectionConfigError: A reference has no value there.
    """
    if isinstance(value, str):
        return _TOKEN.sub(lambda found: _filled(found.group(), secrets), value) if "${" in value else value
    if type(value) is dict or isinstance(value, Mapping):  # asking the abstract class costs as much as the rest
        return {key: fill(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, secrets) for item in value]
    return value


def _filled(token: str, secrets: Mapping[str, str]) -> str:
    if token == "$${":  # noqa: S105  # not a password
        return "${"
    if parse_reference(token) is None:
        return token
    if token not in secrets:
        raise ConnectionConfigError(f"there is no value for {token}", code="connection.unresolved", reference=token)
    return secrets[token]


def _walk(value: Any, path: Path, owner: str) -> Iterator[SecretReference]:
    if isinstance(value, str):
        yield from _in_text(value, path, owner)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, (*path, key), _unfolded_owner(value, key) or owner)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index), owner)


def _unfolded_owner(config: Mapping[str, Any], key: str) -> str:
    """A prepared config keeps the connection's name beside the connection itself."""
    named = config.get("connection") if key == "resolved_connection" else None
    return f"connection {named}" if isinstance(named, str) else ""


def _in_text(text: str, path: Path, owner: str) -> Iterator[SecretReference]:
    if "${" not in text:
        return
    for token in _TOKEN.findall(text):
        found = parse_reference(token)
        if found is not None:
            yield SecretReference(
                text=token,
                scheme=found.scheme,
                name=found.name,
                default=found.default,
                path=path,
                whole=token == text,
                owner=owner,
            )


def _malformed(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        for token in re.findall(r"\$\$\{|\$\{[^}]*\}?", value):
            if token != "$${" and parse_reference(token) is None:  # noqa: S105  # not a password
                yield path, token
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _malformed(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _malformed(item, (*path, index))
