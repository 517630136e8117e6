"""What ``osiris.yaml`` says: where the project's pipelines run if nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from osiris.cli.predecessor import is_of_predecessor
from osiris.cli.project import MARKER
from osiris.core.errors import InvalidPipelineError, Problem, UsageError
from osiris.core.manifest.report import describe, in_order

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
    fallback: list[str] = Field(default_factory=list)
    options: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)


class ProjectSettings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    adapters: AdapterSettings = Field(default_factory=AdapterSettings.model_construct)

    @field_validator("adapters", mode="before")
    @classmethod
    def _check_mapping(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"adapters: must be a mapping, but is {describe(value)}")
        return value or {}  # the name alone, nothing below it


def read_settings(project: Path) -> ProjectSettings:
    """The settings of the project in this folder; the defaults where there is no file, or nothing in it that counts.

    Read as pipelines are: the same YAML, a key twice is a mistake, and every mistake has its place.
    An ``osiris.yaml`` of osiris-pipeline says nothing of where pipelines run.

    Raises:
        UsageError: The file cannot be read, or says something that means nothing (code ``usage.project_file``);
            ``facts["problems"]`` holds all of it.
    """
    file = project / MARKER
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return ProjectSettings.model_construct()  # checks nothing, so that no checks are built
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    from osiris.core.manifest.positions import compose
    from osiris.core.manifest.report import Report

    try:
        document = compose(text, str(file))
    except InvalidPipelineError as error:
        raise _wrong(file, error.problems) from None
    content = document.value
    if content is None or is_of_predecessor(content):
        return ProjectSettings.model_construct()
    report = Report(str(file), document.place)
    report.problems += document.problems
    if not isinstance(content, dict):
        report.add(_CODE, f"the file holds {describe(content)}; it must be a mapping", (), _KNOWN)
    elif not report.problems:
        from osiris.core.planning.models import check_model

        for found in check_model(ProjectSettings, content):
            report.add(_CODE, found.message, found.path, found.hint or _KNOWN, at_key=found.at_key)
    if report.problems:
        raise _wrong(file, in_order(report.problems))
    return ProjectSettings.model_validate(content)


_CODE = "usage.project_file"
_KNOWN = "known in it: adapters: {default: local, fallback: [local], options: {local: {isolation: process}}}"


def _unreadable(file: Path, error: OSError | UnicodeDecodeError) -> UsageError:
    if isinstance(error, UnicodeDecodeError):
        reason, hint = f"it is not UTF-8 text (byte {error.start})", "save it as UTF-8"
    elif isinstance(error, PermissionError):
        reason, hint = "no permission", "check its permissions, and those of its folder"
    else:
        reason, hint = str(error.strerror or error), "a text file is meant"
    return UsageError(f"the project file '{file}' cannot be read: {reason}", hint=hint, code="usage.project_file")


def _wrong(file: Path, problems: Sequence[Problem]) -> UsageError:
    told = UsageError(
        f"the project file '{file}' cannot be used: {problems[0].message}",
        hint=problems[0].hint,
        code="usage.project_file",
    )
    told.facts["problems"] = [replace(problem, code=told.code).to_dict() for problem in problems]
    return told
