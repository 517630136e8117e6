"""A stopwatch that also looks at memory."""

from __future__ import annotations

import threading
from time import perf_counter
from types import TracebackType

from osiris.core.process import resident_bytes

__all__ = ["Watch"]

_SAMPLE_SECONDS = 0.01


class Watch:
    """Wall-clock time and resident memory of this process while the block runs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="osiris-benchmark", daemon=True)
        self._before = self._peak = 0
        self._begun = 0.0
        self.duration_ms = 0.0
        """Of the block, once it is over."""

    def __enter__(self) -> Watch:
        self._before = self._peak = resident_bytes()
        self._thread.start()
        self._begun = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.duration_ms = (perf_counter() - self._begun) * 1000
        self._stop.set()
        self._thread.join()
        self._sample()

    def figures(self) -> dict[str, float]:
        """``duration_ms``, ``memory_peak_mb`` and ``memory_growth_mb`` of the block."""
        mb = 1024 * 1024
        return {
            "duration_ms": self.duration_ms,
            "memory_peak_mb": self._peak / mb,
            "memory_growth_mb": (self._peak - self._before) / mb,
        }

    def _work(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self._peak = max(self._peak, resident_bytes())
