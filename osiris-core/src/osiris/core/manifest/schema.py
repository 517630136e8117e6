"""What a manifest may say: its keys, their types, and the form that everything behind it relies on."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from osiris.core.manifest.params import Given, Params, read_params
from osiris.core.manifest.references import find_references, parse_input
from osiris.core.manifest.report import Path, Report, describe, shortened, suggest

__all__ = ["STEP_OPTIONS", "is_step_id", "normalise"]

TOP_KEYS = (
    "version",
    "name",
    "description",
    "params",
    "profiles",
    "requires",
    "defaults",
    "breaker",
    "limits",
    "base_dir",
    "steps",
)
"""In the order in which a file is written."""

STEP_OPTIONS = ("retry", "timeout", "on_error", "checkpoint")
STEP_KEYS = ("id", "driver", "description", "config", "inputs", "needs", "mask", *STEP_OPTIONS)

_ELSEWHERE = {
    "isolation": "the whole run is isolated, with --adapter-option isolation=process or in osiris.yaml",
    "mask": "it is said of the step whose output it is, beside its driver",
    "adapters": "adapters are chosen in osiris.yaml, or with --adapter and --fallback",
}
"""What users look for here, and where it is said instead."""

MAX_ID_LENGTH = 100
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VERSION = re.compile(r"1(?:\.(?:0|[1-9][0-9]{0,5})){0,2}")


def normalise(
    raw: dict[str, Any], *, name: str | None, given: Given, report: Report
) -> tuple[dict[str, Any], Params, str | None]:
    """The data of a :class:`~osiris.core.manifest.Manifest`, its parameters and its ``base_dir``.

    Args:
        raw: A mapping as read.
        name: The name where ``raw`` has none.
        given: The values of this run.
        report: Takes every mistake; where it holds one, the result is a draft that must not be run: it has the
            right form, with empty values where something could not be read.
    """
    own = {key: value for key, value in raw.items() if not key.startswith("x-")}
    _check_keys(own, TOP_KEYS, (), report)
    filled = read_params(raw.get("params"), raw.get("profiles"), given, report)
    data: dict[str, Any] = {"version": _version(raw, report), "name": _name(raw, name, filled, report)}
    description = _description(raw, (), filled, report)
    if description is not None:
        data["description"] = description
    data["params"] = filled.values
    data["requires"] = _texts(raw, "requires", (), report)
    defaults = _defaults(raw, filled, report)
    data["defaults"] = defaults
    data["steps"] = _steps(raw, defaults, filled, report)
    for key in ("breaker", "limits"):
        if key in raw:
            data[key] = filled.fill(raw[key], (key,), report)
    if not given.complete:
        _note_needed(data, filled, report)
    return data, filled, _base_dir(raw, filled, report)


def _note_needed(data: dict[str, Any], params: Params, report: Report) -> None:
    """A parameter may be without a value in texts and options; what decides who feeds whom has to be known."""
    for index, step in enumerate(data["steps"]):
        for key in ("driver", "inputs", "needs", *STEP_OPTIONS):
            for path, reference in find_references(step.get(key), ("steps", index, key)):
                if reference.kind == "param" and reference.name in params.declared:
                    hint = f"give it with --param {reference.name}=..., or give it a default"
                    report.add("manifest.param_missing", f"parameter {reference.name!r} has no value", path, hint)


def _base_dir(raw: dict[str, Any], params: Params, report: Report) -> str | None:
    folder = params.fill(raw.get("base_dir"), ("base_dir",), report)
    if folder is None:
        return None
    if not isinstance(folder, str) or not folder.strip() or "\0" in folder:
        hint = 'a folder, seen from the one of this file, as base_dir: ".."'
        report.add("manifest.wrong_type", f"base_dir must be a text, but is {describe(folder)}", ("base_dir",), hint)
        return None
    for _, reference in find_references(folder):
        if reference.kind != "param":
            _refuse(reference.text, reference.kind == "invalid", ("base_dir",), report)
    return folder


def _check_keys(raw: dict[str, Any], known: Collection[str], path: Path, report: Report) -> None:
    for key in raw:
        if key not in known:
            near = suggest(key, list(known))
            hint = _ELSEWHERE.get(key) or (f"did you mean {near}?" if near else f"known here: {', '.join(known)}")
            report.add("manifest.unknown_key", f"unknown key {key!r}", (*path, key), hint, at_key=True)


def _version(raw: dict[str, Any], report: Report) -> str:
    if "version" not in raw:
        report.add("manifest.missing_key", "the version is missing", (), 'add version: "1.0.0"')
        return "1.0.0"
    version = raw["version"]
    text = "" if isinstance(version, bool) else str(version)
    if not isinstance(version, str | int | float) or not _VERSION.fullmatch(text):
        found = f"{version!r:.40}" if isinstance(version, str | int | float) else describe(version)
        message = f"version must be 1.0.0 or another 1.x, but is {found}"
        report.add("manifest.version", message, ("version",), 'write version: "1.0.0"')
        return "1.0.0"
    return ".".join([*text.split("."), "0", "0"][:3])


def _name(raw: dict[str, Any], fallback: str | None, params: Params, report: Report) -> str:
    name = params.fill_in_text(raw.get("name"), ("name",), report)
    if name is None and "name" not in raw:
        return fallback or "pipeline"
    if not isinstance(name, str) or not name.strip():
        report.add(
            "manifest.wrong_type", f"name must be a text, but is {describe(name)}", ("name",), _quote(name, "name")
        )
        return "pipeline"
    return name


def _description(raw: dict[str, Any], path: Path, params: Params, report: Report) -> str | None:
    text = params.fill_in_text(raw.get("description"), (*path, "description"), report)
    if text is not None and not isinstance(text, str):
        place = (*path, "description")
        report.add(
            "manifest.wrong_type",
            f"description must be a text, but is {describe(text)}",
            place,
            _quote(text, "description"),
        )
        return None
    return text


def _defaults(raw: dict[str, Any], params: Params, report: Report) -> dict[str, Any]:
    defaults = _mapping(raw, "defaults", (), report)
    _check_keys(defaults, STEP_OPTIONS, ("defaults",), report)
    filled: dict[str, Any] = params.fill(defaults, ("defaults",), report)
    return filled


def _steps(raw: dict[str, Any], defaults: dict[str, Any], params: Params, report: Report) -> list[dict[str, Any]]:
    steps = raw.get("steps")
    if not isinstance(steps, list) or not steps:
        if "steps" not in raw:
            report.add("manifest.missing_key", "the steps are missing", (), "add steps: with at least one step")
        else:
            found = "empty" if steps == [] else describe(steps)
            hint = "a list of mappings, each with id and driver"
            report.add("manifest.no_steps", f"steps must be a list of steps, but is {found}", ("steps",), hint)
        return []
    seen: dict[str, int] = {}
    return [_step(step, index, defaults, seen, params, report) for index, step in enumerate(steps)]


def _step(
    raw: Any, index: int, defaults: dict[str, Any], seen: dict[str, int], params: Params, report: Report
) -> dict[str, Any]:
    path: Path = ("steps", index)
    if not isinstance(raw, dict):
        hint = "a mapping with id and driver"
        report.add("manifest.wrong_type", f"a step must be a mapping, but is {describe(raw)}", path, hint)
        return {"id": "", "driver": "", "config": {}, "inputs": {}, "needs": []}
    _check_keys(raw, STEP_KEYS, path, report)
    step: dict[str, Any] = {"id": _step_id(raw, path, seen, report), "driver": _driver(raw, path, params, report)}
    description = _description(raw, path, params, report)
    if description is not None:
        step["description"] = description
    step["config"] = params.fill(_mapping(raw, "config", path, report), (*path, "config"), report)
    step["inputs"] = params.fill(_mapping(raw, "inputs", path, report), (*path, "inputs"), report)
    step["needs"] = params.fill(_texts(raw, "needs", path, report), (*path, "needs"), report)
    if raw.get("mask") is not None:
        step["mask"] = params.fill(raw["mask"], (*path, "mask"), report)
    own = {key: params.fill(raw[key], (*path, key), report) for key in STEP_OPTIONS if key in raw}
    step.update({**defaults, **own})
    _check_references(step, path, report)
    return step


def _step_id(raw: dict[str, Any], path: Path, seen: dict[str, int], report: Report) -> str:
    place: Path = (*path, "id")
    if "id" not in raw:
        report.add("manifest.missing_key", "the step has no id", path, "add id: with a short name")
        return ""
    step_id = raw["id"]
    if not isinstance(step_id, str):
        report.add(
            "manifest.wrong_type", f"id must be a text, but is {describe(step_id)}", place, _quote(step_id, "id")
        )
        return ""
    if not is_step_id(step_id):
        hint = f"letters, digits, _ and -, not beginning with a digit, at most {MAX_ID_LENGTH}; not `params`"
        report.add("manifest.step_id", f"{step_id!r:.60} cannot be the id of a step", place, hint)
        return ""
    if step_id in seen:
        first = report.problem("", "", ("steps", seen[step_id], "id"))
        where = f"line {first.line}" if first.line else first.path
        report.add(
            "manifest.duplicate_step", f"step id {step_id!r} is already used in {where}", place, "give each its own"
        )
    else:
        seen[step_id] = path[1] if isinstance(path[1], int) else 0
    return step_id


def is_step_id(text: str) -> bool:
    """Whether a step may be called so."""
    return _ID.fullmatch(text) is not None and len(text) <= MAX_ID_LENGTH and text != "params"


def _driver(raw: dict[str, Any], path: Path, params: Params, report: Report) -> str:
    if "driver" not in raw:
        report.add("manifest.missing_key", "the step has no driver", path, "add driver: as filesystem.csv_extractor")
        return ""
    place: Path = (*path, "driver")
    driver = params.fill(raw["driver"], place, report)
    if not isinstance(driver, str) or not driver or any(char.isspace() for char in driver):
        message = f"driver must be a name as filesystem.csv_extractor, but is {describe(driver)}"
        report.add("manifest.wrong_type", message, place, "`osiris drivers list` shows those installed")
        return ""
    return driver


def _mapping(raw: dict[str, Any], key: str, path: Path, report: Report) -> dict[str, Any]:
    value = raw.get(key)
    if value is None:  # `config:` with nothing after it
        return {}
    if not isinstance(value, dict):
        hint = f"as {key}: {{{_EXAMPLES[key]}}}, or a line for each, indented"
        report.add("manifest.wrong_type", f"{key} must be a mapping, but is {describe(value)}", (*path, key), hint)
        return {}
    return value


def _texts(raw: dict[str, Any], key: str, path: Path, report: Report) -> list[str]:
    value = raw.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        hint = f"write {key}: [{value if isinstance(value, str) and value.isprintable() else _EXAMPLES[key]}]"
        report.add("manifest.wrong_type", f"{key} must be a list, but is {describe(value)}", (*path, key), hint)
        return []
    for index, item in enumerate(value):
        if not isinstance(item, str) or not item:
            place: Path = (*path, key, index)
            report.add(
                "manifest.wrong_type", f"{key} must hold texts, but here is {describe(item)}", place, _quote(item, key)
            )
    return [item for item in value if isinstance(item, str) and item]


_EXAMPLES = {
    "config": "path: orders.csv",
    "inputs": 'df: "${step_id.df}"',
    "defaults": "retry: 3",
    "needs": "step_id",
    "requires": "osiris-driver-mysql",
    "name": "daily-orders",
    "description": "what it is for",
    "id": "read_orders",
}


def _quote(value: Any, key: str) -> str:
    return "put it in quotes" if isinstance(value, bool | int | float) else f"one text, as {_EXAMPLES[key]}"


def _check_references(step: dict[str, Any], path: Path, report: Report) -> None:
    """Each kind of reference only where it can be resolved; parameters were judged when they were filled in."""
    for place, reference in find_references(step["config"], (*path, "config")):
        if reference.kind == "step":
            hint = "name steps under inputs; variables are ${UPPER_CASE}; $${ stands for the characters ${"
            report.add("manifest.reference", f"{reference.text} cannot be used in config", place, hint)
        elif reference.kind == "invalid":
            report.add("manifest.reference", _malformed(reference.text), place, _FORMS)
    for name, value in step["inputs"].items():
        if isinstance(value, str) and (whole := parse_input(value)) is not None and whole.kind == "step":
            continue
        for place, reference in find_references(value, (*path, "inputs", name)):
            if reference.kind != "param":
                _refuse(reference.text, reference.kind == "invalid", place, report)
    for place, reference in find_references(step.get("mask"), (*path, "mask")):
        if reference.kind != "param" and not (reference.kind == "secret" and place[-1] == "salt"):
            _refuse(reference.text, reference.kind == "invalid", place, report)
    for key in ("driver", "needs", *(option for option in STEP_OPTIONS if option in step)):
        for place, reference in find_references(step[key], (*path, key)):
            if reference.kind != "param":
                _refuse(reference.text, reference.kind == "invalid", place, report)


_FORMS = "${params.name}, ${NAME}, ${NAME:-default} or ${scheme:rest}; $${ stands for the characters ${"


def _malformed(text: str) -> str:
    shown = shortened(text, 60)
    return f"{shown} is not a reference" if text.endswith("}") else f"{shown} is not closed with }}"


def _refuse(text: str, malformed: bool, place: Path, report: Report) -> None:
    if malformed:
        report.add("manifest.reference", _malformed(text), place, "$${ stands for the characters ${")
        return
    hint = "an input is one whole ${step.output} or a plain value; secrets belong in config; $${ stands for ${"
    report.add("manifest.reference", f"{text} cannot be used here", place, hint)
