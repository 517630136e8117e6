"""The messages to and from a worker, for whoever wants to look: ``OSIRIS_RPC_TRACE=file``, secrets replaced."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

from osiris.core.connections import REDACTOR

__all__ = ["VARIABLE", "Trace"]

VARIABLE = "OSIRIS_RPC_TRACE"
"""The environment variable: a file that is written on, or ``-`` for standard error."""

_LONGEST = 2000
"""Characters of a message that go to standard error."""


class Trace:
    """Writes each message on a line of its own. Thread-safe.

    Args:
        stream: Where to.
        longest: What is beyond so many characters is left out; None: nothing is.
    """

    def __init__(self, stream: TextIO, longest: int | None = None) -> None:
        self._stream = stream
        self._longest = longest
        self._lock = threading.Lock()

    @classmethod
    def wanted(cls) -> Trace | None:
        """What the environment asks for; None where it asks for nothing, or the file cannot be written."""
        place = os.environ.get(VARIABLE)
        if not place:
            return None
        if place == "-":
            return cls(sys.stderr, _LONGEST)
        try:
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:  # whoever debugs must not break what works
            sys.stderr.write(f"{VARIABLE}={place}: {error.strerror}\n")
            return None
        return cls(os.fdopen(file, "w", encoding="utf-8"))

    def sent(self, line: bytes) -> None:
        """A message to the worker."""
        self._write("->", line)

    def received(self, line: bytes) -> None:
        """A message from the worker; an empty one: the way was cut and is there again."""
        self._write("<-", line or b"(interrupted)")

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._stream is not sys.stderr:
            with self._lock:
                self._stream.close()

    def _write(self, way: str, line: bytes) -> None:
        text = REDACTOR.text(line.decode("utf-8", "backslashreplace").rstrip("\n"))
        if self._longest is not None and len(text) > self._longest:
            text = f"{text[: self._longest]}... ({len(text):,} characters)"
        now = datetime.now(UTC).strftime("%H:%M:%S.%f")
        with self._lock:
            if not self._stream.closed:
                self._stream.write(f"{now} {way} {text}\n")
                self._stream.flush()
