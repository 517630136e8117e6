"""The suite for drivers that read: ``role="extractor"``."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.testing.contract import must_override
from osiris.testing.driver_contract import DriverContract
from osiris.testing.input_stream import InputStream
from osiris.testing.patience import finish_within
from osiris.testing.sample_tables import KINDS, big_batches, big_schema, plain_rows
from osiris.testing.step_context import RecordingStepContext
from osiris.testing.step_contract import SAMPLE, Feed
from osiris.testing.step_runner import StepRunner

__all__ = ["ExtractorContract"]

_MANY = 40_000  # rows: several batches, however large a driver makes them


class ExtractorContract(DriverContract):
    """What a driver that reads keeps. Override :meth:`load` beside the fixtures of every driver."""

    role = "extractor"

    @pytest.fixture
    def load(self) -> Callable[[pa.Table], object]:
        """Puts a table, in place of what was there, where ``config`` reads."""
        must_override("load", "a function that puts a table where config reads")

    @pytest.fixture
    def feed(self, load: Callable[[pa.Table], object], unsupported: frozenset[str]) -> Feed:
        """Loads the table; an extractor has no inputs."""
        impossible = [KINDS[kind]() for kind in unsupported]

        def make(
            table: pa.Table, ctx: RecordingStepContext, before: Callable[[int], object] | None = None
        ) -> dict[str, InputStream]:
            if any(table.equals(other) for other in impossible):
                pytest.skip("the place cannot hold such values")
            load(table)
            return {}

        return make

    @pytest.fixture
    def input_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    @pytest.fixture
    def prepare_rows(self, load: Callable[[pa.Table], object]) -> Callable[[int], object]:
        """Loads that many rows of 1 KB."""
        return lambda rows: load(pa.Table.from_batches(big_batches(rows), big_schema()))

    @staticmethod
    def _cancelled_run(runner: StepRunner, ctx: RecordingStepContext, streams: dict[str, InputStream]) -> None:
        """Read one batch, ask to stop, and read on."""
        with runner.driver() as driver:
            result = driver.run(step_id=ctx.step_id, config=runner.config, inputs={}, ctx=ctx.for_driver())
            batches = Dataset.of(result["df"]).batches()
            next(batches, None)
            ctx.cancellation.request()
            for _ in batches:
                pass

    def test_batches_have_the_schema_that_was_told(
        self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed
    ) -> None:
        """Every batch has the schema of the dataset.

        Take the types from the place (a cursor's description, a file's header), not from each batch's values:
        a batch of nothing but NULL has no type of its own.
        """
        rows = plain_rows(0, _MANY)
        half = pa.nulls(_MANY // 2, pa.string())
        names = pa.chunked_array([rows.column("name").slice(0, _MANY // 2).combine_chunks(), half])
        feed(rows.set_column(1, "name", names.combine_chunks()), ctx)
        with runner.driver() as driver:
            result = driver.run(step_id=ctx.step_id, config=runner.config, inputs={}, ctx=ctx.for_driver())
            dataset = Dataset.of(result["df"])
            for batch in dataset.batches():
                assert batch.schema.equals(dataset.schema), f"{dataset.schema} was told, a batch has {batch.schema}"

    def test_can_be_read_again(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> None:
        """A second run over the same place gives the same rows.

        Reading must change nothing: no offsets, no marks, no rows taken away. A retry reads again.
        """
        streams = feed(SAMPLE, ctx)
        first = runner.run(streams, ctx)["df"]
        assert runner.run(streams, ctx)["df"].equals(first)

    def test_may_be_left_unread(
        self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed, cancel_seconds: float
    ) -> None:
        """A stream of which nobody reads the rest is closed within seconds, without an error.

        Give back cursors and threads in a ``finally`` of the generator, in ``Dataset(close=...)`` or in ``close``.
        """
        feed(plain_rows(0, _MANY), ctx)

        def leave() -> None:
            with runner.driver() as driver:
                result = driver.run(step_id=ctx.step_id, config=runner.config, inputs={}, ctx=ctx.for_driver())
                dataset = Dataset.of(result["df"])
                batches = dataset.batches()
                next(batches)
                close = getattr(batches, "close", None)
                if close is not None:
                    close()
                dataset.close()

        error = finish_within(cancel_seconds, leave)
        assert error is None, f"it raised {type(error).__name__}: {error}"
