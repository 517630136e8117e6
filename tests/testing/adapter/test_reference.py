"""The corpus: its references are what the engine makes, and it is shipped."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from osiris.testing.reference import (
    families,
    load_pipeline,
    load_reference,
    make_reference,
    pipelines,
    write_references,
)


@pytest.mark.parametrize("name", pipelines())
def test_a_reference_made_anew_is_the_one_shipped(name: str, tmp_path: Path) -> None:
    assert json.loads(json.dumps(make_reference(name, tmp_path))) == load_reference(name)


def test_every_pipeline_has_a_reference_and_every_reference_a_pipeline() -> None:
    references = {entry.name for entry in files("osiris.testing").joinpath("corpus", "references").iterdir()}
    assert references == {f"{name}.json" for name in pipelines()}


def test_the_corpus_has_what_pipelines_do() -> None:
    keys = {key for name in pipelines() for step in load_pipeline(name)["steps"] for key in step}
    assert {"retry", "timeout", "on_error", "checkpoint", "mask", "needs", "inputs", "config"} <= keys
    assert {family for name in pipelines() for family in families(load_pipeline(name))} == {
        "filesystem",
        "duckdb",
        "pandas",
    }
    ends = [load_reference(name) for name in pipelines()]
    assert {end["status"] for end in ends} == {"success", "failed"}
    told = {event["event"] for end in ends for events in end["events"].values() for event in events}
    assert {"step_retry", "step_skipped", "checkpoint_saved", "artifact_created", "prepare_failed"} <= told
    assert any(load_pipeline(name).params for name in pipelines())
    assert any(load_pipeline(name).oml for name in pipelines())


@pytest.mark.parametrize("name", pipelines("probes"))
def test_probes_can_be_read(name: str) -> None:
    assert load_pipeline(name, "probes")["name"] == name


def test_a_pipeline_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        load_pipeline("no-such-pipeline")


def test_references_are_written_by_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osiris.testing.reference.pipelines", lambda: ["order-alone"])
    write_references(tmp_path / "made")
    shipped = files("osiris.testing").joinpath("corpus", "references", "order-alone.json").read_text("utf-8")
    assert (tmp_path / "made" / "order-alone.json").read_text("utf-8") == shipped


def test_reading_the_corpus_imports_no_test_tool() -> None:
    program = (
        "import sys, osiris.testing.parity, osiris.testing.reference, osiris.testing.event_rules;"
        "print(sorted({'pytest', 'jsonschema', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_corpus_is_in_the_wheel(tmp_path: Path) -> None:
    core = Path(__file__).resolve().parents[3] / "osiris-core"
    wheel = next(WheelBuilder(str(core)).build(directory=str(tmp_path)))
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("osiris/testing/corpus/")}
    here = core / "src" / "osiris" / "testing" / "corpus"
    assert shipped == {
        f"osiris/testing/corpus/{path.relative_to(here).as_posix()}"
        for path in here.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
