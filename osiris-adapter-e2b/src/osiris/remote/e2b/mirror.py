"""Paths there: this machine's, below one folder of the sandbox. What the sandbox says of them is said of ours again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Mirror"]


class Mirror:
    """``/home/ann/orders.csv`` here is ``<prefix>/home/ann/orders.csv`` there, so that ``..`` leads where it does here.

    Args:
        prefix: An absolute path of the sandbox that no other text contains: ASCII, nothing that JSON escapes.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._spoken = prefix.encode("ascii")

    def there(self, path: str | os.PathLike[str]) -> str:
        """A path of this machine, as it is there."""
        return self.prefix + os.path.normpath(Path(path).expanduser().absolute())

    def here(self, line: bytes) -> bytes:
        """A line from there, with paths as they are here."""
        return line.replace(self._spoken, b"")
