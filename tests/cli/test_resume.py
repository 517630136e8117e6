"""``osiris run --resume`` and the project file, as processes."""

from __future__ import annotations

import json
import re
import shlex
import signal

import pytest

MAKE = {"id": "make", "driver": "lab.numbers", "config": {"count": "${params.count}"}}
SAVE = {"id": "save", "driver": "lab.sink", "inputs": {"df": "${make.df}"}}
LATE = {"id": "late", "driver": "filesystem.csv_extractor", "config": {"path": "late.csv"}, "needs": ["save"]}
KEEP = {"id": "keep", "driver": "lab.sink", "config": {"path": "late.txt"}, "inputs": {"df": "${late.df}"}}
PARAMS = {"count": {"type": "integer", "default": 5}}


@pytest.fixture
def failed(lab):
    """A run of which a file was missing, which is there now."""
    lab.pipeline(MAKE, SAVE, LATE, KEEP, params=PARAMS)
    ended = lab("run", "--param", "count=7")
    assert ended.code == 5
    lab.write("late.csv", "a\n1\n2\n")
    (lab.folder / "out.txt").unlink()  # written again, it would be there again
    return ended


def test_a_failed_run_says_how_it_goes_on_and_does(lab, failed):
    [line] = [line for line in failed.out.splitlines() if line.startswith("resume:")]
    ended = lab(*line.split()[2:])
    assert ended.code == 0
    assert "resumed: 2 steps had ended well before" in ended.out
    assert "make: done before, 7 rows" in ended.err
    assert not (lab.folder / "out.txt").exists()
    assert (lab.folder / "late.txt").read_text() == "2"
    assert lab("runs", "show").out.count("success") == 5


@pytest.mark.parametrize("where", ["another project", "--session-dir", "from runs show", "moved"])
def test_the_way_on_works_where_it_is_printed(lab, where):
    lab.write("a project/osiris.yaml", "")
    lab.pipeline(MAKE, SAVE, LATE, name="a project/pipeline.yaml", params=PARAMS)
    elsewhere = [] if where == "another project" else ["--session-dir", "else where"]
    ended = lab("run", "a project/pipeline.yaml", *elsewhere)
    if where == "from runs show":
        ended = lab("runs", "show", *elsewhere)
    elif where == "moved":
        (lab.folder / "else where").rename(lab.folder / "there")
        ended = lab("runs", "show", "--session-dir", "there")
    lab.write("a project/late.csv", "a\n1\n2\n")
    [line] = [line for line in ended.out.splitlines() if line.startswith("resume:")]
    resumed = lab(*shlex.split(line)[2:])
    assert resumed.code == 0, resumed.err
    assert "resumed: 2 steps had ended well before" in resumed.out


