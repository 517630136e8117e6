"""One run seen from outside, and whether two runs of one pipeline are the same run.

Times, numbers and places are not compared; nor, in the portable form that references have, what depends on the
versions of libraries: sizes in bytes, texts of errors, bytes of Parquet files (their rows are compared).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from osiris.core.connections import REDACTOR
from osiris.core.events.bus import EventBus
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.quick_dataclass import dataclass
from osiris.testing.reference import make_project

__all__ = ["Observation", "differences", "exact", "make_context", "observe", "portable"]

_NEVER_SAME = frozenset(
    {"schema", "ts", "seq", "session_id", "session_dir", "duration_ms", "busy_ms", "delay_ms", "memory_peak_mb"}
)
_SAMPLED = frozenset({"memory_usage_mb", "cpu_percent", "memory_peak_mb", "open_files", "disk_usage_mb"})
_TIMED = frozenset({"execution_time_ms", "overhead_ms", "step_duration_ms"})
_OF_VERSIONS = frozenset(
    {"bytes", "bytes_in", "bytes_out", "message", "hint", "facts", "traceback", "adapter", "reason", "size", "sha256"}
)
_OF_SIZES = frozenset({"bytes_read", "bytes_written"})
_LONG_TEXT = 3000
_SAME_TYPES = {"large_string": "string", "string_view": "string", "large_binary": "binary", "binary_view": "binary"}


@dataclass(frozen=True)
class Observation:
    """A run of a pipeline, as its user sees it.

    Attributes:
        folder: Holds ``project/`` and ``session/``.
        result: What the lifecycle gave.
        events, metrics: What was told.
        files: What the run wrote or changed in the project and kept as artifacts: content by path.
    """

    folder: Path
    result: RunResult
    events: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, Any]]
    files: Mapping[str, Any]


def make_context(folder: Path, session_id: str = "run", **options: Any) -> ExecutionContext:
    """A context for a run in ``folder``: ``project/`` is made there, secrets are hidden as in a session."""
    project = folder / "project"
    if not project.is_dir():
        make_project(folder)
    return ExecutionContext(
        session_id,
        folder / "session",
        base_dir=project,
        project_dir=project,
        bus=EventBus(session_id, redact=REDACTOR),
        **options,
    )


def observe(
    manifest: Mapping[str, Any],
    adapter: ExecutionAdapter,
    folder: Path,
    *,
    adapter_name: str = "engine",
    **options: Any,
) -> Observation:
    """Run a pipeline of the corpus and look at everything it told and left.

    Args:
        manifest: From :func:`osiris.testing.reference.load_pipeline`.
        adapter: A fresh one; it is closed.
        folder: An empty one to work in.
        adapter_name: What to call it.
        options: Of the :class:`~osiris.core.execution_adapter.ExecutionContext`.
    """
    context = make_context(folder, **options)
    before = _bytes_below(folder / "project")
    result = run_pipeline(adapter, manifest, context, adapter_name=adapter_name)
    after = {**_bytes_below(folder / "project"), **_bytes_below(context.artifacts_dir, "artifacts/")}
    changed = sorted(path for path, digest in after.items() if before.get(path) != digest)
    files = {path: _content(_place(folder, context, path)) for path in changed}
    return Observation(folder, result, context.events, context.metrics, files)


def portable(seen: Observation, extra_events: Iterable[str] = ()) -> dict[str, Any]:
    """What is the same for a right run anywhere, with any supported version of the libraries; plain JSON.

    Args:
        seen: The run.
        extra_events: Names of the adapter's own events, ``*`` allowed.
    """
    told = _told(seen, extra_events, _NEVER_SAME | _OF_VERSIONS)
    for metrics in told["metrics"].values():
        metrics[:] = [metric for metric in metrics if metric["metric"] not in _OF_SIZES]
    told["metrics"].pop("run", None)
    return told


def exact(seen: Observation, extra_events: Iterable[str] = (), without: Collection[str] = ()) -> dict[str, Any]:
    """What is the same for two runs with the same libraries: texts of errors and sizes, too.

    Args:
        seen: The run.
        extra_events: Names of the adapter's own events, ``*`` allowed.
        without: Further keys that are not compared.
    """
    told = _told(seen, extra_events, _NEVER_SAME | frozenset(without))
    metrics = {name: value for name, value in seen.result.metrics.items() if not name.endswith("_ms")}
    session = sorted(path.relative_to(seen.folder).as_posix() for path in (seen.folder / "session").rglob("*"))
    return {**told, "sums": metrics, "warnings": list(seen.result.warnings), "session": session}


def differences(expected: Any, found: Any, place: str = "", *, strict: bool = False) -> list[str]:
    """Where two records differ, one line each; ``strict``: keys that only ``found`` has are differences, too."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        lines = []
        for key in [*expected, *(key for key in found if key not in expected and (strict or _is_closed(place)))]:
            here = f"{place}.{key}" if place else str(key)
            if key not in found:
                lines.append(f"{here} is missing: expected {_short(expected[key])}")
            elif key not in expected:
                lines.append(f"{here} is not expected: {_short(found[key])}")
            else:
                lines += differences(expected[key], found[key], here, strict=strict)
        return lines
    if _is_records(expected) and _is_records(found):
        names, others = ([_label(item) for item in items] for items in (expected, found))
        if names != others:
            return [f"{place}: expected {', '.join(names) or 'none'}; found {', '.join(others) or 'none'}"]
        pairs = enumerate(zip(expected, found, strict=True), 1)
        return [
            line
            for at, (one, other) in pairs
            for line in differences(one, other, f"{place}[{at} {names[at - 1]}]", strict=strict)
        ]
    return [] if expected == found else [f"{place}: expected {_short(expected)}, found {_short(found)}"]


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _is_closed(place: str) -> bool:
    """Where a further key is a further step or file, not a further fact."""
    return place in ("events", "metrics", "files")


