"""How lines get to a worker and back; the one for a process on this machine."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Protocol

from osiris.core.errors import PrepareError
from osiris.core.remote.protocol import MAX_MESSAGE_BYTES, PARSE_ERROR, ProtocolError

__all__ = ["INTERRUPTED", "SubprocessTransport", "Transport", "worker_command"]

INTERRUPTED = b""
"""Among the lines of a transport: the way was cut and is there again; lines of either direction may be missing."""

_POLL_SECONDS = 0.2
_LAST_WORDS = 16 * 1024
_SEND_SECONDS = 30.0
_EXIT_SECONDS = 2.0
_END_SECONDS = 7.0
"""Seconds that a worker gets to end by itself; a little more than it gives its own run."""


class Transport(Protocol):
    """A worker's standard input and output, wherever it is. One thread reads; any may send, stop and close."""

    def send(self, line: bytes) -> None:
        """Hand over one line; raises OSError where that cannot be done."""

    def lines(self) -> Iterator[bytes]:
        """What the worker says, a line at a time, until it has ended or the transport is closed.

        ``INTERRUPTED`` stands where something may be missing: requests without an answer are then sent again.
        """

    def stop(self, *, force: bool) -> None:
        """Ask the worker to end, or end it and all it started. Does not wait."""

    def exit_code(self) -> int | None:
        """How the worker ended, negative for a signal; None where it has not, or nobody knows."""

    def last_words(self) -> str:
        """The end of what it said on standard error."""

    def close(self) -> None:
        """End the worker, if it has not, and give everything back. Idempotent."""


def worker_command() -> list[str]:
    """The command line of a worker with this process's Python."""
    return [sys.executable, "-u", "-P", "-m", "osiris.core.remote.worker"]


class SubprocessTransport:
    """A worker that is a child process, in a process group of its own so that Ctrl-C reaches only its parent.

    Args:
        command: What to start.
        environment: The process environment.
        cwd: Where it works; default here.
        on_stderr: Told what the worker and its drivers print, as it comes.

    Raises:
        PrepareError: It cannot be started (code ``worker.not_started``).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_stderr: Callable[[bytes], object] | None = None,
    ) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=cwd,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
        except OSError as error:
            raise PrepareError(
                f"the worker process cannot be started: {error.strerror or error}",
                hint=f"check that {command[0]} can be run here, and the limit of processes",
                code="worker.not_started",
            ) from error
        self.pid = self._process.pid
        self._stdin, self._stdout, self._stderr = map(_fileno, self._pipes())
        os.set_blocking(self._stdin, False)
        self._wake, self._waker = os.pipe()
        self._on_stderr = on_stderr
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._closing = False
        self._closed = False
        self._sending = threading.Lock()
        # Held by who reads; re-entrant, because what is read may lead to a close.
        self._reading = threading.RLock()

    def send(self, line: bytes) -> None:
        """See :class:`Transport`; a worker that takes nothing for 30 seconds is an error, too."""
        deadline = monotonic() + _SEND_SECONDS
        view = memoryview(line)
        with self._sending, selectors.DefaultSelector() as selector:
            if self._closing:
                raise BrokenPipeError("the transport is closed")
            selector.register(self._stdin, selectors.EVENT_WRITE)
            while view:
                try:
                    view = view[os.write(self._stdin, view) :]
                except BlockingIOError:
                    if monotonic() > deadline:
                        raise TimeoutError("the worker takes no more") from None
                    selector.select(_POLL_SECONDS)

    def lines(self) -> Iterator[bytes]:
        """See :class:`Transport`.

        Raises:
            ProtocolError: A line is longer than any message.
        """
        with self._reading:
            if self._closed:
                return
            with selectors.DefaultSelector() as selector:
                for file in (self._stdout, self._stderr, self._wake):
                    selector.register(file, selectors.EVENT_READ)
                yield from self._split(self._chunks(selector))

    def _chunks(self, selector: selectors.BaseSelector) -> Iterator[bytes]:
        """What comes on standard output, until nothing more will."""
        open_files = {self._stdout, self._stderr}
        while open_files:
            ready = [key.fd for key, _ in selector.select(_POLL_SECONDS)]
            if self._wake in ready:
                return
            for file in ready:
                data = os.read(file, 65_536)
                if not data:
                    selector.unregister(file)
                    open_files.discard(file)
                elif file == self._stdout:
                    yield data
                else:
                    self._note(data)
            if not ready and self._has_ended():  # a process that it started may still hold its pipes
                return

    @staticmethod
    def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        for chunk in chunks:
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                parts.append(line)
                yield b"".join(parts)
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > MAX_MESSAGE_BYTES:
                raise ProtocolError(PARSE_ERROR, f"a line is longer than {MAX_MESSAGE_BYTES:,} bytes")

    def _note(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= _LAST_WORDS:
            self._tail_size -= len(self._tail.popleft())
        if self._on_stderr is not None:
            self._on_stderr(data)

    def stop(self, *, force: bool) -> None:
        """See :class:`Transport`."""
        if self._process.returncode is not None:  # its number may be another's by now
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if force:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGTERM)

    def exit_code(self) -> int | None:
        """See :class:`Transport`."""
        # Its pipes end a moment before it does.
        if self._process.returncode is None and self.wait(_EXIT_SECONDS):
            self._reap()
        return self._process.returncode

    def last_words(self) -> str:
        """See :class:`Transport`."""
        return b"".join(self._tail)[-_LAST_WORDS:].decode("utf-8", "replace")

    def close(self) -> None:
        """See :class:`Transport`."""
        with self._sending:
            if self._closing:
                return
            self._closing = True
            with contextlib.suppress(OSError):
                os.close(self._stdin)  # the worker ends when its input does
        if not self.wait(_END_SECONDS):
            self.stop(force=True)
        self._reap()
        with contextlib.suppress(OSError):
            os.write(self._waker, b"x")
        # A listener that does not return keeps the pipes; nobody can be made to give them back.
        if self._reading.acquire(timeout=_END_SECONDS):
            self._closed = True
            for file in (self._stdout, self._stderr, self._wake, self._waker):
                os.close(file)
            self._reading.release()

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; False if it has not after ``timeout`` seconds."""
        deadline, pause = monotonic() + timeout, threading.Event()
        while not self._has_ended():
            if monotonic() > deadline:
                return False
            pause.wait(0.01)
        return True

    def _has_ended(self) -> bool:
        """Whether the process has ended, without giving its number back to the system."""
        if self._process.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _reap(self) -> None:
        # Before the number is given back: what the worker started and left behind is in its group.
        self.stop(force=True)
        self._process.wait()

    def _pipes(self) -> tuple[object, object, object]:
        return self._process.stdin, self._process.stdout, self._process.stderr


def _fileno(pipe: object) -> int:
    """The descriptor of a pipe, taken from its object so that it is closed only once."""
    detached = os.dup(pipe.fileno())  # type: ignore[attr-defined]  # Popen types its pipes as optional
    pipe.close()  # type: ignore[attr-defined]
    return detached
