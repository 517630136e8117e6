"""Values against pydantic models, before a run: what a secret will be is not known yet."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from osiris.core.errors import PluginBrokenError
from osiris.core.manifest.references import has_param, has_secret
from osiris.core.manifest.report import describe, suggest
from osiris.core.planning.secrets import find_secrets
from osiris.core.plugins.quiet_pydantic import without_pydantic_plugins
from osiris.core.quick_dataclass import dataclass
from osiris.core.wording import text_of

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

__all__ = ["Mismatch", "check_model", "in_our_words", "load_model"]

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One way in which a value does not fit its model. ``path`` is inside the value; ``at_key`` if the key is wrong."""

    path: Path
    message: str
    hint: str | None = None
    at_key: bool = False


def load_model(place: str) -> type[BaseModel]:
    """The pydantic model at ``package.module:Class``.

    Raises:
        PluginBrokenError: It cannot be imported, or is no pydantic model.
    """
    from pydantic import BaseModel

    module, _, name = place.partition(":")
    try:
        with without_pydantic_plugins():
            model = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise PluginBrokenError(
            f"the config model {place!r} cannot be imported: {type(error).__name__}: {text_of(error)}",
            hint="the package that offers this driver is broken: reinstall it, or tell its authors",
            model=place,
        ) from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginBrokenError(f"{place!r} is not a pydantic model", hint="tell the authors of the driver")
    return model


def check_model(model: type[BaseModel], value: Mapping[str, Any]) -> list[Mismatch]:
    """What is wrong with ``value``; nothing where that hangs on a secret whose value is not known yet.

    A boolean is no number, though models that are not strict take it for 0 or 1; a field that is to take both is
    ``bool | int``.

    Raises:
        PluginBrokenError: The model cannot check anything.
    """
    details = _validate(model, value)
    if _has_boolean(value):
        known = {detail["loc"] for detail in details}
        strictly = _validate(model, value, strict=True)
        details += [detail for detail in strictly if isinstance(detail["input"], bool) and detail["loc"] not in known]
    return list(_collect(model, value, details))


def _validate(model: type[BaseModel], value: Mapping[str, Any], *, strict: bool = False) -> list[ErrorDetails]:
    from pydantic import ValidationError

    try:
        with without_pydantic_plugins():
            if strict:
                model.model_validate(value, strict=True)
            else:  # as a driver calls it: a model may have a method of its own in its place
                model.model_validate(value)
    except ValidationError as error:
        return error.errors(include_url=False)
    except (Exception, SystemExit) as error:  # of its validators, or because its types are not defined
        place = f"{model.__module__}:{model.__qualname__}"
        raise PluginBrokenError(
            f"the config model {place!r} cannot check options: {type(error).__name__}: {text_of(error)}",
            hint="tell the authors of the driver; `osiris plugins check` shows more",
            model=place,
        ) from error
    return []


def _has_boolean(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_boolean, value.values()))
    return any(map(_has_boolean, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


def _collect(model: type[BaseModel], value: Mapping[str, Any], details: list[ErrorDetails]) -> Iterator[Mismatch]:
    unfit: dict[Path, list[Mismatch]] = {}
    for detail in details:
        path, found = _follow(value, detail["loc"])
        if detail["type"] == "extra_forbidden":
            yield _unknown(model, path)
        elif detail["type"] == "missing":
            yield Mismatch(path=path, message=f"option {str(detail['loc'][-1])!r} is missing", hint="add it")
        elif not (_hangs_on_secret(detail, found) if path else has_param(found)):
            mismatch = Mismatch(path=path, message=_in_words(detail, path, found), hint=_hint(detail, found))
            unfit.setdefault(path, []).append(mismatch)
    for path, mismatches in unfit.items():
        # A union tells of each member why it is not that one; the member that got furthest is the one meant.
        if not any(other[: len(path)] == path and len(other) > len(path) > 0 for other in unfit):
            messages = dict.fromkeys(mismatch.message for mismatch in mismatches)
            yield Mismatch(path=path, message=", or ".join(messages), hint=mismatches[0].hint)


def _follow(value: Any, location: tuple[str | int, ...]) -> tuple[Path, Any]:
    """The part of pydantic's location that is in the data (it also names union members), and what is there."""
    path: Path = ()
    for part in location:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path = (*path, part)
    return path, value


def _unknown(model: type[BaseModel], path: Path) -> Mismatch:
    name = str(path[-1]) if path else ""
    known = _field_names(model, path[:-1])
    near = suggest(name, known)
    hint = f"did you mean {near}?" if near else (f"known: {', '.join(known)}" if known else None)
    return Mismatch(path=path, message=f"unknown option {name!r}", hint=hint, at_key=True)


def _hangs_on_secret(detail: ErrorDetails, found: Any) -> bool:
    """Whether the value may fit once it is known; a mapping is no text, whatever the secrets in it are."""
    return has_secret(found) and (isinstance(found, str) or not detail["type"].endswith("_type"))


def in_our_words(message: str) -> str:
    """Pydantic's message, to stand behind the name of an option."""
    text = _without_kind(message)
    return text[:1].lower() + text[1:]


def _without_kind(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _in_words(detail: ErrorDetails, path: Path, found: Any) -> str:
    if detail["type"] in ("value_error", "assertion_error"):
        return _without_kind(detail["msg"])
    text = in_our_words(detail["msg"])
    name = next((part for part in reversed(path) if isinstance(part, str)), None)
    text = text.removeprefix("input ")
    shown = "a secret in clear" if any(find_secrets({str(name): found})) else describe(found)
    return f"{name}: {text}, but is {shown}" if name else f"{text}, but is {shown}"


def _hint(detail: ErrorDetails, found: Any) -> str | None:
    """What to write instead; None where only the driver's description helps."""
    expected = detail.get("ctx", {}).get("expected")
    if detail["type"] not in ("literal_error", "enum") or not isinstance(expected, str) or not isinstance(found, str):
        return _form(detail["type"], found)
    words = [word.strip("'\" ") for word in expected.replace(" or ", ",").split(",")]
    near = suggest(found, [word for word in words if word])
    return f"did you mean {near}?" if near else None


def _form(kind: str, found: Any) -> str | None:
    if kind == "string_type":
        if isinstance(found, bool | int | float):
            return "put it in quotes"
        return "write one text, without brackets" if isinstance(found, list) else None
    if kind == "list_type" and isinstance(found, str):
        return "put it in brackets"
    if kind.startswith(("int_", "float_")):
        return "write a number, as 100"
    return "write true or false" if kind.startswith("bool_") else None


def _field_names(model: type[BaseModel], path: Path) -> list[str]:
    """The options of the model that describes ``path``; empty where that is not one model."""
    here: type[BaseModel] | None = model
    for part in path:
        if here is None:
            return []
        field = next((field for name, field in here.model_fields.items() if part in (name, field.alias)), None)
        if field is not None:
            here = _model_in(field.annotation)
        elif not isinstance(part, int):
            return []
    if here is None:
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
