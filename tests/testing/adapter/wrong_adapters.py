"""A right adapter, and for each rule of the kit one that breaks it and no other."""

from __future__ import annotations

import io
import json
import os
import uuid
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

from osiris.core import engine
from osiris.core.cancellation import Cancellation
from osiris.core.errors import (
    CollectError,
    ExecutionError,
    InvalidPipelineError,
    PluginNotFoundError,
    PrepareError,
    StepError,
)
from osiris.core.planning import Plan
from osiris.testing.reference import EngineAdapter


class Right(EngineAdapter):
    """Breaks nothing; tells two events of its own."""

    breaks = None
    patience = 60.0

    def execute(self, prepared, context):
        context.log_event("fake_start")
        try:
            super().execute(prepared, context)
        finally:
            context.log_event("fake_complete")


class Door:
    """A context, parts of it other than they are."""

    def __init__(self, context, **other):
        self.__dict__.update(other, _context=context)

    def __getattr__(self, name):
        return getattr(self._context, name)


# prepare


class OwnId(Right):
    breaks = "test_prepare_describes_the_run"

    def prepare(self, manifest, context):
        return replace(super().prepare(manifest, context), run_id="mine")


class Dated(Right):
    breaks = "test_prepare_is_deterministic"

    def prepare(self, manifest, context):
        prepared = super().prepare(manifest, context)
        prepared.metadata["fingerprint"] = uuid.uuid4().hex
        return prepared


class Noted(Right):
    breaks = "test_prepare_keeps_secrets_in_the_environment"

    def prepare(self, manifest, context):
        prepared = super().prepare(manifest, context)
        prepared.metadata["variables"] = dict(prepared.environment)
        return prepared


class Greedy(Right):
    breaks = "test_prepare_fetches_only_secrets_asked_for"

    def prepare(self, manifest, context):
        prepared = super().prepare(manifest, context)
        return replace(prepared, environment={**context.environment, **prepared.environment})


class Hasty(Right):
    breaks = "test_prepare_runs_nothing"

    def prepare(self, manifest, context):
        prepared = super().prepare(manifest, context)
        (context.base_dir / "fake.lock").touch()
        return prepared

    def execute(self, prepared, context):
        (context.base_dir / "fake.lock").unlink(missing_ok=True)
        super().execute(prepared, context)


class Vague(Right):
    breaks = "test_prepare_refuses_a_wrong_pipeline"

    def prepare(self, manifest, context):
        try:
            return super().prepare(manifest, context)
        except InvalidPipelineError as error:
            raise PrepareError(str(error)) from error


class Unhelpful(Right):
    breaks = "test_prepare_refuses_an_unknown_driver"

    def prepare(self, manifest, context):
        try:
            return super().prepare(manifest, context)
        except PluginNotFoundError as error:
            raise PrepareError(str(error)) from error


# execute


class Agreeable(Right):
    breaks = "test_execute_needs_a_prepared_run"

    def execute(self, prepared, context):
        if isinstance(prepared.package, Plan):
            super().execute(prepared, context)


class Forgetful(Right):
    breaks = "test_execute_raises_the_error_of_the_step"

    def execute(self, prepared, context):
        try:
            super().execute(prepared, context)
        except StepError as error:
            raise type(error)(error.message, code=error.code) from error


class Late(Right):
    breaks = "test_execute_runs_nothing_once_cancelled"

    def execute(self, prepared, context):
        asked = context.cancellation.requested
        super().execute(prepared, Door(context, cancellation=Cancellation()) if asked else context)


# collect


class Optimist(Right):
    breaks = "test_collect_needs_an_executed_run"

    def collect(self, prepared, context):
        try:
            return super().collect(prepared, context)
        except CollectError:
            return engine.collect(prepared, engine.RunReport(), environment="fake")


class Liar(Right):
    breaks = "test_collect_tells_of_a_failure"

    def collect(self, prepared, context):
        return {**super().collect(prepared, context), "status": "success"}


class Nowhere(Right):
    breaks = "test_collect_names_the_place"

    def collect(self, prepared, context):
        return {**super().collect(prepared, context), "environment": ""}


# close


class Once(Right):
    breaks = "test_close_may_be_called_twice"
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


# events


class Shapeless(Right):
    breaks = "test_events_fit_the_schema"

    def execute(self, prepared, context):
        super().execute(prepared, Door(context, log_event=lambda *told: self.tell(context, *told)))

    def tell(self, context, name, data=None):
        context.log_event(name, data)
        if name == "step_start":
            context.log_event("fake_seen", {"step_id": ""})


