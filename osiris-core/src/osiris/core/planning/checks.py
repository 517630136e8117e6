"""What each step says, against what its driver says of itself; connections and required packages too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from osiris.core.driver import DriverSpec
from osiris.core.errors import ConnectionConfigError, PluginError, Problem
from osiris.core.manifest.model import Manifest
from osiris.core.manifest.references import has_secret
from osiris.core.manifest.report import describe, format_path
from osiris.core.parsing import read_requirement
from osiris.core.planning.findings import Findings
from osiris.core.planning.models import Mismatch, check_model, load_model
from osiris.core.planning.secrets import Secret, find_secrets

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ConnectionLike", "ConnectionSource", "Installed", "check_params", "check_requires", "check_steps"]

Path = tuple[str | int, ...]
Installed = Callable[[str], str | None]
"""The installed version of a distribution; None where it is not installed."""


class ConnectionLike(Protocol):
    """What planning reads of a connection."""

    @property
    def family(self) -> str:
        """As ``mysql``."""

    @property
    def alias(self) -> str:
        """Its name within the family."""

    @property
    def values(self) -> Mapping[str, Any]:
        """As written, references kept."""

    @property
    def file(self) -> str | None:
        """Where it was read from; None where it was not."""

    @property
    def line(self) -> int | None:
        """Its line there, from 1."""

    @property
    def lines(self) -> Mapping[Path, tuple[int, int]]:
        """Line and column of each of its options, by path."""


class ConnectionSource(Protocol):
    """Where ``@family.alias`` is looked up."""

    def get(self, name: str, *, family: str | None = None) -> ConnectionLike:
        """The connection; raises ConnectionConfigError where there is none."""


def check_steps(
    manifest: Manifest, specs: Mapping[str, DriverSpec], connections: ConnectionSource | None, findings: Findings
) -> None:
    """Check configs, connections and secrets of all steps; config only where the driver is in ``specs``."""
    checker = _Checker(specs, connections, findings)
    for index, step in enumerate(manifest["steps"]):
        checker.check(step, ("steps", index))


def check_params(manifest: Manifest, findings: Findings) -> None:
    """Check that no default and no profile holds a secret; what is given for one run was not written down."""
    written = manifest.origin.document
    params, profiles = written.get("params"), written.get("profiles")
    for name, declared in params.items() if isinstance(params, dict) else ():
        value = declared.get("default") if isinstance(declared, dict) else declared
        _check_param(name, value, ("params", name), findings)
    for profile, content in profiles.items() if isinstance(profiles, dict) else ():
        values = content.get("params") if isinstance(content, dict) else None
        for name, value in values.items() if isinstance(values, dict) else ():
            _check_param(name, value, ("profiles", profile, "params", name), findings)


def _check_param(name: str, value: Any, path: Path, findings: Findings) -> None:
    for secret in find_secrets({name: value}):
        hint = f"write {secret.instead} where it is used, and keep the value in the environment or .env"
        findings.note("plan.secret_in_clear", f"{format_path(path)} {_IN_CLEAR}", path, hint)


def check_requires(manifest: Manifest, installed: Installed | None, findings: Findings) -> None:
    """Check that everything under ``requires`` is a requirement, installed, and of a right version."""
    if not manifest.requires:
        return
    for index, text in enumerate(manifest.requires):
        path = ("requires", index)
        requirement = read_requirement(text)
        if requirement is None:
            findings.note("plan.requires", f"{text!r} is not a requirement", path, "as osiris-driver-mysql>=1,<2")
            continue
        if installed is None or (requirement.marker is not None and not requirement.marker.evaluate()):
            continue
        version = installed(requirement.name)
        hint = f'pip install "{requirement}"'
        if version is None:
            findings.note("plan.not_installed", f"{requirement.name} is required, but not installed", path, hint)
        elif not requirement.specifier.contains(version, prereleases=True):
            message = f"{text} is required, but {requirement.name} {version} is installed"
            findings.note("plan.not_installed", message, path, hint)


class _Checker:
    """Checks one step after the other, and each model, driver and connection once."""

    def __init__(
        self, specs: Mapping[str, DriverSpec], connections: ConnectionSource | None, findings: Findings
    ) -> None:
        self.specs = specs
        self.connections = connections
        self.findings = findings
        self.models: dict[str, type[BaseModel] | PluginError] = {}
        self.looked_up: dict[tuple[str, str], ConnectionLike | ConnectionConfigError] = {}
        self.fitted: set[tuple[str, str, str | None]] = set()
        self.searched: set[tuple[str, str]] = set()

    def check(self, step: Mapping[str, Any], path: Path) -> None:
        for key in ("config", "inputs"):
            for secret in find_secrets(step[key], (*path, key)):
                message = f"{format_path(secret.path)} {_IN_CLEAR}"
                self.findings.note("plan.secret_in_clear", message, secret.path, _hide(secret))
        spec = self.specs.get(step["driver"])
        if spec is None:
            return
        config = step["config"]
        if spec.connection_family is not None and config.get("connection") is not None:
            self.check_connection(config["connection"], spec, (*path, "config", "connection"))
        model = self.model(spec.config_model, (*path, "driver"))
        if model is None:
            return
        if spec.connection_family is not None and "connection" in config and "connection" not in model.model_fields:
            config = {key: value for key, value in config.items() if key != "connection"}
        self.note_mismatches("plan.config", spec, check_model(model, config), (*path, "config"))

    def check_connection(self, value: Any, spec: DriverSpec, path: Path) -> None:
        family = spec.connection_family or ""
        if isinstance(value, dict):
            mismatches = self.connection_mismatches(value, spec, path)
            self.note_mismatches("plan.connection", spec, mismatches, path)
        elif not isinstance(value, str) or not value.startswith("@") or has_secret(value):
            message = f"connection must be @{family}.alias or a mapping, but is {describe(value)}"
            self.findings.note("plan.connection", message, path, f'write connection: "@{family}"')
        elif self.connections is not None:
            found = self.look_up(self.connections, value, family)
            if isinstance(found, ConnectionConfigError):
                self.findings.blame(found, path)
            else:
                self.check_named(found, spec, path)

    def look_up(
        self, connections: ConnectionSource, reference: str, family: str
    ) -> ConnectionLike | ConnectionConfigError:
        key = (reference, family)
        if key not in self.looked_up:
            try:
                self.looked_up[key] = connections.get(reference, family=family)
            except ConnectionConfigError as error:
                self.looked_up[key] = error
        return self.looked_up[key]

    def check_named(self, connection: ConnectionLike, spec: DriverSpec, path: Path) -> None:
        """A connection in its own file: once, however many steps use it."""
        name = (connection.family, connection.alias)
        if (*name, spec.connection_model) not in self.fitted:
            self.fitted.add((*name, spec.connection_model))
            for mismatch in self.connection_mismatches(connection.values, spec, path):
                told = replace(mismatch, hint=mismatch.hint or _ask(spec))
                self.note_in_file(connection, "plan.connection", told)
        if name not in self.searched:
            self.searched.add(name)
            for secret in find_secrets(connection.values):
                message = f"{format_path(secret.path)} {_IN_CLEAR}"
                mismatch = Mismatch(path=secret.path, message=message, hint=_hide(secret))
                self.note_in_file(connection, "plan.secret_in_clear", mismatch)

    def connection_mismatches(self, values: Mapping[str, Any], spec: DriverSpec, path: Path) -> list[Mismatch]:
        model = self.model(spec.connection_model, path)
        if model is None:
            return []
        # `default: true` chooses among the aliases; it is not part of the connection.
        return check_model(model, {key: value for key, value in values.items() if key != "default"})

    def model(self, place: str | None, path: Path) -> type[BaseModel] | None:
        if place is None:
            return None
        if place not in self.models:
            try:
                self.models[place] = load_model(place)
            except PluginError as error:
                self.models[place] = error
                self.findings.blame(error, path)
        model = self.models[place]
        return None if isinstance(model, PluginError) else model

    def note_mismatches(self, code: str, spec: DriverSpec, mismatches: Iterable[Mismatch], path: Path) -> None:
        owner = spec.name if code == "plan.config" else f"connection of {spec.name}"
        for mismatch in mismatches:
            place, at_key = (*path, *mismatch.path), mismatch.at_key or not mismatch.path
            self.findings.note(code, f"{owner}: {mismatch.message}", place, mismatch.hint or _ask(spec), at_key=at_key)

    def note_in_file(self, connection: ConnectionLike, code: str, mismatch: Mismatch) -> None:
        name = (connection.family, connection.alias)
        known = (mismatch.path[:length] for length in range(len(mismatch.path), 0, -1))
        place = next((connection.lines[path] for path in known if path in connection.lines), None)
        line, column = place or (connection.line, None)
        self.findings.add(
            Problem(
                code=code,
                message=f"connection @{'.'.join(name)}: {mismatch.message}",
                hint=mismatch.hint,
                path=format_path(("connections", *name, *mismatch.path)),
                file=connection.file,
                line=line,
                column=column,
            )
        )


def _ask(spec: DriverSpec) -> str:
    return f"'osiris drivers show {spec.name}' tells what may stand there"


_IN_CLEAR = "holds a secret in clear"


def _hide(secret: Secret) -> str:
    return f"keep the value in the environment or .env, and write {secret.instead} here"
