"""What a step says about its failures: ``retry``, ``timeout``, ``on_error``, ``checkpoint``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from osiris.core.manifest.report import describe, shortened, suggest
from osiris.core.quick_dataclass import dataclass

__all__ = [
    "BreakerPolicy",
    "LimitPolicy",
    "Note",
    "RetryPolicy",
    "StepPolicy",
    "read_breaker",
    "read_limits",
    "read_policy",
    "read_size",
]

Note = Callable[[str, tuple[str, ...], str], None]
"""Takes a mistake: message, path below the step, hint."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and when a failed step's stage is run again.

    Attributes:
        attempts: How often altogether, the first time included.
        delay: Seconds before the second attempt.
        backoff: What the delay is multiplied by each further time.
        max_delay: Seconds that a delay grows to at most; a server's Retry-After may ask for more.
        jitter: Seconds, at random, on top of each delay.
        on: Error codes that are tried again; empty: the errors that say of themselves that it may help.
    """

    attempts: int = 3
    delay: float = 1.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 1.0
    on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepPolicy:
    """What happens when a step fails or takes too long.

    Attributes:
        retry: None: a failure is final.
        timeout: Seconds for one attempt, from the step's start to the end of its stream; None: no limit.
        on_error: ``continue``: steps that do not depend on it still run; the run fails all the same.
        checkpoint: Whether what other steps use of its output is kept on disk, so that a resumed run rereads it.
    """

    retry: RetryPolicy | None = None
    timeout: float | None = None
    on_error: Literal["stop", "continue"] = "stop"
    checkpoint: bool = False


@dataclass(frozen=True, kw_only=True)
class BreakerPolicy:
    """When a connection that keeps failing is left alone.

    Attributes:
        failures: How many passing failures in a row open its breaker.
        pause: Seconds until one step may try again.
    """

    failures: int = 5
    pause: float = 30.0


@dataclass(frozen=True, kw_only=True)
class LimitPolicy:
    """What a run may take at most; None: no limit.

    Attributes:
        memory: Bytes of resident memory of the process.
        disk: Bytes of intermediate data on disk.
        time: Seconds.
    """

    memory: int | None = None
    disk: int | None = None
    time: float | None = None


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def read_size(value: Any) -> int | None:
    """Bytes of ``500MB``, ``1.5 GiB`` or a plain number; None where it is no size."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value > 0 else None
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    size = float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()]
    return int(size) if 1 <= size < math.inf else None


def read_limits(value: Any, note: Note) -> LimitPolicy:
    """The policy that the manifest's ``limits`` means; mistakes go to ``note``, and count as not said."""
    if value is None:
        return LimitPolicy()
    if not isinstance(value, Mapping):
        note(f"limits must be a mapping, but is {describe(value)}", (), "write limits: {memory: 500MB, time: 10m}")
        return LimitPolicy()
    for key in value:
        if key not in LimitPolicy.__dataclass_fields__:
            note(f"unknown key {key!r} in limits", (key,), "known here: memory, disk, time")
    sizes = {}
    for key in ("memory", "disk"):
        sizes[key] = read_size(value[key]) if key in value else None
        if key in value and sizes[key] is None:
            note(f"limits.{key} must be a size, but is {_shown(value[key])}", (key,), "as 500MB, 2GB, 1GiB")
    return LimitPolicy(**sizes, time=_seconds(value.get("time"), "limits.time", ("time",), note, least=0.001))


def read_breaker(value: Any, note: Note) -> BreakerPolicy | None:
    """The policy that the manifest's ``breaker`` means; None where it is ``false``."""
    if value is False:
        return None
    standard = BreakerPolicy()
    if value is None or value is True:
        return standard
    if not isinstance(value, Mapping):
        hint = "write breaker: {failures: 5, pause: 30s}, or false"
        note(f"breaker must be a mapping, but is {describe(value)}", (), hint)
        return standard
    for key in value:
        if key not in BreakerPolicy.__dataclass_fields__:
            note(f"unknown key {key!r} in breaker", (key,), "known here: failures, pause")
    failures = value.get("failures", standard.failures)
    if not isinstance(failures, int) or isinstance(failures, bool) or not 1 <= failures <= 1000:
        note(
            f"breaker.failures must be a whole number from 1, but is {_shown(failures)}",
            ("failures",),
            "as failures: 5",
        )
        failures = standard.failures
    pause = _seconds(value.get("pause"), "breaker.pause", ("pause",), note, least=0.0)
    return BreakerPolicy(failures=failures, pause=standard.pause if pause is None else pause)


