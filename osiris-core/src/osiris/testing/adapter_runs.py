"""Rules of whole runs: events, secrets, stopping, artifacts, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from osiris.core.artifacts import list_artifacts
from osiris.core.events.bus import Event, Metric
from osiris.core.execution_adapter import RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.testing.adapter_trial import CANARY, Trial, cancel_run
from osiris.testing.contract import Contract
from osiris.testing.event_rules import form_breaches, number_breaches, order_breaches, pair_breaches
from osiris.testing.parity import Observation

__all__ = ["AdapterRunsContract"]

Begin = Callable[..., Trial]
Observed = Callable[[str], Observation]
SAMPLES = pytest.mark.parametrize("pipeline", ["csv-sql-csv", "on-error-continue"], scope="class")
_LINGER = (5.0, 15.0, 60.0)
"""Seconds that threads and processes get to be gone after close: in a first run, a second, a third."""


class AdapterRunsContract(Contract):
    """What a run through prepare, execute, collect and close keeps as a whole."""

    # events

    @SAMPLES
    def test_events_fit_the_schema(self, observed: Observed, pipeline: str) -> None:
        """Every event and metric fits the JSON Schemas that osiris-core ships.

        Tell events with ``context.log_event(name, data)``; a name of Osiris's own takes exactly the data of
        ``docs/events.md``. Values are plain JSON, ``step_id`` is a step's id or not there.
        """
        seen = observed(pipeline)
        assert form_breaches(seen.events, seen.metrics) == []

    @SAMPLES
    def test_events_are_numbered_by_the_bus(self, observed: Observed, pipeline: str) -> None:
        """``seq`` grows from record to record, none is used twice, and all records are of the run's session.

        Tell everything through the context you were given; its bus stamps. Do not stamp what comes from elsewhere.
        """
        seen = observed(pipeline)
        assert number_breaches(seen.events, seen.metrics, "run") == []

    @SAMPLES
    def test_every_start_has_one_end(self, observed: Observed, pipeline: str) -> None:
        """Each event ``*_start`` has exactly one ``*_complete``, ``*_failed`` or ``*_cancelled``, also on failure.

        Tell the end in a ``finally`` or ``except``; a start of your own, as ``upload_start``, needs its end, too.
        """
        assert pair_breaches(observed(pipeline).events) == []

    @SAMPLES
    def test_events_are_told_in_their_phase(self, observed: Observed, pipeline: str) -> None:
        """What is told of a step is told within execute, of its secrets within prepare, and nothing after the run.

        Wait in execute until all that the steps told has come, before you return or raise.
        """
        assert order_breaches(observed(pipeline).events) == []

    def test_events_are_told_as_they_happen(self, begin: Begin, patience: float) -> None:
        """An event reaches the context while the run goes, not when it is over.

        Pass on what comes from elsewhere as it comes: read the worker's lines in a thread, as ``run_remotely`` does.
        """
        assert cancel_run(begin("endless", kind="probes"), patience).heard, "the step's start was told too late"

    # stopping

    def test_cancel_stops_the_run(self, begin: Begin, patience: float) -> None:
        """A run that is asked to stop while a query runs ends within seconds, as cancelled.

        Give the engine the context's own ``cancellation``; elsewhere, pass the request on with
        ``context.cancellation.on_cancel(...)`` and stop by force what does not stop by itself.
        """
        ended = cancel_run(begin("endless", kind="probes"), patience)
        assert ended.result.status == "cancelled", f"it ended {ended.result.status}: {ended.result.error}"
        assert ended.seconds < patience, f"it took {ended.seconds:.1f} s to stop"

    def test_timeout_stops_the_run(self, begin: Begin) -> None:
        """A run that takes longer than ``context.timeout`` fails with the code ``run.timeout``.

        Hand ``context.timeout`` to where the engine runs; its error is the run's.
        """
        trial = begin("endless", kind="probes", timeout=1.0)
        result = run_pipeline(trial.adapter, trial.manifest, trial.context)
        assert result.status == "failed"
        assert getattr(result.error, "code", None) == "run.timeout", f"it ended with {result.error!r}"

    # what comes home

    def test_artifacts_are_what_was_kept(self, observed: Observed) -> None:
        """Collect lists every file in the artifacts folder of this machine, with its size and sha256.

        Bring the files home before you list them: ``osiris.core.artifacts.list_artifacts(prepared.artifacts_dir)``.
        """
        seen = observed("several-outputs")
        there = list_artifacts(seen.folder / "session" / "artifacts")
        assert there, "nothing is in the artifacts folder"
        assert sorted(seen.result.artifacts, key=lambda artifact: str(artifact["path"])) == there

    @pytest.mark.parametrize("metric", ["rows_read", "rows_written"])
    def test_sums_are_those_of_the_metrics_told(self, observed: Observed, metric: str) -> None:
        """The sums in the result are the sums of the metrics that were told.

        Give ``report.metrics()``, as ``engine.collect`` does; do not count what you told yourself.
        """
        seen = observed("csv-sql-csv")
        told = sum(record["value"] for record in seen.metrics if record["metric"] == metric)
        assert seen.result.metrics.get(metric) == told

    # what must not get out, or stay

    @pytest.mark.parametrize("probe", ["secret", "revealed-secret"])
    def test_secrets_are_in_nothing_a_run_leaves(self, begin: Begin, probe: str) -> None:
        """A secret's value is in no event, metric, result or file of the session folder.

        Never write ``PreparedRun.environment`` to a file that stays, nor into a command line. A file that carries
        it elsewhere is private (0600) and gone when the run ends: see ``osiris.core.remote.Secrets``.
        """
        trial = begin(probe, kind="probes")
        result = run_pipeline(trial.adapter, trial.manifest, trial.context)
        # The error itself is for who called; whatever shows or writes it hides secrets, as the bus does.
        collected = {**result.to_dict(), "error": None}
        told = json.dumps([*trial.context.events, *trial.context.metrics, collected], default=str)
        assert CANARY not in told
        files = [path for path in (trial.folder / "session").rglob("*") if path.is_file()]
        assert [str(path) for path in files if CANARY.encode() in path.read_bytes()] == []

    def test_what_drivers_print_is_harmless(self, begin: Begin) -> None:
        """What a driver prints, whatever it is, changes nothing about the run.

        Keep standard output for drivers' prints: the worker of osiris-core speaks over a private copy of it.
        """
        trial = begin("loud", kind="probes")
        result = run_pipeline(trial.adapter, trial.manifest, trial.context)
        assert result.status == "success", f"it ended with {result.error!r}"
        assert result.total_rows == 500

    def test_two_runs_at_once_do_not_disturb_each_other(self, begin: Begin, patience: float) -> None:
        """Two adapters that run at the same time in one process each tell and give their own run.

        Keep what belongs to a run on the adapter, not on its class or module, and files below the session folder.
        """
        meeting = _Meeting(patience)

        def run(trial: Trial) -> RunResult:
            trial.context.bus.subscribe(meeting)
            return run_pipeline(trial.adapter, trial.manifest, trial.context)

        trials = [begin("csv-sql-csv", session_id=name) for name in ("one", "other")]
        with ThreadPoolExecutor(2) as threads:
            results = list(threads.map(run, trials))
        for trial, result in zip(trials, results, strict=True):
            assert result.status == "success", f"it ended with {result.error!r}"
            strange = [output for output in result.outputs if str(trial.folder) not in str(output["location"])]
            assert strange == [], "these outputs are of the other run"
            steps = [event["step_id"] for event in trial.context.events if event["event"] == "step_complete"]
            assert sorted(steps) == ["orders", "save", "sums"]

    def test_the_process_is_left_as_it_was(self, begin: Begin) -> None:
        """After close the process has its folder, environment, path and signal handlers, no thread and no child more.

        End in close what you started, and wait for it; put back what you changed, also after an error.
        """
        for seconds in _LINGER:
            trial = begin("order-alone")
            before, busy = _settings(), _busy()
            run_pipeline(trial.adapter, trial.manifest, trial.context)
            assert _settings() == before
            left = _left_of(busy, seconds)
            if not left:  # what a library sets up once for the process is not there anew
                return
        pytest.fail(f"still there after {seconds:.0f} s, each time: {', '.join(left)}")


class _Meeting:
    """Where two runs wait for each other, so that each phase of one is in the midst of the other."""

    def __init__(self, patience: float) -> None:
        self._barrier = threading.Barrier(2, timeout=patience)

    def on_event(self, event: Event) -> None:
        if event["event"] in ("prepare_complete", "execute_complete"):
            with suppress(threading.BrokenBarrierError):  # the other has failed, which is seen all the same
                self._barrier.wait()

    def on_metric(self, metric: Metric) -> None:
        pass

    def close(self) -> None:
        pass


def _settings() -> dict[str, Any]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # pytest says there which test is running.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {"folder": Path.cwd(), "environment": environment, "path": list(sys.path), "handlers": handlers}


def _busy() -> set[str]:
    children = psutil.Process().children()
    return {
        *(f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()),
        *(f"process {child.pid}" for child in children),
    }


def _left_of(before: set[str], seconds: float) -> list[str]:
    """What is there that was not before, once it had its time to go."""
    pause, deadline = threading.Event(), monotonic() + seconds
    while (left := _busy() - before) and monotonic() < deadline:
        pause.wait(0.05)
    return sorted(left)
