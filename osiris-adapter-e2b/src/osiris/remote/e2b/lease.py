"""The sandbox's life: extended while this process lives, so that a sandbox whose owner died dies, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

from osiris.core.errors import OsirisError
from osiris.remote.e2b.failure import GONE
from osiris.remote.e2b.sdk import Sandbox

__all__ = ["Lease"]


class Lease:
    """Extends a sandbox's life by ``seconds``, three times in that time.

    Args:
        sandbox: Whose life.
        seconds: How long it lives on when nobody extends it.
        on_limit: Called once where E2B grants no more, with the seconds that are left: the plan's longest life is
            reached.
    """

    def __init__(self, sandbox: Sandbox, seconds: int, on_limit: Callable[[float], object]) -> None:
        self._sandbox = sandbox
        self._seconds = seconds
        self._on_limit = on_limit
        self._told = False
        self._granted: datetime | None = None
        self.ends = monotonic() + seconds
        """When, by the monotonic clock, its time is over if nothing is done."""

    @property
    def over(self) -> bool:
        """Whether its time is over."""
        return monotonic() >= self.ends

    async def keep(self) -> None:
        """Extend it for ever; ends when the sandbox is gone, or E2B grants no more."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            while True:
                begun = monotonic()
                try:
                    await self._sandbox.extend(self._seconds)
                except OsirisError as error:
                    if error.code == GONE:
                        return
                    if not error.retryable:  # no more is granted: what is left is left
                        await self._see_whether_granted()
                        return
                    await asyncio.sleep(min(1.0, self._seconds / 10))
                else:
                    self.ends = begun + self._seconds
                    break
            await self._see_whether_granted()

    async def _see_whether_granted(self) -> None:
        """E2B does not say that it grants less than was asked for: the plan's longest life, and not more."""
        with suppress(OsirisError):
            end = await self._sandbox.ends_at()
            before, self._granted = self._granted, end
            # Compared with what was granted before, not with this machine's clock: that may be another.
            if before is not None and (end - before).total_seconds() < self._seconds / 30:
                left = max(0.0, (end - datetime.now(UTC)).total_seconds())
                self.ends = min(self.ends, monotonic() + left)
                if not self._told:
                    self._told = True
                    self._on_limit(left)