def _told(seen: Observation, extra_events: Iterable[str], without: frozenset[str]) -> dict[str, Any]:
    extras = tuple(extra_events)
    events = [
        event
        for event in seen.events
        if event["event"] != "step_progress" and not any(fnmatchcase(event["event"], extra) for extra in extras)
    ]
    metrics = [
        {**metric, "value": None} if metric["metric"] in _TIMED else metric
        for metric in seen.metrics
        if metric["metric"] not in _SAMPLED
    ]
    result = seen.result.to_dict()
    told = {
        "status": result["status"],
        "error": result["error"],
        "steps_completed": result["steps_completed"],
        "steps_total": result["steps_total"],
        "total_rows": result["total_rows"],
        "steps": result["steps"],
        "outputs": sorted(result["outputs"], key=lambda output: str(output["step_id"])),  # by who was first
        "artifacts": result["artifacts"],
        "events": _by_step(events),
        "metrics": _by_step(metrics),
        "files": dict(seen.files),
    }
    normalised: dict[str, Any] = _normalised(told, seen.folder, without)
    return normalised


def _by_step(records: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """In order for each step, and for the run: steps that run at the same time may tell in any order between them."""
    found = defaultdict(list)
    for record in records:
        found[str(record.get("step_id") or "run")].append(record)
    return dict(found)


def _normalised(value: Any, folder: Path, without: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        if isinstance(text := value.get("traceback"), str):  # what was raised, not through which lines
            value = {**value, "traceback": text.strip().splitlines()[-1]}
        return {key: _normalised(item, folder, without) for key, item in value.items() if key not in without}
    if isinstance(value, list | tuple):
        return [_normalised(item, folder, without) for item in value]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


def _bytes_below(folder: Path, prefix: str = "") -> dict[str, str]:
    return {
        prefix + path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _place(folder: Path, context: ExecutionContext, path: str) -> Path:
    if path.startswith("artifacts/"):
        return context.artifacts_dir / path.removeprefix("artifacts/")
    return folder / "project" / path


def _content(path: Path) -> Any:
    """A file by what is in it. Databases are only seen to be there: the corpus reads them back itself."""
    if path.suffix == ".duckdb":
        return "a database"
    if path.suffix == ".parquet":
        return _rows(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and len(text) <= _LONG_TEXT:
        return text.splitlines(keepends=True)
    return {"length": len(data), "digest": hashlib.sha256(data).hexdigest()}


def _rows(path: Path) -> dict[str, Any]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    text = "\n".join(repr(row) for row in table.to_pylist())
    types = [f"{field.name}: {_SAME_TYPES.get(str(field.type), field.type)}" for field in table.schema]
    shown = text.splitlines() if len(text) <= _LONG_TEXT else hashlib.sha256(text.encode()).hexdigest()
    return {"types": types, "rows": table.num_rows, "content": shown}


def _label(item: Mapping[str, Any]) -> str:
    for key in ("event", "metric", "path", "id", "step_id"):
        if key in item:
            return str(item[key])
    return "?"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
