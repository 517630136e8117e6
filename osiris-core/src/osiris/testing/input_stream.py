"""A driver's input as the engine gives it, with a failure or a request to stop in the middle where a rule wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.testing.step_context import RecordingStepContext

__all__ = ["InputStream", "in_form"]


class InputStream:
    """Batches that are read once, and what became of them.

    Args:
        schema: Of the batches.
        batches: What is read.
        ctx: The step's; once it is cancelled, the stream raises, as the engine's do.
        before: Called with its number before each batch is given, and once more at the end; may raise.
    """

    def __init__(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        ctx: RecordingStepContext,
        before: Callable[[int], object] | None = None,
    ) -> None:
        self.ended = False
        """Whether it was read to its end."""
        self.dataset = Dataset(lambda: self._read(batches, ctx, before or (lambda number: None)), schema)

    def _read(
        self, batches: Iterable[pa.RecordBatch], ctx: RecordingStepContext, before: Callable[[int], object]
    ) -> Iterator[pa.RecordBatch]:
        number = -1
        for number, batch in enumerate(batches):
            before(number)
            ctx.raise_if_cancelled()
            yield batch
        before(number + 1)
        ctx.raise_if_cancelled()
        self.ended = True


def in_form(form: str, stream: InputStream) -> Any:
    """The stream in the form that a driver's spec asks for; read to its end unless that is ``stream``."""
    if form == "stream":
        return stream.dataset
    return stream.dataset.table() if form == "arrow" else stream.dataset.to_pandas()
