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
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any

from osiris.core.errors import OsirisError
from osiris.core.remote.job import InvalidParamsError, Job, told_bug
from osiris.core.remote.outlet import Outlet
from osiris.core.remote.protocol import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MAX_MESSAGE_BYTES,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    PROTOCOL_VERSION,
    Failure,
    Id,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    make_error,
    make_failure,
    make_result,
)

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


class Worker:
    """One process, one run.

    Threads: the main one only waits, so that signals are heard; one reads requests and never works, so that whoever
    writes them never waits; one answers them; one beats; one runs; one sees whether somebody is there, where the end of
    the input does not say so.

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
        self._beat = 5.0
        self._beat_changed = threading.Event()
        self._heard = monotonic()
        self._watched = False
        self._job = Job(outlet)
        self._begun: tuple[Id, dict[str, Any]] | None = None
        self._methods: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "hello": self._hello,
            "run": self._job.start,
            "cancel": self._job.cancel,
            "replay": self._replay,
            "summary": self._job.summary,
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
        self._job.end(_PATIENCE)
        self._end_children()
        return self._exit_code

    def _end_children(self) -> None:
        """What drivers started must not outlive the run; only where the process group is the worker's own."""
        if os.getpgrp() == os.getpid():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)

    def _watch(self, patience: float) -> None:
        """A worker that nobody speaks to must not go on: somebody may have taken up its run elsewhere."""
        while (left := self._heard + patience - monotonic()) > 0:
            if self._over.wait(left):
                return
        # A driver that does not listen, or a pipe that nobody empties, must not keep it.
        if not self._job.abandon(patience, _PATIENCE):
            os.killpg(0, signal.SIGKILL) if os.getpgrp() == os.getpid() else os._exit(128 + signal.SIGKILL)

    def _on_terminate(self, number: int, frame: object) -> None:
        if self._over.is_set():
            os._exit(128 + number)
        self._exit_code = 128 + number
        self._job.cancellation.request("stopped by SIGTERM", signal=number)
        self._over.set()

    # Requests

    def _read(self) -> None:
        with os.fdopen(self._inlet, "rb", closefd=False) as stream:
            while line := stream.readline(MAX_MESSAGE_BYTES + 1):
                self._heard = monotonic()
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
        if not isinstance(message, Request):
            self._answered(message)
            return
        if message.method != "run":
            self._outlet.answer(self._answered(message))
            return
        # The one method that must not be done twice: who sends the same request again did not get its answer.
        if self._begun is None or self._begun[0] != message.id:
            self._begun = message.id, self._answered(message)
        self._outlet.answer(self._begun[1])

    def _answered(self, message: Request | Notification) -> dict[str, Any]:
        number = message.id if isinstance(message, Request) else None
        method = self._methods.get(message.method)
        if method is None:
            return make_error(number, METHOD_NOT_FOUND, f"there is no method {message.method!r}")
        try:
            return make_result(number, method(message.params))
        except InvalidParamsError as error:
            return make_error(number, INVALID_PARAMS, f"{message.method}: {error}")
        except OsirisError as error:
            return make_failure(number, error)
        except BaseException as error:  # a bug of ours must be answered, too
            return make_error(number, INTERNAL_ERROR, f"a bug: {type(error).__name__}", told_bug(error))

    # Methods

    def _hello(self, params: Mapping[str, Any]) -> dict[str, Any]:
        # The engine and the planner as well: who has said hello is ready to begin.
        from osiris.core import engine, planning  # noqa: F401
        from osiris.core.plugins import Catalog
        from osiris.core.plugins.distributions import core_version

        beat = params.get("heartbeat", self._beat)
        if not isinstance(beat, int | float) or isinstance(beat, bool) or not 0 < beat < 1e6:
            raise InvalidParamsError("heartbeat is not a number of seconds")
        patience = params.get("patience")
        if patience is not None and (not isinstance(patience, int | float) or not 0 < patience < 1e6):
            raise InvalidParamsError("patience is not a number of seconds")
        self._beat = float(beat)
        self._beat_changed.set()
        if patience is not None and not self._watched:
            self._watched = True
            threading.Thread(target=self._watch, args=(patience,), name="osiris-worker-watch", daemon=True).start()
        return {
            "protocol": PROTOCOL_VERSION,
            "osiris_core": core_version(),
            "python": platform.python_version(),
            "pid": os.getpid(),
            "drivers": {entry.distribution: entry.version for entry in Catalog.current().plugins()},
        }

    def _replay(self, params: Mapping[str, Any]) -> dict[str, Any]:
        since = params.get("since")
        if not isinstance(since, int) or isinstance(since, bool) or since < 0:
            raise InvalidParamsError("since is not a number from 0")
        return {"seq": self._outlet.replay(since)}

    def _beat_on(self) -> None:
        while True:
            if not self._beat_changed.wait(self._beat):
                self._outlet.beat()
            self._beat_changed.clear()


if __name__ == "__main__":
    main()
