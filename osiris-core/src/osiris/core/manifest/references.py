"""The ``${...}`` language of manifests.

==========================  =============================================  ==================
text                        means                                          where
==========================  =============================================  ==================
``${params.name}``          the value of a parameter                       any step value
``${step}, ${step.df}``     another step's output                          a whole input
``${NAME}``                 an environment variable                        config
``${NAME:-default}``        the same, with a default                       config
``${scheme:rest}``          a secret: ``file:``, ``keyring:``, others      config
``$${``                     the characters ``${``                          anywhere
==========================  =============================================  ==================

A loaded manifest still speaks this language: parameters are filled in, everything else stays as written,
``$${`` too. Whoever hands a value on resolves it: planning the inputs, the connections room the configs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from osiris.core.quick_dataclass import dataclass

__all__ = ["Reference", "find_references", "has_param", "has_secret", "parse", "parse_input", "unescape"]

Kind = Literal["param", "step", "secret", "invalid"]


@dataclass(frozen=True)
class Reference:
    """One ``${...}``.

    Attributes:
        kind: What it stands for, judged by its form alone; ``invalid`` where it has none of the forms.
        text: As written, with ``${`` and ``}``.
        start: Where it begins in the text.
        name: The parameter, step, variable, or what follows the scheme.
        output: Of a step; ``df`` where it is left out.
        scheme: Of a secret; ``env`` for a variable.
        default: Of a variable.
    """

    kind: Kind
    text: str
    start: int = 0
    name: str = ""
    output: str = ""
    scheme: str = ""
    default: str | None = None


_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_PARAM = re.compile(r"params\.([A-Za-z_][A-Za-z0-9_-]*)")
_VARIABLE = re.compile(r"([A-Z_][A-Z0-9_]*)|([A-Za-z_][A-Za-z0-9_]*):-(.*)", re.DOTALL)
_SECRET = re.compile(r"([a-z][a-z0-9_+.-]*):(?!-)(.+)", re.DOTALL)
_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)(?:\.([A-Za-z_][A-Za-z0-9_-]*))?")


def parse(text: str) -> list[Reference]:
    """The references in ``text``, in order; ``$${`` is none."""
    if "${" not in text:
        return []
    return [_classify(found) for found in _TOKEN.finditer(text) if found.group(1) is not None]


def parse_input(text: str) -> Reference | None:
    """The step that an input names: ``text`` is one reference and nothing else. None for a plain value.

    Here ``${ORDERS}`` is a step, not a variable. A reference of another kind is returned as it is.
    """
    found = _TOKEN.fullmatch(text) if text.startswith("${") else None
    if found is None or not found.group(2):
        return None
    step = _STEP.fullmatch(found.group(1))
    if step is None or step[1] == "params":
        return _classify(found)
    return Reference("step", text, name=step[1], output=step[2] or "df")


def find_references(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Reference]]:
    """Every reference in nested mappings, lists and texts, with its path."""
    if isinstance(value, str):
        for reference in parse(value):
            yield path, reference
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_references(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from find_references(item, (*path, index))


def has_secret(value: Any) -> bool:
    """Whether the value is not known before a run: it holds a secret's reference, or a parameter without value."""
    return any(reference.kind in ("secret", "param") for _, reference in find_references(value))


def has_param(value: Any) -> bool:
    """Whether the value holds a parameter that has no value."""
    return any(reference.kind == "param" for _, reference in find_references(value))


def unescape(value: Any) -> Any:
    """``value`` with every ``$${`` turned into ``${``: what the user meant literally."""
    if isinstance(value, str):
        return value.replace("$${", "${")
    if isinstance(value, Mapping):
        return {key: unescape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [unescape(item) for item in value]
    return value


def _classify(found: re.Match[str]) -> Reference:
    text, start, inner = found.group(), found.start(), found.group(1)
    if not found.group(2):
        return Reference("invalid", text, start)
    if match := _PARAM.fullmatch(inner):
        return Reference("param", text, start, name=match[1])
    if match := _VARIABLE.fullmatch(inner):
        return Reference("secret", text, start, name=match[1] or match[2], scheme="env", default=match[3])
    if match := _SECRET.fullmatch(inner):
        return Reference("secret", text, start, name=match[2], scheme=match[1])
    if match := _STEP.fullmatch(inner):
        return Reference("step", text, start, name=match[1], output=match[2] or "df")
    return Reference("invalid", text, start, name=inner)
