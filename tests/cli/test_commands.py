"""The commands that look, and the one that begins."""

from __future__ import annotations

import json
import os

import jsonschema
import pytest

NUMBERS = {"id": "make", "driver": "lab.numbers", "config": {"count": 3}}
SAVE = {"id": "save", "driver": "lab.sink", "inputs": {"df": "${make.df}"}}
CONNECTIONS = """\
connections:
  lab:
    main: {default: true, host: up, password: "${LAB_PASSWORD}"}
    broken: {host: down, password: "${LAB_PASSWORD}"}
"""


def test_init_then_run(lab):
    begun = lab("init", "shop")
    assert begun.code == 0
    assert begun.out.endswith("Next: cd shop && osiris run\n")
    inside = type(lab)(lab.folder / "shop", lab.env)
    ended = inside("run", "--json")
    assert ended.code == 0, ended.err
    lines = (inside.folder / "out/big_spenders.csv").read_text().splitlines()
    assert lines[0] == "customer,orders,total"
    assert lines[1] == "barbara,1,250.10"
    assert inside("validate").code == 0
    assert inside("connections", "list").code == 0
    assert (inside.folder / ".osiris/runs").is_dir()


def test_init_never_overwrites(lab):
    lab.write("pipeline.yaml", "mine")
    refused = lab("init")
    assert refused.code == 2
    assert "pipeline.yaml" in refused.err
    assert [path.name for path in lab.folder.iterdir()] == ["pipeline.yaml"]
    assert lab("init", "--force", "--json").json()["status"] == "success"
    assert (lab.folder / "pipeline.yaml").read_text() != "mine"


def test_plan_runs_nothing_and_shows_no_secret(lab):
    lab.write("osiris_connections.yaml", CONNECTIONS)
    lab.pipeline(NUMBERS, SAVE, {"id": "login", "driver": "lab.login", "config": {"connection": "@lab"}})
    plain, document = lab("plan", LAB_PASSWORD="hush-hush"), lab("plan", "--json").json()
    assert plain.code == 0
    assert "hush-hush" not in plain.out + plain.err
    assert "osiris-lab 1.0" in plain.out
    assert "Nothing was run." in plain.out
    assert not (lab.folder / ".osiris").exists()
    assert [step["id"] for step in document["steps"]] == ["make", "save", "login"]
    assert document["edges"] == [{"from": "make.df", "to": "save.df", "kind": "store"}]
    (secret,) = document["secrets"]
    assert (secret["reference"], secret["used_by"], secret["available"]) == (
        "LAB_PASSWORD",
        "connection @lab.main",
        False,
    )


def test_validate_reports_every_problem_of_every_file(lab):
    lab.pipeline(NUMBERS, SAVE, name="good.yaml")
    lab.write("bad.yaml", "version: 1.0.0\nsteps:\n  - id: a\n    drivr: x\n  - id: a\n    driver: lab.fail\n")
    ended, document = lab("validate", "good.yaml", "bad.yaml"), lab("validate", "good.yaml", "bad.yaml", "--json")
    assert (ended.code, document.code) == (3, 3)
    assert ended.out == "good.yaml: valid, 2 steps\n"
    places = [line.partition(": error: ")[0] for line in ended.err.splitlines() if ": error: " in line]
    assert places == ["bad.yaml:3:5", "bad.yaml:4:5", "bad.yaml:5:9"]
    good, bad = document.json()["files"]
    assert (good["problems"], len(bad["problems"])) == ([], 3)
    assert lab("validate", "good.yaml").code == 0


def test_runs_list_and_show(lab):
    lab.pipeline(NUMBERS, SAVE)
    lab.pipeline({"id": "boom", "driver": "lab.fail"}, name="fail.yaml")
    assert "no runs yet" in lab("runs", "list").err
    lab("run")
    lab("run", "fail.yaml")
    listed = lab("runs", "list", "--json").json()["sessions"]
    assert [info["status"] for info in listed] == ["failed", "success"]
    plain = lab("runs", "list")
    assert listed[0]["id"] in plain.out
    last, first = lab("runs", "show"), lab("runs", "show", listed[1]["id"])
    assert "error:   the disk of the lab is on fire (step boom)" in last.out
    assert "output:  out.txt" in first.out
    shown = lab("runs", "show", listed[0]["id"][-6:], "--json").json()
    assert shown["result"]["status"] == "failed"
    assert shown["failed_steps"][0]["step_id"] == "boom"


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_a_narrow_terminal_breaks_no_words(lab, columns):
    lab.pipeline(NUMBERS, {**SAVE, "driver": "filesystem.csv_writer", "config": {"path": "out.csv"}})
    lab("run", "--quiet")
    for arguments, names in ((["runs", "list"], ["success"]), (["plan"], ["filesystem.csv_writer", "lab.numbers"])):
        code, shown = lab.on_terminal(*arguments, columns=columns, NO_COLOR="1").finish()
        assert code == 0
        assert max(map(len, shown.splitlines())) <= columns
        assert all(name in shown for name in names), shown
    assert len(lab.on_terminal("runs", "list", columns=columns, NO_COLOR="1").finish()[1].splitlines()) == 2


