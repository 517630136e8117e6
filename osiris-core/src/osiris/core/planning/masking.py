"""What a step's ``mask`` says: which columns of its outputs nobody after it sees in clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from osiris.core.manifest.references import parse, unescape
from osiris.core.manifest.report import describe, suggest
from osiris.core.quick_dataclass import dataclass

__all__ = ["MaskMethod", "MaskRule", "read_masks"]

Note = Callable[[str, tuple[str | int, ...], str], None]
"""Takes a mistake: message, path below the step, hint."""

MaskMethod = Literal["hash", "redact", "partial"]

METHODS: tuple[str, ...] = get_args(MaskMethod)
_OPTIONS = {"hash": ("salt",), "redact": (), "partial": ("first", "last")}
_MOST_KEPT = 100
_EXAMPLE = "write mask: {columns: [email], method: hash}, or a list of such"


@dataclass(frozen=True, kw_only=True)
class MaskRule:
    """Columns, and what takes the place of their values.

    Attributes:
        columns: Their names, exactly.
        method: ``hash``: the value's sha256, in hex; ``redact``: ``***``; ``partial``: ``***`` and some characters.
        salt: Of ``hash``: the reference of the key that makes it an HMAC; None: a plain sha256.
        first: Of ``partial``: how many characters are kept at the beginning.
        last: Of ``partial``: how many characters are kept at the end.
    """

    columns: tuple[str, ...]
    method: MaskMethod
    salt: str | None = None
    first: int = 0
    last: int = 4

    def to_dict(self) -> dict[str, Any]:
        """What decides the result, in the form of the manifest."""
        told: dict[str, Any] = {"columns": list(self.columns), "method": self.method}
        return told | {name: value for name in _OPTIONS[self.method] if (value := getattr(self, name)) is not None}


def read_masks(value: Any, note: Note) -> tuple[MaskRule, ...]:
    """The rules that a step's ``mask`` means; mistakes go to ``note``, and what holds one is left out.

    Args:
        value: One rule, or a list of them; None: none.
        note: Takes mistakes, with their path below the step.
    """
    if value is None:
        return ()
    many = isinstance(value, list | tuple)
    given: Sequence[Any] = value if many else [value]
    if not given:
        note("mask is an empty list", ("mask",), _EXAMPLE)
    seen: set[str] = set()
    read = (_rule(rule, ("mask", index) if many else ("mask",), seen, note) for index, rule in enumerate(given))
    return tuple(rule for rule in read if rule is not None)


def _rule(value: Any, path: tuple[str | int, ...], seen: set[str], note: Note) -> MaskRule | None:
    if not isinstance(value, Mapping):
        note(f"mask must be a mapping, but is {describe(value)}", path, _EXAMPLE)
        return None
    columns = tuple(_columns(value.get("columns"), (*path, "columns"), seen, note))
    method = value.get("method")
    if method not in METHODS:
        near = suggest(method, METHODS) if isinstance(method, str) else None
        found = "is missing" if method is None else f"must be hash, redact or partial, but is {_shown(method)}"
        hint = f"did you mean {near}?" if near else "one of hash, redact, partial"
        note(f"mask.method {found}", (*path, "method") if "method" in value else path, hint)
        _check_keys(value, ("columns", "method", "salt", "first", "last"), path, note)
        return None
    _check_keys(value, ("columns", "method", *_OPTIONS[method]), path, note)
    return MaskRule(
        columns=columns,
        method=method,
        salt=_salt(value, path, note) if method == "hash" else None,
        first=_kept(value, "first", path, note),
        last=_kept(value, "last", path, note),
    )


def _check_keys(value: Mapping[str, Any], known: tuple[str, ...], path: tuple[str | int, ...], note: Note) -> None:
    for key in value:
        if key in known:
            continue
        owner = next((method for method, options in _OPTIONS.items() if key in options), None)
        near = suggest(key, list(known))
        if owner is not None:
            note(f"mask.{key} belongs to method {owner}", (*path, key), f"leave it out, or write method: {owner}")
        else:
            hint = f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
            note(f"unknown key {key!r} in mask", (*path, key), hint)


def _columns(value: Any, path: tuple[str | int, ...], seen: set[str], note: Note) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        found = "are missing" if value is None else f"must be a list of names, but is {describe(value)}"
        hint = f"write columns: [{value}]" if isinstance(value, str) else "as columns: [email, phone]"
        note(f"mask.columns {found}", path if value is not None else path[:-1], hint)
        return
    if not value:
        note("mask.columns is empty", path, "name at least one column, or leave mask out")
    for index, name in enumerate(value):
        if not isinstance(name, str) or not name:
            note(f"mask.columns must hold names, but here is {_shown(name)}", (*path, index), "as [email, phone]")
        elif name in seen:
            note(f"column {name!r} is masked twice", (*path, index), "one method for each column")
        else:
            seen.add(name)
            yield str(unescape(name))


def _salt(value: Mapping[str, Any], path: tuple[str | int, ...], note: Note) -> str | None:
    salt = value.get("salt")
    if salt is None:
        return None
    references = parse(salt) if isinstance(salt, str) else []
    # A default would be the key in clear, and a text around the reference a part of it.
    if len(references) == 1 and references[0].kind == "secret" and references[0].text == salt:
        if references[0].default is None:
            return str(salt)
        note("mask.salt has a default: the key would stand in the file", (*path, "salt"), "write ${NAME} alone")
    else:
        note("mask.salt must be one reference to a secret", (*path, "salt"), "as ${MASK_KEY}; its value is the key")
    return None


def _kept(value: Mapping[str, Any], key: str, path: tuple[str | int, ...], note: Note) -> int:
    standard: int = getattr(MaskRule, key)
    number = value.get(key, standard)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MOST_KEPT:
        return number
    note(
        f"mask.{key} must be a whole number from 0 to {_MOST_KEPT}, but is {_shown(number)}",
        (*path, key),
        f"as {key}: {standard or 1}",
    )
    return standard


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else describe(value)
