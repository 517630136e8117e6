"""The suite for drivers that change data on its way: ``role="transform"``."""

from __future__ import annotations

from osiris.testing.driver_contract import DriverContract
from osiris.testing.input_stream import in_form
from osiris.testing.sample_tables import plain_rows
from osiris.testing.step_context import RecordingStepContext
from osiris.testing.step_contract import Feed
from osiris.testing.step_runner import StepRunner

__all__ = ["TransformContract"]


class TransformContract(DriverContract):
    """What a driver between others keeps.

    Give a ``config`` that passes every row and column on, or say in ``expected`` what it makes of a table.
    """

    role = "transform"

    def test_runs_of_one_object_are_independent(
        self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed
    ) -> None:
        """Nothing of one run is left in the next one.

        Keep what a run needs in local variables, not in the object or the module.
        """
        tables = [plain_rows(0, 20), plain_rows(100, 7, "other")]
        apart = [runner.run(feed(table, ctx), ctx)["df"] for table in tables]
        with runner.driver() as driver:
            for table, alone in zip(tables, apart, strict=True):
                form = runner.spec.input_form
                inputs = {name: in_form(form, stream) for name, stream in feed(table, ctx).items()}
                assert runner.call(driver, inputs, ctx, runner.config)["df"].equals(alone)