def test_plugins_list_shows_states_and_survives_broken_ones(lab, tmp_path_factory):
    site = tmp_path_factory.mktemp("broken")
    for name, requires, module in (("shaky", "osiris-core>=1,<2", "shaky"), ("future", "osiris-core>=7,<8", "shaky")):
        info = site / f"osiris_{name}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: osiris-{name}\nVersion: 2.0\nRequires-Dist: {requires}\n"
        )
        (info / "entry_points.txt").write_text(f"[osiris.drivers]\n{name} = {module}\n")
    (site / "shaky.py").write_text("raise RuntimeError('no luck')\n")
    path = os.pathsep.join([str(site), lab.env["PYTHONPATH"]])
    plain = lab("plugins", "list", PYTHONPATH=path)
    states = {
        item["name"]: item["state"] for item in lab("plugins", "list", "--json", PYTHONPATH=path).json()["plugins"]
    }
    assert plain.code == 0
    assert (states["shaky"], states["future"], states["lab"]) == ("broken", "incompatible", "ok")
    assert "no luck" in plain.out
    assert lab("drivers", "list", PYTHONPATH=path).code == 0
    assert lab("--help", PYTHONPATH=path).code == 0
    assert lab("doctor", PYTHONPATH=path).code == 4


def test_drivers_show(lab):
    plain, document = lab("drivers", "show", "lab.numbers"), lab("drivers", "show", "lab.numbers", "--json").json()
    assert "count" in plain.out
    assert "required" in plain.out
    assert "How many numbers." in plain.out
    assert "driver: lab.numbers" in plain.out
    assert document["options"][1] == {
        "name": "step",
        "type": "int",
        "required": False,
        "default": "1",
        "description": "From one to the next.",
    }
    missing = lab("drivers", "show", "lab.nunbers")
    assert missing.code == 4
    assert "did you mean 'lab.numbers'?" in missing.err


def test_options_of_a_model_that_holds_itself(lab):
    options = lab("drivers", "show", "lab.tree", "--json").json()["options"]
    assert [(one["name"], one["type"]) for one in options] == [("label", "text"), ("below", "list of mapping")]


def test_connections(lab):
    lab.write("osiris_connections.yaml", CONNECTIONS)
    listed = lab("connections", "list", LAB_PASSWORD="hush-hush")
    assert "@lab.main" in listed.out
    assert "${LAB_PASSWORD}" in listed.out
    works = lab("connections", "test", "@lab.main", LAB_PASSWORD="hush-hush")
    assert (works.code, works.out.startswith("@lab.main: ok in ")) == (0, True)
    every = lab("connections", "test", "--json", LAB_PASSWORD="hush-hush")
    assert every.code == 5
    assert {one["connection"]: one["status"] for one in every.json()["connections"]} == {
        "@lab.broken": "failed",
        "@lab.main": "success",
    }
    unset = lab("connections", "test")
    assert unset.code == 5
    assert "LAB_PASSWORD" in unset.out
    for ended in (listed, works, every):
        assert "hush-hush" not in ended.out + ended.err


@pytest.mark.parametrize(("host", "told"), [("odd", "returned a int, not a mapping"), ("out", "SystemExit")])
def test_a_check_that_is_broken_fails_its_connection_only(lab, host, told):
    both = {"main": {"password": "${LAB_PASSWORD}"}, "strange": {"host": host, "password": "${LAB_PASSWORD}"}}
    lab.write("osiris_connections.yaml", json.dumps({"version": "1.0.0", "connections": {"lab": both}}))
    ended = lab("connections", "test", "--json", LAB_PASSWORD="hush-hush")
    assert ended.code == 5
    main, strange = ended.json()["connections"]
    assert (main["status"], strange["status"]) == ("success", "failed")
    assert told in strange["error"]["message"]
    assert ended.err.count("login with ***") == 2


def test_schema_checks_pipelines(lab):
    schema = lab("schema").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    good = {"version": "1.0.0", "steps": [NUMBERS, SAVE, {"id": "x", "driver": "not.installed", "config": {"a": 1}}]}
    assert list(check.iter_errors(good)) == []
    param = {**NUMBERS, "config": {"count": "${params.n}"}}
    assert list(check.iter_errors({"version": "1.0.0", "steps": [param]})) == []
    for wrong in (
        {"version": "1.0.0"},
        {"version": "1.0.0", "steps": [{"id": "a"}]},
        {"version": "1.0.0", "steps": [{**NUMBERS, "config": {"cuont": 3}}]},
        {"version": "1.0.0", "steps": [{**NUMBERS, "config": {"count": "many"}}]},
        {"version": "1.0.0", "steps": [{**NUMBERS, "retries": 3}]},
    ):
        assert list(check.iter_errors(wrong)), wrong
    how = {"retry": {"attempts": 2, "delay": "1s", "on": ["a.*"]}, "timeout": "5m", "on_error": "continue"}
    whole = {"defaults": {**how, "checkpoint": True}, "breaker": False, "limits": {"memory": "1GB", "time": 60}}
    step = {"id": "a", "driver": "lab.numbers", "config": {"count": 1}, **how, "checkpoint": False}
    check.validate({"version": "1.0.0", "steps": [step], **whole})
    assert not check.is_valid({"version": "1.0.0", "steps": [{**step, "on_error": "ignore"}]})
    assert not check.is_valid({"version": "1.0.0", "steps": [{**step, "retry": {"atempts": 2}}]})
    one = lab("schema", "--driver", "lab.numbers").json()
    assert one["required"] == ["count"]


