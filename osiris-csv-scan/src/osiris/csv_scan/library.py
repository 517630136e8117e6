"""The compiled part: found, loaded, called."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from osiris.csv_scan.columns import Column

__all__ = ["CRLF", "FINE", "LF", "QUOTE", "SLACK", "Scanner", "why_not_compiled"]

FINE = 0
"""What :meth:`Scanner.scan` gives where every record has its fields."""
QUOTE, CRLF, LF = 1, 2, 4
SLACK = 64
"""Bytes behind what is scanned that have to be readable."""

_PATH = Path(__file__).with_name("scan.so")


class _Column(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("digits", ctypes.c_uint8),
        ("scale", ctypes.c_uint8),
        ("limit", ctypes.c_char * 21),
    )


class Scanner:
    """Looks through records, for one thread.

    Args:
        columns: Of each record.
        delimiter: One ASCII character.
        quote: One ASCII character, or empty.
        null_values: Unquoted texts that mean NULL, whatever the column.
        path: Of the library; the one that is installed unless said otherwise.

    Attributes:
        exact: One byte for each column, 0 where a text was met that is not how its type writes it.
        seen: Bits: :data:`QUOTE`, :data:`CRLF`, :data:`LF`.

    Raises:
        OSError: There is no library, or it cannot be loaded.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        delimiter: str,
        quote: str,
        null_values: Sequence[str],
        path: Path = _PATH,
    ) -> None:
        self._scan = _load(path)
        self._columns = (_Column * len(columns))(
            *[_Column(column.kind, column.digits, column.scale, column.limit.encode()) for column in columns]
        )
        texts = [text.encode() for text in null_values]
        self._nulls = bytes([len(texts)]) + b"".join(bytes([len(text)]) + text for text in texts)
        self._delimiter, self._quote = ord(delimiter), ord(quote) if quote else 0
        self.exact = (ctypes.c_uint8 * len(columns))(*[1] * len(columns))
        self._seen = ctypes.c_uint32()

    @property
    def seen(self) -> int:
        """What was met on the way."""
        return self._seen.value

    @seen.setter
    def seen(self, bits: int) -> None:
        self._seen.value = bits

    def scan(self, address: int, size: int) -> int:
        """Look through whole records; gives :data:`FINE` or another number.

        Args:
            address: Of the first byte.
            size: Up to a newline; :data:`SLACK` bytes more are readable.
        """
        return int(
            self._scan(
                address,
                size,
                self._columns,
                len(self._columns),
                self._delimiter,
                self._quote,
                self._nulls,
                self.exact,
                ctypes.byref(self._seen),
            )
        )


@cache
def _load(path: Path) -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(str(path)).osiris_csv_scan
    function.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.POINTER(_Column),
        ctypes.c_size_t,
        ctypes.c_uint8,
        ctypes.c_uint8,
        ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_uint8),
        ctypes.POINTER(ctypes.c_uint32),
    ]
    function.restype = ctypes.c_int
    return function


def why_not_compiled() -> str | None:
    """Why nothing can be scanned here; None where it can."""
    if not _PATH.exists():
        return "there was no C compiler where it was built"
    try:
        _load(_PATH)
    except OSError as error:
        return str(error)
    return None
