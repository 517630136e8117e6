"""Errors that leave a run, without the secrets that the run has resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from osiris.core.connections.redaction import MASK, REDACTOR
from osiris.core.errors import OsirisError
from osiris.core.events.jsonable import jsonable
from osiris.core.wording import worded

__all__ = ["redact_error"]


def redact_error(error: BaseException) -> BaseException:
    """The error with every registered secret replaced, in it and in the errors that it came from.

    It is changed in place, so that it stays the same object. One of a foreign class that tells a secret all the same
    is left out of the chain, or, where it is the error itself, becomes a RuntimeError that names its class.
    """
    if not REDACTOR.active:
        return error
    links = list(_chain(error))
    for link in links:
        _redact(link)
    for link in links:
        if link.__context__ is not None and _tells(link.__context__):
            link.__context__ = None
        if link.__cause__ is not None and _tells(link.__cause__):
            link.__cause__ = None
    if _tells(error):
        return RuntimeError(f"{type(error).__name__}: {REDACTOR.text(_said(error))}")
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    todo, seen = [error], set[int]()
    while todo:
        link = todo.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        todo += [origin for origin in (link.__cause__, link.__context__) if origin is not None]
        if isinstance(link, BaseExceptionGroup):
            todo += link.exceptions


def _redact(error: BaseException) -> None:
    if _tells(error):
        with suppress(Exception):  # a class of somebody else's may keep its arguments from us
            error.args = tuple(REDACTOR({"args": error.args})["args"])
    notes = getattr(error, "__notes__", None)
    if notes:
        notes[:] = [REDACTOR.text(str(note)) for note in notes]
    if isinstance(error, OsirisError):
        # A driver may have set these to anything after it made the error.
        error.message = REDACTOR.text(worded(error.message))
        error.hint = None if error.hint is None else REDACTOR.text(worded(error.hint))
        error.facts = _redacted_facts(error.facts)


def _redacted_facts(facts: Any) -> dict[str, Any]:
    try:
        return REDACTOR(facts)
    except Exception:  # facts that hold themselves, or are none
        return REDACTOR(jsonable(facts if isinstance(facts, Mapping) else {"facts": facts}))


def _tells(error: BaseException) -> bool:
    said = _said(error)
    return REDACTOR.text(said) != said


def _said(error: BaseException) -> str:
    try:
        return f"{error} {error!r}"
    except KeyboardInterrupt:
        raise
    except BaseException:
        return MASK