def read_policy(options: Mapping[str, Any], note: Note) -> StepPolicy:
    """The policy that a step's keys mean; mistakes go to ``note``, and count as not said."""
    on_error = options.get("on_error", "stop")
    if on_error not in ("stop", "continue"):
        hint = "with continue, steps that do not depend on it still run; the run fails all the same"
        note(f"on_error must be stop or continue, but is {_shown(on_error)}", ("on_error",), hint)
        on_error = "stop"
    checkpoint = options.get("checkpoint", False)
    if not isinstance(checkpoint, bool):
        note(
            f"checkpoint must be true or false, but is {_shown(checkpoint)}", ("checkpoint",), "write checkpoint: true"
        )
        checkpoint = False
    return StepPolicy(
        retry=_read_retry(options.get("retry"), note),
        timeout=_seconds(options.get("timeout"), "timeout", ("timeout",), note, least=0.001),
        on_error=on_error,
        checkpoint=checkpoint,
    )


def _read_retry(value: Any, note: Note) -> RetryPolicy | None:
    if value is None or value is False:
        return None
    if isinstance(value, int):
        value = {"attempts": value}
    if not isinstance(value, Mapping):
        hint = "write retry: 3, or retry: {attempts: 3, delay: 1s}"
        note(f"retry must be a number or a mapping, but is {describe(value)}", ("retry",), hint)
        return None
    known = RetryPolicy.__dataclass_fields__
    for key in value:
        if key not in known:
            near = suggest(key, list(known))
            hint = f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
            note(f"unknown key {key!r} in retry", ("retry", key), hint)
    standard = RetryPolicy()
    read = {
        key: _seconds(value.get(key), f"retry.{key}", ("retry", key), note, least=0.0)
        for key in ("delay", "max_delay", "jitter")
    }
    seconds = {key: given for key, given in read.items() if given is not None}
    # Somebody who asks for a delay of 0.1 s does not want a second of jitter on it.
    jitter = seconds.get("jitter", min(standard.jitter, seconds.get("delay", standard.delay)))
    return RetryPolicy(
        attempts=_attempts(value.get("attempts", standard.attempts), note),
        delay=seconds.get("delay", standard.delay),
        max_delay=seconds.get("max_delay", standard.max_delay),
        jitter=jitter,
        backoff=_backoff(value.get("backoff", standard.backoff), note),
        on=_codes(value.get("on", ()), note),
    )


def _attempts(value: Any, note: Note) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    hint = "all attempts, the first one included: retry: 3; without retries, leave it out"
    note(f"retry.attempts must be a whole number from 1 to 100, but is {_shown(value)}", ("retry", "attempts"), hint)
    return 1


def _backoff(value: Any, note: Note) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 100:
        return float(value)
    hint = "2 doubles the delay each time, 1 keeps it"
    note(f"retry.backoff must be a number from 1 to 100, but is {_shown(value)}", ("retry", "backoff"), hint)
    return 1.0


def _codes(value: Any, note: Note) -> tuple[str, ...]:
    codes = [value] if isinstance(value, str) else value
    if isinstance(codes, list | tuple) and all(isinstance(code, str) and code for code in codes):
        return tuple(codes)
    note(f"retry.on must be a list of error codes, but is {_shown(value)}", ("retry", "on"), "as [mysql.lock_wait]")
    return ()


def _seconds(value: Any, name: str, path: tuple[str, ...], note: Note, *, least: float) -> float | None:
    if value is None:
        return None
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = _as_float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _SECONDS[match[2] or "s"]
    if math.isfinite(seconds) and seconds >= least:
        return seconds
    note(f"{name} must be a time, but is {_shown(value)}", path, "seconds, or as 500ms, 30s, 5m, 1h")
    return None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf


def _shown(value: Any) -> str:
    return shortened(repr(value)) if isinstance(value, str | int | float) else describe(value)
