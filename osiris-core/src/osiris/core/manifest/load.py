"""The doors: a file, a text or a dict to a manifest."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from osiris.core.errors import ManifestError, Problem
from osiris.core.manifest import oml
from osiris.core.manifest.model import Manifest, Origin
from osiris.core.manifest.params import Given
from osiris.core.manifest.positions import MAX_DEPTH, MAX_NODES, compose
from osiris.core.manifest.report import Report, describe, in_order
from osiris.core.manifest.schema import normalise

__all__ = ["load_manifest", "manifest_from_dict", "parse_manifest"]

MAX_BYTES = 50 * 1024 * 1024
MAX_BITS = 3000  # Python itself refuses to print integers of more than 4,300 digits


def load_manifest(
    path: str | os.PathLike[str],
    *,
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    default_profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    complete: bool = True,
) -> Manifest:
    """Read a pipeline file: YAML or JSON, manifest or OML, UTF-8.

    A parameter's value is that of ``params``, else of ``environment``, else of ``profile``, else the default.

    Args:
        path: The file.
        params: Values of parameters by name; text is converted to the declared type.
        profile: The name of one of the file's profiles.
        default_profile: The one to take where ``profile`` names none, if the file has it.
        environment: Where variables ``OSIRIS_PARAM_NAME`` are looked up, as ``os.environ``; None: nowhere.
        complete: Whether a parameter without a value is a mistake. If not, its uses in ``config`` stay as written:
            for looking at a file without running it.

    Raises:
        ManifestError: With every problem found, each with file, line and column.
    """
    file = Path(path)
    given = _given(params, profile, default_profile, environment, complete)
    content = _read(file)
    return _parse(_decode(content, str(path)), content, source=str(path), file=file, given=given)


def parse_manifest(
    text: str,
    *,
    file: str = "<string>",
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    default_profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    complete: bool = True,
) -> Manifest:
    """As :func:`load_manifest`, for text that is already in memory; ``file`` is the name shown in problems.

    Raises:
        ManifestError: With every problem found.
    """
    given = _given(params, profile, default_profile, environment, complete)
    return _parse(text, text.encode("utf-8", "surrogatepass"), source=file, file=None, given=given)


def manifest_from_dict(
    data: Mapping[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    default_profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    complete: bool = True,
) -> Manifest:
    """As :func:`load_manifest`, for data made in code; problems have paths but no lines. ``data`` is copied.

    Raises:
        ManifestError: With every problem found; values that JSON cannot hold are among them.
    """
    report = Report()
    plain = _Copy(report).copy(data, (), 0)
    if report.problems:
        report.stop()
    return _build(plain, report, file=None, given=_given(params, profile, default_profile, environment, complete))


def _given(
    params: Mapping[str, Any] | None,
    profile: str | None,
    default_profile: str | None,
    environment: Mapping[str, str] | None,
    complete: bool,
) -> Given:
    return Given(
        values=params or {},
        profile=profile,
        default_profile=default_profile,
        environment=environment or {},
        complete=complete,
    )


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(file, "not_found", "there is no file {}", "check the path") from None
    except IsADirectoryError:
        raise _unreadable(file, "is_directory", "{} is a directory", "name the pipeline file in it") from None
    except PermissionError:
        hint = "check its permissions, and those of its folder"
        raise _unreadable(file, "not_readable", "no permission to read {}", hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(file, "not_readable", f"cannot read {{}}: {reason}", "check the path") from None
    if len(data) > MAX_BYTES:
        message = f"{{}} is larger than {MAX_BYTES // 1024 // 1024} MB"
        raise _unreadable(file, "too_large", message, "is this the right file?")
    return data


def _unreadable(file: Path, code: str, message: str, hint: str) -> ManifestError:
    problem = Problem(code=f"manifest.{code}", message=message.format(repr(str(file))), hint=hint, file=str(file))
    return ManifestError(problem.message, problems=[problem])


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line_start = max(before.rfind(b"\n"), before.rfind(b"\r")) + 1
        problem = Problem(
            code="manifest.encoding",
            message=f"not UTF-8 text: byte 0x{data[error.start]:02x}",
            hint="save it as UTF-8; or is this the right file?",
            file=file,
            line=len(before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")),
            column=len(before[line_start:].decode("utf-8", "replace")) + 1,
        )
        raise ManifestError(problems=[problem]) from None


def _parse(text: str, content: bytes, *, source: str, file: Path | None, given: Given) -> Manifest:
    document = compose(text.removeprefix("\ufeff"), source)
    report = Report(source, document.place)
    report.take(document.problems)
    if document.value is None:
        problem = Problem(
            code="manifest.empty",
            message="the file is empty",
            hint="a pipeline has version and steps; `osiris init` makes one",
            file=source,
            line=1,
            column=1,
        )
        raise ManifestError(problems=[problem])
    return _build(document.value, report, file=file, given=given, digest=sha256(content).hexdigest())


def _build(raw: Any, report: Report, *, file: Path | None, given: Given, digest: str | None = None) -> Manifest:
    if not isinstance(raw, dict):
        hint = "begin with version: and steps:"
        report.add("manifest.not_a_mapping", f"a pipeline must be a mapping, but this is {describe(raw)}", (), hint)
        report.stop()
    is_oml = "oml_version" in raw
    if is_oml:
        raw = oml.translate(raw, report)
    data, params, base_dir = normalise(raw, name=file.stem if file else None, given=given, report=report)
    origin = Origin(document=raw, params=params, sha256=digest, oml=is_oml, base_dir=base_dir)
    manifest = Manifest(data, origin=origin, file=file, report=report)
    if report.problems:
        error = ManifestError(problems=in_order(report.problems))
        error.draft = manifest
        raise error
    return manifest


class _Copy:
    """Copies data made in code as plain dicts, lists and scalars, and notes what JSON cannot hold."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.nodes = 0

    def copy(self, value: Any, path: tuple[str | int, ...], depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            self.report.problems.clear()
            limit = f"nested more than {MAX_DEPTH} levels deep"
            if depth <= MAX_DEPTH:
                limit = f"more than {MAX_NODES:,} values"
            self.report.add("manifest.too_deep", limit, path[:5], "large data belongs into a file that a step reads")
            self.report.stop()
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and value.bit_length() <= MAX_BITS:
            return int(value)
        if isinstance(value, str):
            return self.text(value, path)
        if isinstance(value, Mapping):
            return {self.key(key, path): self.copy(item, (*path, str(key)), depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.copy(item, (*path, index), depth + 1) for index, item in enumerate(value)]
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if isinstance(value, os.PathLike) and isinstance(plain := os.fspath(value), str):
            return plain
        found = f"{value!r}" if isinstance(value, float) else f"a {type(value).__name__} as this"
        self.report.add("manifest.wrong_type", f"JSON cannot hold {found}", path, "use texts, numbers, booleans")
        return None

    def key(self, key: Any, path: tuple[str | int, ...]) -> str:
        if not isinstance(key, str):
            self.report.add("manifest.wrong_type", f"a key must be a text, but is {describe(key)}", path, "as text")
        return self.text(str(key), path)

    def text(self, value: str, path: tuple[str | int, ...]) -> str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                self.report.add(
                    "manifest.encoding", "the text holds half a surrogate pair", path, "it was cut: take the whole text"
                )
        return str.__str__(value)  # of an Enum of texts the text, not the member's name
