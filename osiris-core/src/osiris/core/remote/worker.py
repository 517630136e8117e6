"""The worker: ``python -m osiris.core.remote.worker`` runs the engine for whoever holds its standard input and output.

Methods: ``hello``, ``run``, ``cancel``, ``replay``, ``summary``, ``ping``, ``shutdown``. Notifications, numbered and
journaled: ``event``, ``metric``, ``finished`` (always the last); and ``heartbeat``, which says how far the numbers got.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from osiris.core.cancellation import Cancellation
from osiris.core.errors import ExecutionError, OsirisError, PrepareError, UsageError
from osiris.core.events.bus import EventBus
from osiris.core.remote.journal import Journal
from osiris.core.remote.outlet import Outlet
from osiris.core.remote.protocol import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MAX_MESSAGE_BYTES,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    PROTOCOL_VERSION,
    Failure,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    make_error,
    make_failure,
    make_result,
    told_error,
)

if TYPE_CHECKING:
    from osiris.core.engine import RunReport
    from osiris.core.execution_adapter import ExecutionContext, PreparedRun
    from osiris.core.remote.assignment import Assignment

__all__ = ["Worker", "main"]

PYTHON_PATH_VARIABLE = "OSIRIS_WORKER_PYTHONPATH"
"""What PYTHONPATH was before the client set it for the worker's own start."""

_PATIENCE = 5.0
"""Seconds that a run gets to end once nobody waits for it any more."""


def main() -> None:
    """Serve until told to stop, or until standard input ends. Does not return."""
    inlet, outlet = _take_pipes()
    _restore_python_path()
    code = Worker(inlet, Outlet(outlet)).serve()
    # Not sys.exit: that waits for threads that drivers may have left behind.
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _take_pipes() -> tuple[int, int]:
    """Private copies of standard input and output; drivers get /dev/null and what they print goes to standard error."""
    inlet, outlet = os.dup(0), os.dup(1)  # not inherited by drivers' own processes
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return inlet, outlet


def _restore_python_path() -> None:
    given = os.environ.pop(PYTHON_PATH_VARIABLE, None)
    if given:
        os.environ["PYTHONPATH"] = given
    elif given is not None:
        os.environ.pop("PYTHONPATH", None)


class _InvalidParamsError(Exception):
    """A method cannot take what it was given."""


