"""A package of test drivers, installed as third parties' are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Install a package of this folder, whose plugin is ``<name>.plugin``; the folder to put on the path."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("packages")
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        facts = folder / f"{name}_osiris-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-osiris\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[osiris.drivers]\n{name} = {name}.plugin\n")
        return folder

    return make
