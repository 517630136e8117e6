"""How a pipeline differs from what a session ran, in words that a person can check."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from osiris.core.errors import UsageError

__all__ = ["refuse_changes"]

_DECIDING = ("driver", "config", "inputs", "needs", "mask")
"""What decides a step's result; ``retry``, ``timeout`` and the like only say how it is to be run."""

_SHOWN = 60
_MAX_SHOWN = 5


def refuse_changes(
    session_id: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    drivers_before: Mapping[str, str],
    drivers: Mapping[str, str],
) -> None:
    """See that nothing was changed that may change a result: params, steps, the versions of what brings the drivers.

    Args:
        session_id: What to call the session.
        before: The manifest that was run, as data.
        now: The manifest as it is.
        drivers_before: Distribution and version by driver, then.
        drivers: The same, now.

    Raises:
        UsageError: Something was (code ``session.changed``); all of it in ``facts["differences"]``.
    """
    found = [
        *_between("params", before.get("params") or {}, now.get("params") or {}),
        *_between("", _steps(before), _steps(now)),
        *(
            f"{driver} was {drivers_before[driver]}, is {drivers[driver]}"
            for driver in sorted(drivers_before)
            if driver in drivers and drivers[driver] != drivers_before[driver]
        ),
    ]
    if not found:
        return
    more = f"; and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
    raise UsageError(
        f"the pipeline is not what session {session_id} ran: {'; '.join(found[:_MAX_SHOWN])}{more}",
        hint="undo the change, or add --force: what differs and all after it runs again",
        code="session.changed",
        differences=found,
    )


def _steps(manifest: Mapping[str, Any]) -> dict[str, Any]:
    steps = {str(step["id"]): {key: step.get(key) for key in _DECIDING} for step in manifest.get("steps") or ()}
    return {f"step {step_id!r}": step for step_id, step in steps.items()}


def _between(path: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}, key=str):
            place = f"{path}.{key}" if path.startswith(("step ", "params")) else str(key)
            if key not in now:
                yield f"{place} is gone"
            elif key not in before:
                yield f"{place} is new"
            else:
                yield from _between(place, before[key], now[key])
    elif before != now:
        yield f"{path} was {_shown(before)}, is {_shown(now)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
