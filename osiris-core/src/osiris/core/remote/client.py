"""The client: speaks to one worker, hears its notifications in order and exactly once, and never waits for the dead."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from osiris.core.cancellation import Cancellation
from osiris.core.connections import REDACTOR
from osiris.core.errors import ExecutionError, OsirisError
from osiris.core.remote.handshake import refuse_other_versions
from osiris.core.remote.protocol import (
    Failure,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    encode,
    make_notification,
    make_request,
)
from osiris.core.remote.trace import Trace
from osiris.core.remote.transport import INTERRUPTED, Transport

__all__ = ["Call", "WorkerBugError", "WorkerClient"]

_TICK = 0.5
_REPLAYS = 5
_WORDS = 2000
_CALL_SECONDS = 60.0


class WorkerBugError(RuntimeError):
    """Something in the worker raised what is no OsirisError: a bug. Its traceback is in the message."""


class Call:
    """A request on its way."""

    def __init__(self, client: WorkerClient, method: str) -> None:
        self._client = client
        self.method = method
        self.line = b""
        self._answers: SimpleQueue[Response | Failure | BaseException] = SimpleQueue()

    def resolve(self, answer: Response | Failure | BaseException) -> None:
        """Give the answer; for the client."""
        self._answers.put(answer)

    def wait(self, timeout: float = _CALL_SECONDS) -> Any:
        """The result.

        Raises:
            OsirisError: What the worker raised; or it was lost, or gave no answer in time (``worker.no_answer``).
            WorkerBugError: The worker has a bug.
        """
        deadline = monotonic() + timeout
        while True:
            try:
                answer = self._answers.get(timeout=min(_TICK, max(0.0, deadline - monotonic())))
                break
            except Empty:
                self._client.check()
                if monotonic() >= deadline:
                    raise ExecutionError(
                        f"the worker did not answer {self.method!r} within {timeout:.0f} s",
                        hint="see whether the machine is overloaded, then run again",
                        code="worker.no_answer",
                        retryable=True,
                    ) from None
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Response):
            return answer.result
        raise answer.osiris_error() or _bug(answer.data, answer.message)


class WorkerClient:
    """One worker. Closing it ends the worker.

    Args:
        transport: The way to it; owned by the client from now on.
        on_notification: Told each numbered notification once, in order: its method and params. Called from a thread.
        on_lost: Told, once, why no more will come. Called from a thread.
        silence: Seconds after which a worker that says nothing, not even to a ping, counts as lost.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        on_notification: Callable[[str, Mapping[str, Any]], object],
        on_lost: Callable[[BaseException], object] = lambda error: None,
        silence: float = 60.0,
    ) -> None:
        self._transport = transport
        self._on_notification = on_notification
        self._on_lost = on_lost
        self._silence = silence
        self._ids = count(1)
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._lost: BaseException | None = None
        self._last = 0
        self._replaying: int | None = None
        self._futile = 0
        self._heard = monotonic()
        self._pinged = False
        self._trace = Trace.wanted()
        self._thread = threading.Thread(target=self._listen, name="osiris-worker-client", daemon=True)
        self._thread.start()

    @property
    def last_seq(self) -> int:
        """The number of the last notification that was told."""
        return self._last

    def hello(
        self,
        wanted: Mapping[str, str],
        *,
        heartbeat: float = 5.0,
        patience: float | None = None,
        timeout: float = _CALL_SECONDS,
        cancellation: Cancellation | None = None,
    ) -> dict[str, Any]:
        """Greet the worker and see that it fits.

        Args:
            wanted: Versions by distribution, osiris-core among them.
            heartbeat: Seconds between its signs of life.
            patience: Seconds after which it stops its run if nothing was sent to it, not even by :meth:`give_sign`.
                None: the end of its input tells it.
            timeout: Seconds it may take to start.
            cancellation: Ends the waiting.

        Returns:
            What it said of itself: ``protocol``, ``osiris_core``, ``python``, ``pid``, ``drivers``.

        Raises:
            RunCancelledError: Somebody asked to stop.
            PrepareError: Versions differ (code ``worker.mismatch``): wanted and found side by side.
        """
        call = self.request("hello", {"heartbeat": heartbeat, "patience": patience})
        stop = cancellation or Cancellation()
        with stop.on_cancel(lambda: call.resolve(stop.error())):
            told = call.wait(timeout)
        refuse_other_versions(told, wanted)
        return dict(told)

    def request(self, method: str, params: Mapping[str, Any]) -> Call:
        """Send a request without waiting for its answer."""
        return self._request(method, params)[1]

    def call(self, method: str, params: Mapping[str, Any], timeout: float = _CALL_SECONDS) -> Any:
        """Send a request and wait for its result; errors as for :meth:`Call.wait`."""
        return self.request(method, params).wait(timeout)

    def give_sign(self) -> None:
        """Let the worker know that somebody is there. Not answered."""
        self._send(encode(make_notification("ping", {})))

    def check(self) -> None:
        """Raise if the worker is lost, or has said nothing for too long."""
        if self._lost is not None:
            raise self._lost
        silent = monotonic() - self._heard
        if silent <= self._silence:
            self._pinged = False
        elif not self._pinged:  # it may only be that nobody listened: this process may have been stopped
            self._pinged, self._heard = True, monotonic() - self._silence / 2
            self.request("ping", {})
        else:
            self._transport.stop(force=True)
            error = ExecutionError(
                f"the worker has said nothing for {self._silence * 1.5:.0f} s",
                hint="a driver may block its whole process, or the machine may be overloaded",
                code="worker.silent",
                retryable=True,
            )
            self._fail(error)
            raise error

    def stop(self, *, force: bool) -> None:
        """Ask the worker to end (SIGTERM), or end it at once (SIGKILL), with all it started."""
        self._transport.stop(force=force)

    def close(self) -> None:
        """End the worker and the listening. Idempotent."""
        self._transport.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(_TICK * 20)
        if self._trace is not None:
            self._trace.close()

    def _request(self, method: str, params: Mapping[str, Any]) -> tuple[int, Call]:
        call = Call(self, method)
        with self._lock:
            number = next(self._ids)
            if self._lost is not None:
                call.resolve(self._lost)
                return number, call
            self._calls[number] = call
        try:
            call.line = encode(make_request(number, method, params))
        except ValueError as error:
            self._calls.pop(number, None)
            call.resolve(ExecutionError(f"{method!r} cannot be sent: {error}", code="worker.message_too_large"))
        else:
            self._send(call.line)
        return number, call

    def _send(self, line: bytes) -> None:
        if self._trace is not None:
            self._trace.sent(line)
        try:
            self._transport.send(line)
        except OSError:
            # Who listens hears how the worker ended, and says so. One that lives but takes nothing is of no use.
            self._transport.stop(force=False)

    # Listening

    def _listen(self) -> None:
        try:
            for line in self._transport.lines():
                if line != INTERRUPTED:  # a way that comes back again and again is no sign of life
                    self._heard = monotonic()
                self._hear(line)
            self._fail(self._ended())
        except BaseException as error:  # whoever waits has to know
            self._transport.stop(force=True)
            self._fail(error)

    def _hear(self, line: bytes) -> None:
        if self._trace is not None:
            self._trace.received(line)
        if line == INTERRUPTED:
            self._begin_again()
            return
        try:
            message = decode(line)
        except ProtocolError:  # a line that was cut on its way
            self._ask_again()
            return
        if isinstance(message, Notification):
            self._notified(message)
        elif isinstance(message, Response | Failure):
            self._answered(message)
        elif isinstance(message, Request):
            return  # workers ask nothing

    def _notified(self, message: Notification) -> None:
        seq = message.params.get("seq")
        if not isinstance(seq, int):
            return
        if message.method == "heartbeat":
            if seq > self._last:
                self._ask_again()
        elif seq == self._last + 1:
            self._last, self._futile = seq, 0
            self._on_notification(message.method, message.params)
        elif seq > self._last:
            self._ask_again()

    def _begin_again(self) -> None:
        """What was under way, either way, may be lost: ask all that is open again. The worker does nothing twice."""
        with self._lock:
            if self._replaying is not None:
                self._calls.pop(self._replaying, None)
            lines = [call.line for call in self._calls.values()]
        for line in lines:
            self._send(line)
        self._replaying, self._futile = None, 0
        self._ask_again()

    def _ask_again(self) -> None:
        """Something was missed: all of it, from there on. The worker says nothing else in between."""
        if self._replaying is not None:
            return
        self._futile += 1
        if self._futile > _REPLAYS:
            raise ExecutionError(
                f"the worker cannot say again what was lost after its message {self._last}",
                hint="see whether the disk of the session folder is full",
                code="worker.messages_lost",
            )
        self._replaying = self._request("replay", {"since": self._last})[0]

    def _answered(self, message: Response | Failure) -> None:
        if message.id is not None and message.id == self._replaying:
            self._replaying = None
            told = message.result.get("seq") if isinstance(message, Response) else None
            if isinstance(told, int) and told > self._last:
                self._ask_again()
        with self._lock:
            call = self._calls.pop(message.id, None) if isinstance(message.id, int) else None
        if call is not None:
            call.resolve(message)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._lost is not None:
                return
            self._lost = error
            waiting, self._calls = list(self._calls.values()), {}
        for call in waiting:
            call.resolve(error)
        self._on_lost(error)

    def _ended(self) -> OsirisError:
        code = self._transport.exit_code()
        words = REDACTOR.text(self._transport.last_words()).strip()[-_WORDS:]
        said = words.splitlines()[-1].strip() if words else ""
        return ExecutionError(
            f"the worker {_how(code)}" + (f"; its last words: {said}" if said else ""),
            hint="a driver or one of its libraries ended the process, or the system did for want of memory",
            code="worker.died",
            exit_code=code,
            last_words=words,
        )


def _how(code: int | None) -> str:
    if code is None:
        return "cannot be reached any more"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"


def _bug(data: Any, message: str) -> WorkerBugError:
    told = data.get("traceback") if isinstance(data, Mapping) else None
    return WorkerBugError(f"in the worker: {told or message}")
