"""One run of one pipeline: prepare, execute, collect, close. Each phase tells its beginning and its one end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from time import perf_counter
from typing import Any, TypeVar

from osiris.core.connections import REDACTOR, redact_error
from osiris.core.errors import (
    ExecutionError,
    OsirisError,
    PluginBrokenError,
    PrepareError,
    RunCancelledError,
    UnreachableError,
    UsageError,
)
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, PreparedRun, RunResult, Status
from osiris.core.outcome import contradiction, read_collected
from osiris.core.plugins import Catalog
from osiris.core.quick_dataclass import dataclass
from osiris.core.wording import text_of

__all__ = ["Fallback", "run_pipeline"]

T = TypeVar("T")


Fallback = tuple[str, Callable[[], ExecutionAdapter]]
"""An adapter's name, and what makes one."""


def run_pipeline(
    adapter: ExecutionAdapter,
    manifest: Mapping[str, Any],
    context: ExecutionContext,
    *,
    adapter_name: str = "",
    fallbacks: Sequence[Fallback] = (),
) -> RunResult:
    """Run a manifest through an adapter, and always say how it ended.

    ``collect`` runs also after a failed ``execute``; ``close`` always, once; the first error stays the cause.

    Args:
        adapter: A fresh one; it is closed when this returns.
        manifest: A loaded manifest, or its data.
        context: The run's own.
        adapter_name: How the result and the events call the place.
        fallbacks: Where to run instead, in this order, if the *place* fails: it cannot be made ready or reached, and
            nothing was written yet. A failure of the pipeline is never tried elsewhere.

    Returns:
        The result, without the secrets that were resolved; a failed or cancelled run is one too.
        ``result.raise_for_status()`` makes it an exception.

    Raises:
        UsageError: ``manifest`` is no mapping.
    """
    if not isinstance(manifest, Mapping):
        raise UsageError(
            f"run_pipeline() needs a manifest and got a {type(manifest).__name__}",
            hint="read one with osiris.core.manifest.load_manifest(path), or give its data as a dict",
        )
    return _Run(adapter, manifest, context, adapter_name or type(adapter).__name__, list(fallbacks)).go()


