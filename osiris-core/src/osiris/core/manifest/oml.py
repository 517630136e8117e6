"""OML, the older dialect of pipelines (``oml_version: "0.1.0"``), translated to a manifest.

``component`` is the driver. A step without ``needs`` follows the step before it. Each needed step's output arrives as
``df_<its id, - as _>``, and also as ``df`` when it is the only one; a step with ``mode: read`` takes nothing and
one with ``mode: write`` gives nothing, so there ``needs`` is order alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from osiris.core.manifest.oml_options import translate_config
from osiris.core.manifest.param_values import TYPES, type_of
from osiris.core.manifest.references import find_references
from osiris.core.manifest.report import Path, Report, describe, suggest
from osiris.core.manifest.schema import is_step_id

__all__ = ["translate"]

TOP_KEYS = ("oml_version", "name", "description", "params", "profiles", "steps")
STEP_KEYS = ("id", "component", "mode", "needs", "config", "description")
MODES = ("read", "transform", "write")

_IN_A_MANIFEST = "it was ignored until now; 'osiris compile' makes a manifest, where {key}: can be written"
_ELSEWHERE = {
    **dict.fromkeys(("retry", "timeout", "on_error", "checkpoint"), _IN_A_MANIFEST),
    **dict.fromkeys(("defaults", "requires", "limits", "breaker"), _IN_A_MANIFEST),
    "inputs": "name the steps under needs",
    "driver": "did you mean component?",
    "uses": "did you mean component?",
    "with": "did you mean config?",
    "metadata": "write it as description, or as x-metadata, which is left out",
    "schedule": "it was ignored until now: let cron, or whatever starts things, start 'osiris run'",
    "tasks": "did you mean steps?",
    "connectors": "connections are in osiris_connections.yaml",
    "outputs": "what is written is said by steps with mode: write",
    "version": 'a manifest has version: "1.0.0" and no oml_version',
}
"""What people write, or wrote; and what to do instead."""

_MODE_OF = {"extractor": "read", "writer": "write", "processor": "transform"}
_OLD_MODES = {"extract": "read", "load": "write", "discover": "read"}

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
    known = ("name", "description", "params", "profiles", "steps")
    manifest: dict[str, Any] = {"version": "1.0.0", **{key: raw[key] for key in known if key in raw}}
    steps = raw.get("steps")
    if isinstance(steps, list):
        manifest["steps"] = _Steps(steps, report).translate()
    _declare(manifest, report)
    return manifest


def _check_keys(raw: dict[str, Any], known: tuple[str, ...], path: Path, report: Report) -> None:
    for key in raw:
        if key not in known and not key.startswith("x-"):
            near = suggest(key, known)
            hint = f"did you mean {near}?" if near else f"OML has here: {', '.join(known)}"
            hint = _ELSEWHERE.get(key, hint).format(key=key)
            report.add("manifest.unknown_key", f"unknown key {key!r} in OML", (*path, key), hint, at_key=True)


def _declare(manifest: dict[str, Any], report: Report) -> None:
    """Declare the parameters that are only used, as was enough: a profile or the command line gives their values."""
    params = manifest.get("params")
    declared = params if isinstance(params, dict) else {}
    if params is not None and not isinstance(params, dict):
        return
    used: dict[str, Path] = {}
    for path, reference in find_references({key: item for key, item in manifest.items() if key != "params"}):
        if reference.kind == "param" and reference.name not in declared and path[0] != "profiles":
            used.setdefault(reference.name, path)
    given = _given_by_profiles(manifest.get("profiles"))
    typed = {name: _typed(item, given.get(name, ())) for name, item in declared.items()}
    for name, path in used.items():
        typed[name] = {"type": _common_type(given.get(name, ())) or "string"}
        report.moved["params", name] = path
    if typed:
        manifest["params"] = typed


def _typed(declaration: Any, given: Sequence[Any]) -> Any:
    """A declaration without type and default has the type of what profiles give."""
    kind = _common_type(given)
    if declaration is None and kind not in (None, "string"):
        return {"type": kind, "default": None}
    nothing = isinstance(declaration, dict) and "type" not in declaration and declaration.get("default") is None
    return {"type": kind, **declaration} if nothing and kind is not None else declaration


def _given_by_profiles(profiles: Any) -> dict[str, list[Any]]:
    given: dict[str, list[Any]] = {}
    for profile in profiles.values() if isinstance(profiles, dict) else ():
        params = profile.get("params") if isinstance(profile, dict) else None
        for name, value in params.items() if isinstance(params, dict) else ():
            given.setdefault(name, []).append(value)
    return given


def _common_type(values: Sequence[Any]) -> str | None:
    kinds = {type_of(value) for value in values}
    return kinds.pop() if len(kinds) == 1 and kinds <= set(TYPES) else None


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
        self.check_mode(raw, path)
        step = {key: raw[key] for key in ("id", "description") if key in raw}
        step["driver"] = raw.get("component", "unknown")  # its absence is already a problem
        if "config" in raw:
            step["config"] = raw["config"]
        if isinstance(raw.get("config"), dict):
            step["config"] = translate_config(str(step["driver"]), raw["config"], (*path, "config"), self.report)
        needs = step["needs"] = self.needs(raw, index)
        if isinstance(needs, list) and _mode(raw) != "read":
            giving = dict.fromkeys(need for need in needs if self.gives(need))
            step["inputs"] = self.inputs(raw, list(giving), path)
            if "needs" in raw:
                self.note_places(step["inputs"], needs, path)
            # Data brings its own order; a need as well would keep it from streaming.
            step["needs"] = [need for need in needs if not (isinstance(need, str) and need in giving)]
        return step

    def check_mode(self, raw: dict[str, Any], path: Path) -> None:
        mode, component = raw.get("mode", "read"), str(raw.get("component", ""))
        place = (*path, "mode")
        right = _MODE_OF.get(component.rpartition(".")[2].rpartition("_")[2])
        if not isinstance(mode, str) or mode not in MODES:
            message = f"mode must be {', '.join(MODES)}, but is {describe(raw['mode'])}"
            meant = (_OLD_MODES.get(mode) or suggest(mode, MODES) or right) if isinstance(mode, str) else right
            hint = f"did you mean {meant}?" if meant else "read: data comes in here; write: it goes out here"
            self.report.add("manifest.wrong_type", message, place, hint)
            return
        if "mode" in raw and right not in (None, mode):
            message = f"{component} does not {mode}: its mode is {right}"
            self.report.add("manifest.wrong_type", message, place, f"write mode: {right}")

    def needs(self, raw: dict[str, Any], index: int) -> Any:
        if "needs" in raw:
            needs = raw["needs"]
            self.refuse_params(needs, ("steps", index, "needs"))
            return [] if needs is None else needs
        before = self.steps[index - 1] if index else None
        name = before.get("id") if isinstance(before, dict) else None
        return [name] if isinstance(name, str) and is_step_id(name) else []

    def gives(self, need: Any) -> bool:
        """Whether there is data from that step; of what cannot be a step, planning says so."""
        return isinstance(need, str) and is_step_id(need) and self.modes.get(need) != "write"

    def refuse_params(self, needs: Any, path: Path) -> None:
        for place, reference in find_references(needs, path):
            if reference.kind == "param":
                message = f"{reference.text} cannot be used here: who feeds whom does not hang on parameters"
                self.report.add("manifest.reference", message, place, "name the step")

    def note_places(self, inputs: Mapping[str, str], needs: Sequence[Any], path: Path) -> None:
        places = {f"${{{need}.df}}": index for index, need in reversed(list(enumerate(needs)))}
        for name, reference in inputs.items():
            self.report.moved[(*path, "inputs", name)] = (*path, "needs", places[reference])

    def inputs(self, raw: dict[str, Any], giving: list[str], path: Path) -> dict[str, str]:
        if len(giving) == 1 and _mode(raw) == "write":
            return {"df": f"${{{giving[0]}.df}}"}
        if len(giving) > 1 and _mode(raw) == "write":
            message = f"a step that writes takes one input, but needs {len(giving)}: {', '.join(giving[:5])}"
            hint = "until now only the first was written; join them in a step before, or write each in its own step"
            self.report.add("manifest.oml_needs", message, (*path, "needs"), hint)
            return {"df": f"${{{giving[0]}.df}}"}
        inputs = {name: f"${{{need}.df}}" for need, name in _input_names(giving).items()}
        if len(giving) != 1:
            return inputs
        inputs["df"] = f"${{{giving[0]}.df}}"
        if raw.get("component") == "duckdb.processor":
            inputs["input_df"] = inputs["df"]
            return _used_in(raw.get("config"), inputs)
        return inputs


def _mode(step: Mapping[str, Any]) -> str:
    mode = step.get("mode")
    if isinstance(mode, str):
        return mode
    role = str(step.get("component", ""))
    if role.endswith("extractor"):
        return "read"
    return "write" if role.endswith("writer") else "transform"


def _input_names(giving: Sequence[str]) -> dict[str, str]:
    """The table of each step: ``df_a_b`` of ``a-b``; with a part of the id's hash where ``a_b`` is there as well."""
    plain = {need: f"df_{re.sub('[^0-9a-zA-Z_]', '_', need)}" for need in giving}
    found = Counter(plain.values())
    return {
        need: name if found[name] == 1 else f"{name}_{hashlib.sha256(need.encode()).hexdigest()[:8]}"
        for need, name in plain.items()
    }


def _used_in(config: Any, inputs: dict[str, str]) -> dict[str, str]:
    # An output that is used once can stream; under three names it would have to be stored.
    words = set(re.findall(r"\w+", str(config).casefold()))
    used = {name: reference for name, reference in inputs.items() if name.casefold() in words}
    if used:
        return used
    hidden = any(reference.kind == "param" for _, reference in find_references(config))
    return inputs if hidden else {"df": inputs["df"]}
