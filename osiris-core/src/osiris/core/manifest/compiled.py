"""A manifest as it stands in a file: what OML compiles to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.manifest.model import Manifest
from osiris.core.manifest.param_values import type_of
from osiris.core.manifest.params import Param, Params
from osiris.core.manifest.report import Report
from osiris.core.manifest.schema import STEP_KEYS, TOP_KEYS

__all__ = ["compile_manifest", "compiled_document"]

_MAY_BE_NOTHING = frozenset(
    {"description", "params", "profiles", "requires", "defaults", "base_dir", "config", "inputs", "needs"}
)
"""Keys that mean the same with nothing behind them as when they are not there; ``retry:`` does not."""


def compile_manifest(manifest: Manifest, *, resolve: bool = False, base_dir: str | None = None) -> str:
    """The text of a manifest that means the same as the file that was loaded, whichever dialect it is in.

    The same file, with the same parameters given, gives the same text on every machine. Secrets stay references;
    comments, anchors and ``x-`` keys are gone.

    Args:
        manifest: As loaded. Parameters that were given for it, or come from its profile, become defaults.
        resolve: Fill in parameters; the result has neither parameters nor profiles.
        base_dir: Where relative paths begin, seen from the folder that the text will be in; default what the file says.
    """
    from osiris.core.manifest.yaml_text import write_yaml  # runs take the document alone

    document = compiled_document(manifest, resolve=resolve)
    if base_dir is not None:
        document["base_dir"] = base_dir
    return write_yaml(_in_order(document, TOP_KEYS))


def compiled_document(manifest: Manifest, *, resolve: bool = False, given: bool = True) -> dict[str, Any]:
    """As :func:`compile_manifest`, as data.

    Args:
        manifest: As loaded.
        resolve: As there.
        given: Whether values that were given become defaults; if not, the file alone decides.
    """
    written = manifest.origin.document
    document = {key: value for key, value in written.items() if not (value is None and key in _MAY_BE_NOTHING)}
    document |= {"version": manifest.version, "name": written.get("name", manifest.name)}
    document["steps"] = [_step(step) for step in written["steps"]]
    if resolve:
        return _in_order(_filled(document, manifest.origin.params), TOP_KEYS)
    declared = written.get("params") or {}
    if given:
        declared = _with_given(declared, manifest.origin.params)
    document.pop("params", None)
    return _in_order({**document, **({"params": declared} if declared else {})}, TOP_KEYS)


def _step(raw: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in raw.items() if value or key not in _MAY_BE_NOTHING}
    return _in_order(kept, STEP_KEYS)


def _in_order(value: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value[key] for key in keys if key in value}


def _with_given(raw: Mapping[str, Any], params: Params) -> dict[str, Any]:
    return {
        name: declaration
        if params.sources.get(name, "default") == "default"
        else _with_default(declaration, params.declared[name], params.values[name])
        for name, declaration in raw.items()
    }


def _with_default(declaration: Any, param: Param, value: Any) -> Any:
    """The declaration with another default, of the same type as before."""
    if not isinstance(declaration, Mapping):
        if type_of(value) == param.type:
            return value
        declaration = {}
    changed = {key: item for key, item in declaration.items() if key not in ("required", "default", "type")}
    typed = {"type": param.type} if "type" in declaration or type_of(value) != param.type else {}
    return {**typed, "default": value, **changed}


def _filled(document: Mapping[str, Any], params: Params) -> dict[str, Any]:
    report = Report()  # whatever could be wrong was told when the manifest was loaded
    filled = {key: value for key, value in document.items() if key not in ("params", "profiles")}
    for key in ("name", "description"):
        if key in filled:
            filled[key] = params.fill_in_text(filled[key], (key,), report)
    for key in ("defaults", "breaker", "limits", "base_dir"):
        if key in filled:
            filled[key] = params.fill(filled[key], (key,), report)
    filled["steps"] = [
        {
            key: value
            if key == "id"
            else (params.fill_in_text if key == "description" else params.fill)(value, (key,), report)
            for key, value in step.items()
        }
        for step in filled["steps"]
    ]
    return filled
