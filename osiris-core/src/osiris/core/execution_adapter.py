"""The adapter contract: where a pipeline runs.

An adapter has three phases and a close; :mod:`osiris.core.lifecycle` calls them in that order::

    class CustomAdapter(ExecutionAdapter):
        def prepare(self, manifest, context):
            return PreparedRun(manifest=manifest, artifacts_dir=context.artifacts_dir)

        def execute(self, prepared, context):
            for step in prepared.manifest["steps"]:
                ...

        def collect(self, prepared, context):
            return {"status": "success", "steps_completed": len(prepared.manifest["steps"])}

    AdapterFactory.register("custom", CustomAdapter)
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from osiris.core.cancellation import Cancellation
from osiris.core.errors import CollectError, ExecutionError, OsirisError, PrepareError, UsageError
from osiris.core.events.bus import Event, EventBus, Metric
from osiris.core.quick_dataclass import dataclass

__all__ = [
    "AdapterSpec",
    "Artifact",
    "CollectError",
    "CollectedRun",
    "ExecutionAdapter",
    "ExecutionContext",
    "ExecutionError",
    "PrepareError",
    "PreparedRun",
    "RunOptions",
    "RunResult",
    "Status",
]

Status = Literal["success", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class AdapterSpec:
    """What an adapter says of itself, without being imported.

    Attributes:
        name: What ``--adapter`` takes.
        summary: One line for lists.
        factory: Where the class is: ``package.module:Class``.
        options_model: Where the pydantic model of its options (``--adapter-option k=v``) is.
        remote: Whether steps run on another machine (benchmarks then measure latency and transfer).
        capabilities: Free words that tools understand.
    """

    name: str
    summary: str
    factory: str
    options_model: str | None = None
    remote: bool = False
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is to be done, as opposed to what.

    Attributes:
        parallel: How many stages run at the same time; None: as many as there are processors, at most 4.
        memory_budget: Bytes that datasets waiting for a reader may take in memory before they go to disk.
        prefetch_bytes: Bytes that one stream may be ahead of its reader.
        max_memory: Bytes of resident memory beyond which the run is stopped; before that, what waits goes to disk.
            None: what the manifest's ``limits`` say.
        resume: Whether to go on where an earlier run in the same session folder stopped.
    """

    parallel: int | None = None
    memory_budget: int = 256 * 1024 * 1024
    prefetch_bytes: int = 16 * 1024 * 1024
    max_memory: int | None = None
    resume: bool = False