@dataclass
class _Run:
    adapter: ExecutionAdapter
    manifest: Mapping[str, Any]
    context: ExecutionContext
    adapter_name: str
    fallbacks: list[Fallback]
    first_choice: str | None = None
    error: BaseException | None = None
    warnings: list[str] = field(default_factory=list)
    phases_ms: dict[str, float] = field(default_factory=dict)
    told_before: int = 0
    """How many events there were when the adapter began."""

    def go(self) -> RunResult:
        begun = perf_counter()
        catalog = Catalog.current()
        for sink in catalog.event_sinks(self.context):
            self.context.bus.subscribe(sink)
        self.warnings += catalog.faults("osiris_event_sinks")
        self.context.log_event("run_start", {"pipeline": self._name(), "adapter": self.adapter_name})
        collected = self._go_through()
        while self.fallbacks and self._place_failed():
            self._turn_to(*self.fallbacks.pop(0))
            if self.error is None:
                collected = self._go_through()
        return self._end(collected, (perf_counter() - begun) * 1000)

    def _go_through(self) -> Mapping[str, Any]:
        """All phases on one adapter; gives what was collected."""
        collected: Mapping[str, Any] = {}
        self.told_before = len(self.context.events)
        try:
            prepared = self._phase("prepare", self._prepare, PreparedRun())
            if self.error is None:
                self._phase("execute", lambda: self.adapter.execute(prepared, self.context), None)
                collected = self._phase("collect", lambda: self.adapter.collect(prepared, self.context), {})
        finally:
            self._close()
        return collected

    def _prepare(self) -> PreparedRun:
        given: Any = self.adapter.prepare(self.manifest, self.context)
        if not isinstance(given, PreparedRun):
            raise PluginBrokenError(
                f"adapter {self.adapter_name!r}: its prepare() returned a {type(given).__name__}, not a PreparedRun",
                hint="tell the authors of the adapter; see osiris.core.execution_adapter.PreparedRun",
                code="adapter.bad_prepared",
            )
        return given

    def _place_failed(self) -> bool:
        """Whether running elsewhere may help, and can do no harm."""
        if not isinstance(self.error, PrepareError | UnreachableError):
            return False
        return not any(event["event"] == "output_written" for event in self.context.events)

    def _turn_to(self, name: str, make: Callable[[], ExecutionAdapter]) -> None:
        error, self.error = self.error, None
        told = {"from": self.adapter_name, "to": name, "error": _told_error(error)}
        self.context.log_event("adapter_fallback", told)
        self.warnings.append(f"ran on {name!r}, because {self.adapter_name!r} failed: {_said(error)}")
        self.first_choice = self.first_choice or self.adapter_name
        self.adapter_name = name
        adapter, _ = self._guarded(make, None)
        if adapter is not None:
            self.adapter = adapter
        if "execute" in self.phases_ms:
            # It began there: a writer may have committed without our hearing of it, and is asked before it writes here.
            self.context.options = replace(self.context.options, resume=True)

    def _phase(self, name: str, work: Callable[[], T], nothing: T) -> T:
        self.context.log_event(f"{name}_start")
        begun = perf_counter()
        result, error = self._guarded(work, nothing)
        self.phases_ms[name] = duration = (perf_counter() - begun) * 1000
        data: dict[str, Any] = {"duration_ms": round(duration, 3)}
        if error is None:
            self.context.log_event(f"{name}_complete", data)
        else:
            self.context.log_event(f"{name}_failed", {**data, "error": _told_error(error)})
        return result

    def _guarded(self, work: Callable[[], T], nothing: T) -> tuple[T, BaseException | None]:
        """Do it; the run's first error is kept as its cause, later ones become warnings."""
        try:
            return work(), None
        except BaseException as raised:  # every way to end becomes the result
            error = _printable(self._cancelled(raised))
            self._note(error)
            return nothing, error

    def _note(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
        else:
            self.warnings.append(f"after the failure: {_said(error)}")

    def _cancelled(self, raised: BaseException) -> BaseException:
        cancellation = self.context.cancellation
        if isinstance(raised, KeyboardInterrupt):
            cancellation.request("interrupted by Ctrl-C", signal=2)
        if cancellation.requested and not isinstance(raised, RunCancelledError):
            return cancellation.error()
        return raised

    def _close(self) -> None:
        self._guarded(self.adapter.close, None)
        self.context.log_event("cleanup_complete")

    def _end(self, collected: Mapping[str, Any], duration_ms: float) -> RunResult:
        result = self._result(collected, duration_ms)
        executed = self.phases_ms.get("execute", 0.0)
        self.context.log_metric("execution_time_ms", round(executed, 3), "ms")
        self.context.log_metric("overhead_ms", round(duration_ms - executed, 3), "ms")
        for artifact in result.artifacts:
            if isinstance(artifact, Mapping):
                self.context.log_event("artifact_created", dict(artifact))
        ends = {"success": "run_complete", "failed": "run_failed", "cancelled": "run_cancelled"}
        data: dict[str, Any] = {
            "status": result.status,
            "steps_completed": result.steps_completed,
            "steps_total": result.steps_total,
            "total_rows": result.total_rows,
            "duration_ms": round(duration_ms, 3),
        }
        if result.error is not None:
            data["error"] = _told_error(result.error)
        self.context.log_event(ends[result.status], data)
        return result

    def _result(self, collected: Mapping[str, Any], duration_ms: float) -> RunResult:
        known, unusable = read_collected(self.adapter_name, collected)
        if unusable is not None:
            self._note(unusable)
        if self.first_choice is not None:
            known["fallback_from"] = self.first_choice
        events = self.context.events
        for event in events:
            if event["event"] == "sink_dropped":
                self.warnings.append(f"events are incomplete, a sink failed: {event.get('error')}")
        steps = self.manifest.get("steps")
        total = len(steps) if isinstance(steps, Sequence) else 0
        status, error = self._status(known.pop("status", "success"))
        if error is None:
            error = contradiction(self.adapter_name, known, total, events[self.told_before :])
            status = status if error is None else "failed"
        known = REDACTOR({**known, "warnings": (*known.pop("warnings", ()), *self.warnings)})
        return RunResult(
            status=status,
            session_id=self.context.session_id,
            session_dir=self.context.session_dir,
            pipeline=self._name(),
            adapter=self.adapter_name,
            steps_completed=known.pop("steps_completed", 0),
            steps_total=total,
            total_rows=known.pop("total_rows", 0),
            duration_ms=duration_ms,
            outputs=known.pop("outputs", ()),
            artifacts=known.pop("artifacts", ()),
            steps=known.pop("steps", ()),
            metrics=known.pop("metrics", {}),
            environment=known.pop("environment", ""),
            error=None if error is None else redact_error(error),
            warnings=tuple(known.pop("warnings")),
            extras=known,
        )

    def _status(self, claimed: str) -> tuple[Status, BaseException | None]:
        """What the run really ended as: an adapter that claims success does not hide an error."""
        if isinstance(self.error, RunCancelledError):
            return "cancelled", self.error
        if self.error is not None:
            return "failed", self.error
        if claimed in ("success", "completed"):  # the older guide's word
            return "success", None
        if claimed == "cancelled":
            return "cancelled", RunCancelledError("the adapter says that the run was cancelled")
        return "failed", ExecutionError(
            f"adapter {self.adapter_name!r} says that the run ended {claimed!r}, but gave no error",
            hint="its execute() should raise an ExecutionError",
            code="adapter.no_error",
        )

    def _name(self) -> str:
        return str(self.manifest.get("name") or "")


def _told_error(error: BaseException | None) -> dict[str, Any]:
    if isinstance(error, OsirisError):
        return error.to_dict()
    return {"type": type(error).__name__, "code": "bug", "message": _said(error), "retryable": False}


def _said(error: BaseException | None) -> str:
    return error.message if isinstance(error, OsirisError) else text_of(error)


def _printable(error: BaseException) -> BaseException:
    """The error, or one that names it where nobody could print it: whoever tells of the run will."""
    if isinstance(error, OsirisError):
        return error
    try:
        str(error), repr(error)
    except BaseException:
        name = type(error).__name__
        return RuntimeError(f"{name}, which cannot be turned into text").with_traceback(error.__traceback__)
    return error
