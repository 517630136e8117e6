"""The suite for drivers that write: ``role="writer"``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from osiris.testing.step_runner import StepRunner
from osiris.testing.target_contract import (
    LATER,
    MODES,
    OLD,
    Holds,
    Modes,
    Target,
    TargetContract,
    Write,
    skip_without,
)

__all__ = ["WriterContract"]

_WRITING = tuple(mode for mode in MODES if mode != "fail")
_MIDDLE = 3  # of the five batches of an input
_KILLED_ROWS = 20_000


class InjectedError(Exception):
    """What an input raises in the middle."""


class WriterContract(TargetContract):
    """What a driver that writes keeps.

    Override :meth:`read_back` and :meth:`modes` beside the fixtures of every driver.
    """

    # what the rules use

    @pytest.fixture
    def fail_in_the_middle(self, write: Write, runner: StepRunner) -> Callable[[str], None]:
        """Writes in a mode, from an input that raises in the middle; skips where inputs are not streams."""

        def attempt(mode: str) -> None:
            _skip_without_streams(runner)
            with pytest.raises(Exception) as caught:  # noqa: PT011  # the driver may wrap it
                write(LATER, mode, before=_raise_in_the_middle)
            assert _injected(caught.value), f"the input's error was lost: {caught.value!r}"

        return attempt

    @pytest.fixture
    def committed(self, runner: StepRunner, modes: Modes) -> Callable[..., Mapping[str, Any] | None]:
        """Asks whether a step of a session has written in a mode."""

        def ask(mode: str, *, session_id: str = "session", step_id: str = "step") -> Mapping[str, Any] | None:
            ctx = runner.context(session_id=session_id, step_id=step_id)
            with runner.driver() as driver:
                facts: Mapping[str, Any] | None = driver.committed(
                    step_id, {**runner.config, **modes[mode]}, ctx.for_driver()
                )
            return facts

        return ask

    # the rules

    @pytest.mark.parametrize("mode", _WRITING)
    def test_failure_in_the_middle_changes_nothing(
        self,
        mode: str,
        modes: Modes,
        target_with_rows: Target,
        fail_in_the_middle: Callable[[str], None],
        holds: Holds,
    ) -> None:
        """A write that fails in the middle leaves the target as it was.

        Write all rows in one transaction, or beside the target with a rename at the end.
        """
        skip_without(modes, mode)
        target_with_rows()
        fail_in_the_middle(mode)
        holds(OLD)

    @pytest.mark.parametrize("mode", _WRITING)
    def test_retry_writes_once(
        self,
        mode: str,
        modes: Modes,
        target_with_rows: Target,
        fail_in_the_middle: Callable[[str], None],
        write: Write,
        holds: Holds,
    ) -> None:
        """A retry after a failure leaves every row once.

        Undo what a failed attempt did before the next one begins; a failed attempt must leave no part that it finds.
        """
        skip_without(modes, mode)
        target_with_rows()
        fail_in_the_middle(mode)
        write(LATER, mode)
        holds(LATER if mode == "replace" else pa.concat_tables([OLD, LATER]))

    def test_kill_in_the_middle_changes_nothing(
        self,
        modes: Modes,
        target_with_rows: Target,
        runner: StepRunner,
        input_names: tuple[str, ...],
        holds: Holds,
    ) -> None:
        """A process that is killed in the middle of a write leaves the target as it was.

        Do not count on ``finally`` or ``close``: what is not committed must be invisible by itself.
        """
        target_with_rows()
        self._kill(runner, modes, input_names)
        holds(OLD)

    def test_not_committed_before_a_run(
        self, modes: Modes, target_with_rows: Target, committed: Callable[..., Mapping[str, Any] | None]
    ) -> None:
        """``committed`` is None for a step that has not run, whatever others have written.

        Look for what this step of this session noted (``ctx.session_id``, ``ctx.step_id``), not for the target.
        """
        target_with_rows()
        assert committed(_first(modes)) is None

    def test_committed_after_a_run(
        self,
        modes: Modes,
        target_with_rows: Target,
        write: Write,
        committed: Callable[..., Mapping[str, Any] | None],
    ) -> None:
        """``committed`` gives facts, with ``rows``, once the step has written.

        Note session and step in the transaction that writes the rows, or in ``ctx.state_dir`` before the rename.
        Without it, a run that is resumed after a crash writes twice.
        """
        mode = _first(modes)
        target_with_rows()
        write(LATER, mode)
        facts = committed(mode)
        assert facts is not None, "committed() is None after a run"
        assert facts.get("rows") == LATER.num_rows, f"committed() gives {dict(facts)}"

    def test_committed_tells_steps_apart(
        self,
        modes: Modes,
        target_with_rows: Target,
        write: Write,
        committed: Callable[..., Mapping[str, Any] | None],
    ) -> None:
        """``committed`` is None for another step and for another session, though they have the same target.

        Compare both ids; the key is ``(session_id, step_id)``.
        """
        mode = _first(modes)
        target_with_rows()
        write(LATER, mode)
        assert committed(mode, step_id="other") is None
        assert committed(mode, session_id="other") is None

    def test_not_committed_after_a_failure(
        self,
        modes: Modes,
        target_with_rows: Target,
        fail_in_the_middle: Callable[[str], None],
        committed: Callable[..., Mapping[str, Any] | None],
    ) -> None:
        """``committed`` is None after an attempt that failed.

        Note the commit with the rows, not before them, or check in ``committed`` that it came to be.
        """
        mode = _first(modes)
        target_with_rows()
        fail_in_the_middle(mode)
        assert committed(mode) is None

    def test_not_committed_after_a_kill(
        self,
        modes: Modes,
        target_with_rows: Target,
        runner: StepRunner,
        input_names: tuple[str, ...],
        committed: Callable[..., Mapping[str, Any] | None],
    ) -> None:
        """``committed`` is None after an attempt whose process was killed in the middle.

        As after a failure; nothing of the driver runs when a process is killed.
        """
        target_with_rows()
        self._kill(runner, modes, input_names)
        assert committed(_first(modes)) is None

    # how it is done

    def _kill(self, runner: StepRunner, modes: Modes, input_names: tuple[str, ...]) -> None:
        _skip_without_streams(runner)
        runner = dataclasses.replace(runner, config={**runner.config, **modes[_first(modes)]})
        self._job(runner, input_names, _KILLED_ROWS, session_id="session").kill()


def _first(modes: Modes) -> str:
    """The mode in which a mistake shows best: one that adds."""
    skip_without(modes, next(iter(modes)))
    return next(mode for mode in ("append", "upsert", "replace", "fail") if mode in modes)


def _skip_without_streams(runner: StepRunner) -> None:
    if runner.spec.input_form != "stream":
        pytest.skip("the driver gets whole tables, so that no input can fail in the middle")


def _raise_in_the_middle(number: int) -> None:
    if number == _MIDDLE:
        raise InjectedError("raised by the input, in the middle")


def _injected(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, InjectedError):
            return True
        error = error.__cause__ or error.__context__
    return False
