"""Every error Osiris raises on purpose, in one tree.

::

    OsirisError                      exit  what went wrong
    ├── UsageError                     2   the command or an API call was used wrongly
    ├── InvalidPipelineError           3   what the user wrote cannot run; carries every Problem found
    │   ├── ManifestError                  the file cannot be read as a manifest
    │   ├── PlanError                      the manifest is well-formed but does not make sense
    │   └── ConnectionConfigError          osiris_connections.yaml or a ${reference} in it
    ├── PluginError                    4   an adapter or a driver family
    │   ├── PluginNotFoundError            nobody offers that name (says what to install)
    │   ├── PluginBrokenError              installed, but importing it fails
    │   ├── PluginVersionError             installed, but built for another osiris-core
    │   └── PluginConflictError            two distributions offer the same name
    └── ExecutionError                 5   the run failed
        ├── PrepareError                   the place could not be made ready
        ├── UnreachableError               the place is gone, or does not answer
        ├── StepError                      a step raised; facts["step_id"] names it
        │   └── DriverError                what drivers raise themselves
        ├── DatasetError                   data cannot be represented exactly as Arrow
        ├── CollectError                   results could not be brought home
        └── RunCancelledError     130/143  somebody asked for it

A handled error is two lines for the user: ``message`` (what) and ``hint`` (what to do). Everything
else that surfaces is a bug and shows its traceback (exit 1). ``code`` is dotted and stable: programs
branch on it, never on the text. Errors cross process borders as :meth:`OsirisError.to_dict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from osiris.core.quick_dataclass import dataclass
from osiris.core.wording import careful, worded

__all__ = [
    "CollectError",
    "ConnectionConfigError",
    "DatasetError",
    "DriverError",
    "ExecutionError",
    "InvalidPipelineError",
    "ManifestError",
    "OsirisError",
    "PlanError",
    "PluginBrokenError",
    "PluginConflictError",
    "PluginError",
    "PluginNotFoundError",
    "PluginVersionError",
    "PrepareError",
    "Problem",
    "RunCancelledError",
    "StepError",
    "UnreachableError",
    "UsageError",
]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake in what the user wrote, with its place.

    ``path`` is where in the data (``steps[2].config.limit``); ``file``, ``line`` and ``column``
    (both from 1) are where in the text, when it came from text.
    """

    code: str
    message: str
    hint: str | None = None
    path: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    severity: Literal["error", "warning"] = "error"

    @property
    def place(self) -> str:
        """``file:line:column``, as far as known; editors make it a link."""
        parts = [self.file or "", self.line, self.column]
        return ":".join(str(part) for part in parts if part not in (None, ""))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form without the parts that are not known."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class OsirisError(Exception):
    """Base of all handled errors.

    Args:
        message: What went wrong, one sentence, with the names involved.
        hint: What the user can do about it.
        code: Dotted and stable, as ``mysql.access_denied``; default is the class's own.
        retryable: Whether the same thing may work a moment later.
        facts: JSON-able details for programs (``step_id=...``, ``path=...``, ``retry_after=...`` seconds).
    """

    code: str = "osiris.error"
    exit_code: ClassVar[int] = 1
    message: str
    hint: str | None = None
    retryable: bool = False
    facts: dict[str, Any]

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        retryable: bool = False,
        **facts: Any,
    ) -> None:
        # An exception, a number or a list is a common slip: it must not become another error where this one is told.
        message = worded(message) or type(self).__name__
        hint = None if hint is None else worded(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            code = worded(code)
            with suppress(AttributeError):  # a subclass that works its code out itself
                self.code = code
        self.retryable = retryable
        self.facts = facts

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Asked for what is not there: a subclass with an __init__ of its own need not call this one.
            if name == "message":
                self.message = worded(self.args[0] if len(self.args) == 1 else self.args) or type(self).__name__
                return self.message
            if name == "facts":
                return self.__dict__.setdefault("facts", {})
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "to_dict" in cls.__dict__:
            cls.to_dict = careful(cls.to_dict, OsirisError.to_dict)  # type: ignore[assignment,method-assign]

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call cls(message) and lose hint, code and facts (seen with multiprocessing).
        return (_rebuild, (type(self), self.__dict__.copy()))

    def to_dict(self) -> dict[str, Any]:
        """The form that travels: ``type, code, message, hint, retryable, facts``; facts made JSON-able."""
        from osiris.core.events.jsonable import jsonable  # which stands on this module

        return {
            "type": type(self).__name__,
            "code": worded(self.code),
            "message": worded(self.message),  # it may have been set to anything since
            "hint": None if self.hint is None else worded(self.hint),
            "retryable": bool(self.retryable),
            "facts": jsonable(self.facts),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> OsirisError:
        """Rebuild an error from :meth:`to_dict`; an unknown type becomes an :class:`ExecutionError`."""
        kind = _by_name().get(str(data.get("type")), ExecutionError)
        error = kind.__new__(kind)
        Exception.__init__(error, str(data.get("message", "")))
        error.message = str(data.get("message", ""))
        error.hint = data.get("hint")
        error.code = str(data.get("code") or kind.code)
        error.retryable = bool(data.get("retryable", False))
        error.facts = dict(data.get("facts") or {})
        if isinstance(error, InvalidPipelineError):
            error.problems = tuple(Problem(**item) for item in error.facts.get("problems", ()))
        return error


def _rebuild(kind: type[OsirisError], state: dict[str, Any]) -> OsirisError:
    error = kind.__new__(kind)
    Exception.__init__(error, state.get("message", ""))
    error.__dict__.update(state)
    return error


def _by_name() -> dict[str, type[OsirisError]]:
    found: dict[str, type[OsirisError]] = {}
    todo: list[type[OsirisError]] = [OsirisError]
    while todo:
        kind = todo.pop()
        # Only this module's own classes: a name that a plugin reuses must not decide what is rebuilt.
        if kind.__module__ == __name__:
            found[kind.__name__] = kind
        todo.extend(kind.__subclasses__())
    return found


class UsageError(OsirisError):
    """The command, or an API call, was used wrongly."""

    code = "usage"
    exit_code = 2


class InvalidPipelineError(OsirisError):
    """What the user wrote cannot run. ``problems`` holds every mistake found, not only the first.

    Args:
        problems: At least one; errors first. The message is made from them when not given.
    """

    code = "pipeline.invalid"
    exit_code = 3
    problems: tuple[Problem, ...] = ()

    def __init__(
        self,
        message: str | None = None,
        *,
        problems: Iterable[Problem] = (),
        hint: str | None = None,
        code: str | None = None,
        **facts: Any,
    ) -> None:
        self.problems = tuple(problems)
        first = self.problems[0] if self.problems else None
        if message is None:
            message = "the pipeline is not valid" if first is None else _headline(self.problems)
        if hint is None and len(self.problems) == 1 and first is not None:
            hint = first.hint
        if code is None and first is not None:
            code = first.code
        super().__init__(message, hint=hint, code=code, **facts)
        if self.problems:
            self.facts["problems"] = [problem.to_dict() for problem in self.problems]


def _headline(problems: tuple[Problem, ...]) -> str:
    first = problems[0]
    text = f"{first.place}: {first.message}" if first.place else first.message
    return text if len(problems) == 1 else f"{len(problems)} mistakes; the first: {text}"


class ManifestError(InvalidPipelineError):
    """The file cannot be read as a manifest.

    ``draft`` is the :class:`~osiris.core.manifest.Manifest` as far as it could be read, for finding what else is
    wrong with it; it must not be run. None where nothing could be read.
    """

    code = "manifest.invalid"
    draft: Any = None


class PlanError(InvalidPipelineError):
    """The manifest is well-formed but cannot be planned."""

    code = "plan.invalid"


class ConnectionConfigError(InvalidPipelineError):
    """A connection, or a ``${reference}``, cannot be resolved."""

    code = "connection.invalid"


class PluginError(OsirisError):
    """An adapter or a driver family cannot be used."""

    code = "plugin.error"
    exit_code = 4


class PluginNotFoundError(PluginError):
    """Nobody offers that name."""

    code = "plugin.not_found"


class PluginBrokenError(PluginError):
    """The plugin is installed, but cannot be imported or does not keep the contract."""

    code = "plugin.broken"


class PluginVersionError(PluginError):
    """The plugin was built for another osiris-core."""

    code = "plugin.version"


class PluginConflictError(PluginError):
    """Two distributions offer the same name."""

    code = "plugin.conflict"


class ExecutionError(OsirisError):
    """The run failed."""

    code = "run.failed"
    exit_code = 5


class PrepareError(ExecutionError):
    """The place where the pipeline should run could not be made ready."""

    code = "prepare.failed"


class UnreachableError(ExecutionError):
    """The place where the pipeline runs is gone or does not answer; says nothing about the pipeline."""

    code = "place.unreachable"


class StepError(ExecutionError):
    """A step failed. ``facts["step_id"]`` says which."""

    code = "step.failed"


class DriverError(StepError):
    """What a driver raises: with a code of its own family, as ``filesystem.not_found``."""

    code = "driver.failed"


class DatasetError(ExecutionError):
    """Data cannot be represented exactly, or was asked for twice where it exists once."""

    code = "dataset.invalid"


class CollectError(ExecutionError):
    """Results or artifacts could not be brought home."""

    code = "collect.failed"


class RunCancelledError(ExecutionError):
    """The run was asked to stop. ``facts["signal"]`` is the signal's number where it was one."""

    code = "run.cancelled"
    exit_code = 130
