"""The sample package of an adapter is built and installed, and passes its own tests, the kit among them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

SAMPLE = Path(__file__).resolve().parents[2] / "plugins" / "elsewhere"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("elsewhere")
    wheel = next(WheelBuilder(str(SAMPLE)).build(directory=str(folder / "wheels")))
    shutil.unpack_archive(wheel, folder / "site", "zip")
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SAMPLE / "pyproject.toml", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_user_runs_a_pipeline_there(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,amount\n1,2.50\n2,3.25\n")
    (tmp_path / "pipeline.yaml").write_text(
        """
version: "1.0.0"
name: there
steps:
  - {id: orders, driver: filesystem.csv_extractor, config: {path: orders.csv}}
  - {id: save, driver: filesystem.csv_writer, config: {path: out/orders.csv}, inputs: {df: "${orders.df}"}}
"""
    )
    (tmp_path / "rooms").mkdir()
    options = ["--adapter", "elsewhere", "--adapter-option", "root=rooms", "--json"]
    command = [sys.executable, "-m", "osiris.cli", "run", "pipeline.yaml", *options]
    done = subprocess.run(command, cwd=tmp_path, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["adapter"], result["environment"], result["total_rows"]) == ("elsewhere", "elsewhere", 2)
    assert result["outputs"][0]["location"] == str(tmp_path / "out" / "orders.csv")
    assert (tmp_path / "out" / "orders.csv").read_text() == "id,amount\n1,2.50\n2,3.25\n"
    assert list((tmp_path / "rooms").iterdir()) == []
