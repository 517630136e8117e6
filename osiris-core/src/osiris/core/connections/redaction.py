"""Secret values never leave the process in clear: they are registered when resolved and replaced by ``***``.

Standard library only, and cheap while nothing is registered: every event passes through here.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from osiris.core.connections.fragments import Fragments

__all__ = ["MASK", "REDACTOR", "Redactor", "redacted_traceback"]

MASK = "***"

_WHOLE_ONLY = 4  # shorter values are replaced only where they are the whole text: "a" is in every word
_TOKEN_ONLY = 8  # shorter digits only where no letter or digit touches them: "2026" is in every date
_LONG_LINE = 8  # a line of a multi-line secret (a private key) that says something by itself


class Redactor:
    """Replaces registered values, and the forms in which they usually turn up, by ``***``. Thread-safe.

    Forms are the value itself, percent-encoded, base64 (also inside ``user:password``), escaped as in JSON,
    Python, HTML or SQL texts (up to twice), each long line of a value with several, and the password of a URL.
    Of what a library has cut out of a text, pieces of values are replaced too: see :class:`Fragments`.
    Numbers, booleans and None are never touched.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole: frozenset[str] = frozenset()
        self._inside: frozenset[str] = frozenset()
        self._tokens: frozenset[str] = frozenset()
        self._telling: frozenset[str] = frozenset()
        self._compiled: tuple[tuple[re.Pattern[str], ...], Fragments] | None = None

    @property
    def active(self) -> bool:
        """Whether anything is registered."""
        return bool(self._whole)

    def add(self, value: str) -> None:
        """Register a secret; one of spaces alone is ignored.

        Shorter than 4 characters, it is replaced only where it is the whole text; of digits only and shorter
        than 8, only where no letter or digit touches it.
        """
        if not value.strip():
            return
        whole, inside, tokens, telling = set[str](), set[str](), set[str](), set[str]()
        for part in _parts(value):
            forms = {form for form in _forms(part) if form}
            whole |= forms
            inside |= {form for form in forms if len(form) >= _WHOLE_ONLY and not _is_short_number(form)}
            tokens |= {form for form in forms if len(form) >= _WHOLE_ONLY and _is_short_number(form)}
            if not _is_location(part):
                telling |= forms
        with self._lock:
            if whole <= self._whole:
                return
            self._whole |= whole
            self._inside |= inside
            self._tokens |= tokens
            self._telling |= telling
            self._compiled = None

    def clear(self) -> None:
        """Forget everything; for tests."""
        with self._lock:
            self._whole = self._inside = self._tokens = self._telling = frozenset()
            self._compiled = None

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A redacted copy of nested data, keys included; a shallow copy while nothing is registered.

        Objects that are neither text nor collections are kept, unless their ``str`` tells a secret.
        """
        if not self._whole:
            return dict(data)
        return {self._key(key): self._value(item) for key, item in data.items()}

    def text(self, text: str) -> str:
        """``text`` with every registered value replaced."""
        if not self._whole:
            return text
        if text in self._whole:
            return MASK
        patterns, fragments = self._compile()
        for pattern in patterns:
            text = pattern.sub(MASK, text)
        return fragments.masked(text)

    def _key(self, key: Any) -> Any:
        return self.text(key) if isinstance(key, str) else key

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._key(key): self._value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item) for item in value]
        if isinstance(value, bytes | bytearray | memoryview):
            said = bytes(value).decode("utf-8", "backslashreplace")
        else:
            said = _said(value)
        redacted = self.text(said)
        return value if redacted == said else redacted

    def _compile(self) -> tuple[tuple[re.Pattern[str], ...], Fragments]:
        compiled = self._compiled
        if compiled is None:
            with self._lock:
                found = []
                if self._inside:
                    found.append(re.compile(_alternatives(sorted(self._inside))))
                if self._tokens:
                    found.append(re.compile(rf"(?<!\w)(?:{_alternatives(sorted(self._tokens))})(?!\w)"))
                compiled = self._compiled = (tuple(found), Fragments(self._inside, self._telling, MASK))
        return compiled


REDACTOR = Redactor()
"""The process's own: events, logs, the command line and the worker all go through it."""


def redacted_traceback(error: BaseException) -> str:
    """The traceback of ``error`` and its causes as Python prints it, secrets replaced."""
    return REDACTOR.text("".join(traceback.format_exception(error)))


def _said(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return ""


def _is_short_number(text: str) -> bool:
    return len(text) < _TOKEN_ONLY and text.isdigit()


def _is_location(text: str) -> bool:
    """Whether it begins as other addresses and paths do, which are no secrets."""
    return "://" in text or text.startswith(("/", "~", "."))


def _parts(value: str) -> Iterator[str]:
    """The value, and parts of it that are secret by themselves."""
    yield value
    yield value.strip()
    if "\n" in value or "\r" in value:
        yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= _LONG_LINE)
    if "://" in value:
        yield from _url_passwords(value)


def _url_passwords(value: str) -> Iterator[str]:
    try:
        password = urlsplit(value).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)


def _forms(value: str) -> Iterator[str]:
    import html  # its table of entities costs 2 ms, and most runs have no secret

    yield value
    if len(value) < _WHOLE_ONLY:
        return
    for encoded in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), encoded)
    for escaped in _escaped(value):
        yield escaped
        if escaped != value:  # an error's words in another's: KeyError gives the repr of what it is given
            yield from _escaped(escaped)
    yield html.escape(value)
    yield from _base64_forms(value.encode("utf-8", "surrogateescape"))


def _escaped(value: str) -> Iterator[str]:
    """As inside the quotes of a JSON, Python or SQL text."""
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield repr(value.encode("utf-8", "surrogateescape"))[2:-1]
    yield value.replace("'", "''")
    yield value.replace("\\", "\\\\").replace("'", "\\'")


def _base64_forms(value: bytes) -> Iterator[str]:
    """The base64 of the value, and what of it stays the same inside a longer text, for each of three offsets."""
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + value).decode().rstrip("=")
        first = (offset * 8 + 5) // 6
        last = (offset + len(value)) * 8 // 6
        core = whole[first:last]
        if len(core) >= _LONG_LINE:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _alternatives(texts: list[str]) -> str:
    """A pattern for any of the sorted texts, longest first, as a tree: fast however many there are."""
    first, last = texts[0], texts[-1]
    same = next(
        (index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first)
    )
    prefix = first[:same]
    rests = [text[len(prefix) :] for text in texts]
    branches = [_alternatives(group) for group in _by_first(rest for rest in rests if rest)]
    if not branches:
        return re.escape(prefix)
    optional = "?" if "" in rests else ""
    return f"{re.escape(prefix)}(?:{'|'.join(branches)}){optional}"


def _by_first(texts: Iterable[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[0], []).append(text)
    return list(groups.values())