class ExecutionContext:
    """One run: its id, its folder, and the door through which everything is told.

    Both forms work::

        ExecutionContext(session_id="run_1", session_dir="run_1", verbose=True, timeout=300,
                         environment={"MYSQL_PASSWORD": "..."})
        ExecutionContext(session_id="run_1", artifacts_dir=Path("run_1/artifacts"))

    Args:
        session_id: The run's one id.
        session_dir: Its folder; the parent of ``artifacts_dir`` where only that is given.
        verbose: Whether the user wants details.
        timeout: Seconds for the whole run; None: no limit.
        environment: Values that go before the process environment when ``${VAR}`` is resolved.
        artifacts_dir: Where files to keep go; default ``session_dir / "artifacts"``.
        base_dir: Where relative paths of the manifest begin; default the current directory.
        project_dir: Where ``osiris_connections.yaml`` and ``.env`` are looked for; default ``base_dir``.
        options: How to run.
        bus: Where events and metrics go; default a new bus that keeps them in memory.
        cancellation: The flag that stops the run; default a new one.

    Raises:
        UsageError: Neither ``session_dir`` nor ``artifacts_dir`` is given.
    """

    def __init__(
        self,
        session_id: str,
        session_dir: str | os.PathLike[str] | None = None,
        verbose: bool = False,
        timeout: float | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        artifacts_dir: str | os.PathLike[str] | None = None,
        base_dir: str | os.PathLike[str] | None = None,
        project_dir: str | os.PathLike[str] | None = None,
        options: RunOptions | None = None,
        bus: EventBus | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        if session_dir is None and artifacts_dir is None:
            raise UsageError("an ExecutionContext needs a session_dir or an artifacts_dir")
        self.session_id = session_id
        self.artifacts_dir = Path(artifacts_dir) if artifacts_dir is not None else Path(session_dir or "") / "artifacts"
        self.session_dir = Path(session_dir) if session_dir is not None else self.artifacts_dir.parent
        self.verbose = verbose
        self.timeout = timeout
        self.environment: dict[str, str] = dict(environment or {})
        self.base_dir = Path(base_dir) if base_dir is not None else Path.cwd()
        self.project_dir = Path(project_dir) if project_dir is not None else self.base_dir
        self.options = options or RunOptions()
        self.bus = bus or EventBus(session_id)
        self.cancellation = cancellation or Cancellation()
        self.plan: Any = None
        """The :class:`~osiris.core.planning.Plan`, where the manifest was planned before ``prepare``."""

    def __repr__(self) -> str:
        # environment may hold secrets: names only.
        return (
            f"ExecutionContext(session_id={self.session_id!r}, session_dir={str(self.session_dir)!r}, "
            f"environment={sorted(self.environment)})"
        )

    @property
    def events(self) -> Sequence[Event]:
        """What was told so far, in order."""
        return self.bus.events

    @property
    def metrics(self) -> Sequence[Metric]:
        """The numbers told so far, in order."""
        return self.bus.metrics

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell an event with JSON-able data."""
        self.bus.log_event(event, data)

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        """Tell a number; tags are JSON-able."""
        self.bus.log_metric(metric, value, unit, **tags)


@dataclass(kw_only=True)
class PreparedRun:
    """Everything a run needs, and no secret but in ``environment``.

    Attributes:
        manifest: The resolved manifest: ``version``, ``name``, ``steps``.
        configs: By step id; secrets as references (``${MYSQL_PASSWORD}``), a named connection unfolded under
            ``resolved_connection``.
        environment: The values those references need, and no others. Not shown by ``repr``.
        artifacts_dir: Where files to keep go.
        run_id: The session's id.
        metadata: JSON-able facts about the preparation.
        package: Whatever the adapter itself wants to keep; nobody else looks at it.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    artifacts_dir: str | os.PathLike[str] | None = None
    run_id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    package: Any = field(default=None, repr=False)


class Artifact(TypedDict):
    """A file that a run kept: ``path`` relative to the artifacts folder, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


class CollectedRun(TypedDict):
    """What :meth:`ExecutionAdapter.collect` gives; further keys are kept as ``RunResult.extras``."""

    status: NotRequired[Status]
    steps_completed: NotRequired[int]
    total_rows: NotRequired[int]
    artifacts: NotRequired[Sequence[Any]]
    metrics: NotRequired[Mapping[str, Any]]
    environment: NotRequired[str]
    outputs: NotRequired[Sequence[Mapping[str, Any]]]
    steps: NotRequired[Sequence[Mapping[str, Any]]]
    warnings: NotRequired[Sequence[str]]


class ExecutionAdapter(ABC):
    """Where a pipeline runs. One object does one run."""

    @abstractmethod
    def prepare(self, manifest: Mapping[str, Any], context: ExecutionContext) -> PreparedRun:
        """Check, resolve, set up. Nothing of the pipeline has run when this returns.

        Raises:
            InvalidPipelineError: The manifest cannot run.
            PluginError: A driver is missing or broken.
            PrepareError: The place cannot be made ready.
        """

    @abstractmethod
    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        """Run all steps.

        Raises:
            ExecutionError: A step failed, or the run was cancelled.
        """

    @abstractmethod
    def collect(self, prepared: PreparedRun, context: ExecutionContext) -> Mapping[str, Any]:
        """Bring home what there is: see :class:`CollectedRun`. Called after a failure too.

        Raises:
            CollectError: Results exist but cannot be had.
        """

    def close(self) -> None:  # noqa: B027  # optional by contract
        """Give back what is held. Called once, always, last; idempotent."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended.

    Attributes:
        status: ``success``, ``failed`` or ``cancelled``.
        session_id: The run's id.
        session_dir: Its folder.
        pipeline: The manifest's name.
        adapter: Where it ran.
        steps_completed: Steps that finished.
        steps_total: Steps in the manifest.
        total_rows: Rows written; rows read where nothing writes. The same rows are counted once.
        duration_ms: Wall-clock time of all phases.
        outputs: What was written where: ``step_id``, ``location``, ``rows``, ...
        artifacts: Files kept in the session folder.
        steps: Per step ``id``, ``driver``, ``status``, ``rows_in``, ``rows_out``, ``bytes_out``, ``duration_ms``.
        metrics: Sums over the run by metric name.
        environment: What the adapter says of the place.
        error: The first error, which stays the cause; None on success.
        warnings: What the user should know all the same.
        extras: Further keys that the adapter's collect gave.
    """

    status: Status
    session_id: str
    session_dir: Path
    pipeline: str = ""
    adapter: str = ""
    steps_completed: int = 0
    steps_total: int = 0
    total_rows: int = 0
    duration_ms: float = 0.0
    outputs: Sequence[Mapping[str, Any]] = ()
    artifacts: Sequence[Any] = ()
    steps: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    error: BaseException | None = None
    warnings: Sequence[str] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    def raise_for_status(self) -> RunResult:
        """Raise :attr:`error` unless the run succeeded; returns itself.

        Raises:
            BaseException: The run's first error.
        """
        if self.status != "success":
            raise self.error or ExecutionError(f"the run ended {self.status}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The form of ``result.json`` and ``osiris run --json``."""
        error: dict[str, Any] | None = None
        if isinstance(self.error, OsirisError):
            error = self.error.to_dict()
        elif self.error is not None:
            error = {"type": type(self.error).__name__, "code": "bug", "message": str(self.error)}
        return {
            "status": self.status,
            "session_id": self.session_id,
            "session_dir": str(self.session_dir),
            "pipeline": self.pipeline,
            "adapter": self.adapter,
            "steps_completed": self.steps_completed,
            "steps_total": self.steps_total,
            "total_rows": self.total_rows,
            "duration_ms": round(self.duration_ms, 3),
            "outputs": [dict(item) for item in self.outputs],
            "artifacts": list(self.artifacts),
            "steps": [dict(item) for item in self.steps],
            "metrics": dict(self.metrics),
            "environment": self.environment,
            "error": error,
            "warnings": list(self.warnings),
            **self.extras,
        }
