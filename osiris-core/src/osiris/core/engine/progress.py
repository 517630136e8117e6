"""What a run has finished, on disk, so that a later process can go on: one line for each stage that ended well."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from time import monotonic
from typing import Any

from osiris.core.connections import REDACTOR
from osiris.core.engine.report import StepReport
from osiris.core.events.bus import OWN_METRICS
from osiris.core.events.jsonable import jsonable
from osiris.core.events.sinks import JsonlFile, read_jsonl
from osiris.core.privacy import make_private_folder
from osiris.core.quick_dataclass import dataclass

__all__ = ["Finished", "Kept", "Progress", "read_progress"]

_FILE = "progress.jsonl"
_DELAY = 0.05
_REPORTED = ("rows_in", "rows_out", "bytes_in", "bytes_out", "has_rows", "attempts")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An output that outlives the process: a plain value, or a dataset in a checkpoint file.

    Attributes:
        value: The plain value.
        file: The checkpoint's name in the folder of checkpoints; None for a plain value.
        rows: Of the dataset.
        sha256: Of the file, hex.
    """

    value: Any = None
    file: str | None = None
    rows: int = 0
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A step that ended well.

    Attributes:
        fingerprint: Of the step as it was then; see :func:`osiris.core.planning.step_fingerprints`.
        report: The counts, by field of StepReport.
        logged: The metrics that the driver told, summed up.
        outputs: What it wrote where.
        kept: Its outputs that can be had again, by name.
    """

    fingerprint: str
    report: Mapping[str, Any] = field(default_factory=dict)
    logged: Mapping[str, float] = field(default_factory=dict)
    outputs: Sequence[Mapping[str, Any]] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def restore(self, report: StepReport) -> None:
        """Put the counts back."""
        for name in _REPORTED:
            if name in self.report:
                setattr(report, name, self.report[name])
        report.logged = dict(self.logged)


class Progress:
    """The file of a run that goes on. Opened when there is something to say.

    Args:
        folder: The session's.
        fingerprints: By step id.
        fresh: Whether what an earlier run said there does not count.
    """

    def __init__(self, folder: Path, fingerprints: Mapping[str, str], *, fresh: bool) -> None:
        self._path = folder / _FILE
        self._fingerprints = fingerprints
        self._file: JsonlFile | None = None
        self._lock = threading.Lock()
        self._untold: list[dict[str, Any]] = []
        self._written = 0.0
        self._outputs: dict[str, list[Mapping[str, Any]]] = {}
        self._sorted = 0
        if fresh:
            self._path.unlink(missing_ok=True)

    def note(
        self,
        steps: Sequence[StepReport],
        outputs: Sequence[Mapping[str, Any]],
        kept: Mapping[str, Mapping[str, Kept]],
    ) -> None:
        """A stage has ended well. Thread-safe.

        What a stage that writes or keeps something has done is in the file when this returns. Of others, which can run
        again without harm, a twentieth of a second is written at once: there may be ten thousand of them.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:  # each output is looked at once, however many stages end
            for output in outputs[self._sorted :]:
                self._outputs.setdefault(str(output.get("step_id")), []).append(output)
                self._sorted += 1
        told = [self._told(step, self._outputs.get(step.id, ()), kept.get(step.id)) for step in steps]
        matters = bool(kept) or any(step.role == "writer" for step in steps) or any("outputs" in step for step in told)
        with self._lock:
            self._untold.append({"steps": told})
            if matters or monotonic() - self._written > _DELAY:
                self._write()

    def _write(self) -> None:
        if self._file is None:
            make_private_folder(self._path.parent)
            self._file = JsonlFile(self._path)
        lines, self._untold = self._untold, []
        self._file.append(*lines)
        self._written = monotonic()

    def _told(
        self, step: StepReport, outputs: Sequence[Mapping[str, Any]], kept: Mapping[str, Kept] | None
    ) -> dict[str, Any]:
        """What there is to say: of a step that counted nothing, little, because there may be ten thousand of them."""
        counts = {name: value for name in _REPORTED if (value := getattr(step, name))}
        told: dict[str, Any] = {"id": step.id, "fingerprint": self._fingerprints[step.id], "report": counts}
        if step.logged:
            told["logged"] = {_safe_name(name): value for name, value in step.logged.items()}
        if outputs:
            told["outputs"] = [REDACTOR(jsonable(output)) for output in outputs]
        if kept:
            told["kept"] = {name: _kept(found) for name, found in kept.items() if _may_be_told(found)}
        return told

    def close(self) -> None:
        """Write what is left and close the file. Idempotent."""
        with self._lock:
            if self._untold:
                with suppress(OSError):  # those steps run again, which does no harm
                    self._write()
            if self._file is not None:
                self._file.close()


def read_progress(folder: Path) -> dict[str, Finished]:
    """What ended well in earlier runs of a session, by step id; the last word on a step counts.

    A file that is not one of ours says nothing: what it would have told is done again.
    """
    try:
        return {str(step["id"]): _finished(step) for step in _steps(folder / _FILE)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _steps(path: Path) -> Iterator[dict[str, Any]]:
    for line in read_jsonl(path):
        yield from line["steps"]


def _finished(told: Mapping[str, Any]) -> Finished:
    return Finished(
        fingerprint=told["fingerprint"],
        report=told["report"],
        logged={name: value for name, value in told.get("logged", {}).items() if value is not None},
        outputs=told.get("outputs", ()),
        kept={name: Kept(**kept) for name, kept in told.get("kept", {}).items()},
    )


def _kept(kept: Kept) -> dict[str, Any]:
    if kept.file is None:
        return {"value": kept.value}
    return {"file": kept.file, "rows": kept.rows, "sha256": kept.sha256}


def _safe_name(metric: str) -> str:
    return metric if metric in OWN_METRICS else str(REDACTOR({"name": metric})["name"])


def _may_be_told(kept: Kept) -> bool:
    """A plain value with a secret in it is not kept: hidden it would be another value."""
    return bool(REDACTOR({"value": kept.value}) == {"value": kept.value})
