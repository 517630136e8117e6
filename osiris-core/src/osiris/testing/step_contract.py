"""How the suites of drivers run a step: what an author says of driver and place, and what the rules use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from osiris.core.driver import DriverRegistry, DriverSpec
from osiris.testing.contract import must_override
from osiris.testing.input_stream import InputStream
from osiris.testing.sample_tables import plain_rows
from osiris.testing.step_context import RecordingStepContext
from osiris.testing.step_process import StepJob
from osiris.testing.step_runner import StepRunner
from osiris.testing.value_rules import Carry, ValueRules

__all__ = ["SAMPLE", "Failure", "Feed", "StepContract", "error_of"]

Feed = Callable[..., dict[str, InputStream]]
"""``feed(table, ctx, before=None)``: makes the place or the inputs ready for a step over a table; its inputs."""

Failure = Callable[[StepRunner, RecordingStepContext, Mapping[str, Any]], BaseException | None]

_OTHER_IDS = 1_000  # so that runs of different length have no id in common, with each other or with small tables
SAMPLE = plain_rows(0, 50)


class StepContract(ValueRules):
    """What the suites of drivers are told by their author, and how they run a step.

    Override :meth:`driver_name`, :meth:`config` and :meth:`failing_config`, and what else applies.
    """

    role = "driver"

    # what an author overrides

    @pytest.fixture
    def driver_name(self) -> str:
        """The driver's name, as in a manifest."""
        must_override("driver_name", "as family.role")

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        """A config that works, as in a manifest, for a fresh place: the kit runs it with tables of its own."""
        must_override("config", "a config that works")

    @pytest.fixture
    def connection(self) -> Mapping[str, Any] | None:
        """The resolved connection, secrets included; None for a driver without one."""
        return None

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        """A valid config that cannot work, by a mistake that users make: a file or table that is not there, say."""
        must_override("failing_config", "a valid config that cannot work")

    @pytest.fixture
    def failing_connection(self) -> Mapping[str, Any] | None:
        """A valid connection to a place that cannot be reached; None where there is no such thing."""
        return None

    @pytest.fixture
    def slow_config(self) -> dict[str, Any] | None:
        """A config that takes minutes unless it is cancelled, as ``select sleep(300)``; None where there is none."""
        return None

    @pytest.fixture
    def cancel_seconds(self) -> float:
        """How soon after a request to stop it must have stopped."""
        return 10.0

    @pytest.fixture
    def stream_rows(self) -> int:
        """Memory is measured in a run of that many rows of 1 KB, and in one of four times as many."""
        return 32_000

    # what the rules use

    @pytest.fixture
    def spec(self, driver_name: str) -> DriverSpec:
        """What the driver says of itself."""
        return DriverRegistry.spec(driver_name)

    @pytest.fixture
    def runner(
        self, spec: DriverSpec, config: Mapping[str, Any], connection: Mapping[str, Any] | None, tmp_path: Path
    ) -> StepRunner:
        """Runs the driver."""
        return StepRunner(spec, tmp_path, config, connection)

    @pytest.fixture
    def ctx(self, runner: StepRunner) -> RecordingStepContext:
        """The context of the step that a rule runs."""
        return runner.context()

    @pytest.fixture
    def input_names(self, spec: DriverSpec) -> tuple[str, ...]:
        """The names of the inputs that the step gets."""
        return (spec.input_names or ("df",))[:1]

    @pytest.fixture
    def feed(self, input_names: tuple[str, ...]) -> Feed:
        """Makes the inputs for a step over a table."""

        def make(
            table: pa.Table, ctx: RecordingStepContext, before: Callable[[int], object] | None = None
        ) -> dict[str, InputStream]:
            batches = table.to_batches(max_chunksize=max(1, table.num_rows // 5))
            return {name: InputStream(table.schema, batches, ctx, before) for name in input_names}

        return make

    @pytest.fixture
    def carry(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> Carry:
        """Takes a table the way of the driver."""
        return lambda table: runner.run(feed(table, ctx), ctx)["df"]

    @pytest.fixture
    def failure_of(self, feed: Feed) -> Failure:
        """Runs a step that may fail; what it raised."""

        def attempt(runner: StepRunner, ctx: RecordingStepContext, config: Mapping[str, Any]) -> BaseException | None:
            return error_of(lambda: runner.run(feed(SAMPLE, ctx), ctx, config))

        return attempt

    @pytest.fixture
    def prepare_rows(self) -> Callable[[int], object]:
        """Makes the place ready for a run over that many rows of 1 KB."""
        return lambda rows: None

    # how it is done

    @staticmethod
    def _cancelled_run(runner: StepRunner, ctx: RecordingStepContext, streams: dict[str, InputStream]) -> None:
        """Run a step that is asked to stop on its way."""
        runner.run(streams, ctx)

    @staticmethod
    def _job(runner: StepRunner, input_names: tuple[str, ...], rows: int, session_id: str) -> StepJob:
        """A step of the driver for a process of its own."""
        return StepJob(
            factory=runner.spec.factory,
            form=runner.spec.input_form,
            input_names=input_names,
            config=runner.config,
            connection=runner.connection,
            folder=str(runner.folder),
            session_id=session_id,
            rows=rows,
            first_id=_OTHER_IDS * (1 + rows),
        )


def error_of(call: Callable[..., object], *arguments: Any) -> BaseException | None:
    """Call it; what it raised, None where nothing."""
    try:
        call(*arguments)
    except Exception as error:  # what it is is the rule's matter
        return error
    return None
