"""The redactor in front of Python's own logging, warnings, prints, and of tracebacks that nobody caught."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TextIO

from osiris.core.connections.redaction import REDACTOR

__all__ = ["install_log_filter", "redacted_streams"]

_installed = False
_lock = threading.Lock()


def install_log_filter() -> None:
    """Redact every log record of this process, its traceback included, warnings, and uncaught exceptions. Idempotent.

    Records are changed where they are made, so it does not matter which handlers a library brings.
    """
    global _installed
    with _lock:
        if _installed:
            return
        _installed = True
        _redact_records()
        _redact_warnings()
        _redact_uncaught()


@contextmanager
def redacted_streams() -> Iterator[None]:
    """While the block runs, what Python code prints to stdout and stderr is redacted, write by write.

    Not what C libraries and child processes write, nor bytes, nor a secret that is written in several parts.
    """
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and _RedactedStream(stream) for stream in kept)  # None where it is closed
    try:
        yield
    finally:
        for name, stream in zip(("stdout", "stderr"), kept, strict=True):
            if isinstance(getattr(sys, name), _RedactedStream):  # or somebody has put their own there
                setattr(sys, name, stream)


class _RedactedStream:
    """A stream that is written to through the redactor; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(REDACTOR.text(text) if REDACTOR.active and isinstance(text, str) else text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _redact_records() -> None:
    make = logging.getLogRecordFactory()

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if REDACTOR.active:
            _redact(record)
        return record

    logging.setLogRecordFactory(make_redacted)


def _redact(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:
        # A wrong number of arguments; logging reports that itself when it formats, with the arguments in clear.
        message = f"{record.msg} {record.args}"
    redacted = REDACTOR.text(message)
    if redacted != message:
        record.msg, record.args = redacted, ()
    if record.exc_info and record.exc_info[1] is not None:
        told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        redacted = REDACTOR.text(told)
        if redacted != told:
            # Formatters that make their own traceback from exc_info would tell; exc_text is what the others print.
            record.exc_info, record.exc_text = None, redacted
    if record.stack_info:
        record.stack_info = REDACTOR.text(record.stack_info)


def _redact_warnings() -> None:
    form = warnings.formatwarning

    def form_redacted(*args: Any, **kwargs: Any) -> str:
        return REDACTOR.text(form(*args, **kwargs))

    warnings.formatwarning = form_redacted


def _redact_uncaught() -> None:
    main, thread = sys.excepthook, threading.excepthook

    def on_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not _told_redacted(error):
            main(kind, error, trace)

    def on_thread(args: Any) -> None:
        if args.exc_value is None or args.exc_type is SystemExit or not _told_redacted(args.exc_value):
            thread(args)

    sys.excepthook = on_main
    threading.excepthook = on_thread


def _told_redacted(error: BaseException) -> bool:
    """Print the traceback ourselves where it holds a secret."""
    told = "".join(traceback.format_exception(error))
    redacted = REDACTOR.text(told)
    if redacted == told:
        return False
    sys.stderr.write(redacted)
    return True
