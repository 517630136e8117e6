"""The corpus: pipelines, what they read, and what a right run of each tells and leaves.

``python -m osiris.testing.reference FOLDER`` writes the references anew, as the engine in this process makes them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from osiris.core import engine
from osiris.core.errors import CollectError
from osiris.core.execution_adapter import CollectedRun, ExecutionAdapter, ExecutionContext, PreparedRun
from osiris.core.manifest import Manifest, parse_manifest

__all__ = [
    "CORPUS",
    "EngineAdapter",
    "families",
    "load_pipeline",
    "load_reference",
    "make_project",
    "make_reference",
    "pipelines",
    "write_references",
]

CORPUS: Traversable = files("osiris.testing").joinpath("corpus")
"""``pipelines/`` and their ``references/``, ``probes/`` (for single rules), ``project/`` (what all of them read)."""


class EngineAdapter(ExecutionAdapter):
    """The engine in this process and nothing else: what every adapter is compared with."""

    def __init__(self) -> None:
        self._reports: dict[str, engine.RunReport] = {}

    def prepare(self, manifest: Mapping[str, Any], context: ExecutionContext) -> PreparedRun:
        """See :class:`~osiris.core.execution_adapter.ExecutionAdapter`."""
        return engine.prepare(manifest, context)

    def execute(self, prepared: PreparedRun, context: ExecutionContext) -> None:
        """See :class:`~osiris.core.execution_adapter.ExecutionAdapter`."""
        report = self._reports[prepared.run_id] = engine.RunReport()
        engine.run(prepared, context, report)

    def collect(self, prepared: PreparedRun, context: ExecutionContext) -> CollectedRun:
        """See :class:`~osiris.core.execution_adapter.ExecutionAdapter`."""
        report = self._reports.get(prepared.run_id)
        if report is None:
            raise CollectError(f"run {prepared.run_id!r} was not executed", code="collect.not_executed")
        return engine.collect(prepared, report, environment="engine")


def pipelines(kind: str = "pipelines") -> list[str]:
    """The names of the corpus's pipelines, sorted; of its probes with ``kind="probes"``."""
    found = (entry.name for entry in CORPUS.joinpath(kind).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def load_pipeline(name: str, kind: str = "pipelines", **params: Any) -> Manifest:
    """A pipeline, or a probe, as a manifest.

    Raises:
        FileNotFoundError: The corpus has none of that name.
    """
    text = CORPUS.joinpath(kind, f"{name}.yaml").read_text("utf-8")
    return parse_manifest(text, file=f"{name}.yaml", params=params or None)


def families(manifest: Mapping[str, Any]) -> set[str]:
    """The driver families that a manifest needs."""
    return {str(step["driver"]).partition(".")[0] for step in manifest["steps"]}


def make_project(folder: Path) -> Path:
    """Make ``folder / "project"``: what the corpus reads, the user module and the connections. Gives its path."""
    project = folder / "project"
    project.mkdir(parents=True)
    for entry in CORPUS.joinpath("project").iterdir():
        if entry.is_file():
            (project / entry.name).write_bytes(entry.read_bytes())
    return project


def load_reference(name: str) -> dict[str, Any]:
    """What a right run of a pipeline tells and leaves, in the form of :func:`osiris.testing.parity.portable`."""
    found: dict[str, Any] = json.loads(CORPUS.joinpath("references", f"{name}.json").read_text("utf-8"))
    return found


def make_reference(name: str, folder: Path) -> dict[str, Any]:
    """Run a pipeline in this process and say what it told and left.

    Args:
        name: Of the corpus.
        folder: An empty one to work in.
    """
    from osiris.testing.parity import observe, portable

    return portable(observe(load_pipeline(name), EngineAdapter(), folder))


def write_references(target: Path) -> None:
    """Write a reference for each pipeline of the corpus into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="osiris-corpus-") as folder:
        for name in pipelines():
            place = Path(folder) / name
            place.mkdir()
            text = json.dumps(make_reference(name, place), indent=1, ensure_ascii=False, sort_keys=True)
            (target / f"{name}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    write_references(Path(sys.argv[1]))
