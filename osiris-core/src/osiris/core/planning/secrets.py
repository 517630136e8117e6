"""Secrets written in clear, found by the name of their option or by their form. Never shown, only located."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from osiris.core.manifest.references import parse

__all__ = ["find_secrets"]

_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "service_role_key",
    "anon_key",
    "private_key",
    "access_key",
    "secret_key",
)
_SECRET_NAME = re.compile(rf"(?:.*_)?(?:{'|'.join(_NAMES)})")
_EVEN_AS_NUMBER = re.compile(r"(?:.*_)?(?:password|passwd|passphrase|pwd)")
_CREDENTIALS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@")
_WEB_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")


def find_secrets(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every secret that stands in ``value`` itself and not as a ``${reference}``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_secrets(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from find_secrets(item, (*path, index))
    elif _is_secret(_name(path), value):
        yield path


def _name(path: tuple[str | int, ...]) -> str:
    last = path[-1] if path else ""
    if not isinstance(last, str):
        return ""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).lower().replace("-", "_")


def _is_secret(name: str, value: Any) -> bool:
    if isinstance(value, str) and value.strip():
        known = _without_references(value)
        if _SECRET_NAME.fullmatch(name) and known == value:
            return True
        return bool(_CREDENTIALS.search(known) or _WEB_TOKEN.search(known))
    return isinstance(value, int) and not isinstance(value, bool) and bool(_EVEN_AS_NUMBER.fullmatch(name))


def _without_references(text: str) -> str:
    for reference in reversed(parse(text)):
        text = text[: reference.start] + text[reference.start + len(reference.text) :]
    return text
