"""Options of an adapter (``--adapter-option k=v``): checked before the adapter gets them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from osiris.core.errors import UsageError
from osiris.core.plugins.known import closest
from osiris.core.plugins.quiet_pydantic import without_pydantic_plugins

__all__ = ["bound_options", "validated_options"]


def validated_options(adapter: str, model: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Check ``options`` against a pydantic model; text is turned into the types that it states.

    Returns:
        The options that were given, by field name. Defaults stay with the adapter.

    Raises:
        UsageError: An option is unknown, missing or of the wrong type; all of them are named, values are not.
    """
    from pydantic import ValidationError  # 0.1 s, only where an adapter has options

    if model.model_config.get("extra") != "allow":
        _refuse_unknown(adapter, options, [name for field in model.model_fields.items() for name in _spellings(*field)])
    try:
        with without_pydantic_plugins():
            valid = model.model_validate(dict(options))
    except ValidationError as error:
        mistakes = [(".".join(map(str, item["loc"])) or "options", item["msg"]) for item in error.errors()]
        raise UsageError(
            f"adapter {adapter!r}: " + "; ".join(f"option {name!r}: {message}" for name, message in mistakes),
            hint=f"its options are {_listed(model.model_fields)}",
            code="usage.adapter_option",
            adapter=adapter,
            options=[name for name, _ in mistakes],
        ) from None
    return {name: getattr(valid, name) for name in sorted(valid.model_fields_set)}


def bound_options(adapter: str, maker: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Check ``options`` against the signature of an adapter that states no model.

    Raises:
        UsageError: It does not take one of them, or needs another one.
    """
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):  # made in C; it will say itself what it does not take
        return dict(options)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    named = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        _refuse_unknown(adapter, options, named)
    missing = [name for name in named if signature.parameters[name].default is inspect.Parameter.empty]
    absent = [name for name in missing if name not in options]
    if absent:
        raise UsageError(
            f"adapter {adapter!r} needs option {absent[0]!r}",
            hint=f"give it with --adapter-option {absent[0]}=VALUE",
            code="usage.adapter_option",
            adapter=adapter,
            options=absent,
        )
    return dict(options)


def _refuse_unknown(adapter: str, options: Iterable[str], known: list[str]) -> None:
    unknown = sorted(name for name in options if name not in known)
    if not unknown:
        return
    meant = closest(unknown[0], known)
    raise UsageError(
        f"adapter {adapter!r} has no option {', '.join(map(repr, unknown))}",
        hint=(f"did you mean {meant!r}? " if meant else "") + f"its options are {_listed(known)}",
        code="usage.adapter_option",
        adapter=adapter,
        options=unknown,
    )


def _spellings(name: str, field: Any) -> list[str]:
    return [name] if field.alias is None else [name, str(field.alias)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
