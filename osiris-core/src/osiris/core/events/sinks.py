"""Sinks: who listens to a run. :class:`JsonlSink` keeps everything in the session folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osiris.core.events.bus import Event, Metric
from osiris.core.events.jsonable import jsonable

__all__ = ["EVENTS_FILE", "METRICS_FILE", "JsonlFile", "JsonlSink", "read_jsonl"]

EVENTS_FILE = "events.jsonl"
METRICS_FILE = "metrics.jsonl"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
# What str.splitlines() and many editors take for the end of a line, and what UTF-8 cannot hold.
_AWKWARD = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


class JsonlFile:
    """A file of JSON objects, one a line, to append to; a torn last line of a killed process is cut off first.

    Readable by its owner only.

    Args:
        path: In an existing folder.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._closed = False
        try:
            _cut_torn_line(self._file)
        except OSError:
            self.close()
            raise

    def append(self, *records: Any) -> None:
        """Write objects, a line each; they are in the file when this returns.

        Raises:
            OSError: It cannot be written.
        """
        lines = b"".join(map(_line, records))
        written = os.write(self._file, lines)
        while written < len(lines):  # a nearly full disk
            written += os.write(self._file, lines[written:])

    def close(self) -> None:
        """Close the file. Idempotent."""
        if not self._closed:
            self._closed = True
            os.close(self._file)


class JsonlSink:
    """Writes ``events.jsonl`` and ``metrics.jsonl``: one JSON object a line, in the file before the call returns.

    A killed process leaves whole lines and at most one torn last line, which :func:`read_jsonl` leaves out and the
    next sink on the same files cuts off. Files are readable by their owner only.

    Args:
        session_dir: An existing folder.

    Raises:
        OSError: The files cannot be opened; from ``on_event`` and ``on_metric`` when they cannot be written
            (the bus then drops the sink).
    """

    def __init__(self, session_dir: str | os.PathLike[str]) -> None:
        folder = Path(session_dir)
        self._events = JsonlFile(folder / EVENTS_FILE)
        try:
            self._metrics = JsonlFile(folder / METRICS_FILE)
        except OSError:
            self._events.close()
            raise

    def on_event(self, event: Event) -> None:
        """Write one event."""
        self._events.append(event)

    def on_metric(self, metric: Metric) -> None:
        """Write one metric."""
        self._metrics.append(metric)

    def close(self) -> None:
        """Close both files. Idempotent."""
        self._events.close()
        self._metrics.close()


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The objects in a file of a :class:`JsonlSink`, one at a time; a torn last line is left out.

    A file that does not exist has none.

    Raises:
        ValueError: A line before the last is not a JSON object: the file is not one of ours.
    """
    place = Path(path)
    if not place.exists():
        return
    with place.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"{path}:{number}: not a JSON object")  # noqa: TRY004  # the value is what is wrong
            yield record


def _cut_torn_line(file: int) -> None:
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 65_536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    os.ftruncate(file, end)


def _line(record: Any) -> bytes:
    try:
        text = _encode(record)
    except (TypeError, ValueError, RecursionError):  # NaN, or something that JSON does not know
        text = _encode(jsonable(record))
    if not text.isascii():
        text = _AWKWARD.sub(_escape, text)
    return text.encode() + b"\n"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    # A lone surrogate (a file name that is not UTF-8) has no JSON form that all parsers take: it is spelt out.
    return f"\\\\u{code:04x}" if code >= 0xD800 else f"\\u{code:04x}"
