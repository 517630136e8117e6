"""Waiting for a time that somebody wrote down, however long it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

from osiris.core.planning import PlannedStep

__all__ = ["bounded", "start_timer"]


def bounded(seconds: float) -> float:
    """``seconds``, or the longest time that a thread can wait; on most systems 292 years, so nobody sees its end."""
    return min(seconds, threading.TIMEOUT_MAX)


def start_timer(seconds: float, expired: Callable[[PlannedStep], None], step: PlannedStep) -> threading.Timer:
    """Call ``expired`` with the step, from another thread, unless the timer is cancelled within ``seconds``."""
    timer = threading.Timer(bounded(seconds), expired, [step])
    timer.daemon = True
    timer.start()
    return timer
