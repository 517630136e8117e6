"""What writers do to their target, mode by mode, while nothing goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa
import pytest

from osiris.core.errors import OsirisError
from osiris.testing.comparison import differences
from osiris.testing.contract import must_override
from osiris.testing.driver_contract import DriverContract
from osiris.testing.sample_tables import plain_rows
from osiris.testing.step_context import RecordingStepContext
from osiris.testing.step_contract import Feed
from osiris.testing.step_runner import StepRunner
from osiris.testing.value_rules import Carry

__all__ = ["LATER", "MODES", "OLD", "Holds", "Modes", "ReadBack", "Target", "TargetContract", "Write", "skip_without"]

ReadBack = Callable[[], pa.Table | None]
Write = Callable[..., RecordingStepContext]
Modes = Mapping[str, Mapping[str, Any]]
Target = Callable[[], None]
Holds = Callable[[pa.Table], None]

MODES: Final = ("append", "fail", "replace", "upsert")
OLD = plain_rows(0, 30, "old")
_NEW = plain_rows(20, 30, "new")  # ten of its ids are there already
LATER = plain_rows(30, 30, "new")  # none of them is


class TargetContract(DriverContract):
    """What a driver that writes keeps while nothing goes wrong. Subclass WriterContract instead.

    Override :meth:`read_back` and :meth:`modes` beside the fixtures of every driver.

    ``config`` and each mode write to the same place, which is fresh for each test; with ``config`` alone, the step
    makes a target that is not there.
    """

    role = "writer"

    # what an author overrides

    @pytest.fixture
    def read_back(self) -> ReadBack:
        """Reads what is at the target, by other means than the driver; None where there is no target."""
        must_override("read_back", "a function that gives what is at the target as a pyarrow.Table")

    @pytest.fixture
    def modes(self) -> Modes:
        """The ways of writing, each with what it adds to ``config``: ``{"append": {"mode": "append"}, ...}``.

        ``append`` adds rows, ``replace`` puts them in place of all others, ``upsert`` does so for those with the same
        ``id``, ``fail`` refuses a target that is there.
        """
        must_override("modes", "a mapping of append, replace, upsert or fail to options")

    @pytest.fixture
    def prepare_target(self) -> Callable[[pa.Schema], object]:
        """Makes an empty target of a schema, where the driver does not make one itself; does nothing by default."""
        return lambda schema: None

    # what the rules use

    @pytest.fixture
    def carry(
        self,
        runner: StepRunner,
        ctx: RecordingStepContext,
        feed: Feed,
        read_back: ReadBack,
        prepare_target: Callable[[pa.Schema], object],
    ) -> Carry:
        """Writes a table and reads it back."""

        def write(table: pa.Table) -> pa.Table:
            prepare_target(table.schema)
            runner.run(feed(table, ctx), ctx)
            found = read_back()
            assert found is not None, "nothing was written"
            return found

        return write

    @pytest.fixture
    def write(self, runner: StepRunner, feed: Feed, modes: Modes) -> Write:
        """Writes a table in a mode, as a step of a session."""

        def attempt(
            table: pa.Table, mode: str, *, session: str = "session", before: Callable[[int], object] | None = None
        ) -> RecordingStepContext:
            ctx = runner.context(session_id=session)
            runner.run(feed(table, ctx, before), ctx, {**runner.config, **modes[mode]})
            return ctx

        return attempt

    @pytest.fixture
    def target_with_rows(
        self,
        modes: Modes,
        write: Write,
        holds: Holds,
        prepare_target: Callable[[pa.Schema], object],
    ) -> Target:
        """Has another session write :data:`OLD` to the target."""

        def make() -> None:
            prepare_target(OLD.schema)
            first = next(mode for mode in ("replace", "append", "upsert", "fail") if mode in modes)
            write(OLD, first, session="earlier")
            holds(OLD)

        return make

    @pytest.fixture
    def holds(self, read_back: ReadBack, lossless_types: Mapping[str, pa.DataType]) -> Holds:
        """Checks what is at the target."""

        def check(expected: pa.Table) -> None:
            found = read_back()
            assert found is not None, "there is no target"
            wrong = differences(expected, found, lossless_types)
            assert not wrong, f"at the target: {'; '.join(wrong)}"

        return check

    # the rules

    def test_input_is_read_to_the_end(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> None:
        """Every input is read to its end.

        Read until the stream ends by itself, not until a count is reached: what fails at the end is told there.
        """
        streams = feed(OLD, ctx)
        runner.run(streams, ctx)
        unread = [name for name, stream in streams.items() if not stream.ended]
        assert not unread, f"the rest of {', '.join(unread)} was not read"

    def test_rows_written_are_told(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> None:
        """The metric ``rows_written``, where it is told, adds up to the rows that were written.

        Call ``ctx.log_metric("rows_written", rows)`` once the rows are there for good; not per attempt, not per batch
        and in total. Where it is never told, all rows of the input count as written.
        """
        runner.run(feed(OLD, ctx), ctx)
        if any(name == "rows_written" for name, _ in ctx.metrics):
            assert ctx.metric("rows_written") == OLD.num_rows

    def test_output_is_told(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> None:
        """What was written where is told once it is there.

        Call ``ctx.add_output(location, rows=rows)`` after the commit, with a path or a table's name.
        """
        runner.run(feed(OLD, ctx), ctx)
        assert [facts.get("rows") for _, facts in ctx.outputs] == [OLD.num_rows], f"told were {ctx.outputs}"

    def test_append_adds(self, target_with_rows: Target, write: Write, modes: Modes, holds: Holds) -> None:
        """``append`` adds rows and leaves the others as they are.

        Insert; do not create or truncate a target that is there.
        """
        skip_without(modes, "append")
        target_with_rows()
        write(LATER, "append")
        holds(pa.concat_tables([OLD, LATER]))

    def test_replace_replaces(self, target_with_rows: Target, write: Write, modes: Modes, holds: Holds) -> None:
        """``replace`` leaves the new rows and no others.

        Write beside the target, then take its place by a rename or in one transaction.
        """
        skip_without(modes, "replace")
        target_with_rows()
        write(_NEW, "replace")
        holds(_NEW)

    def test_upsert_updates_and_adds(self, target_with_rows: Target, write: Write, modes: Modes, holds: Holds) -> None:
        """``upsert`` replaces the rows with the same key, adds the others, and leaves the rest.

        Use the place's own statement (``ON CONFLICT``, ``ON DUPLICATE KEY``, ``MERGE``) on the key's columns.
        """
        skip_without(modes, "upsert")
        target_with_rows()
        write(_NEW, "upsert")
        holds(pa.concat_tables([OLD.slice(0, 20), _NEW]))

    def test_fail_refuses_a_target_that_is_there(
        self, target_with_rows: Target, write: Write, modes: Modes, holds: Holds
    ) -> None:
        """``fail`` refuses a target that is there, and leaves it as it is.

        Create the target by a statement or call that fails where it exists (``open(path, "x")``); raise a DriverError.
        """
        skip_without(modes, "fail")
        target_with_rows()
        with pytest.raises(OsirisError):
            write(_NEW, "fail")
        holds(OLD)


def skip_without(modes: Modes, mode: str) -> None:
    """Skip a rule about a mode that the suite does not state."""
    unknown = set(modes) - set(MODES)
    if unknown:
        pytest.fail(f"modes has {sorted(unknown)}; the kit knows {', '.join(MODES)}", pytrace=False)
    if mode not in modes:
        pytest.skip(f"the suite states no mode {mode!r}")
