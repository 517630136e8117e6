"""OML, the older dialect of pipelines (``oml_version: "0.1.0"``), translated to a manifest.

``component`` is the driver. A step without ``needs`` follows the step before it. Each needed step's output arrives as
``df_<its id, - as _>``, and also as ``df`` when it is the only one; a step with ``mode: read`` takes nothing and
one with ``mode: write`` gives nothing, so there ``needs`` is order alone.
"""

from __future__ import annotations

import re
from typing import Any

from osiris.core.manifest.report import Path, Report, describe, suggest

__all__ = ["translate"]

TOP_KEYS = ("oml_version", "name", "description", "params", "steps")
STEP_KEYS = ("id", "component", "mode", "needs", "config", "description")
MODES = ("read", "transform", "write")
NOT_SUPPORTED_YET = frozenset({"profiles", "retry", "timeout", "on_error"})

_VERSION = re.compile(r"0(?:\.[0-9]{1,6}){1,2}")


def translate(raw: dict[str, Any], report: Report) -> dict[str, Any]:
    """The manifest that ``raw`` means, with the same keys in the same places where it can.

    Args:
        raw: A mapping with ``oml_version``.
        report: Takes every mistake; the result is then only good for finding more.
    """
    _check_keys(raw, TOP_KEYS, (), report)
    version = raw["oml_version"]
    text = "" if isinstance(version, bool) else str(version)
    if not isinstance(version, str | float) or not _VERSION.fullmatch(text):
        message = "oml_version must be a text that begins with 0., as 0.1.0"
        report.add("manifest.version", message, ("oml_version",), 'write oml_version: "0.1.0", or version: "1.0.0"')
    manifest: dict[str, Any] = {key: raw[key] for key in ("name", "description", "params", "steps") if key in raw}
    manifest["version"] = "1.0.0"
    steps = raw.get("steps")
    if isinstance(steps, list):
        manifest["steps"] = _Steps(steps, report).translate()
    return manifest


def _check_keys(raw: dict[str, Any], known: tuple[str, ...], path: Path, report: Report) -> None:
    for key in raw:
        if key in NOT_SUPPORTED_YET:
            message = f"{key!r} needs a later osiris-core than this one"
            report.add("manifest.not_supported_yet", message, (*path, key), "remove it", at_key=True)
        elif key not in known and not key.startswith("x-"):
            near = suggest(key, known)
            hint = f"did you mean {near}?" if near else f"OML has here: {', '.join(known)}"
            report.add("manifest.unknown_key", f"unknown key {key!r} in OML", (*path, key), hint, at_key=True)


class _Steps:
    def __init__(self, steps: list[Any], report: Report) -> None:
        self.steps = steps
        self.report = report
        self.modes = {str(step.get("id")): _mode(step) for step in steps if isinstance(step, dict)}

    def translate(self) -> list[Any]:
        return [self.step(step, index) for index, step in enumerate(self.steps)]

    def step(self, raw: Any, index: int) -> Any:
        if not isinstance(raw, dict):
            return raw
        path: Path = ("steps", index)
        _check_keys(raw, STEP_KEYS, path, self.report)
        if "component" not in raw:
            hint = "add component: as filesystem.csv_extractor"
            self.report.add("manifest.missing_key", "the step has no component", path, hint)
        if raw.get("mode", "read") not in MODES:
            message = f"mode must be {', '.join(MODES)}, but is {describe(raw['mode'])}"
            self.report.add("manifest.wrong_type", message, (*path, "mode"))
        step = {key: raw[key] for key in ("id", "config", "description") if key in raw}
        step["driver"] = raw.get("component", "unknown")  # its absence is already a problem
        needs = step["needs"] = self.needs(raw, index)
        if isinstance(needs, list) and _mode(raw) != "read":
            giving = [need for need in needs if isinstance(need, str) and self.modes.get(need) != "write"]
            step["inputs"] = self.inputs(raw, list(dict.fromkeys(giving)))
            # Data brings its own order; a need as well would keep it from streaming.
            step["needs"] = [need for need in needs if need not in giving]
        return step

    def needs(self, raw: dict[str, Any], index: int) -> Any:
        if raw.get("needs") is not None:
            return raw["needs"]
        before = self.steps[index - 1] if index else None
        return [before["id"]] if isinstance(before, dict) and isinstance(before.get("id"), str) else []

    def inputs(self, raw: dict[str, Any], giving: list[str]) -> dict[str, str]:
        inputs = {f"df_{need.replace('-', '_')}": f"${{{need}.df}}" for need in giving}
        if len(giving) != 1:
            return inputs
        reference = f"${{{giving[0]}.df}}"
        if _mode(raw) == "write":
            return {"df": reference}
        inputs["df"] = reference
        if raw.get("component") == "duckdb.processor":
            inputs["input_df"] = reference
            return _used_in(raw.get("config"), inputs) or {"df": reference}
        return inputs


def _mode(step: dict[str, Any]) -> str:
    mode = step.get("mode")
    if isinstance(mode, str):
        return mode
    role = str(step.get("component", ""))
    if role.endswith("extractor"):
        return "read"
    return "write" if role.endswith("writer") else "transform"


def _used_in(config: Any, inputs: dict[str, str]) -> dict[str, str]:
    # An output that is used once can stream; under three names it would have to be stored.
    words = set(re.findall(r"\w+", str(config).casefold()))
    return {name: reference for name, reference in inputs.items() if name.casefold() in words}
