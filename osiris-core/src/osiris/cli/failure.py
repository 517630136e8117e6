"""How an error looks: two lines for one that is handled, a traceback for a bug, one document under ``--json``."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from typer import Abort
from typer.exceptions import TyperException

from osiris.cli import terminal
from osiris.cli.terminal import clean, styled, tell
from osiris.core.errors import (
    ExecutionError,
    InvalidPipelineError,
    OsirisError,
    Problem,
    RunCancelledError,
    StepError,
    UsageError,
)

__all__ = [
    "exit_code",
    "handled",
    "list_problems",
    "report",
    "report_at_once",
    "tell_error",
    "tell_problem",
    "tell_warnings",
]

BUG = 1
_MOST_WARNINGS = 10
HELP_HINT = "run 'osiris --help' for what there is"

_SYSTEM_HINTS = {
    errno.ENOSPC: "free some space, or write somewhere else",
    errno.EDQUOT: "free some space, or write somewhere else",
    errno.EACCES: "check who may read and write there",
    errno.EPERM: "check who may read and write there",
    errno.EROFS: "write somewhere else: this file system is read-only",
    errno.EIO: "check the device",
}


def report(error: BaseException, *, as_json: bool) -> int:
    """Show ``error`` and return the exit code that belongs to it."""
    known = handled(error)
    if as_json:
        if known is None:
            tell(terminal.redact(_traceback(error)).rstrip())
        terminal.write_json({"status": status(error), "error": document(error)})
    else:
        tell_error(error)
    return exit_code(error)


def handled(error: BaseException) -> OsirisError | None:
    """The error as one of ours: a mistake of usage becomes a :class:`UsageError`; None for a bug."""
    if isinstance(error, OsirisError):
        return error
    if isinstance(error, TyperException):
        return _usage_error(error)
    if isinstance(error, Abort):
        return UsageError("aborted")
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return UsageError(
            "the current folder does not exist any more",
            hint="go to one that does: cd ...",
            code="usage.no_current_folder",
        )
    if isinstance(error, OSError) and error.errno in _SYSTEM_HINTS:
        return _system_error(error)
    return None


def exit_code(error: BaseException) -> int:
    """0 ok, 1 bug, 2 usage, 3 invalid pipeline, 4 plugin, 5 the run failed, 128 + signal interrupted."""
    known = handled(error)
    if isinstance(known, RunCancelledError):
        number = known.facts.get("signal")
        return 128 + number if isinstance(number, int) else known.exit_code
    return BUG if known is None else known.exit_code


def status(error: BaseException) -> str:
    """What a run that ended by ``error`` is called."""
    return "cancelled" if isinstance(error, RunCancelledError) else "failed"


def document(error: BaseException) -> dict[str, object]:
    """The error under ``--json``."""
    known = handled(error)
    if known is not None:
        return known.to_dict()
    return {"type": type(error).__name__, "code": "bug", "message": str(error) or type(error).__name__}


def report_at_once(error: BaseException) -> None:
    """The document alone, from any thread of a process that ends now."""
    terminal.write_json_at_once({"status": status(error), "error": document(error)})


def tell_error(error: BaseException) -> None:
    """Show ``error`` on stderr: what, and what to do; of a bug, where."""
    known = handled(error)
    if known is None:
        _tell_bug(error)
    elif problems := list_problems(known):
        _tell_problems(problems)
    else:
        tell(f"{styled('error:', 'bold', 'red')} {_one_line(_located(known))}")
        if known.hint:
            tell(f"{styled('hint:', 'bold', 'cyan')} {_one_line(known.hint)}")


def tell_problem(problem: Problem) -> None:
    """Show one problem: ``file:line:column: error: what``, and what to do."""
    place = f"{clean(problem.place)}: " if problem.place else ""
    colour = "red" if problem.severity == "error" else "yellow"
    tell(f"{place}{styled(f'{problem.severity}:', 'bold', colour)} {_one_line(problem.message)}")
    if problem.hint:
        tell(f"{styled('hint:', 'bold', 'cyan')} {_one_line(problem.hint)}")


def _located(error: OsirisError) -> str:
    """The message, naming the step where a driver's own error does not."""
    step = error.facts.get("step_id")
    if not isinstance(error, StepError) or step is None or repr(step) in error.message:
        return error.message
    return f"step {step!r}: {error.message}"


def list_problems(error: OsirisError) -> tuple[Problem, ...]:
    """Every problem that the error reports with a place; an error about several plugins has some too."""
    if isinstance(error, InvalidPipelineError):
        return error.problems
    return tuple(Problem(**item) for item in error.facts.get("problems", ()))


def tell_warnings(problems: Sequence[Problem]) -> None:
    """Show what a plan is warned of; of very many only the first."""
    for problem in problems[:_MOST_WARNINGS]:
        tell_problem(problem)
    if len(problems) > _MOST_WARNINGS:
        rest = len(problems) - _MOST_WARNINGS
        tell(f"{styled('warning:', 'bold', 'yellow')} {rest:,} more warnings; 'osiris validate' shows all")


def _tell_problems(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        tell_problem(problem)
    mistakes = sum(problem.severity == "error" for problem in problems)
    if mistakes > 1:
        tell(f"{styled('error:', 'bold', 'red')} {mistakes} problems; nothing was run")


def _tell_bug(error: BaseException) -> None:
    from osiris.core import __version__

    tell(terminal.redact(_traceback(error)).rstrip())
    tell(f"{styled('error:', 'bold', 'red')} this is a bug in Osiris or in a plugin: {_one_line(repr(error))}")
    python = ".".join(str(part) for part in sys.version_info[:3])
    tell(
        f"{styled('hint:', 'bold', 'cyan')} please report it with the lines above "
        f"(osiris-core {__version__}, Python {python})"
    )


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _is_somewhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _system_error(error: OSError) -> ExecutionError:
    """What the machine refused; nobody's bug."""
    place = f"{error.filename}: " if error.filename else ""
    name = errno.errorcode.get(error.errno or 0, "error").lower()
    hint = _SYSTEM_HINTS[error.errno or 0]
    return ExecutionError(f"{place}{error.strerror}", hint=hint, code=f"system.{name}")


def _usage_error(error: TyperException) -> UsageError:
    """What Typer's parser found, in our form: its suggestion becomes the hint."""
    message = error.message or error.format_message()
    possible = sorted(getattr(error, "possibilities", None) or ())
    if possible:
        hint = f"did you mean {' or '.join(repr(name) for name in possible)}?"
    elif ". Did you mean " in message:
        message, _, suggestion = message.partition(". Did you mean ")
        hint = f"did you mean {suggestion}"
    else:
        message = error.format_message()
        hint = _help_hint(error)
    message = message.strip().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _help_hint(error: TyperException) -> str:
    option = getattr(error, "option_name", None)
    path = getattr(getattr(error, "ctx", None), "command_path", None)
    if option is not None and path is None:
        return f"give {option} what it needs, or leave it out"
    return f"run '{path} --help' for what it takes" if path else HELP_HINT


def _one_line(text: str) -> str:
    return " ".join(clean(text).split("\n"))
