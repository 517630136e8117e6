"""What the provider writes down: every unary body, every start of a process; not the contents of files."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """One request as the provider's log pipeline has it.

    ``operation`` is the name that faults know it by, ``status`` what was answered (None: open still, or cut),
    ``body`` what was sent where that is logged, with bytes as base64, ``plain`` the same bytes in clear, ``open``
    whether it is being worked on.
    """

    operation: str
    sandbox_id: str | None
    body: dict[str, Any] | None = None
    plain: str = ""
    status: int | None = None
    open: bool = True
    time: float = field(default_factory=time.time)

    def note(self, body: dict[str, Any]) -> None:
        """Add what was sent."""
        self.body = body
        self.plain = bytes_in(body).decode("utf-8", "replace")

    @property
    def line(self) -> str:
        """The entry as a line of JSON."""
        return json.dumps(vars(self), ensure_ascii=False)


class RequestLog:
    """All requests since the server started; may be read from any thread."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Write one request down."""
        with self._lock:
            self._entries.append(entry)

    @property
    def entries(self) -> list[Entry]:
        """All requests, oldest first."""
        with self._lock:
            return list(self._entries)

    def of(self, operation: str, sandbox_id: str | None = None) -> list[Entry]:
        """The requests of one operation, those of one sandbox where it is named."""
        return [one for one in self.entries if one.operation == operation and sandbox_id in (None, one.sandbox_id)]

    def find(self, text: str) -> list[Entry]:
        """The requests in which the provider could read ``text``, be it as base64."""
        encoded = json.dumps(text, ensure_ascii=False)[1:-1]
        return [one for one in self.entries if encoded in one.line or text in one.plain]

    @property
    def text(self) -> str:
        """The whole log, a line for each request, bytes in clear behind it."""
        return "\n".join(f"{one.line} {one.plain}" for one in self.entries)


def bytes_in(body: Any) -> bytes:
    """The standard input that a body holds."""
    if not isinstance(body, dict):
        return b""
    return b"".join(
        base64.b64decode(value) if name in ("stdin", "pty") and isinstance(value, str) else bytes_in(value)
        for name, value in body.items()
    )
