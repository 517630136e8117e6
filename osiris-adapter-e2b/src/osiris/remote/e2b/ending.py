"""How a process in the sandbox ended."""

from __future__ import annotations

from osiris.core.quick_dataclass import dataclass

__all__ = ["Completed", "exit_code"]

_SIGNALS = {
    "signal: hangup": 1,
    "signal: interrupt": 2,
    "signal: quit": 3,
    "signal: illegal instruction": 4,
    "signal: aborted": 6,
    "signal: bus error": 7,
    "signal: floating point exception": 8,
    "signal: killed": 9,
    "signal: segmentation fault": 11,
    "signal: broken pipe": 13,
    "signal: terminated": 15,
}
"""What envd says in a field of its own of a process that a signal ended."""


@dataclass(frozen=True)
class Completed:
    """A command that has ended: its exit code (negative for a signal) and what it wrote."""

    code: int
    stdout: str
    stderr: str


def exit_code(code: int, told: str | None) -> int:
    """The exit code, negative for a signal.

    Args:
        code: As envd tells it: -1 for every signal.
        told: Its field ``error``, which names the signal.
    """
    number = _SIGNALS.get(told or "")
    return code if number is None else -number
