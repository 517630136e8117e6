"""A prepared run through a worker: what :func:`osiris.core.engine.run` does in this process."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from osiris.core.driver import DriverRegistry
from osiris.core.engine import RunReport
from osiris.core.engine.elsewhere import Elsewhere
from osiris.core.engine.settings import EventDoor, RunSettings
from osiris.core.errors import OsirisError, PluginNotFoundError, UsageError
from osiris.core.execution_adapter import PreparedRun
from osiris.core.planning import Plan
from osiris.core.plugins import Catalog
from osiris.core.plugins.distributions import core_version
from osiris.core.remote.account import Account, fill_report
from osiris.core.remote.assignment import Assignment, Secrets
from osiris.core.remote.client import WorkerBugError, WorkerClient
from osiris.core.remote.place import Place, SameMachine
from osiris.core.remote.protocol import Response
from osiris.core.remote.transport import Transport

__all__ = ["distributions_of", "refuse_registered", "run_remotely"]

_TICK = 0.5
_TERM_PATIENCE = 3.0
_SIGNS = 6
"""How many signs a worker is given while it waits for one."""

_ASK_TO_STOP = "ask to stop"


def run_remotely(
    prepared: PreparedRun,
    context: EventDoor,
    report: RunReport,
    connect: Callable[[], Transport],
    *,
    patience: float = 10.0,
    silence: float = 60.0,
    heartbeat: float = 5.0,
    place: Place | None = None,
) -> RunReport:
    """Run all steps of a prepared run in a worker; events and metrics are told here as they come.

    Args:
        prepared: From :func:`osiris.core.engine.prepare`.
        context: An ExecutionContext, or anything with ``log_event`` and ``log_metric``.
        report: Filled while the run goes, also where the worker is lost.
        connect: Starts a worker.
        patience: Seconds that the worker gets to stop when asked to, before it is told by signals.
        silence: Seconds after which a worker that says nothing counts as lost.
        heartbeat: Seconds between its signs of life.
        place: Where it is; default this machine.

    Raises:
        StepError: A step failed; ``facts["step_id"]`` says which.
        RunCancelledError: The run was asked to stop.
        ExecutionError: The worker was lost: ``worker.died``, with exit code and last words, or ``worker.silent``.
        PrepareError: It does not start, or is of other versions.
        PluginNotFoundError: A driver is not installed, only registered in this process.
        UsageError: ``prepared`` was not made by the engine.
    """
    plan = prepared.package
    if not isinstance(plan, Plan):
        raise UsageError("this PreparedRun has no plan", hint="make it with osiris.core.engine.prepare")
    refuse_registered(plan)
    return _RemoteRun(prepared, plan, context, report, patience, silence, heartbeat, place or SameMachine()).go(connect)


class _RemoteRun:
    def __init__(
        self,
        prepared: PreparedRun,
        plan: Plan,
        context: EventDoor,
        report: RunReport,
        patience: float,
        silence: float,
        heartbeat: float,
        place: Place,
    ) -> None:
        self._prepared = prepared
        self._plan = plan
        self._context = context
        self._report = report
        self._patience = patience
        self._silence = silence
        self._heartbeat = heartbeat
        self._place = place
        self._settings = RunSettings.of(context, prepared.artifacts_dir)
        self._account = Account(plan, report)
        self._dir = self._settings.session_dir / "worker"
        self._inbox: SimpleQueue[Mapping[str, Any] | BaseException | str] = SimpleQueue()
        self._answered = False
        self._leash = self._place.leash
        self._elsewhere = Elsewhere(self._settings.session_dir)
        self._next_sign = 0.0

    def go(self, connect: Callable[[], Transport]) -> RunReport:
        try:
            error = self._guarded(connect)
        finally:
            shutil.rmtree(self._dir, ignore_errors=True)
            if not self._answered:  # a worker that was lost could not remove its temporary files
                shutil.rmtree(self._settings.session_dir / "tmp", ignore_errors=True)
        if error is None:
            return self._report
        if self._settings.cancellation.requested:
            error = self._settings.cancellation.error()
        self._report.status = "cancelled" if self._settings.cancellation.requested else "failed"
        self._report.error = error
        if isinstance(error, OsirisError):
            self._account.end_the_rest(error, self._context.log_event)
        raise error

    def _guarded(self, connect: Callable[[], Transport]) -> BaseException | None:
        """Run; None, or why it failed."""
        client: WorkerClient | None = None
        try:
            client = WorkerClient(connect(), on_notification=self._told, on_lost=self._inbox.put, silence=self._silence)
            outcome = self._run(client)
            fill_report(self._report, client.call("summary", {})["report"])
            self._answered = True
            self._elsewhere.end()
        except KeyboardInterrupt as error:  # while the worker starts
            self._interrupted()
            return error
        except BaseException as error:  # how its steps ended has to be told first
            return error
        finally:
            if client is not None:
                client.close()
        if outcome.get("bug"):
            return WorkerBugError(f"in the worker: {outcome['bug'].get('traceback')}")
        return OsirisError.from_dict(outcome["error"]) if outcome.get("error") else None

    def _run(self, client: WorkerClient) -> Mapping[str, Any]:
        cancellation = self._settings.cancellation
        patience = self._leash.patience if self._leash is not None else None
        wanted = distributions_of(self._plan)
        client.hello(wanted, heartbeat=self._heartbeat, patience=patience, cancellation=cancellation)
        assignment = self._place.seen(Assignment.of(self._prepared, self._context, self._dir))
        # Only a note: this may be called by a signal handler, which must not wait for a lock.
        with cancellation.on_cancel(lambda: self._inbox.put(_ASK_TO_STOP)):
            cancellation.raise_if_requested()
            self._place.leave(Secrets(self._prepared.environment), assignment)
            if self._leash is not None:
                self._elsewhere.begin(self._leash.place, self._leash.patience, self._leash.facts)
            begun = client.request("run", assignment.to_params())
            with cancellation.on_cancel(lambda: begun.resolve(Response(None, {}))):  # no answer is waited for any more
                begun.wait()
            return self._wait(client)

    def _wait(self, client: WorkerClient) -> Mapping[str, Any]:
        """Until the run has ended; a run that was asked to stop and does not is stopped by force."""
        steps = iter(self._ways_to_stop(client))
        deadline = math.inf
        while True:
            self._give_sign(client)
            try:
                message = self._inbox.get(timeout=max(0.0, min(_TICK, deadline - monotonic())))
            except Empty:
                client.check()
                if monotonic() < deadline:
                    continue
                deadline = monotonic() + next(steps)
                continue
            except KeyboardInterrupt:  # where nobody turned Ctrl-C into a request: a script, a notebook
                self._interrupted()
                continue
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, Mapping):
                return message
            deadline = monotonic() + next(steps)

    def _give_sign(self, client: WorkerClient) -> None:
        if self._leash is not None and monotonic() >= self._next_sign:
            self._next_sign = monotonic() + self._leash.patience / _SIGNS
            self._elsewhere.renew()  # first: the worker must never have heard of us later than is noted
            client.give_sign()

    def _ways_to_stop(self, client: WorkerClient) -> Iterator[float]:
        """Each way, then the seconds it gets."""
        cancellation = self._settings.cancellation
        client.request("cancel", {"reason": cancellation.reason or "cancelled", "signal": cancellation.signal})
        yield self._patience
        client.stop(force=False)
        yield _TERM_PATIENCE
        client.stop(force=True)
        while True:
            yield _TERM_PATIENCE

    def _told(self, method: str, params: Mapping[str, Any]) -> None:
        """A notification came."""
        if method == "event":
            name, data = str(params["event"]), dict(params.get("data") or {})
            self._account.note_event(name, data)
            self._context.log_event(name, {**data, "type": params.get("type")})
        elif method == "metric":
            tags = {str(key): value for key, value in (params.get("tags") or {}).items()}
            name, told = str(params["metric"]), params.get("value")
            value = math.nan if told is None else told  # JSON has no word for what is not finite
            self._account.note_metric(name, value, tags)
            self._context.log_metric(name, value, params.get("unit"), **tags)
        elif method == "finished":
            self._inbox.put(params)

    def _interrupted(self) -> None:
        self._settings.cancellation.request("interrupted by Ctrl-C", signal=2)


def distributions_of(plan: Plan) -> dict[str, str]:
    """The distributions that a worker has to have for a plan, with their versions: osiris-core and the drivers'."""
    catalog = Catalog.current()
    owners = (catalog.distribution_of(name) for name in {step.driver for step in plan.steps})
    return {"osiris-core": core_version(), **dict(owner for owner in owners if owner is not None)}


def refuse_registered(plan: Plan) -> None:
    """See that every driver of a plan can be had in another process.

    Raises:
        PluginNotFoundError: One is not installed, only registered in this process.
    """
    for step in plan.steps:
        if DriverRegistry.is_registered(step.driver):
            raise PluginNotFoundError(
                f"driver {step.driver!r} of step {step.id!r} was registered at run time, in this process only: "
                "a worker process does not have it",
                hint="make it a package (see docs/plugins.md), or run without isolation",
                code="plugin.not_in_worker",
                step_id=step.id,
            )
