"""One step: its driver is called, what it returns becomes datasets, what passes is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.engine.channel import Channel
from osiris.core.engine.drivers import close_driver
from osiris.core.engine.masking import Masking
from osiris.core.engine.patience import start_timer
from osiris.core.engine.report import StepReport
from osiris.core.engine.step_context import EngineStepContext
from osiris.core.errors import StepError
from osiris.core.planning import PlannedStep

__all__ = ["StepRun"]

_PROGRESS_SECONDS = 0.5
_SCALARS = (str, int, float, bool, type(None))


class StepRun:
    """One execution of one step.

    Args:
        step: What to run.
        config: Its config, secrets filled in.
        ctx: What the driver may use.
        report: Where rows, bytes and time are counted.
        blame: Told the first exception that this step itself raised.
        driver: Does the step; closed in the end. None for a step that is passed by.
        masking: What hides columns of its outputs.
    """

    def __init__(
        self,
        step: PlannedStep,
        config: Mapping[str, Any],
        ctx: EngineStepContext,
        report: StepReport,
        blame: Callable[[PlannedStep, BaseException], None],
        driver: Any = None,
        masking: Masking | None = None,
    ) -> None:
        self.step = step
        self.ctx = ctx
        self.report = report
        self.outputs: dict[str, Any] = {}
        self.used: frozenset[str] = frozenset()
        """The outputs that other steps use."""
        self.upstream: list[Channel] = []
        """The channels it reads from."""
        self.unread: set[str] = set()
        """Inputs that are streams and were not read to their end."""
        self._broken: dict[str, BaseException] = {}
        """What ended the last reading of inputs before their end."""
        self._config = config
        self._blame = blame
        self._masking = masking
        self._driver = driver
        self._begun = 0.0
        self._waited = 0.0
        self._told = 0.0
        self._timer: threading.Timer | None = None

    def call(self, inputs: Mapping[str, Any]) -> None:
        """Call the driver; afterwards :attr:`outputs` has a Dataset for each tabular output.

        Raises:
            BaseException: What the driver raised; it is blamed on this step unless it came from upstream.
        """
        self._begun = self._told = perf_counter()
        try:
            self.ctx.raise_if_cancelled()
            result = self._driver.run(step_id=self.step.id, config=self._config, inputs=inputs, ctx=self.ctx)
            self.outputs = self._open_outputs(result)
            self._refuse_broken_inputs()
        except BaseException as error:
            self._blame(self.step, error)
            raise

    def limit_time(self, seconds: float, expired: Callable[[PlannedStep], None]) -> None:
        """Call ``expired``, from another thread, unless the step is finished in time."""
        self._timer = start_timer(seconds, expired, self.step)

    def input_stream(self, name: str, dataset: Dataset) -> Dataset:
        """The dataset as this step's input: counted, and noted until it was read to its end."""
        self.unread.add(name)
        counted = _Once()

        def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            report, first = self.report, counted.take()
            self._broken.pop(name, None)
            try:
                with _closing(batches):
                    for batch in batches:
                        self.ctx.raise_if_cancelled()
                        if first:
                            report.rows_in += batch.num_rows
                            report.bytes_in += batch.nbytes
                            self._tell_progress(report.rows_in)
                        yield batch
            except GeneratorExit:
                raise  # the driver has enough
            except BaseException as error:
                self._broken[name] = error
                raise
            self.unread.discard(name)

        def reported(rows: int, size: int) -> None:
            self.unread.discard(name)
            if counted.take():
                self.report.rows_in += rows
                self.report.bytes_in += size
                dataset.report(rows, size)

        return dataset.observed(count, reported)

    def input_whole(self, table: pa.Table) -> Any:
        """A stored dataset as one table or frame; a fresh one for each user, so that nobody changes another's."""
        self.report.rows_in += table.num_rows
        self.report.bytes_in += table.nbytes
        return Dataset.from_table(table).to_pandas() if self.step.spec.input_form == "pandas" else table

    def output_stream(self, dataset: Dataset) -> Dataset:
        """The dataset as this step's output: counted, and failures while it is read blamed on this step."""
        counted = _Once()

        def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            report, first = self.report, counted.take()
            try:
                with _closing(batches):
                    for batch in batches:
                        _check(batch, dataset.schema)
                        if first:
                            report.rows_out += batch.num_rows
                            report.bytes_out += batch.nbytes
                            self._tell_progress(report.rows_out)
                        yield batch
                self._refuse_broken_inputs()
            except GeneratorExit:
                raise  # the reader has enough: no failure
            except BaseException as error:
                self._blame(self.step, error)
                raise

        def reported(rows: int, size: int) -> None:
            if counted.take():
                self.report.rows_out += rows
                self.report.bytes_out += size

        return dataset.observed(count, reported)

    def feed(self, channel: Channel, dataset: Dataset) -> None:
        """Pump the output into a channel, once its reader wants it; in the thread that called the driver."""
        if not channel.wait_until_wanted():
            return
        batches = dataset.batches()
        with _closing(batches):
            for batch in batches:
                begun = perf_counter()
                wanted = channel.put(batch)
                self._waited += perf_counter() - begun
                if not wanted:
                    break

    @property
    def side_outputs(self) -> list[str]:
        """Outputs beside ``df`` that other steps use; they are kept once the stage's streams have ended."""
        return [name for name in self.outputs if name != "df" and name in self.used]

    def refuse_lost_rows(self) -> None:
        """See that a writer has read all that it was given.

        Raises:
            StepError: It has not (code ``step.input_not_read``).
        """
        if self.step.spec.role == "writer" and self.unread:
            raise StepError(
                f"writer {self.step.id!r} returned without reading its input to the end",
                hint=f"driver {self.step.driver!r} must read every batch of {', '.join(sorted(self.unread))}",
                code="step.input_not_read",
                step_id=self.step.id,
            )

    def _refuse_broken_inputs(self) -> None:
        """Raise what an input failed by, where the driver has kept it to itself: its output lacks rows."""
        for error in list(self._broken.values()):
            raise error

    def finish(self) -> None:
        """The step has nothing more to do: close outputs and driver, take the time. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        self.stop_clock()
        for output in self.outputs.values():
            if isinstance(output, Dataset):
                output.close()
        driver, self._driver = self._driver, None
        if driver is not None:
            try:
                close_driver(self.step, driver)
            except BaseException as error:
                self._blame(self.step, error)
                raise

    def stop_clock(self) -> bool:
        """Take the time until now, unless that was done or the step never began; whether this was the end of it."""
        if not self._begun or self.report.duration_ms:
            return False
        elapsed = perf_counter() - self._begun
        waited = self._waited + sum(channel.waited for channel in self.upstream)
        self.report.duration_ms = elapsed * 1000
        self.report.busy_ms = max(0.0, elapsed - waited) * 1000
        return True

    def _open_outputs(self, result: Any) -> dict[str, Any]:
        if result is None:
            return {}
        if not isinstance(result, Mapping):
            if isinstance(result, Coroutine):
                result.close()  # it would warn some time later that nobody awaited it
            raise StepError(
                f"driver {self.step.driver!r} returned a {type(result).__name__}, not a mapping",
                hint='return {"df": data}, or {} from a step that only writes',
                code="driver.bad_result",
                step_id=self.step.id,
            )
        outputs: dict[str, Any] = {}
        tabular: dict[str, Dataset] = {}
        for name, value in result.items():
            if value is None or (name != "df" and isinstance(value, _SCALARS)):
                outputs[name] = value  # as {"rows": 5}: a plain value, for ${step.rows}
            else:
                tabular[name] = Dataset.of(value, name=name)
        if self._masking is not None:
            tabular = self._masking.hide(tabular)
        self.report.has_rows = bool(tabular) or self.report.has_rows
        return outputs | {name: self.output_stream(dataset) for name, dataset in tabular.items()}

    def _tell_progress(self, rows: int) -> None:
        now = perf_counter()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            self.ctx.log_event("step_progress", {"rows": rows})


def _close(holder: Any) -> None:
    close = getattr(holder, "close", None)
    if close is not None:
        close()


@contextmanager
def _closing(batches: Iterator[pa.RecordBatch]) -> Iterator[None]:
    """Tell a source at once that nobody reads on, instead of when its generator happens to be collected."""
    try:
        yield
    finally:
        _close(batches)


def _check(batch: pa.RecordBatch, schema: pa.Schema) -> None:
    found = batch.schema
    if found != schema and (found.names != schema.names or found.types != schema.types):
        raise StepError(
            f"the stream was said to have {_columns(schema)}, but a batch has {_columns(found)}",
            hint="a driver's batches must all have the schema that its dataset was made with",
            code="driver.bad_batch",
        )


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema) or "no columns"


class _Once:
    """Data that is read again must not be counted again."""

    def __init__(self) -> None:
        self._taken = False

    def take(self) -> bool:
        """True the first time."""
        first, self._taken = not self._taken, True
        return first