class Elsewhere(Right):
    breaks = "test_events_are_numbered_by_the_bus"

    def collect(self, prepared, context):
        own, context.bus.session_id = context.bus.session_id, "fake"
        context.log_event("fake_home")
        context.bus.session_id = own
        return super().collect(prepared, context)


class Endless(Right):
    breaks = "test_every_start_has_one_end"

    def collect(self, prepared, context):
        context.log_event("fake_transfer_start")
        return super().collect(prepared, context)


class Trailing(Right):
    breaks = "test_events_are_told_in_their_phase"

    def collect(self, prepared, context):
        context.log_event("fake_swept", {"step_id": "orders"})
        return super().collect(prepared, context)


class Hoarder(Right):
    breaks = "test_events_are_told_as_they_happen"
    patience = 5.0

    def execute(self, prepared, context):
        told = []
        try:
            super().execute(prepared, Door(context, log_event=lambda *event: told.append(event)))
        finally:
            for event in told:
                context.log_event(*event)


# stopping


class Deaf(Right):
    breaks = "test_cancel_stops_the_run"
    patience = 5.0

    def execute(self, prepared, context):
        context.cancellation.raise_if_requested()
        timeout = min(context.timeout or 8.0, 8.0)
        super().execute(prepared, Door(context, cancellation=Cancellation(), timeout=timeout))


class Impatient(Right):
    breaks = "test_timeout_stops_the_run"

    def execute(self, prepared, context):
        try:
            super().execute(prepared, context)
        except ExecutionError as error:
            if error.code == "run.timeout":
                raise ExecutionError("it took too long", code="fake.timeout") from error
            raise


# what comes home


class Careless(Right):
    breaks = "test_artifacts_are_what_was_kept"

    def collect(self, prepared, context):
        collected = super().collect(prepared, context)
        return {**collected, "artifacts": [{**artifact, "sha256": "0" * 64} for artifact in collected["artifacts"]]}


class Boaster(Right):
    breaks = "test_sums_are_those_of_the_metrics_told"

    def collect(self, prepared, context):
        collected = super().collect(prepared, context)
        return {**collected, "metrics": {name: 2 * value for name, value in collected["metrics"].items()}}


# what must not get out, or stay


class Blabber(Right):
    breaks = "test_secrets_are_in_nothing_a_run_leaves"

    def execute(self, prepared, context):
        Path(context.session_dir).mkdir(parents=True, exist_ok=True)
        (Path(context.session_dir) / "environment.json").write_text(json.dumps(dict(prepared.environment)))
        super().execute(prepared, context)


class Listener(Right):
    breaks = "test_what_drivers_print_is_harmless"

    def execute(self, prepared, context):
        said = io.StringIO()
        with redirect_stdout(said):
            super().execute(prepared, context)
        if said.getvalue():
            raise ExecutionError("what the worker says is no message")


class Shared(Right):
    breaks = "test_two_runs_at_once_do_not_disturb_each_other"
    report = None

    def __init__(self):
        super().__init__()
        type(self).report = None

    def execute(self, prepared, context):
        try:
            super().execute(prepared, context)
        finally:
            type(self).report = self._reports.get(prepared.run_id)

    def collect(self, prepared, context):
        if self.report is None:
            raise CollectError("not executed")
        return engine.collect(prepared, self.report, environment="fake")


class Messy(Right):
    breaks = "test_the_process_is_left_as_it_was"

    def execute(self, prepared, context):
        os.environ["OSIRIS_FAKE"] = uuid.uuid4().hex
        super().execute(prepared, context)


# parity


class Silent(Right):
    breaks = "test_events_are_those_of_the_reference"

    def execute(self, prepared, context):
        def tell(name, data=None):
            if name != "output_written":
                context.log_event(name, data)

        super().execute(prepared, Door(context, log_event=tell))


class Unmeasured(Right):
    breaks = "test_metrics_are_those_of_the_reference"

    def execute(self, prepared, context):
        def tell(name, value, unit=None, **tags):
            if name != "step_duration_ms":
                context.log_metric(name, value, unit, **tags)

        super().execute(prepared, Door(context, log_metric=tell))


class Modest(Right):
    breaks = "test_result_is_that_of_the_reference"

    def collect(self, prepared, context):
        return {**super().collect(prepared, context), "outputs": []}


class Smudger(Right):
    breaks = "test_files_are_those_of_the_reference"

    def execute(self, prepared, context):
        super().execute(prepared, context)
        for path in (context.base_dir / "out").glob("*.csv"):
            path.write_bytes(path.read_bytes() + b"\n")
