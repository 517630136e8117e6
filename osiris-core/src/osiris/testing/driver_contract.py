"""What every driver keeps, whatever it does; the suites of extractors, transforms and writers stand on it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from osiris.core.dataset import Dataset
from osiris.core.driver import DriverSpec
from osiris.core.errors import OsirisError, RunCancelledError
from osiris.core.planning.models import load_model
from osiris.testing.canary import CANARY, leaks, secret_options, secret_values, with_canary
from osiris.testing.input_stream import in_form
from osiris.testing.patience import finish_within
from osiris.testing.step_context import RecordingStepContext
from osiris.testing.step_contract import SAMPLE, Failure, Feed, StepContract, error_of
from osiris.testing.step_runner import StepRunner
from osiris.testing.value_rules import CODE, Carry

__all__ = ["DriverContract"]


class DriverContract(StepContract):
    """What every driver keeps. Subclass ExtractorContract, TransformContract or WriterContract instead."""

    # the rules

    def test_role(self, spec: DriverSpec) -> None:
        """The driver's spec states the role that this suite is for.

        Set ``role`` in the DriverSpec, or subclass the suite of the driver's role.
        """
        assert spec.role == self.role

    def test_uses_only_the_step_context(self, carry: Carry, ctx: RecordingStepContext) -> None:
        """The driver uses nothing of its context but the contract: osiris.core.driver.StepContext.

        Use another member, or pass the driver what it needs by its config. Whatever else an engine's context
        happens to have may be gone tomorrow, or on another adapter.
        """
        carry(SAMPLE)
        assert not ctx.strange, f"it used {', '.join(sorted(set(ctx.strange)))}"

    def test_config_and_inputs_stay_as_they_are(
        self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed
    ) -> None:
        """Neither config nor inputs are changed.

        Copy before you change: ``dict(config)``, ``df = df.copy()``, ``inputs["df"]`` instead of ``inputs.pop("df")``.
        An input may have other users, and a retry gets the same config.
        """
        streams = feed(SAMPLE, ctx)
        config = copy.deepcopy(dict(runner.config))
        inputs = {name: in_form(runner.spec.input_form, stream) for name, stream in streams.items()}
        given = dict(inputs)
        copies = {name: copy.deepcopy(data) for name, data in inputs.items() if not isinstance(data, Dataset)}
        with runner.driver() as driver:
            runner.call(driver, inputs, ctx, config)
        assert config == runner.config, "the config was changed"
        assert list(inputs) == list(given), "the mapping of inputs was changed"
        assert all(inputs[name] is data for name, data in given.items()), "an input was replaced"
        for name, data in copies.items():
            assert given[name].equals(data), f"the data of input {name!r} was changed"

    def test_unknown_options_are_refused(self, spec: DriverSpec, config: Mapping[str, Any]) -> None:
        """The config model takes the config, and refuses an option it does not know.

        Set ``model_config = ConfigDict(extra="forbid")``: a misspelt option must not be ignored.
        """
        assert spec.config_model, "the driver's spec has no config_model"
        model = load_model(spec.config_model)
        model.model_validate(dict(config))
        with pytest.raises(ValidationError):
            model.model_validate({**config, "no_such_option_of_any_driver": 1})

    def test_outputs_are_what_the_spec_says(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> None:
        """``run`` returns the outputs that the spec names, ``{"df": data}``, or ``{}`` for a step that only writes.

        Return a mapping; set ``outputs`` in the DriverSpec to its names.
        """
        outputs = runner.run(feed(SAMPLE, ctx), ctx)
        assert sorted(outputs) == sorted(runner.spec.outputs)

    def test_close_may_be_called_twice(self, runner: StepRunner, ctx: RecordingStepContext, feed: Feed) -> None:
        """``close`` can be called again, and without a run.

        Forget what was closed: ``connection, self._connection = self._connection, None``.
        """
        with runner.driver() as unused:
            unused.close()
        with runner.driver() as driver:
            inputs = {name: in_form(runner.spec.input_form, stream) for name, stream in feed(SAMPLE, ctx).items()}
            runner.call(driver, inputs, ctx, runner.config)
            driver.close()

    def test_check_passes_where_a_run_does(self, runner: StepRunner, ctx: RecordingStepContext, carry: Carry) -> None:
        """``check`` does not fail where a run succeeds, and returns facts or nothing.

        Try in ``check`` what the run will need, and no more; return a mapping or None.
        """
        carry(SAMPLE)
        with runner.driver() as driver:
            facts = driver.check(runner.config, ctx.for_driver())
        assert facts is None or isinstance(facts, Mapping)

    def test_failure_is_an_osiris_error(
        self,
        runner: StepRunner,
        ctx: RecordingStepContext,
        failing_config: Mapping[str, Any],
        failure_of: Failure,
    ) -> None:
        """What a user can get wrong is an OsirisError with a dotted code.

        Catch what the client library raises and raise a DriverError from it, with a code of your family:
        ``code="acme.not_found"``. Programs branch on the code; everything else is shown as a bug.
        """
        error = failure_of(runner, ctx, failing_config)
        assert error is not None, "it did not fail with failing_config"
        assert isinstance(error, OsirisError), f"it raised {type(error).__name__}: {error}"
        assert CODE.fullmatch(error.code), f"the code {error.code!r} is not dotted"

    def test_failure_says_what_to_do(
        self,
        runner: StepRunner,
        ctx: RecordingStepContext,
        failing_config: Mapping[str, Any],
        failure_of: Failure,
    ) -> None:
        """The error has a message and a hint.

        Say in ``message`` what failed, with the names involved, and in ``hint`` what the user can do.
        """
        error = failure_of(runner, ctx, failing_config)
        assert str(error).strip(), "it has no message"
        assert not isinstance(error, OsirisError) or error.hint, f"it has no hint: {error}"

    def test_unreachable_place_is_an_osiris_error(
        self, runner: StepRunner, failing_connection: Mapping[str, Any] | None, failure_of: Failure
    ) -> None:
        """A place that cannot be reached is an OsirisError with a dotted code and a hint, from ``run`` and ``check``.

        Catch what the client library raises when it connects; say host and port.
        """
        if failing_connection is None:
            pytest.skip("the suite gives no failing_connection")
        runner = dataclasses.replace(runner, connection=failing_connection)
        ctx = runner.context()
        errors = [failure_of(runner, ctx, runner.config)]
        with runner.driver() as driver:
            errors.append(error_of(driver.check, runner.config, ctx.for_driver()))
        for error in errors:
            assert error is not None, "it did not fail with failing_connection"
            assert isinstance(error, OsirisError), f"it raised {type(error).__name__}: {error}"
            assert CODE.fullmatch(error.code), f"the code {error.code!r} is not dotted"
            assert error.hint, f"it has no hint: {error}"

    def test_secrets_are_told_to_nobody(
        self, carry: Carry, ctx: RecordingStepContext, spec: DriverSpec, connection: Mapping[str, Any] | None
    ) -> None:
        """No secret of the connection is in an event, a metric, an output or a file of the session.

        Tell host and table, never a DSN or the connection itself.
        """
        secrets = secret_values(spec, connection)
        if not secrets:
            pytest.skip("the connection has no secrets")
        carry(SAMPLE)
        found = leaks(ctx, secrets)
        assert not found, f"a secret of the connection is in {', '.join(found)}"

    def test_errors_keep_secrets(
        self,
        runner: StepRunner,
        failing_config: Mapping[str, Any],
        connection: Mapping[str, Any] | None,
        failure_of: Failure,
    ) -> None:
        """No secret of the connection is in an error's message, hint or facts.

        Do not put what the client library says into your message where that may repeat a DSN; never the connection.
        """
        options = secret_options(runner.spec, connection)
        if connection is None or not options:
            pytest.skip("the connection has no secrets")
        for option in options:
            canary = dataclasses.replace(runner, connection=with_canary(connection, option))
            ctx = canary.context()
            for config in (runner.config, failing_config):
                error = failure_of(canary, ctx, config)
                told = error.to_dict() if isinstance(error, OsirisError) else str(error)
                assert CANARY not in repr(told), f"the error repeats the connection's {option}"
            assert not leaks(ctx, [CANARY]), f"the connection's {option} is in {leaks(ctx, [CANARY])}"

    def test_cancel_is_honoured(
        self,
        runner: StepRunner,
        ctx: RecordingStepContext,
        feed: Feed,
        slow_config: Mapping[str, Any] | None,
        cancel_seconds: float,
    ) -> None:
        """A request to stop in the middle ends the step within seconds: with RunCancelledError, or by returning.

        Let RunCancelledError pass; call ``ctx.raise_if_cancelled()`` in loops; around a call that blocks, write
        ``with ctx.on_cancel(connection.interrupt):``.
        """
        stop = ctx.cancellation.request
        if slow_config is None:
            streams = feed(SAMPLE, ctx, lambda number: number == 1 and stop())
            error = finish_within(cancel_seconds, lambda: self._cancelled_run(runner, ctx, streams), lambda: None)
        else:
            streams = feed(SAMPLE, ctx)
            error = finish_within(cancel_seconds, lambda: runner.run(streams, ctx, slow_config), stop)
        assert error is None or isinstance(error, RunCancelledError), f"it raised {type(error).__name__}: {error}"

    def test_memory_does_not_grow_with_rows(
        self, runner: StepRunner, input_names: tuple[str, ...], stream_rows: int, prepare_rows: Callable[[int], object]
    ) -> None:
        """A driver that says it streams holds no more memory for four times the rows.

        Give batches as they come (a generator), and read ``inputs["df"].batches()``; not ``table()``, not a list of
        all rows. Otherwise say ``input_form="arrow"``, and no capability ``streaming``.
        """
        if runner.spec.input_form != "stream" and "streaming" not in runner.spec.capabilities:
            pytest.skip("the driver does not say that it streams")
        peaks = []
        for rows in (stream_rows, 4 * stream_rows):
            prepare_rows(rows)
            peaks.append(self._job(runner, input_names, rows, f"of_{rows}_rows").peak_memory())
        grown, more = peaks[1] - peaks[0], 3 * stream_rows * 1000
        assert grown < more // 2, f"{more >> 20} MB more of rows took {grown >> 20} MB more of memory"
