"""Drivers of a stranger that each break one rule; and, where that cannot be helped, others that need it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from acme_drivers import Passer, Reader, Writer, stored

from osiris.core.dataset import Dataset
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError, RunCancelledError


@dataclass(frozen=True)
class Wrong:
    """A wrong driver.

    Attributes:
        rule: What it breaks, as ``DriverContract.test_role``.
        driver: Its class.
        also: The tests that fail with it, because they need what is broken.
        spec: What its spec says differently.
    """

    rule: str
    driver: type[Driver]
    also: frozenset[str] = frozenset()
    spec: Mapping[str, Any] = field(default_factory=dict)


WRONG: list[Wrong] = []


def breaks(rule: str, *also: str, **spec: Any) -> Any:
    def note(driver: type[Driver]) -> type[Driver]:
        WRONG.append(Wrong(rule, driver, frozenset(also), spec))
        return driver

    return note


# every driver


@breaks("DriverContract.test_role", role="extractor")
class StatesAnotherRole(Passer): ...


@breaks("DriverContract.test_uses_only_the_step_context")
class LooksAtEvents(Passer):
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        if getattr(ctx, "events", None):
            raise AssertionError
        return super().run(step_id, config, inputs, ctx)


@breaks("DriverContract.test_config_and_inputs_stay_as_they_are")
class TakesInputsAway(Passer):
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        return super().run(step_id, config, {"df": inputs.pop("df")}, ctx)


@breaks("DriverContract.test_unknown_options_are_refused", config_model="acme_drivers:LaxConfig")
class TakesAnyOption(Passer): ...


@breaks("DriverContract.test_outputs_are_what_the_spec_says")
class GivesMore(Passer):
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        return {**super().run(step_id, config, inputs, ctx), "rows": 5}


@breaks("DriverContract.test_close_may_be_called_twice")
class ClosesOnce(Passer):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


@breaks("DriverContract.test_check_passes_where_a_run_does")
class ChecksTooMuch(Passer):
    def check(self, config: Any, ctx: Any) -> Any:
        raise DriverError("not today", hint="come back tomorrow", code="acme.closed")


@breaks("DriverContract.test_failure_is_an_osiris_error")
class RaisesItsOwn(Passer):
    def missing(self, column: str, ctx: StepContext) -> Exception:
        return ValueError(f"no column {column!r}")


@breaks("DriverContract.test_failure_says_what_to_do")
class GivesNoHint(Passer):
    def missing(self, column: str, ctx: StepContext) -> Exception:
        return DriverError(f"there is no column {column!r}", code="acme.no_column")


@breaks("DriverContract.test_unreachable_place_is_an_osiris_error")
class RaisesWhatItGets(Passer):
    def folder(self, ctx: StepContext) -> Path:
        folder = Path((ctx.connection or {})["folder"])
        list(folder.iterdir())
        return folder


@breaks("DriverContract.test_secrets_are_told_to_nobody")
class TellsItsConnection(Passer):
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        outputs = super().run(step_id, config, inputs, ctx)
        if ctx.connection["password"] == "open sesame":  # not what another rule looks for
            ctx.log_event("connected", {"with": dict(ctx.connection)})
        return outputs


@breaks("DriverContract.test_errors_keep_secrets")
class RepeatsItsConnection(Passer):
    def missing(self, column: str, ctx: StepContext) -> Exception:
        return DriverError(f"no column {column!r} at {ctx.connection}", hint="give another one", code="acme.no_column")


@breaks("DriverContract.test_cancel_is_honoured")
class GoesOnAndOn(Passer):
    def read(self, given: Dataset) -> Any:
        try:
            yield from given.batches()
        except RunCancelledError:
            threading.Event().wait(60)


@breaks("DriverContract.test_memory_does_not_grow_with_rows")
class Hoards(Passer):
    def read(self, given: Dataset) -> Any:
        return list(given.batches())


# values


def cast(table: pa.Table, which: Any, kind: pa.DataType) -> pa.Table:
    """The columns for which ``which`` holds, through another type and back."""
    for number, column in enumerate(table.schema):
        if which(column.type):
            values = table.column(number).cast(kind, safe=False).cast(column.type, safe=False)
            table = table.set_column(number, column.name, values)
    return table


@breaks("ValueRules.test_nulls")
class MakesNullEmptyText(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        if "truth" not in table.column_names:
            return table
        return table.set_column(3, "text", pc.fill_null(table.column("text"), ""))


@breaks("ValueRules.test_decimals")
class MakesDecimalsFloats(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        floats = [field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field for field in table.schema]
        return table.cast(pa.schema(floats), safe=False)


@breaks("ValueRules.test_integers_of_64_bits")
class MakesIntegersFloats(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        return cast(table, pa.types.is_integer, pa.float64())


@breaks("ValueRules.test_timestamps")
class CutsMicroseconds(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        return cast(table, lambda kind: kind == pa.timestamp("us"), pa.timestamp("ms"))


@breaks("ValueRules.test_timestamps_of_nanoseconds")
class CutsNanoseconds(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        return cast(table, lambda kind: kind == pa.timestamp("ns"), pa.timestamp("us"))


@breaks("ValueRules.test_timestamps_with_time_zone")
class ForgetsTheZone(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        local = [
            field.with_type(pa.timestamp("us")) if getattr(field.type, "tz", None) else field for field in table.schema
        ]
        return table.cast(pa.schema(local))


@breaks("ValueRules.test_unicode")
class StripsText(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        if "text" not in table.column_names:
            return table
        number = table.column_names.index("text")
        return table.set_column(number, "text", pc.utf8_trim_whitespace(table.column("text")))


@breaks("ValueRules.test_empty_input")
class LosesColumnsOfNothing(Passer):
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        outputs = super().run(step_id, config, inputs, ctx)
        return {"df": outputs["df"].batches()}


@breaks("ValueRules.test_no_columns")
class FailsWithoutColumns(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        table.column(0)
        return table


@breaks("ValueRules.test_wide_rows")
class DropsColumns(Passer):
    def alter(self, table: pa.Table) -> pa.Table:
        return table.select(table.column_names[:256])


# extractors


@breaks("ExtractorContract.test_batches_have_the_schema_that_was_told")
class GuessesTypes(Reader):
    def batches(self, path: Path, ctx: StepContext) -> Iterator[pa.RecordBatch]:
        for batch in super().batches(path, ctx):
            names = batch.column(1) if batch.num_columns == 2 else None
            if names is not None and names.null_count == len(names) > 0:
                yield batch.set_column(1, "name", pa.nulls(len(names)))
            else:
                yield batch


@breaks("ExtractorContract.test_can_be_read_again")
class TakesRowsAway(Reader):
    def batches(self, path: Path, ctx: StepContext) -> Iterator[pa.RecordBatch]:
        yield from super().batches(path, ctx)
        path.unlink()


@breaks("ExtractorContract.test_may_be_left_unread")
class WantsToBeRead(Reader):
    def batches(self, path: Path, ctx: StepContext) -> Iterator[pa.RecordBatch]:
        try:
            yield from super().batches(path, ctx)
        except GeneratorExit:
            raise ValueError("there are more rows") from None


# transforms


@breaks("TransformContract.test_runs_of_one_object_are_independent")
class Remembers(Passer):
    def __init__(self) -> None:
        self.seen: list[pa.RecordBatch] = []

    def read(self, given: Dataset) -> Any:
        before = list(self.seen)
        for batch in given.batches():
            self.seen = [batch.slice(0, 1)]
            yield batch
        yield from before


# writers


@breaks("TargetContract.test_input_is_read_to_the_end")
class CountsRows(Writer):
    def read(self, data: Dataset) -> Iterator[pa.RecordBatch]:
        for batch in data.batches():
            yield batch
            if batch.num_rows and batch.column(0)[-1].as_py() == 29:
                return


@breaks("TargetContract.test_rows_written_are_told")
class TellsWrongNumber(Writer):
    def tell(self, target: Path, rows: int, ctx: StepContext) -> None:
        super().tell(target, rows, ctx)
        ctx.log_metric("rows_written", 1)


@breaks("TargetContract.test_output_is_told")
class TellsNoOutput(Writer):
    def tell(self, target: Path, rows: int, ctx: StepContext) -> None:
        ctx.log_metric("rows_written", rows)


@breaks("TargetContract.test_append_adds", "test_retry_writes_once[append]")
class AppendReplaces(Writer):
    def write(self, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        return super().write(target, "replace" if mode == "append" else mode, data, ctx)


@breaks("TargetContract.test_replace_replaces", "test_retry_writes_once[replace]")
class ReplaceAppends(Writer):
    def write(self, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        return super().write(target, "append" if mode == "replace" else mode, data, ctx)


@breaks("TargetContract.test_upsert_updates_and_adds")
class UpsertAppends(Writer):
    def write(self, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        return super().write(target, "append" if mode == "upsert" else mode, data, ctx)


@breaks("TargetContract.test_fail_refuses_a_target_that_is_there")
class FailReplaces(Writer):
    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        if config.get("mode") == "fail":
            config = {**config, "mode": "replace"}
        return super().run(step_id, config, inputs, ctx)


@breaks("WriterContract.test_failure_in_the_middle_changes_nothing")
class CleansUpNextTime(Writer):
    def write(self, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        saved = target.with_suffix(".saved")
        if saved.exists():
            saved.replace(target)
        try:
            return super().write(target, mode, data, ctx)
        except BaseException:
            if target.exists():
                saved.write_bytes(target.read_bytes())
            (target.parent / f".{ctx.session_id}.part").replace(target)
            raise


@breaks("WriterContract.test_retry_writes_once")
class GoesOnWhereItStopped(Writer):
    def read(self, data: Dataset) -> Iterator[pa.RecordBatch]:
        yield from self.left
        for batch in data.batches():
            yield batch
            self.left = [*self.left, batch] if self.keep else []

    def fill(self, path: Path, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        self.left, self.keep = [], True
        left = ctx.state_dir / "left.arrow"
        if left.exists():
            self.left = stored(left).to_batches()
            self.keep = False
        try:
            return super().fill(path, target, mode, data, ctx)
        except Exception:
            with pa.OSFile(str(left), "wb") as file, pa.ipc.new_file(file, data.schema) as sink:
                for batch in self.left:
                    sink.write_batch(batch)
            raise


@breaks("WriterContract.test_kill_in_the_middle_changes_nothing")
class RestoresInExcept(Writer):
    def write(self, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        saved = target.with_suffix(".saved")
        if target.exists():
            target.rename(saved)
        try:
            rows = super().fill(target, saved, mode, data, ctx)
        except BaseException:
            if saved.exists():
                saved.replace(target)
            raise
        self.note(target, rows, ctx)
        return rows


@breaks(
    "WriterContract.test_not_committed_before_a_run",
    "test_committed_tells_steps_apart",
    "test_not_committed_after_a_failure",
    "test_not_committed_after_a_kill",
)
class LooksAtTheTargetOnly(Writer):
    def committed(self, step_id: str, config: Any, ctx: Any) -> Any:
        return {"rows": 30} if (self.folder(ctx) / "things.arrow").exists() else None


@breaks("WriterContract.test_committed_after_a_run")
class RemembersNothing(Writer):
    def committed(self, step_id: str, config: Any, ctx: Any) -> Any:
        return None


@breaks("WriterContract.test_committed_tells_steps_apart")
class KnowsSessionsOnly(Writer):
    def committed(self, step_id: str, config: Any, ctx: Any) -> Any:
        return super().committed("step", config, ctx)


class NotesTooEarly(Writer):
    """Notes what it is about to do, and believes it."""

    forgets_failures = False

    def fill(self, path: Path, target: Path, mode: str, data: Dataset, ctx: StepContext) -> int:
        note = ctx.state_dir / "begun"
        note.touch()
        try:
            return super().fill(path, target, mode, data, ctx)
        except BaseException:
            if self.forgets_failures:
                note.unlink()
            raise

    def committed(self, step_id: str, config: Any, ctx: Any) -> Any:
        found = super().committed(step_id, config, ctx)
        begun = (ctx.state_dir / "begun").exists()
        return {"rows": 0} if found is None and begun and step_id == "step" else found


@breaks("WriterContract.test_not_committed_after_a_failure", "test_not_committed_after_a_kill")
class BelievesItFailed(NotesTooEarly): ...


@breaks("WriterContract.test_not_committed_after_a_kill")
class BelievesItWasKilled(NotesTooEarly):
    forgets_failures = True