def test_doctor(lab):
    ended, document = lab("doctor"), lab("doctor", "--json").json()
    checks = {check["what"]: check["state"] for check in document["checks"]}
    assert checks["adapter local"] == "ok"
    assert checks["osiris-csv-scan"] == "ok"
    assert checks["project"] == "warn"
    assert "hint: 'osiris init' makes one" in ended.out
    lab.write("osiris_connections.yaml", CONNECTIONS)
    assert "variable LAB_PASSWORD is not set" in lab("doctor").out
    lab.write("osiris_connections.yaml", "connections: [")
    assert lab("doctor").code == 3


PROJECTS = {
    "osiris.yaml": {
        "foo: 1": (3, "osiris.yaml:1:1: unknown option 'foo'"),
        "[": (3, "osiris.yaml:1:"),
        "adapters: [1]": (3, "adapters: must be a mapping, but is a list"),
        "adapters: {default: mars}": (4, "osiris.yaml: there is no adapter 'mars'"),
        "adapters: {fallback: [mars]}": (4, "osiris.yaml: there is no adapter 'mars'"),
        "adapters: {options: {local: {isolation: nowhere}}}": (3, "isolation"),
        "forbidden": (3, "osiris.yaml' cannot be read: no permission"),
    },
    "osiris_connections.yaml": {
        "connections: {lab: {main: {host: up, password: hush-hush}}}": (3, "password holds a secret in clear"),
        "connections: {duckdb: {main: {pth: x}}}": (3, "connection @duckdb.main: unknown option 'pth'"),
        "connections: {nosuch: {main: {host: up}}}": (0, "no installed driver opens connections of family 'nosuch'"),
    },
    ".env": {
        "A='x": (3, ".env:1: this line is no variable"),
        "forbidden": (3, ".env' cannot be read: no permission"),
        "A=1": (0, "1 variable in "),
    },
}


@pytest.mark.parametrize(("file", "text"), [(file, text) for file, texts in PROJECTS.items() for text in texts])
def test_doctor_sees_what_a_run_would_see(lab, file, text):
    written = lab.write(file, text)
    if text == "forbidden":
        written.chmod(0)
    code, told = PROJECTS[file][text]
    ended = lab.as_nobody("doctor")
    assert (ended.code, ended.err) == (code, "")
    assert told in ended.out
    assert "hush-hush" not in ended.out


def test_doctor_and_a_session_folder_that_is_a_file(lab):
    lab.write("taken", "")
    ended = lab("doctor", "--session-dir", "taken")
    assert (ended.code, "taken is a file" in ended.out, "Permission" in ended.out) == (5, True, False)


def test_connections_are_tested_by_the_rules_of_validate(lab):
    lab.write(
        "osiris_connections.yaml",
        """\
        connections:
          duckdb:
            misspelt: {pth: x.duckdb}
          lab:
            clear: {host: up, password: hush-hush}
          labb:
            nobody: {host: up}
        """,
    )
    ended, document = lab("connections", "test"), lab("connections", "test", "--json")
    assert (ended.code, document.code) == (5, 5)
    assert "osiris_connections.yaml:3:21: connection @duckdb.misspelt: unknown option 'pth'" in ended.out
    assert "hint: did you mean path?" in ended.out
    assert "osiris_connections.yaml:5:33: connection @lab.clear: password holds a secret in clear" in ended.out
    assert "@labb.nobody: failed: no installed driver opens connections of family 'labb'" in ended.out
    assert "hint: did you mean lab? they open" in ended.out
    assert [one["error"]["code"] for one in document.json()["connections"]] == [
        "plan.connection",
        "plan.secret_in_clear",
        "plugin.not_found",
    ]
    assert "hush-hush" not in ended.out + ended.err + document.out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_bench(lab, options):
    lab.pipeline(NUMBERS, SAVE)
    ended = lab("bench", "--adapter", "local", "pipeline.yaml", "--runs", "2", *options)
    assert ended.code == 0, ended.err
    if options:
        assert ended.json()["runs"] == 2
        assert ended.json()["figures"]["total_time_ms"]["median"] > 0
    else:
        assert "preparation time" in ended.out
        assert "step make" in ended.out
    assert "run 2: " in ended.err
    assert not (lab.folder / ".osiris").exists()


def test_text_of_json_is_utf8(lab):
    lab.pipeline({**NUMBERS, "description": "ä"}, SAVE, description="ü")
    assert json.loads(lab("validate", "--json", LC_ALL="C", PYTHONIOENCODING="ascii").out)["status"] == "success"
