"""Secrets written in clear, found by the name of their option or by their form. Never shown, only located."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from osiris.core.manifest.references import parse

__all__ = ["Secret", "find_secrets"]

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
_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/:@]*):[^\s/@]+@")
_SHELLS_OWN = frozenset({"PWD"})  # a secret's name, and in every environment another value
_WEB_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")


class Secret(NamedTuple):
    """Where a secret stands, and what could stand there instead: a reference, whose name is only a proposal."""

    path: tuple[str | int, ...]
    instead: str


def find_secrets(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Secret]:
    """Every secret that stands in ``value`` itself and not as a ``${reference}``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_secrets(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from find_secrets(item, (*path, index))
    elif path and _is_secret(str(path[-1]), value):
        yield Secret(path, _instead(path, value))


def _is_secret(name: str, value: Any) -> bool:
    if isinstance(value, str):
        if not _names_secret(name) and "://" not in value and "eyJ" not in value:
            return False
        known = _without_references(value)
        if known == value and value.strip() and _names_secret(name):
            return True
        return bool(_CREDENTIALS.search(known) or _WEB_TOKEN.search(known))
    return isinstance(value, int) and not isinstance(value, bool) and bool(_EVEN_AS_NUMBER.fullmatch(_snake(name)))


@lru_cache(maxsize=1000)
def _names_secret(name: str) -> bool:
    return bool(_SECRET_NAME.fullmatch(_snake(name)))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")


def _without_references(text: str) -> str:
    for reference in reversed(parse(text)):
        text = text[: reference.start] + text[reference.start + len(reference.text) :]
    return text


def _instead(path: tuple[str | int, ...], value: Any) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if _names_secret(name):
        return _reference(_snake(name))
    url = _CREDENTIALS.search(_without_references(str(value)))
    if url is None:
        return _reference(f"{_snake(name)}_token")
    # The rest of the URL is not shown: a user's name may be a token, too.
    user = "..." if url[2] else ""
    return f"{url[1]}://{user}:{_reference(f'{url[1]}_password')}@..."


def _reference(name: str) -> str:
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    if variable in _SHELLS_OWN:
        variable = "PASSWORD"
    elif not variable[:1].isalpha():
        variable = f"SECRET_{variable}".rstrip("_")
    return f"${{{variable}}}"
