"""Every example runs, as its reader would run it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

OSIRIS = Path(sys.executable).with_name("osiris")


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def copy(tmp_path, root):
    """A copy of an example's folder, so that a run leaves nothing in the checkout."""

    def make(name: str) -> Path:
        ignored = shutil.ignore_patterns("out", ".osiris", "__pycache__", "data" if name == "demo" else "")
        return Path(shutil.copytree(root / "examples" / name, tmp_path / name, ignore=ignored))

    return make


@pytest.mark.parametrize("name", ["custom_adapter.py", "custom_driver.py"])
def test_the_guides_code_runs(name, root, tmp_path):
    told = run(tmp_path, sys.executable, root / "examples" / name)
    assert "'status': 'success'" in told
    assert "'steps_completed': 1" in told
    assert list(tmp_path.iterdir()) == [], "the example left something behind"


def test_quickstart(copy):
    folder = copy("quickstart")
    run(folder, OSIRIS, "run", "pipeline.yaml")
    assert (folder / "out" / "big.csv").read_text() == "customer_id,total\n007,113.60\n815,20.00\n042,4.00\n"


@pytest.mark.slow
def test_demo(copy):
    folder = copy("demo")
    run(folder, sys.executable, "generate.py")
    run(folder, OSIRIS, "run", "pipeline.yaml")
    told = run(folder, sys.executable, "check.py")
    assert told.count("as expected  out/") == 4


@pytest.mark.slow
def test_the_demos_check_can_fail(copy):
    """One cent more in one order line has to be noticed."""
    folder = copy("demo")
    run(folder, sys.executable, "generate.py")
    run(folder, OSIRIS, "run", "pipeline.yaml")
    table = folder / "out" / "revenue.csv"
    first, row, *others = table.read_text().splitlines()
    table.write_text("\n".join([first, row[:-1] + ("1" if row[-1] != "1" else "2"), *others]) + "\n")
    done = subprocess.run([sys.executable, "check.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert "NOT AS EXPECTED  out/revenue.csv" in done.stdout


def test_every_example_is_run_here(root):
    found = {path.name for path in (root / "examples").iterdir() if not path.name.startswith(("__", "."))}
    with_their_drivers_tests = {"mysql", "supabase"}
    assert found - with_their_drivers_tests == {"custom_adapter.py", "custom_driver.py", "demo", "quickstart"}


def test_the_schema_for_editors_takes_every_example(root):
    schema = json.loads(run(root, OSIRIS, "schema"))
    check = jsonschema.Draft202012Validator(schema)
    pipelines = sorted((root / "examples").glob("*/pipeline.yaml"))
    assert len(pipelines) >= 4
    for pipeline in pipelines:
        found = [error.message for error in check.iter_errors(yaml.safe_load(pipeline.read_text(encoding="utf-8")))]
        assert found == [], pipeline
