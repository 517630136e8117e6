"""The one place where secret references become values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from osiris.core.connections.env_file import read_variables
from osiris.core.connections.publicity import is_public
from osiris.core.connections.redaction import REDACTOR, Redactor
from osiris.core.connections.references import SecretReference, parse_reference
from osiris.core.errors import ConnectionConfigError, OsirisError, Problem
from osiris.core.quick_dataclass import dataclass

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["SecretResolver", "SecretSource"]

Schemes = Mapping[str, Callable[[str], str]]

BUILT_IN = ("file", "keyring")


@dataclass(frozen=True)
class SecretSource:
    """Where a reference's value comes from: ``place`` in words, ``found`` whether it is there."""

    place: str
    found: bool


class _Unresolved(Exception):
    """Why one reference has no value; becomes a Problem."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class SecretResolver:
    """Looks up secret references. What it finds is registered with the redactor before anybody else sees it.

    Variables are looked up in ``environment``, then in the process's environment, then in ``.env``.

    Args:
        environment: Goes first.
        dotenv: A ``.env`` file; need not exist. Taken literally: nothing in it is expanded.
        extra_schemes: Schemes of plugins: functions from what follows the colon to the value; or a function that
            gives them, called when the first one is needed.
        base_dir: Where relative paths of ``${file:...}`` begin; default the folder of ``dotenv``.
        redactor: Who is told the values.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        dotenv: str | Path | None = None,
        extra_schemes: Schemes | Callable[[], Schemes] | None = None,
        *,
        base_dir: str | Path | None = None,
        redactor: Redactor = REDACTOR,
    ) -> None:
        self._environment = dict(environment or {})
        self._dotenv = None if dotenv is None else Path(dotenv)
        self._extra_schemes = extra_schemes or {}
        self._base_dir = Path(base_dir) if base_dir is not None else (self._dotenv or Path(".env")).parent
        self._redactor = redactor
        self._values: dict[str, str] = {}
        self._sources: dict[str, SecretSource] = {}

    def resolve_all(self, references: Iterable[SecretReference | str]) -> dict[str, str]:
        """The values by reference text; each is looked up once.

        Raises:
            ConnectionConfigError: Some have no value; each is a Problem that names variable, owner and place.
        """
        found: dict[str, str] = {}
        problems: dict[tuple[str, str], Problem] = {}
        for reference in map(_as_reference, references):
            try:
                found[reference.text] = self._value(reference)
            except _Unresolved as error:
                # Once for each connection, however many steps use it.
                owner = reference.owner or str(reference.path)
                problems.setdefault((reference.text, owner), _problem(reference, error))
        if problems:
            raise ConnectionConfigError(problems=problems.values())
        return found

    def source(self, reference: SecretReference) -> SecretSource:
        """Where the value would come from. Fetches nothing from password managers and plugins."""
        if reference.scheme == "env":
            value, place = self._look_up(reference.name)
            if not value and reference.default is not None:
                return SecretSource("default", True)
            return SecretSource(place, bool(value))
        if reference.scheme == "file":
            path = self._path(reference.name)
            return SecretSource(f"file {path}", path.is_file())
        known = reference.scheme == "keyring" or reference.scheme in self._schemes
        return SecretSource(reference.scheme, known)

    def resolved(self, reference: SecretReference) -> SecretSource | None:
        """Where the value came from; None as long as :meth:`resolve_all` has found none."""
        return self._sources.get(reference.text)

    def _value(self, reference: SecretReference) -> str:
        value = self._values.get(reference.text)
        if value is None:
            value = self._values[reference.text] = self._fetch(reference)
            self._sources[reference.text] = self.source(reference)
        # Each time: the same variable may stand for the user here and for the password there.
        if not (is_public(reference) or self._is_default(reference)):
            self._redactor.add(value)
        return value

    def _fetch(self, reference: SecretReference) -> str:
        if reference.scheme == "env":
            return self._variable(reference)
        if reference.scheme == "file":
            value = self._content(reference)
        elif reference.scheme == "keyring":
            value = _from_keyring(reference.name)
        else:
            value = self._from_plugin(reference)
        if not value:
            raise _Unresolved("connection.empty_secret", f"{reference.text} is empty")
        return value

    def _variable(self, reference: SecretReference) -> str:
        value, _ = self._look_up(reference.name)
        if value:
            return value
        if reference.default is not None:
            return reference.default
        name = reference.name
        if value == "":
            raise _Unresolved(
                "connection.empty_variable",
                f"variable {name} is set but empty",
                f"give it a value, or write ${{{name}:-}} where empty is meant",
            )
        near = get_close_matches(name, {key for _, variables in self._places() for key in variables}, n=1, cutoff=0.8)
        told = f"did you mean {near[0]}? " if near else ""
        where = "" if self._dotenv is None else f" or add it to {self._dotenv}"
        if self._dotenv is not None and self._dotenv.is_dir():
            where = f"; {self._dotenv} is a folder, a file of that name could set it too"
        raise _Unresolved(
            "connection.missing_variable", f"variable {name} is not set", f"{told}export {name}=...{where}"
        )

    def _look_up(self, name: str) -> tuple[str | None, str]:
        """The first value and where it is, though it be empty; None where it is set nowhere."""
        for place, variables in self._places():
            if name in variables:
                return variables[name], place
        return None, "nowhere"

    def _is_default(self, reference: SecretReference) -> bool:
        return reference.scheme == "env" and not self._look_up(reference.name)[0]

    def _places(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        yield "given with the run", self._environment
        yield "environment", os.environ
        yield str(self._dotenv), self._dotenv_values  # read only where the others have not decided

    @cached_property
    def _dotenv_values(self) -> Mapping[str, str]:
        if self._dotenv is None or not self._dotenv.exists() or self._dotenv.is_dir():  # as a virtual environment
            return {}
        return read_variables(self._dotenv)

    def _path(self, name: str) -> Path:
        return self._base_dir / Path(name).expanduser()

    def _content(self, reference: SecretReference) -> str:
        path = self._path(reference.name)
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise _Unresolved("connection.missing_file", f"secret file {path} does not exist") from None
        except UnicodeDecodeError:
            raise _Unresolved("connection.secret_file", f"secret file {path} is not UTF-8 text") from None
        except OSError as error:
            raise _Unresolved(
                "connection.secret_file", f"secret file {path} cannot be read: {error.strerror}"
            ) from None
        return text.removesuffix("\n").removesuffix("\r")

    @cached_property
    def _schemes(self) -> Schemes:
        return self._extra_schemes() if callable(self._extra_schemes) else self._extra_schemes

    def _from_plugin(self, reference: SecretReference) -> str:
        scheme = reference.scheme
        fetch = self._schemes.get(scheme)
        if fetch is None:
            known = sorted({*BUILT_IN, *self._schemes})
            near = get_close_matches(scheme, known, n=1)
            told = f"did you mean {near[0]!r}? " if near else ""
            raise _Unresolved(
                "connection.unknown_scheme",
                f"nobody resolves {reference.text}: there is no secret scheme {scheme!r}",
                f"{told}known are {', '.join(known)}; others come with plugins",
            )
        try:
            value = fetch(reference.name)
        except KeyError:
            raise _Unresolved("connection.missing_secret", f"{scheme} has no secret {reference.name!r}") from None
        except OsirisError as error:
            raise _Unresolved(error.code, f"{reference.text}: {error.message}", error.hint) from error
        except Exception as error:  # whatever a plugin raises; its text might hold the secret
            raise _Unresolved(
                "connection.resolver_failed", f"the resolver of {reference.text} raised {type(error).__name__}"
            ) from error
        if not isinstance(value, str):
            raise _Unresolved(
                "connection.resolver_failed",
                f"the resolver of {reference.text} returned a {type(value).__name__}, not a text",
            )
        return value


def _from_keyring(rest: str) -> str:
    service, _, name = rest.rpartition("/")
    if not service or not name:
        raise _Unresolved(
            "connection.reference", f"${{keyring:{rest}}} names no entry", "write ${keyring:service/name}"
        )
    keyring = _keyring()
    try:
        value: str | None = keyring.get_password(service, name)
    except Exception as error:  # each backend has errors of its own
        raise _Unresolved(
            "connection.keyring", f"the keyring cannot be asked for {rest!r}: {type(error).__name__}: {error}"
        ) from error
    if value is None:
        raise _Unresolved(
            "connection.missing_secret",
            f"the keyring has no entry {rest!r}",
            f"add it: keyring set {service} {name}",
        )
    return value


def _keyring() -> ModuleType:
    try:
        import keyring
    except ImportError:
        raise _Unresolved(
            "connection.keyring",
            "the package keyring is not installed",
            "pip install 'osiris-core[keyring]'",
        ) from None
    return keyring


def _as_reference(item: SecretReference | str) -> SecretReference:
    if isinstance(item, SecretReference):
        return item
    found = parse_reference(item)
    if found is None:
        raise ConnectionConfigError(f"{item!r} is no secret reference", code="connection.reference")
    return found


def _problem(reference: SecretReference, error: _Unresolved) -> Problem:
    path = ".".join(map(str, reference.path))
    needed = " ".join(part for part in (reference.owner, f"({path})" if path else "") if part)
    return Problem(
        code=error.code,
        message=f"{error.message}; needed by {needed}" if needed else error.message,
        hint=error.hint,
        path=path,
        file=reference.file,
        line=reference.line,
        column=reference.column,
    )
