"""``osiris compile``, profiles and variables, as people type them."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

OML = """\
oml_version: "0.1.0"
name: orders-demo
params: {n: {default: 3}}
profiles: {prod: {params: {n: 5}}}
steps:
  - id: read-orders
    component: filesystem.csv_extractor
    mode: read
    config: {path: data/orders.csv, limit: "${params.n}"}
  - id: agg
    component: duckdb.processor
    mode: transform
    needs: [read-orders]
    config: {query: "SELECT * FROM df_read_orders"}
  - id: write
    component: filesystem.csv_writer
    mode: write
    needs: [agg]
    config: {path: output/out.csv}
"""
ORDERS = "id,zip,amount\n" + "".join(f"{n},0050{n},{n}.10\n" for n in range(1, 9))


@pytest.fixture
def shop(lab):
    lab.write("old.yaml", OML)
    lab.write("data/orders.csv", ORDERS)
    return lab


def rows(lab) -> int:
    return len((lab.folder / "output/out.csv").read_text().splitlines()) - 1


def names(lab) -> list[str]:
    return sorted(path.name for path in lab.folder.iterdir())


def test_an_oml_file_runs_as_it_is(shop):
    ended = shop("run", "old.yaml")
    assert ended.code == 0, ended.err
    assert (shop.folder / "output/out.csv").read_text() == "".join(ORDERS.splitlines(keepends=True)[:4])


@pytest.mark.parametrize(
    ("options", "env", "count"),
    [
        (["--profile", "prod"], {}, 5),
        (["--profile", "prod", "--param", "n=7"], {"OSIRIS_PARAM_N": "6"}, 7),
    ],
)
def test_the_manifest_does_what_the_oml_file_does(shop, options, env, count):
    compiled = shop("compile", "old.yaml", "-o", "new.yaml")
    assert compiled.code == 0, compiled.err
    assert compiled.out == ""
    results = []
    for file in ("old.yaml", "new.yaml"):
        ended = shop("run", file, *options, "--json", **env)
        assert ended.code == 0, ended.err
        results.append((rows(shop), shop("runs", "show", "--json").json()))
    (old_rows, old), (new_rows, new) = results
    assert old_rows == new_rows == count
    prints, again = old["fingerprints"], new["fingerprints"]
    assert prints.pop("text") != again.pop("text")
    assert prints == again
    assert set(prints) == {"manifest", "params", "drivers", "plan"}
    assert (old["source"]["dialect"], new["source"]["dialect"]) == ("oml", "manifest")
    assert old["source"]["params_from"] == new["source"]["params_from"]
    assert old["drivers"]["duckdb.processor"].startswith("osiris-driver-duckdb ")
    assert [(step["id"], step["rows_out"]) for step in old["result"]["steps"]] == [
        (step["id"], step["rows_out"]) for step in new["result"]["steps"]
    ]


def test_runs_differ_by_what_was_changed(shop):
    shop("run", "old.yaml", "-q")
    first = shop("runs", "show", "--json").json()
    shop("run", "old.yaml", "-q", "--param", "n=4")
    second = shop("runs", "show", "--json").json()
    same = {name for name, value in first["fingerprints"].items() if second["fingerprints"][name] == value}
    assert same == {"text", "manifest", "drivers"}
    assert second["source"]["params_from"] == {"n": "command line"}
    shown = shop("runs", "show").out
    assert f"text {first['fingerprints']['text'][:12]}" in shown
    assert json.loads(shop("compile", "old.yaml", "--json").out)["fingerprint"] == first["fingerprints"]["manifest"]


def test_relative_paths_stay_where_they_were(shop):
    shop.write("pipelines/old.yaml", OML)
    assert shop("compile", "pipelines/old.yaml", "-o", "pipelines/new.yaml").code == 0
    text = (shop.folder / "pipelines/new.yaml").read_text()
    assert 'base_dir: ".."\n' in text
    below = type(shop)(shop.folder / "pipelines", shop.env)
    ended = below("run", "new.yaml")
    assert ended.code == 0, ended.err
    assert rows(shop) == 3
    assert below("compile", "new.yaml", "-o", "again.yaml").code == 0
    assert (below.folder / "again.yaml").read_text() == text
    assert below("compile", "new.yaml", "-o", "../here.yaml").code == 0
    assert 'base_dir: "."\n' in (shop.folder / "here.yaml").read_text()
    (shop.folder / "output/out.csv").unlink()
    assert shop("run", "here.yaml").code == 0
    assert rows(shop) == 3


def test_to_standard_output(shop):
    plain = shop("compile", "old.yaml")
    assert plain.code == 0
    assert plain.out.startswith('version: "1.0.0"\nname: orders-demo\nparams:\n  "n":\n    default: 3\nprofiles:\n')
    assert shop("compile", "old.yaml", "-o", "-").out == plain.out
    shop("compile", "old.yaml", "--output", "new.yaml")
    assert (shop.folder / "new.yaml").read_text() == plain.out
    document = shop("compile", "old.yaml", "--json").json()
    assert document["manifest"] == plain.out
    assert (document["status"], document["dialect"], document["steps"], document["params"]) == (
        "success",
        "oml",
        3,
        ["n"],
    )
    to_file = shop("compile", "old.yaml", "--json", "-o", "new.yaml", "--force").json()
    assert (to_file["output"], "manifest" in to_file) == ("new.yaml", False)


def test_the_bytes_hang_on_nothing_but_the_file_and_the_options(shop):
    first = shop("compile", "old.yaml").out
    for env in ({"PYTHONHASHSEED": "7", "LC_ALL": "C"}, {"OSIRIS_PARAM_N": "9", "COLUMNS": "20"}):
        assert shop("compile", "old.yaml", **env).out == first


def test_options_become_defaults_or_are_filled_in(shop):
    kept = shop("compile", "old.yaml", "--profile", "prod").out
    assert "default: 5\n" in kept
    assert "profiles:\n" in kept
    assert "default: 7\n" in shop("compile", "old.yaml", "--profile", "prod", "-p", "n=7").out
    resolved = shop("compile", "old.yaml", "--resolve", "--profile", "prod").out
    assert "limit: 5\n" in resolved
    assert "params" not in resolved
    assert "profiles" not in resolved
    assert "limit: 9\n" in shop("compile", "old.yaml", "--resolve", OSIRIS_PARAM_N="9").out


def test_a_file_is_overwritten_only_by_force(shop):
    shop.write("new.yaml", "mine")
    refused = shop("compile", "old.yaml", "-o", "new.yaml")
    assert (refused.code, refused.err) == (
        2,
        "error: 'new.yaml' exists\nhint: add --force to overwrite it, or name another file\n",
    )
    assert (shop.folder / "new.yaml").read_text() == "mine"
    assert shop("compile", "old.yaml", "-o", "new.yaml", "--force").code == 0
    assert (shop.folder / "new.yaml").read_text().startswith("version:")
    assert shop("compile", "old.yaml", "-o", "old.yaml", "--force").code == 2
    assert (shop.folder / "old.yaml").read_text() == OML
    assert shop("compile", "old.yaml", "-o", "data", "--force", "--json").json()["error"]["code"] == "usage.output"


def test_nothing_is_left_where_nothing_can_be_written(shop):
    ended = shop("compile", "old.yaml", "-o", "no/such/folder/new.yaml", "--json")
    assert (ended.code, ended.json()["error"]["code"]) == (5, "compile.unwritable")
    shop.write("bad.yaml", OML.replace("needs: [agg]", "needs: [ag]"))
    assert shop("compile", "bad.yaml", "-o", "new.yaml").code == 3
    assert names(shop) == ["bad.yaml", "data", "old.yaml"]


def test_a_file_that_was_there_stays_whole_where_nothing_more_fits(shop):
    shop.write("new.yaml", "mine")
    done = subprocess.run(
        [sys.executable, "-m", "osiris.cli", "compile", "old.yaml", "-o", "new.yaml", "--force"],
        cwd=shop.folder,
        env=shop.env,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8)),
    )
    assert done.returncode == 5, done.stderr
    assert "'new.yaml' cannot be written: File too large" in done.stderr
    assert (shop.folder / "new.yaml").read_text() == "mine"
    assert names(shop) == ["data", "new.yaml", "old.yaml"]


def test_a_new_file_may_be_read_by_those_the_umask_allows(shop):
    shop("compile", "old.yaml", "-o", "new.yaml")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((shop.folder / "new.yaml").stat().st_mode) == 0o666 & ~umask


def test_a_secret_stays_a_reference(shop):
    text = OML.replace("delimiter", "x").replace("path: data/orders.csv", 'path: "${ORDERS_FILE}"')
    shop.write("old.yaml", text)
    for options in ([], ["--resolve"]):
        ended = shop("compile", "old.yaml", *options, ORDERS_FILE="hush-hush")
        assert 'path: "${ORDERS_FILE}"\n' in ended.out
        assert "hush-hush" not in ended.out + ended.err
    shop.write("clear.yaml", OML.replace("{path: data/orders.csv,", "{path: 'sftp://me:hush-hush@host/x.csv',"))
    refused = shop("compile", "clear.yaml")
    assert (refused.code, refused.out) == (3, "")
    assert "clear.yaml:9:" in refused.err
    assert "hush-hush" not in refused.err
    declared = OML.replace("{n: {default: 3}}", "{n: {default: 3}, password: {default: hush-hush}}")
    shop.write("clear.yaml", declared.replace("{n: 5}", "{n: 5, password: hush-hush}"))
    refused = shop("compile", "clear.yaml")
    assert (refused.code, refused.out) == (3, "")
    assert "clear.yaml:3:37: error: params.password holds a secret in clear\n" in refused.err
    assert "clear.yaml:4:44: error: profiles.prod.params.password holds a secret in clear\n" in refused.err
    assert "hush-hush" not in refused.err


def test_connections_need_not_be_there(shop):
    step = '{id: a, component: mysql.extractor, config: {connection: "@mysql.main", query: x}}'
    shop.write("old.yaml", f"oml_version: 0.1.0\nsteps: [{step}]\n")
    assert shop("validate", "old.yaml").code == 3
    assert 'connection: "@mysql.main"\n' in shop("compile", "old.yaml").out


def test_a_param_without_a_value_is_kept(shop):
    shop.write("old.yaml", OML.replace("{default: 3}", "{type: integer}"))
    assert shop("run", "old.yaml").code == 3
    assert shop("compile", "old.yaml", "--resolve").code == 3
    assert shop("compile", "old.yaml", "-o", "new.yaml").code == 0
    assert shop("run", "new.yaml", "--param", "n=2").code == 0
    assert rows(shop) == 2


def test_all_mistakes_are_in_one_report(shop):
    bad = OML.replace("    mode: read\n", "    mode: read\n    retry: 3\n").replace("limit:", "chunk_size: 5, limti:")
    shop.write("bad.yaml", bad.replace("id: write", "id: /etc/x").replace("needs: [read-orders]", "needs: [orders]"))
    ended = shop("compile", "bad.yaml")
    assert ended.code == 3
    places = [line.partition(": error: ")[0] for line in ended.err.splitlines() if ": error: " in line]
    assert places == ["bad.yaml:9:5", "bad.yaml:10:37", "bad.yaml:10:52", "bad.yaml:14:13", "bad.yaml:16:9"]
    document = shop("compile", "bad.yaml", "--json").json()
    assert len(document["error"]["facts"]["problems"]) == 5
    assert all(problem["line"] and problem["hint"] for problem in document["error"]["facts"]["problems"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "manifest.empty"),
        (b"oml_version: 0.1.0\n  bad: [", "manifest.yaml"),
        (b"oml_version: '1.0'\nsteps: [{id: a, component: filesystem.csv_extractor}]\n", "manifest.version"),
        (b"pipeline: {id: x}\nsteps: []\nmeta: {oml_version: 0.1.0}\n", "manifest.missing_key"),
    ],
)
def test_files_that_are_no_pipelines(shop, content, code):
    (shop.folder / "bad.yaml").write_bytes(content)
    ended = shop("compile", "bad.yaml", "--json")
    assert ended.code == 3
    assert code in {problem["code"] for problem in ended.json()["error"]["facts"]["problems"]}


def test_a_pipeline_that_is_not_there(shop):
    assert shop("compile", "none.yaml", "-o", "x.yaml").code == 3
    assert shop("compile").code == 2
    assert shop("compile", "old.yaml", "--profile").code == 2


def test_plan_shows_where_values_come_from(shop):
    shop.write(".env", "OSIRIS_PARAM_N=8\n")
    shop.write("more.env", "OSIRIS_PARAM_N=9\n")
    for options, env, value, source in (
        ([], {}, 8, "OSIRIS_PARAM_N"),
        (["--env-file", "more.env"], {"OSIRIS_PARAM_N": "6"}, 9, "OSIRIS_PARAM_N"),
        (["-p", "n=1"], {"OSIRIS_PARAM_N": "6"}, 1, "command line"),
    ):
        document = shop("plan", "old.yaml", *options, "--json", **env).json()
        assert (document["params"], document["params_from"]) == ({"n": value}, {"n": source})
    (shop.folder / ".env").unlink()
    plain = shop("plan", "old.yaml", "--profile", "prod").out
    assert "n      5      profile prod\n" in plain
    assert shop("plan", "old.yaml", "--profile", "prod", "--json").json()["profile"] == "prod"
    assert "n      3      default\n" in shop("plan", "old.yaml").out


@pytest.mark.parametrize("command", ["run", "plan", "validate", "compile", "bench"])
def test_every_command_refuses_what_is_not_there(shop, command):
    options = ["--adapter", "local"] if command == "bench" else []
    ended = shop(command, "old.yaml", *options, "--profile", "prd", "--param", "m=1")
    assert ended.code == 3
    assert "old.yaml:4:11: error: there is no profile 'prd'\nhint: did you mean prod?\n" in ended.err
    assert "old.yaml:3:9: error: there is no parameter 'm'\nhint: known: n\n" in ended.err


def test_a_resumed_run_keeps_its_values(shop):
    shop.write("data/orders.csv", "id,a\n1,2,3\n")
    assert shop("run", "old.yaml", "--profile", "prod").code == 5
    shop.write("data/orders.csv", ORDERS)
    ended = shop("run", "--resume", "last", OSIRIS_PARAM_N="1")
    assert ended.code == 0, ended.err
    assert rows(shop) == 5


def test_a_resumed_run_is_not_given_another_profile(shop):
    shop.write("data/orders.csv", "id,a\n1,2,3\n")
    assert shop("run", "old.yaml").code == 5
    ended = shop("run", "--resume", "last", "--profile", "prod", "--json")
    assert (ended.code, ended.json()["error"]["code"]) == (2, "session.changed")


CSV_OPTIONS = [
    ({"header": 1}, "junk,\na,b\n1,2\n", "a,b\n1,2\n"),
    ({"header": 0}, "a,b\n1,2\n", "a,b\n1,2\n"),
    ({"header": False}, "a,b\n1,2\n", "column_1,column_2\na,b\n1,2\n"),
    ({"skip_rows": 2}, "x\ny\na,b\n1,2\n", "a,b\n1,2\n"),
    ({"columns": ["b", "a"]}, "a,b,c\n1,2,3\n", "b,a\n2,1\n"),
    ({"limit": 1}, "a\n1\n2\n", "a\n1\n"),
    ({"delimiter": ";"}, "a;b\n1;2\n", "a,b\n1,2\n"),
    ({"delimiter": "\t"}, "a\tb\n1\t2\n", "a,b\n1,2\n"),
    ({"dtype": {"a": "float64", "b": "int64"}}, "a,b\n1,02\n", "a,b\n1.0,2\n"),
    ({"parse_dates": ["a"]}, "a\n2024-01-31T10:00:00\n", "a\n2024-01-31 10:00:00\n"),
    ({"parse_dates": True}, "a\n007\n", "a\n007\n"),
    ({"na_values": ["N/A", "-"]}, "a,b\nN/A,1\n-,2\nNA,3\n", "a,b\n,1\n,2\nNA,3\n"),
    ({"comment": "#"}, "# x\na,b\n#1,2\n3,4\n", "a,b\n3,4\n"),
    ({"skip_blank_lines": True}, "a,b\n\n1,2\n", "a,b\n1,2\n"),
    ({"encoding": "latin-1"}, "a\nžluť\n".replace("ž", "z").replace("ť", "t"), "a\nzlut\n"),
]


def test_options_of_csv_files_mean_what_they_meant(lab):
    steps = []
    for index, (options, content, _) in enumerate(CSV_OPTIONS):
        lab.write(f"in{index}.csv", content)
        config = {"path": f"in{index}.csv", **options}
        steps.append({"id": f"r{index}", "component": "filesystem.csv_extractor", "needs": [], "config": config})
        config = {"path": f"out/{index}.csv"}
        steps.append({"id": f"w{index}", "component": "filesystem.csv_writer", "config": config})
    lab.write("old.yaml", json.dumps({"oml_version": "0.1.0", "steps": steps}))
    ended = lab("run", "old.yaml")
    assert ended.code == 0, ended.err
    written = [Path(lab.folder, f"out/{index}.csv").read_text() for index in range(len(CSV_OPTIONS))]
    assert written == [expected for _, _, expected in CSV_OPTIONS]


OLD_PROJECT = """\
version: '2.0'
filesystem:
  base_path: ""
  profiles: {enabled: true, values: [dev, prod], default: "prod"}
  build_dir: build
"""


def test_a_project_of_the_predecessor_keeps_its_file_and_its_default_profile(shop):
    shop.write("osiris.yaml", OLD_PROJECT)
    assert shop("run", "old.yaml").code == 0
    assert rows(shop) == 5
    assert shop("plan", "old.yaml", "--json").json()["params_from"] == {"n": "profile prod"}
    assert "default: 3\n" in shop("compile", "old.yaml").out
    assert "limit: 5\n" in shop("compile", "old.yaml", "--resolve").out
    shop.write("old.yaml", OML.replace("prod:", "test:"))
    assert shop("plan", "old.yaml", "--json").json()["profile"] is None
    assert shop("plan", "old.yaml", "--json", "--profile", "test").json()["profile"] == "test"
    shop.write("osiris.yaml", "version: '1'\n")
    assert shop("run", "old.yaml", "--json").json()["error"]["code"] == "usage.project_file"
