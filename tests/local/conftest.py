"""A package of drivers that behave badly, installed as third parties' are, and runs with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osiris.core.execution_adapter import ExecutionContext, RunResult
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import manifest_from_dict
from osiris.core.plugins import Catalog
from osiris.runtime.local_adapter import LocalAdapter

Isolated = Callable[..., tuple[RunResult, ExecutionContext]]
ROGUE = Path(__file__).with_name("rogue")


@pytest.fixture
def rogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the package ``rogue``, on the path of this process and so of its workers."""
    folder = tmp_path / "packages"
    shutil.copytree(ROGUE, folder / "rogue", ignore=shutil.ignore_patterns("__pycache__"))
    facts = folder / "rogue_osiris-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: rogue-osiris\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[osiris.drivers]\nrogue = rogue.plugin\n")
    monkeypatch.syspath_prepend(str(folder))
    Catalog.reset()
    yield folder
    Catalog.reset()


def rogue_steps(*steps: dict[str, Any]) -> dict[str, Any]:
    """A manifest of steps of the bad driver, one after the other."""
    listed = []
    for number, config in enumerate(steps):
        needs = {"needs": [f"step{number - 1}"]} if number else {}
        listed.append({"id": f"step{number}", "driver": "rogue.actor", "config": config, **needs})
    return {"version": "1.0.0", "name": "rogue", "steps": listed}


@pytest.fixture
def isolated(tmp_path: Path, rogue: Path) -> Isolated:
    """Run a manifest in a worker process, or steps of the bad driver by their configs."""

    def run(
        *steps: dict[str, Any], isolation: Any = "process", cancel_patience: float = 10.0, **context: Any
    ) -> tuple[RunResult, ExecutionContext]:
        told = ExecutionContext("run", tmp_path / "session", base_dir=tmp_path, project_dir=tmp_path, **context)
        adapter = LocalAdapter(isolation=isolation, cancel_patience=cancel_patience)
        result = run_pipeline(adapter, manifest_from_dict(rogue_steps(*steps)), told, adapter_name="local")
        return result, told

    return run
