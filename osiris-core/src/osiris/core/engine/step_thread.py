"""A step whose output another one reads while it is made: in a thread of its own, with a channel between them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.engine.channel import Channel
from osiris.core.engine.step import StepRun
from osiris.core.errors import StepError

__all__ = ["StepThread"]


class StepThread:
    """A step that feeds another one: driver call and stream in one thread of their own.

    One thread for both, because clients such as sqlite3 refuse to be used from two.
    """

    def __init__(self, run: StepRun, inputs: Mapping[str, Any], limit: int) -> None:
        self.run = run
        self.channel = Channel(limit)
        self.error: BaseException | None = None
        self._inputs = inputs
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"osiris-step-{run.step.id}", daemon=True)

    def start(self) -> None:
        """Begin to call the driver."""
        self._thread.start()

    def output(self) -> Dataset:
        """Wait until the driver has returned; its ``df`` output, to be read by the next step.

        Raises:
            BaseException: What the driver raised.
        """
        self._ready.wait()
        if self.error is not None:
            raise self.error
        output = self.run.outputs.get("df")
        if not isinstance(output, Dataset):
            raise StepError(
                f"step {self.run.step.id!r} gave no 'df' output, but another step uses it",
                hint=f'driver {self.run.step.driver!r} must return {{"df": data}}',
                code="driver.no_output",
                step_id=self.run.step.id,
            )
        if output.in_memory:
            return output
        return Dataset(
            self.channel.read, output.schema, num_rows=output.num_rows, source=output.source, close=self.channel.close
        ).observed(iter, output.report)

    def stop(self, patience: float) -> bool:
        """End the stream and wait for the thread; False if it is still busy after ``patience`` seconds."""
        self.channel.close()
        self._thread.join(min(1.0, patience))
        if self._thread.is_alive():  # inside a call that nobody needs any more: a query, a socket read
            self.run.ctx.cancellation.request("stopped: nobody reads its output any more")
            self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self.run.call(self._inputs)
            self._ready.set()
            output = self.run.outputs.get("df")
            if isinstance(output, Dataset) and not output.in_memory:
                self.run.feed(self.channel, output)
        except BaseException as error:  # handed to the reader, which raises it
            self.error = error
        self._inputs = {}
        if not self.run.side_outputs:
            self._finish()
        self.channel.finish(self.error)
        self._ready.set()

    def _finish(self) -> None:
        # Here and not by the stage: a client may have to be closed by the thread that opened it.
        try:
            self.run.finish()
        except BaseException as error:  # handed to the reader, which raises it
            self.error = self.error or error
