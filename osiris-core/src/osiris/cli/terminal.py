"""The two streams: stdout is the result, stderr the story. Everything printed passes here, redacted.

Nothing of Rich is imported unless a stream is a terminal that wants it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TextIO

from osiris.core.errors import ExecutionError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "clean",
    "console",
    "discard",
    "flush",
    "is_terminal",
    "is_unicode",
    "kept_for_result",
    "prepare",
    "redact",
    "styled",
    "tell",
    "width",
    "write",
    "write_json",
    "write_json_at_once",
]

_KEPT: list[int] = []  # where stdout leads while it is kept for the result
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\n\t"}


def prepare() -> None:
    """Make sure that the streams are there, and that no character can break output on one with a narrow encoding.

    One that was closed leads nowhere: whoever closed it does not want to see what comes there.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, _lead_nowhere())
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at ``stream`` on a terminal that can move its cursor."""
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "")
    except (AttributeError, ValueError):
        return False


def is_unicode(stream: TextIO) -> bool:
    """Whether ``stream`` can show more than ASCII."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def width(stream: TextIO) -> int:
    """Columns of the terminal; unlimited where it is none."""
    return shutil.get_terminal_size((80, 24)).columns if is_terminal(stream) else sys.maxsize


def styled(text: str, *styles: str, stream: TextIO | None = None) -> str:
    """``text`` in the styles named, where ``stream`` (default stderr) shows colours and the user wants them."""
    if not is_terminal(stream or sys.stderr) or os.environ.get("NO_COLOR"):
        return text
    codes = ";".join(_CODES[style] for style in styles)
    return f"\x1b[{codes}m{text}\x1b[0m"


def clean(text: object) -> str:
    """``text`` without secret values, and with control characters made visible."""
    return redact(str(text)).translate(_CONTROLS)


def redact(text: str) -> str:
    """``text`` with every secret value that was resolved in this process replaced by ``***``."""
    connections = sys.modules.get("osiris.core.connections")  # never loaded: no secret was resolved
    redactor = getattr(connections, "REDACTOR", None)
    return text if redactor is None else str(redactor.text(text))


def write(text: str = "") -> None:
    """Print ``text``, already clean, as part of the result.

    Raises:
        BrokenPipeError: Nobody reads any more.
        ExecutionError: The stream cannot be written, as where the disk is full.
    """
    try:
        sys.stdout.write(f"{text}\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def tell(text: str = "") -> None:
    """Print ``text``, already clean, as part of the story. Whoever closed stderr does not want to hear."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def write_json(document: Any) -> None:
    """Print one JSON document as the result; raises as :func:`write`."""
    write(_as_json(document))


def _as_json(document: Any) -> str:
    return json.dumps(_plain(document), indent=2, ensure_ascii=False)


def write_json_at_once(document: Any) -> None:
    """The same from any thread of a process that ends now, whoever has stdout; raises OSError."""
    left = f"{_as_json(document)}\n".encode(errors="backslashreplace")
    while left:
        left = left[os.write(_KEPT[-1] if _KEPT else 1, left) :]


@contextmanager
def kept_for_result() -> Iterator[None]:
    """While the block runs, what anybody prints to stdout, C libraries included, goes to stderr."""
    ours = stdout, stderr = sys.stdout, sys.stderr
    stdout.flush()
    try:
        target, source = stdout.fileno(), stderr.fileno()
    except (AttributeError, OSError, ValueError):  # not real files: somebody has put their own there
        yield
        return
    kept = os.dup(target)
    _KEPT.append(kept)
    os.dup2(source, target)
    # A function of the user's may close them, and the result is still to come.
    theirs = [open(source, "w", 1, one.encoding, "backslashreplace", closefd=False) for one in ours]  # noqa: SIM115
    sys.stdout, sys.stderr = theirs
    try:
        yield
    finally:
        sys.stdout, sys.stderr = ours
        for stream in (*theirs, stdout):
            with suppress(OSError, ValueError):
                stream.flush()
        _KEPT.remove(kept)
        os.dup2(kept, target)
        os.close(kept)


def flush() -> None:
    """Write out what is buffered; raises as :func:`write`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def discard() -> None:
    """Send what else is written to stdout nowhere, so that the interpreter ends in peace."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console(stream: TextIO) -> Console:
    """A Rich console on ``stream``, which is a terminal."""
    from rich.console import Console

    # Rich keeps bold and dim under NO_COLOR; here it means plain text.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(file=stream, highlight=False, markup=False, emoji=False, color_system=colours)


def _lead_nowhere() -> TextIO:
    descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: the one that was closed, so no file gets it
    os.set_inheritable(descriptor, True)
    return open(descriptor, "r+", encoding="utf-8", closefd=False)


def _unwritable(error: OSError) -> ExecutionError:
    return ExecutionError(
        f"the result cannot be written to standard output: {error.strerror or error}",
        hint="send standard output somewhere that can be written",
        code="output.unwritable",
    )


def _plain(value: Any) -> Any:
    """``value`` as JSON knows it, secrets replaced inside the strings, where quoting cannot hide them."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [_plain(item) for item in sorted(value, key=str)]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(item) for item in value]
    return redact(str(value))
