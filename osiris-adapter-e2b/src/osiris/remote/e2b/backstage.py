"""An event loop in a thread of its own: what waits on the network can be given up at any time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from osiris.core.cancellation import Cancellation

__all__ = ["Backstage"]

T = TypeVar("T")

_END_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class Backstage:
    """Runs coroutines while the caller's thread only waits. Closing it gives up what is under way."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="osiris-e2b-work"))
        # Whatever matters is waited for by somebody; a request that was given up is no news for a terminal.
        self._loop.set_exception_handler(lambda loop, context: _LOG.debug("%s", context.get("message")))
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name="osiris-e2b", daemon=True)
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, for ``call_soon_threadsafe``."""
        return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin it, and give what it will come to."""
        return asyncio.run_coroutine_threadsafe(self._noted(work), self._loop)

    def run(self, work: Coroutine[Any, Any, T], cancellation: Cancellation | None = None) -> T:
        """Do it and wait.

        Args:
            work: What to do; the errors are its own.
            cancellation: Gives it up as soon as somebody asks to stop.

        Raises:
            RunCancelledError: Somebody asked to stop.
        """
        if cancellation is None:
            return self._wait(self.submit(work))
        if cancellation.requested:
            work.close()
            raise cancellation.error()
        future = self.submit(work)
        with cancellation.on_cancel(future.cancel):
            try:
                return self._wait(future)
            except CancelledError:
                cancellation.raise_if_requested()
                raise

    def close(self) -> None:
        """Give up what is under way, wait for that, and end the thread. Idempotent."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_SECONDS)

    @staticmethod
    def _wait(future: Future[T]) -> T:
        try:
            return future.result()
        except BaseException:  # Ctrl-C, where nobody made a request to stop of it
            future.cancel()
            raise

    async def _noted(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await work

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            rest = asyncio.all_tasks(self._loop)
            for task in rest:
                task.cancel()
            if rest:
                self._loop.run_until_complete(asyncio.wait(rest, timeout=_END_SECONDS / 2))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()
