"""What a worker and its drivers print, on this process's standard error."""

from __future__ import annotations

import sys

from osiris.core.connections import REDACTOR

__all__ = ["Echo"]

_LONGEST = 65_536


class Echo:
    """Passes bytes on line by line, secrets replaced."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        """Take in the next bytes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole, self._rest = [*whole, self._rest], b""
        if whole:
            text = b"\n".join(whole).decode("utf-8", "replace")
            sys.stderr.write(f"{REDACTOR.text(text)}\n")
            sys.stderr.flush()
