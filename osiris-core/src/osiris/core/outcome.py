"""What an adapter says of a run, looked at before anybody believes it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from osiris.core.errors import CollectError, ExecutionError
from osiris.core.events.bus import Event
from osiris.core.wording import text_of

__all__ = ["contradiction", "read_collected"]

_NOT_DONE = ("failed", "aborted", "cancelled")
_ENDS = ("step_start", "step_complete", "step_failed", "step_restored", "step_skipped")


def read_collected(adapter: str, collected: object) -> tuple[dict[str, Any], CollectError | None]:
    """What ``collect`` gave, each known key in the form that :class:`~osiris.core.execution_adapter.RunResult` has.

    Args:
        adapter: Its name.
        collected: Whatever it returned; None for nothing.

    Returns:
        All that can be used, and an error that names every key whose value cannot.
    """
    if collected is None:
        return {}, None
    if not isinstance(collected, Mapping):
        return {}, _unusable(adapter, {"": f"is a {type(collected).__name__}, not a mapping"})
    found: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for key, value in collected.items():
        name = text_of(key)
        try:
            if name == "status" or value is not None:
                found[name] = _READ.get(name, _anything)(value)
        except _Unusable as error:
            wrong[name] = str(error)
    return found, _unusable(adapter, wrong) if wrong else None


def contradiction(
    adapter: str, collected: Mapping[str, Any], steps: int, events: Sequence[Event]
) -> ExecutionError | None:
    """Why a run cannot have ended well, although the adapter says so; None where nothing speaks against it.

    What the adapter does not say is no contradiction.

    Args:
        adapter: Its name.
        collected: As :func:`read_collected` gives it.
        steps: How many the manifest has.
        events: What was told since the adapter began.
    """
    ends = {text_of(event.get("step_id")): event["event"] for event in events if event["event"] in _ENDS}
    failed = [step for step, end in ends.items() if end == "step_failed"]
    failed += [text_of(step.get("id")) for step in collected.get("steps", ()) if step.get("status") in _NOT_DONE]
    said: str | None = None
    completed = collected.get("steps_completed")
    not_run = sum(end in ("step_restored", "step_skipped") for end in ends.values())
    if failed:
        said = f"step {failed[0]!r} failed"
    elif completed is not None and not steps - not_run <= completed <= steps:
        said = f"it says that {completed} of {steps} steps were completed"
    if said is None:
        return None
    return ExecutionError(
        f"adapter {adapter!r} says that the run ended well, but {said}",
        hint="its execute() should raise an ExecutionError where a step fails, and its collect() tell what was done",
        code="adapter.contradiction",
        adapter=adapter,
        failed_steps=list(dict.fromkeys(failed)),
    )


def _unusable(adapter: str, wrong: Mapping[str, str]) -> CollectError:
    said = "; ".join(f"{name!r} {what}" if name else f"it {what}" for name, what in wrong.items())
    return CollectError(
        f"adapter {adapter!r}: what its collect() returned cannot be used: {said}",
        hint="tell the authors of the adapter; see osiris.core.execution_adapter.CollectedRun",
        code="adapter.bad_result",
        adapter=adapter,
        keys=[name for name in wrong if name],
    )


class _Unusable(Exception):  # never leaves this module
    """What is wrong with the value of a key."""


def _number(value: Any) -> int:
    try:
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise _Unusable(f"is {text_of(value)[:100]!r}, not a whole number from 0")
    return number


def _items(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _Unusable(f"is a {type(value).__name__}, not a list")
    items: tuple[Any, ...] = _anything(tuple(value))
    return items


def _mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    items = _items(value)
    for item in items:
        if not isinstance(item, Mapping):
            raise _Unusable(f"holds a {type(item).__name__} where a mapping is asked for")
    return items


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Unusable(f"is a {type(value).__name__}, not a mapping")
    return _anything(value)  # type: ignore[no-any-return]  # the same


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(text_of(item) for item in _items(value))


def _anything(value: Any) -> Any:
    if _holds_itself(value):
        raise _Unusable("holds itself")
    return value


def _holds_itself(value: Any, around: tuple[int, ...] = ()) -> bool:
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return False
    if id(value) in around:
        return True
    inside = value.values() if isinstance(value, Mapping) else value
    return any(_holds_itself(item, (*around, id(value))) for item in inside)


_READ: dict[str, Callable[[Any], Any]] = {
    "status": lambda value: value if isinstance(value, str) else text_of(value),
    "steps_completed": _number,
    "total_rows": _number,
    "outputs": _mappings,
    "artifacts": _items,
    "steps": _mappings,
    "metrics": _mapping,
    "environment": text_of,
    "warnings": _texts,
}