def test_the_same_session_goes_on_counting_its_events(lab, failed):
    result = lab("run", "--resume", "last", "--json").json()
    assert [step.get("restored", False) for step in result["steps"]] == [True, True, False, False]
    assert result["total_rows"] == 9
    [folder] = (lab.folder / ".osiris/runs").iterdir()
    lines = [line for name in ("events", "metrics") for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    numbers = sorted(record["seq"] for record in records)
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_run_that_ended_well_has_nothing_left(lab, failed):
    assert lab("run", "--resume", "last").code == 0
    again = lab("run", "--resume", "last")
    assert (again.code, again.out) == (2, "")
    assert "there is nothing to resume" in again.err


@pytest.mark.parametrize("change", ["param", "config", "step"])
def test_what_was_changed_is_refused_with_the_difference(lab, failed, change):
    arguments = ["run", "--resume", "last"]
    if change == "param":
        arguments += ["--param", "count=8"]
        told = "params.count was 7, is 8"
    elif change == "config":
        lab.pipeline({**MAKE, "config": {"count": "${params.count}", "step": 2}}, SAVE, LATE, KEEP, params=PARAMS)
        told = "step 'make'.config.step is new"
    else:
        lab.pipeline(MAKE, SAVE, LATE, params=PARAMS)
        told = "step 'keep' is gone"
    refused = lab(*arguments)
    assert refused.code == 2
    assert told in refused.err
    assert "--force" in refused.err
    assert lab("runs", "show", "--json").json()["status"] == "failed"  # still what it was
    forced = lab(*arguments, "--force")
    assert forced.code == 0
    assert not (lab.folder / "out.txt").exists()  # what a writer wrote it does not write again


def test_how_a_step_is_run_may_be_changed(lab, failed):
    lab.pipeline(MAKE, SAVE, {**LATE, "timeout": "1m", "retry": 2}, KEEP, params=PARAMS)
    assert lab("run", "--resume", "last").code == 0


def test_a_killed_run_is_interrupted_and_goes_on(lab):
    wait = {"id": "wait", "driver": "lab.wait", "needs": ["save"]}
    lab.pipeline(MAKE, SAVE, wait, params=PARAMS)
    running = lab.start("run")
    lab.wait_for("started")
    running.send_signal(signal.SIGKILL)
    running.communicate()
    shown = lab("runs", "show")
    assert shown.out.splitlines()[-1].startswith("resume:  osiris run --resume ")
    (lab.folder / "started").unlink()

    resumed = lab.start("run", "--resume", "last")
    lab.wait_for("started")
    second = lab("run", "--resume", "last")
    assert second.code == 2
    assert "another process is running in" in second.err
    assert lab("runs", "list", "--json").json()["sessions"][0]["status"] == "running"
    resumed.send_signal(signal.SIGTERM)
    resumed.communicate()
    assert resumed.returncode == 143
    assert lab("runs", "list", "--json").json()["sessions"][0]["status"] == "cancelled"


def test_there_is_nothing_to_resume_yet(lab):
    lab.pipeline(MAKE, params=PARAMS)
    nothing, forced = lab("run", "--resume", "last"), lab("run", "--force")
    assert (nothing.code, forced.code) == (2, 2)
    assert "there is no run to resume" in nothing.err
    assert "--force is for --resume" in forced.err


def test_checkpoint_is_for_every_step_that_does_not_say_otherwise(lab):
    lab.pipeline(MAKE, SAVE, LATE, params=PARAMS)
    assert lab("run", "--checkpoint").code == 5
    [folder] = (lab.folder / ".osiris/runs").iterdir()
    assert [file.name for file in (folder / "checkpoints").iterdir()] == ["make.df.arrows"]
    lab.pipeline({**MAKE, "checkpoint": False}, SAVE, LATE, params=PARAMS)
    lab("run", "--checkpoint")
    assert len(list((lab.folder / ".osiris/runs").glob("*/checkpoints"))) == 1


def test_the_project_file_names_adapter_options_and_fallbacks(lab):
    lab.pipeline(MAKE, params=PARAMS)
    lab.write("osiris.yaml", "adapters: {options: {local: {isolation: nowhere}}}")
    wrong = lab("run")
    assert (wrong.code, "isolation" in wrong.err) == (2, True)
    lab.write("osiris.yaml", "adapters: {default: nowhere}")
    assert "'nowhere'" in lab("run").err
    assert lab("run", "--adapter", "local").code == 0
    lab.write("osiris.yaml", "adapters: {fallback: [nowhere]}")
    assert lab("run").code == 4


PROJECT_FILES = {
    "adaptors: {}": (":1:1: error: unknown option 'adaptors'", "did you mean adapters?"),
    "adapters: [local]": (":1:11: error: adapters: must be a mapping, but is a list", "known in it"),
    "adapters: {defualt: local}": (":1:12: error: unknown option 'defualt'", "did you mean default?"),
    "{": (":1:", "error: "),
    "- 1": (":1:1: error: the file holds a list; it must be a mapping", "known in it: adapters"),
    "adapters:\n  fallback: local": (
        ":2:13: error: fallback: should be a valid list, but is a text",
        "put it in brackets",
    ),
    "adapters: {default: local}\nadapters: {}": (":2:1: error: key 'adapters' is already set in line 1", ""),
    "adapters: {default: local, default: mars}": (":1:28: error: key 'default' is already set in line 1", ""),
}


@pytest.mark.parametrize("text", PROJECT_FILES)
def test_a_project_file_that_means_nothing_is_refused(lab, text):
    lab.pipeline(MAKE, params=PARAMS)
    lab.write("osiris.yaml", text)
    ended = lab("run")
    place, hint = PROJECT_FILES[text]
    assert ended.code == 2
    assert f"osiris.yaml{place}" in ended.err
    assert hint in ended.err
    assert not {"Traceback", "AdapterSettings", "tuple", "dictionary"} & set(re.findall(r"\w+", ended.err))


@pytest.mark.parametrize("text", ["", "adapters:", "# nothing", "version: '2.0'\nfilesystem: {}"])
def test_a_project_file_may_say_nothing(lab, text):
    lab.pipeline(MAKE, params=PARAMS)
    lab.write("osiris.yaml", text)
    assert lab("run").code == 0


def test_a_project_file_without_permission(lab):
    lab.pipeline(MAKE, params=PARAMS)
    lab.write("osiris.yaml", "adapters: {default: local}").chmod(0)
    ended = lab.as_nobody("run")
    assert ended.code == 2
    assert "osiris.yaml' cannot be read: no permission" in ended.err
    assert "hint: check its permissions" in ended.err
