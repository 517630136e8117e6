"""What ``osiris.yaml`` says: where the project's pipelines run if nobody says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osiris.cli.predecessor import is_of_predecessor
from osiris.core.errors import UsageError

__all__ = ["AdapterSettings", "ProjectSettings", "read_settings"]


class AdapterSettings(BaseModel):
    """Under ``adapters``.

    Attributes:
        default: Where to run.
        fallback: Where to run instead, in this order, if the place cannot be had.
        options: By adapter name, as ``--adapter-option`` would give them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default: str = "local"
    fallback: tuple[str, ...] = ()
    options: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)


class ProjectSettings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    adapters: AdapterSettings = Field(default_factory=AdapterSettings.model_construct)


def read_settings(project: Path) -> ProjectSettings:
    """The settings of the project in this folder; the defaults where there is no file, or nothing in it that counts.

    An ``osiris.yaml`` of osiris-pipeline says nothing of where pipelines run.

    Raises:
        UsageError: The file cannot be read, or says something that means nothing (code ``usage.project_file``).
    """
    file = project / "osiris.yaml"
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return ProjectSettings.model_construct()  # checks nothing, so that no checks are built
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _wrong(file, str(reason)) from error
    import yaml

    try:
        content: Any = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _wrong(file, f"{error.problem}{where}") from error
    except yaml.YAMLError as error:
        raise _wrong(file, str(error)) from error
    if is_of_predecessor(content):
        return ProjectSettings.model_construct()
    try:
        return ProjectSettings.model_validate({} if content is None else content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, found['loc'])) or 'the file'}: {found['msg']}" for found in error.errors()]
        raise _wrong(file, "; ".join(problems)) from error


def _wrong(file: Path, reason: str) -> UsageError:
    return UsageError(
        f"the project file {file} cannot be used: {reason}",
        hint="known in it: adapters: {default: local, fallback: [local], options: {local: {isolation: process}}}",
        code="usage.project_file",
    )
