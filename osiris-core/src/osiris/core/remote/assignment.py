"""What a worker is to run: a prepared run as JSON, its secrets in a file of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from osiris.core.connections import MASK, REDACTOR
from osiris.core.engine.settings import RunSettings
from osiris.core.errors import ExecutionError, UsageError
from osiris.core.execution_adapter import PreparedRun, RunOptions
from osiris.core.planning import Plan
from osiris.core.quick_dataclass import dataclass

__all__ = ["Assignment", "Secrets", "hide"]


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The params of ``run``. Paths are as the worker sees them; no secret is in it.

    Attributes:
        session_id: The run's id.
        manifest: As planned, references kept.
        configs: By step id, references kept.
        fingerprint: Of the plan; the worker's own must be the same.
        session_dir: The run's folder.
        artifacts_dir: Where files to keep go.
        base_dir: Where relative paths begin.
        worker_dir: A private folder for what worker and client leave each other.
        secrets_file: Where the values of the references are, if there are any; read once and removed.
        options: The fields of RunOptions.
        verbose: Whether the user wants details.
        timeout: Seconds for the whole run.
    """

    session_id: str
    manifest: Mapping[str, Any]
    configs: Mapping[str, Any]
    fingerprint: str
    session_dir: str
    artifacts_dir: str
    base_dir: str
    worker_dir: str
    secrets_file: str | None = None
    options: Mapping[str, Any]
    verbose: bool = False
    timeout: float | None = None

    @classmethod
    def of(cls, prepared: PreparedRun, context: Any, worker_dir: Path) -> Assignment:
        """What an adapter hands over.

        Raises:
            UsageError: ``prepared`` was not made by the engine.
        """
        plan = prepared.package
        if not isinstance(plan, Plan):
            raise UsageError("this PreparedRun has no plan", hint="make it with osiris.core.engine.prepare")
        settings = RunSettings.of(context, prepared.artifacts_dir)
        return cls(
            session_id=settings.session_id,
            manifest=dict(plan.manifest),
            configs=dict(prepared.configs),
            fingerprint=plan.fingerprint,
            session_dir=str(settings.session_dir.absolute()),
            artifacts_dir=str(settings.artifacts_dir.absolute()),
            base_dir=str(settings.base_dir.absolute()),
            worker_dir=str(worker_dir.absolute()),
            secrets_file=str((worker_dir / "secrets.json").absolute()) if prepared.environment else None,
            options={field.name: getattr(settings.options, field.name) for field in fields(settings.options)},
            verbose=bool(getattr(context, "verbose", False)),
            timeout=getattr(context, "timeout", None),
        )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Assignment:
        """What the worker was handed.

        Raises:
            ValueError: Something is missing, unknown or of the wrong kind.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(params) - known):
            raise ValueError(f"unknown: {', '.join(unknown)}")
        required = known - {"secrets_file", "verbose", "timeout"}
        if missing := sorted(required - set(params)):
            raise ValueError(f"missing: {', '.join(missing)}")
        kinds: dict[str, type] = dict.fromkeys(required, str)
        kinds |= dict.fromkeys(("manifest", "configs", "options"), dict)
        wrong = [name for name, kind in kinds.items() if not isinstance(params[name], kind)]
        if not isinstance(params.get("secrets_file"), str | None):
            wrong.append("secrets_file")
        if wrong:
            raise ValueError(f"of the wrong kind: {', '.join(sorted(wrong))}")
        return cls(**params)

    def to_params(self) -> dict[str, Any]:
        """The form that travels."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def run_options(self) -> RunOptions:
        """The options as the engine takes them; raises ValueError where they do not fit."""
        from pydantic import TypeAdapter  # planning imports it anyway, but the client should not have to

        return TypeAdapter(RunOptions).validate_python(dict(self.options))


@dataclass(frozen=True)
class Secrets:
    """The values of a run's references, and which of them are to be hidden. Not shown by ``repr``."""

    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Secrets({sorted(self.values)})"

    def write(self, path: Path) -> None:
        """Write them to a new file that only its owner can read.

        Raises:
            OSError: It cannot be made.
        """
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """What the file holds."""
        hidden = [name for name, value in self.values.items() if REDACTOR.text(value) == MASK]
        return json.dumps({"values": dict(self.values), "hidden": hidden}).encode()

    @classmethod
    def take(cls, path: Path) -> Secrets:
        """Read the file, remove it at once, and register what is to be hidden with this process's redactor.

        Raises:
            ExecutionError: It cannot be read (code ``worker.secrets``).
        """
        try:
            text = path.read_text("utf-8")
            path.unlink()
            found = json.loads(text)
            values = {str(name): str(value) for name, value in found["values"].items()}
            hidden = [values[name] for name in found["hidden"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise ExecutionError(
                f"the worker cannot read the secrets it was left in {path}: {what}",
                hint="nobody else may touch the session folder while a run goes",
                code="worker.secrets",
            ) from None  # the cause may show the text
        for value in hidden:
            REDACTOR.add(value)
        return cls(values)


def hide(value: str) -> None:
    """Have a value replaced by ``***`` in whatever this process tells: an adapter's own key, say."""
    REDACTOR.add(value)
