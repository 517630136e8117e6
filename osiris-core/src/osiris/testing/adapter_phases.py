"""Rules of the phases: what prepare, execute, collect and close do and refuse, each called by itself."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from osiris.core.errors import (
    CollectError,
    InvalidPipelineError,
    OsirisError,
    PluginNotFoundError,
    RunCancelledError,
    StepError,
)
from osiris.core.execution_adapter import PreparedRun
from osiris.testing.adapter_trial import CANARY, SECRET, Trial
from osiris.testing.contract import Contract

__all__ = ["AdapterPhasesContract"]

Begin = Callable[..., Trial]


class AdapterPhasesContract(Contract):
    """What each phase keeps, whoever calls it."""

    # prepare

    def test_prepare_describes_the_run(self, begin: Begin) -> None:
        """Prepare gives a PreparedRun with the session's id, the manifest and a config for every step.

        Return what ``osiris.core.engine.prepare(manifest, context)`` gives, with your own facts in ``metadata``.
        """
        trial = begin("csv-sql-csv")
        prepared = trial.prepare()
        assert isinstance(prepared, PreparedRun)
        assert prepared.run_id == trial.context.session_id
        steps = [step["id"] for step in trial.manifest["steps"]]
        assert [step["id"] for step in prepared.manifest["steps"]] == steps
        assert sorted(prepared.configs) == sorted(steps)

    def test_prepare_is_deterministic(self, begin: Begin) -> None:
        """Two prepares of one manifest give the same manifest, configs and fingerprint.

        Keep clocks, random ids and what the place is called out of them: such facts belong into ``metadata``.
        """
        one, other = (begin("connections").prepare() for _ in range(2))
        assert _json(dict(one.manifest)) == _json(dict(other.manifest))
        assert _json(one.configs) == _json(other.configs)
        assert dict(one.environment) == dict(other.environment)
        assert one.metadata.get("fingerprint") == other.metadata.get("fingerprint")

    def test_prepare_keeps_secrets_in_the_environment(self, begin: Begin) -> None:
        """The values of secrets are in ``PreparedRun.environment`` and nowhere else of the prepared run.

        Leave ``${...}`` in configs and metadata as they are; the engine fills them in where a step runs.
        """
        prepared = begin("secret", kind="probes").prepare()
        shown = {name: value for name, value in vars(prepared).items() if name != "environment"}
        for name, value in shown.items():
            assert CANARY not in repr(value), f"the secret is in PreparedRun.{name}"
            assert CANARY.encode() not in _pickled(value), f"the secret is in PreparedRun.{name}"
        assert CANARY not in repr(prepared), "the secret is in the repr"

    def test_prepare_fetches_only_secrets_asked_for(self, begin: Begin) -> None:
        """``PreparedRun.environment`` holds the values that the manifest's references need, and no others.

        Do not copy ``context.environment`` or ``os.environ``: what is not there cannot leak from where steps run.
        """
        assert set(begin("secret", kind="probes").prepare().environment) <= {SECRET}

    def test_prepare_runs_nothing(self, begin: Begin) -> None:
        """When prepare returns, nothing of the pipeline has run: no event of a step, no file in the project.

        Set up the place in prepare; begin with the steps in execute.
        """
        trial = begin("csv-sql-csv")
        before = sorted((trial.folder / "project").rglob("*"))
        trial.prepare()
        assert trial.step_events() == []
        assert sorted((trial.folder / "project").rglob("*")) == before

    def test_prepare_refuses_a_wrong_pipeline(self, begin: Begin) -> None:
        """A manifest that cannot run is refused in prepare, as InvalidPipelineError with every problem.

        Plan in prepare (``osiris.core.engine.prepare`` does) before anything is made ready that costs time or money.
        """
        with pytest.raises(InvalidPipelineError) as caught:
            begin("bad-config").prepare()
        assert len(caught.value.problems) > 1, f"only one of the mistakes is told: {caught.value}"

    def test_prepare_refuses_an_unknown_driver(self, begin: Begin) -> None:
        """A driver that nobody offers is refused in prepare, as PluginNotFoundError.

        Let the errors of ``osiris.core.engine.prepare`` pass as they are: they say what to install.
        """
        with pytest.raises(PluginNotFoundError):
            begin("unknown-driver").prepare()

    # execute

    def test_execute_needs_a_prepared_run(self, begin: Begin) -> None:
        """Execute refuses, as an OsirisError, a PreparedRun that no prepare has made.

        Check what you put into ``PreparedRun.package``, or let ``engine.run`` do so.
        """
        trial = begin("csv-sql-csv")
        with pytest.raises(OsirisError):
            trial.execute(PreparedRun(manifest=trial.manifest, run_id=trial.context.session_id))
        assert trial.step_events() == []

    def test_execute_raises_the_error_of_the_step(self, begin: Begin) -> None:
        """A step's failure is raised by execute as StepError: the driver's own code, the step in the facts.

        Let the errors of ``engine.run`` and ``run_remotely`` pass. What comes over a wire is
        ``OsirisError.from_dict(data)``; never make a new error of its text.
        """
        trial = begin("missing-file")
        prepared = trial.prepare()
        with pytest.raises(StepError) as caught:
            trial.execute(prepared)
        assert caught.value.code == "filesystem.not_found"
        assert caught.value.facts.get("step_id") == "orders"

    def test_execute_runs_nothing_once_cancelled(self, begin: Begin) -> None:
        """A run that is cancelled between prepare and execute ends as RunCancelledError before a step begins.

        Ask ``context.cancellation.raise_if_requested()`` before each wait of your own; the engine does the rest.
        """
        trial = begin("csv-sql-csv")
        prepared = trial.prepare()
        trial.context.cancellation.request("cancelled by the conformance kit")
        with pytest.raises(RunCancelledError):
            trial.execute(prepared)
        assert "step_start" not in trial.step_events()

    # collect

    def test_collect_needs_an_executed_run(self, begin: Begin) -> None:
        """Collect refuses, as a CollectError, a run that was not executed.

        Keep the run's report only from the beginning of execute on, and raise CollectError where there is none:
        an empty report would read as a success.
        """
        trial = begin("csv-sql-csv")
        prepared = trial.prepare()
        with pytest.raises(CollectError):
            trial.collect(prepared)

    def test_collect_tells_of_a_failure(self, begin: Begin) -> None:
        """After a failed execute, collect gives status ``failed`` and what was done until then.

        Keep the report that the engine fills, also when it raises; give ``engine.collect(prepared, report, ...)``.
        """
        trial = begin("on-error-continue")
        prepared = trial.prepare()
        with pytest.raises(OsirisError):
            trial.execute(prepared)
        collected = trial.collect(prepared)
        assert collected.get("status") == "failed"
        assert collected.get("steps_completed") == 2

    def test_collect_names_the_place(self, begin: Begin) -> None:
        """Collect says in ``environment`` where the steps ran, in a few words.

        Give ``environment="..."`` to ``engine.collect``; it is shown with the result.
        """
        trial = begin("order-alone")
        prepared = trial.prepare()
        trial.execute(prepared)
        place = trial.collect(prepared).get("environment")
        assert isinstance(place, str)
        assert place

    # close

    @pytest.mark.parametrize("after", ["nothing", "prepare", "execute", "failure"])
    def test_close_may_be_called_twice(self, begin: Begin, after: str) -> None:
        """Close raises nothing, after whatever phase it is called, and however often.

        Forget what you held before you give it back; treat what was never made as given back.
        """
        trial = begin("missing-file" if after == "failure" else "order-alone")
        if after != "nothing":
            prepared = trial.prepare()
            if after == "execute":
                trial.execute(prepared)
            elif after == "failure":
                with pytest.raises(OsirisError):
                    trial.execute(prepared)
        trial.adapter.close()
        trial.adapter.close()


def _json(value: Any) -> str:
    return json.dumps(value, default=lambda item: dict(item) if hasattr(item, "keys") else str(item))


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:  # what cannot be pickled cannot travel that way
        return b""