class Worker:
    """One process, one run.

    Threads: the main one only waits, so that signals are heard; one reads requests and never works, so that whoever
    writes them never waits; one answers them; one beats; one runs.

    Args:
        inlet: File descriptor of the requests.
        outlet: Where answers and notifications go.
    """

    def __init__(self, inlet: int, outlet: Outlet) -> None:
        self._inlet = inlet
        self._outlet = outlet
        self._requests: SimpleQueue[Request | Notification | ProtocolError | None] = SimpleQueue()
        self._over = threading.Event()
        self._exit_code = 0
        self._cancellation = Cancellation()
        self._beat = 5.0
        self._beat_changed = threading.Event()
        self._run: threading.Thread | None = None
        self._report: RunReport | None = None
        self._outcome: dict[str, Any] | None = None
        self._journal: Journal | None = None
        self._methods: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "hello": self._hello,
            "run": self._start,
            "cancel": self._cancel,
            "replay": self._replay,
            "summary": self._summary,
            "ping": lambda params: {"seq": self._outlet.seq},
            "shutdown": lambda params: {},
        }

    def serve(self) -> int:
        """Work until it is over; gives the exit code."""
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client, which says what to do
        for work in (self._read, self._answer, self._beat_on):
            threading.Thread(target=work, name=f"osiris-worker{work.__name__}", daemon=True).start()
        self._over.wait()
        if self._run is not None and self._run.is_alive():
            self._cancellation.request("stopped: nobody waits for it any more")
            self._run.join(_PATIENCE)
        if self._journal is not None:
            self._journal.close(remove=True)
        self._end_children()
        return self._exit_code

    def _end_children(self) -> None:
        """What drivers started must not outlive the run; only where the process group is the worker's own."""
        if os.getpgrp() == os.getpid():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)

    def _on_terminate(self, number: int, frame: object) -> None:
        if self._over.is_set():
            os._exit(128 + number)
        self._exit_code = 128 + number
        self._cancellation.request("stopped by SIGTERM", signal=number)
        self._over.set()

    # Requests

    def _read(self) -> None:
        with os.fdopen(self._inlet, "rb", closefd=False) as stream:
            while line := stream.readline(MAX_MESSAGE_BYTES + 1):
                if len(line) > MAX_MESSAGE_BYTES:
                    self._requests.put(ProtocolError(PARSE_ERROR, f"a line is longer than {MAX_MESSAGE_BYTES:,} bytes"))
                    break
                if not line.endswith(b"\n"):
                    break  # whoever wrote it is gone
                if line.strip():
                    self._take(line)
        self._requests.put(None)

    def _take(self, line: bytes) -> None:
        try:
            message = decode(line)
        except ProtocolError as error:
            self._requests.put(error)
            return
        if isinstance(message, Response | Failure):
            return  # nothing was asked
        if message.method == "cancel":  # at once, also while another answer waits for a slow reader
            threading.Thread(target=self._requested, args=(message,), name="osiris-worker-cancel", daemon=True).start()
        else:
            self._requests.put(message)

    def _answer(self) -> None:
        while (message := self._requests.get()) is not None:
            if isinstance(message, ProtocolError):
                self._outlet.answer(make_error(message.id, message.code, message.message))
                continue
            self._requested(message)
            if message.method == "shutdown":
                break
        self._over.set()

    def _requested(self, message: Request | Notification) -> None:
        answer = self._answered(message)
        if isinstance(message, Request):
            self._outlet.answer(answer)

    def _answered(self, message: Request | Notification) -> dict[str, Any]:
        number = message.id if isinstance(message, Request) else None
        method = self._methods.get(message.method)
        if method is None:
            return make_error(number, METHOD_NOT_FOUND, f"there is no method {message.method!r}")
        try:
            return make_result(number, method(message.params))
        except _InvalidParamsError as error:
            return make_error(number, INVALID_PARAMS, f"{message.method}: {error}")
        except OsirisError as error:
            return make_failure(number, error)
        except BaseException as error:  # a bug of ours must be answered, too
            return make_error(number, INTERNAL_ERROR, f"a bug: {type(error).__name__}", _bug(error))

    # Methods

    def _hello(self, params: Mapping[str, Any]) -> dict[str, Any]:
        from osiris.core.plugins import Catalog
        from osiris.core.plugins.distributions import core_version

        beat = params.get("heartbeat", self._beat)
        if not isinstance(beat, int | float) or isinstance(beat, bool) or not 0 < beat < 1e6:
            raise _InvalidParamsError("heartbeat is not a number of seconds")
        self._beat = float(beat)
        self._beat_changed.set()
        return {
            "protocol": PROTOCOL_VERSION,
            "osiris_core": core_version(),
            "python": platform.python_version(),
            "pid": os.getpid(),
            "drivers": {entry.distribution: entry.version for entry in Catalog.current().plugins()},
        }

    def _start(self, params: Mapping[str, Any]) -> dict[str, Any]:
        from osiris.core.connections import REDACTOR, install_log_filter
        from osiris.core.remote.assignment import Assignment

        if self._run is not None:
            raise UsageError("this worker has its run already", hint="start another worker", code="worker.busy")
        try:
            assignment = Assignment.from_params(params)
            options = assignment.run_options()
        except ValueError as error:
            raise _InvalidParamsError(str(error)) from None
        install_log_filter()
        bus = EventBus(assignment.session_id, redact=REDACTOR)
        bus.subscribe(self._outlet)
        prepared = _prepared(assignment)
        context = _context(assignment, bus, self._cancellation, options)
        self._open_journal(Path(assignment.worker_dir))
        self._run = threading.Thread(target=self._execute, args=(prepared, context), name="osiris-run", daemon=True)
        self._run.start()
        return {"accepted": True}

    def _cancel(self, params: Mapping[str, Any]) -> dict[str, Any]:
        reason, number = params.get("reason", "cancelled"), params.get("signal")
        if not isinstance(reason, str) or not isinstance(number, int | None):
            raise _InvalidParamsError("reason is a string and signal a number")
        self._cancellation.request(reason, signal=number)
        return {}

    def _replay(self, params: Mapping[str, Any]) -> dict[str, Any]:
        since = params.get("since")
        if not isinstance(since, int) or isinstance(since, bool) or since < 0:
            raise _InvalidParamsError("since is not a number from 0")
        return {"seq": self._outlet.replay(since)}

    def _summary(self, params: Mapping[str, Any]) -> dict[str, Any]:
        from osiris.core.remote.account import report_to_dict

        if self._report is None:
            return {"state": "idle", "seq": self._outlet.seq}
        state = "running" if self._outcome is None else "finished"
        told = report_to_dict(self._report)
        return {"state": state, "seq": self._outlet.seq, "report": told, "outcome": self._outcome}

    # The run

    def _open_journal(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._journal = Journal(folder / "journal.jsonl")
        except OSError as error:
            raise PrepareError(
                f"the worker cannot write its journal: {folder}: {error.strerror or error}",
                hint="check permissions and free space of the session folder",
                code="worker.journal",
            ) from error
        self._outlet.keep_journal(self._journal)

    def _execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        from osiris.core import engine

        self._report = engine.RunReport()
        outcome: dict[str, Any] = {"error": None}
        try:
            engine.run(prepared, context, self._report)
        except OsirisError as error:
            outcome = {"error": told_error(error)}
        except BaseException as error:  # a bug: the client shows its traceback
            outcome = {"error": None, "bug": _bug(error)}
        self._outcome = outcome
        self._outlet.tell("finished", outcome)

    def _beat_on(self) -> None:
        while True:
            if not self._beat_changed.wait(self._beat):
                self._outlet.beat()
            self._beat_changed.clear()


def _prepared(assignment: Assignment) -> PreparedRun:
    """Plan the manifest here, with the drivers that are installed here."""
    from osiris.core.execution_adapter import PreparedRun
    from osiris.core.planning import make_plan
    from osiris.core.remote.assignment import Secrets

    # First of all, so that the file is gone whatever comes.
    secrets = Secrets.take(Path(assignment.secrets_file)).values if assignment.secrets_file else {}
    plan = make_plan(assignment.manifest)
    if plan.fingerprint != assignment.fingerprint:
        raise ExecutionError(
            "the worker plans this pipeline differently: its drivers are not the same",
            hint="install the same distributions in both places, or run without isolation",
            code="worker.other_plan",
            wanted=assignment.fingerprint,
            found=plan.fingerprint,
        )
    return PreparedRun(
        manifest=plan.manifest,
        configs=assignment.configs,
        environment=secrets,
        artifacts_dir=Path(assignment.artifacts_dir),
        run_id=assignment.session_id,
        package=plan,
    )


def _context(assignment: Assignment, bus: EventBus, cancellation: Cancellation, options: Any) -> ExecutionContext:
    from osiris.core.execution_adapter import ExecutionContext

    return ExecutionContext(
        assignment.session_id,
        assignment.session_dir,
        assignment.verbose,
        assignment.timeout,
        artifacts_dir=assignment.artifacts_dir,
        base_dir=assignment.base_dir,
        options=options,
        bus=bus,
        cancellation=cancellation,
    )


def _bug(error: BaseException) -> dict[str, Any]:
    from osiris.core.connections import redacted_traceback

    told = redacted_traceback(error) if error.__traceback__ else "".join(traceback.format_exception_only(error))
    return {"type": type(error).__name__, "traceback": told}


if __name__ == "__main__":
    main()
