"""Third parties' packages, built and installed by pip, seen from processes that did nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

pytestmark = pytest.mark.install

SAMPLES = Path(__file__).resolve().parents[1] / "plugins"
FOLDERS = {"good": ["good"], "bad": ["broken", "future", "misspelt"], "twin": ["twin"]}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folders into which pip installed the wheels of the samples."""
    wheels = tmp_path_factory.mktemp("wheels")
    folders = {name: tmp_path_factory.mktemp(name) for name in FOLDERS}
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--no-index"]
    installing = []
    for name, samples in FOLDERS.items():
        built = [next(WheelBuilder(str(SAMPLES / sample)).build(directory=str(wheels))) for sample in samples]
        command = [*pip, "--no-compile", "--target", str(folders[name]), *built]
        installing.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for process in installing:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return folders


PRELUDE = """
import json, sys
from osiris.core.plugins import Catalog

catalog = Catalog.current()

def error_of(ask, *arguments):
    try:
        ask(*arguments)
    except Exception as error:
        return {**error.to_dict(), "exit_code": error.exit_code}

def imported(*names):
    return sorted(name for name in sys.modules if name.split(".")[0] in names)
"""


@pytest.fixture
def ask(installed, tmp_path):
    """Run Python code in a new process beside some samples; ``result`` there is what comes back."""

    def run(code: str, *folders: str, **environment: str):
        program = f"{PRELUDE}{textwrap.dedent(code)}\nprint(json.dumps(result))"
        finished = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=environment_with([installed[name] for name in folders], tmp_path, environment),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout.splitlines()[-1])

    return run


def environment_with(folders, tmp_path, more):
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OSIRIS_")}
    trace = str(tmp_path / "future-imported")
    return {**inherited, "PYTHONPATH": os.pathsep.join(map(str, folders)), "ACME_FUTURE_IMPORTED": trace, **more}


def test_listing_imports_nothing_of_anybody(ask):
    told = ask(
        """
        result = {
            "families": catalog.driver_families(),
            "adapters": catalog.adapter_names(),
            "of": catalog.distribution_of("acme.writer"),
            "imported": imported("acme", "acme_broken", "acme_future", "acme_misspelt"),
            "heavy": sorted({"pyarrow", "pandas", "pydantic", "packaging.requirements"} & set(sys.modules)),
        }
        """,
        "good",
        "bad",
    )
    assert {"acme", "shaky", "future", "misspelt"} <= set(told["families"])
    assert "acme" in told["adapters"]
    assert told["of"] == ["acme-osiris", "1.2.0"]
    assert told["imported"] == []
    assert told["heavy"] == []


def test_describing_imports_the_light_module_alone(ask):
    told = ask(
        """
        specs = {spec.name: spec.summary for spec in catalog.driver_specs() if spec.family == "acme"}
        result = {
            "specs": specs,
            "adapter": catalog.describe_adapter("acme").summary,
            "imported": imported("acme", "acme_broken", "acme_future", "acme_misspelt"),
            "heavy": sorted({"pyarrow", "pandas", "pydantic"} & set(sys.modules)),
        }
        """,
        "good",
    )
    assert told["specs"] == {
        "acme.extractor": "Reads the result of a query from a SQLite file.",
        "acme.writer": "Writes rows into a table of a SQLite file.",
    }
    assert told["adapter"] == "Runs the pipeline in a named room."
    assert told["imported"] == ["acme", "acme.plugin"]
    assert told["heavy"] == []


def test_loading_gives_the_classes(ask):
    told = ask(
        """
        made = catalog.create_adapter("acme", {"seats": "3", "room": "two"})
        result = [catalog.load_driver("acme.writer").__qualname__, made.room, made.seats, made.light]
        """,
        "good",
    )
    assert told == ["Writer", "two", 3, "on"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"roon": "two"}, ["'roon'", "did you mean 'room'"]),
        ({"seats": "many"}, ["'seats'", "integer"]),
        ({"light": "dim"}, ["'light'", "'on' or 'off'"]),
    ],
)
def test_wrong_adapter_options_are_named_before_the_adapter_is_imported(ask, options, says):
    error, imported = ask(
        f"""
        result = error_of(catalog.create_adapter, "acme", {options!r}), imported("acme")
        """,
        "good",
    )
    assert error["type"] == "UsageError"
    assert error["exit_code"] == 2
    for part in says:
        assert part in error["message"] + " " + error["hint"]
    assert "acme.adapter" not in imported


def test_every_plugin_is_reported_with_its_state(ask, tmp_path):
    told = ask(
        """
        result = {report.name: report.to_dict() for report in catalog.report() if report.group == "osiris.drivers"}
        """,
        "good",
        "bad",
    )
    assert told["acme"]["state"] == "ok"
    assert told["acme"]["offers"] == ["acme.extractor", "acme.writer"]
    assert told["shaky"]["state"] == "broken"
    assert "No module named 'a_module_that_nobody_has'" in told["shaky"]["reason"]
    assert "plugin.py:3" in told["shaky"]["reason"]
    assert told["misspelt"]["state"] == "broken"
    assert "did you mean 'osiris_drivers'?" in told["misspelt"]["reason"]
    assert told["future"]["state"] == "incompatible"
    assert told["future"]["reason"].startswith("plugin 'future' (acme-future 1.0) needs osiris-core >=2,<3; this is 1.")
    assert "pip install --upgrade acme-future" in told["future"]["hint"]
    assert not (tmp_path / "future-imported").exists()


def test_what_is_broken_breaks_only_what_asks_for_it(ask, tmp_path):
    told = ask(
        """
        result = {
            "healthy": catalog.describe_driver("acme.writer").name,
            "specs": [spec.family for spec in catalog.driver_specs()],
            "shaky": error_of(catalog.describe_driver, "shaky.extractor"),
            "again": error_of(catalog.load_driver, "shaky.extractor"),
            "future": error_of(catalog.load_driver, "future.extractor"),
        }
        """,
        "good",
        "bad",
    )
    assert told["healthy"] == "acme.writer"
    assert {"shaky", "future", "misspelt"}.isdisjoint(told["specs"])
    assert told["shaky"] == told["again"]
    assert told["shaky"]["type"] == "PluginBrokenError"
    assert told["shaky"]["exit_code"] == 4
    assert "'a_module_that_nobody_has'" in told["shaky"]["hint"]
    assert told["future"]["type"] == "PluginVersionError"
    assert not (tmp_path / "future-imported").exists()


def test_twins_are_refused_and_both_named(ask):
    told = ask(
        """
        result = {
            "error": error_of(catalog.describe_driver, "acme.extractor"),
            "states": [(report.group, report.state) for report in catalog.report() if report.name == "acme"],
            "imported": imported("acme_twin"),
            "adapter": catalog.describe_adapter("acme").name,
        }
        """,
        "good",
        "twin",
    )
    assert told["error"]["type"] == "PluginConflictError"
    assert "acme-osiris 1.2.0" in told["error"]["message"]
    assert "acme-twin 2.0" in told["error"]["message"]
    assert told["states"] == [
        ["osiris.adapters", "ok"],
        ["osiris.drivers", "conflict"],
        ["osiris.drivers", "conflict"],
        ["osiris.plugins", "ok"],
    ]
    assert told["imported"] == []
    assert told["adapter"] == "acme"  # only the family is disputed


def test_denying_one_twin_leaves_the_other(ask):
    told = ask(
        """
        states = {report.distribution: report.state for report in catalog.report() if report.name == "acme"}
        result = [catalog.describe_driver("acme.extractor").summary, states, imported("acme_twin")]
        """,
        "good",
        "twin",
        OSIRIS_PLUGINS_DENY="acme_twin",
    )
    summary, states, imported = told
    assert summary == "Reads the result of a query from a SQLite file."
    assert states == {"acme-osiris": "ok", "acme-twin": "blocked"}
    assert not imported


def test_only_what_is_allowed_is_imported(ask):
    told = ask(
        """
        result = [
            catalog.describe_adapter("acme").name,
            error_of(catalog.describe_driver, "shaky.extractor"),
            catalog.driver_families(),
            catalog.warnings(),
            imported("acme_broken"),
        ]
        """,
        "good",
        "bad",
        OSIRIS_PLUGINS_ALLOW="acme, osiris-driver-duckdb",
    )
    adapter, error, families, warnings, imported = told
    assert adapter == "acme"
    assert error["code"] == "plugin.blocked"
    assert "OSIRIS_PLUGINS_ALLOW" in error["message"]
    assert families == ["acme", "duckdb"]
    assert warnings == []
    assert not imported


def test_the_other_hooks_answer(ask, tmp_path):
    (tmp_path / "token").write_text("s3cr3t-value\n")
    told = ask(
        """
        from osiris.core.connections import REDACTOR, SecretResolver
        resolver = SecretResolver(extra_schemes=catalog.secret_resolvers)
        value = resolver.resolve_all(["${acme:token}"])["${acme:token}"]
        result = [value, REDACTOR.text("it is s3cr3t-value"), catalog.cli_commands()["acme"]]
        """,
        "good",
        ACME_VAULT=str(tmp_path),
    )
    assert told == ["s3cr3t-value", "it is ***", ["Say what the acme plugin is.", "acme.command:app"]]


PIPELINE = """
version: "1.0.0"
name: acme-copy
steps:
  - id: orders
    driver: acme.extractor
    config: {connection: "@acme.main", query: "select id, amount, note from orders"}
  - id: save
    driver: acme.writer
    config: {connection: "@acme.main", table: copied}
    inputs: {df: "${orders.df}"}
"""


def test_a_pipeline_runs_on_a_third_partys_adapter_with_its_drivers(ask, tmp_path):
    rows = [(1, 10.5, "a"), (2, None, "b"), (9007199254740993, 0.1, None)]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute("create table orders (id integer, amount real, note text)")
        database.executemany("insert into orders values (?, ?, ?)", rows)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "osiris_connections.yaml").write_text("acme:\n  main: {path: shop.db, token: '${acme:token}'}\n")
    (tmp_path / "token").write_text("s3cr3t-value\n")
    told = ask(
        """
        from osiris.core.adapter_factory import AdapterFactory
        from osiris.core.execution_adapter import ExecutionContext
        from osiris.core.lifecycle import run_pipeline
        from osiris.core.manifest import load_manifest
        context = ExecutionContext("run_1", "session", environment={"ACME_AUDIT": "audit.txt"})
        adapter = AdapterFactory.create("acme", room="two")
        run = run_pipeline(adapter, load_manifest("pipeline.yaml"), context, adapter_name="acme").raise_for_status()
        context.bus.close()
        events = [event["event"] for event in context.events]
        result = [run.status, run.total_rows, run.environment, "room_opened" in events, len(events)]
        """,
        "good",
        ACME_VAULT=str(tmp_path),
    )
    *outcome, events = told
    assert outcome == ["success", 3, "acme:two", True]
    assert len((tmp_path / "audit.txt").read_text().splitlines()) == events  # its sink heard them all
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        assert database.execute("select * from copied").fetchall() == rows


def osiris(*arguments, folders, tmp_path):
    return subprocess.run(
        [sys.executable, "-m", "osiris.cli", *arguments],
        env=environment_with(folders, tmp_path, {}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_line_lists_the_broken_ones_and_works(installed, tmp_path):
    listed = osiris("plugins", "list", "--json", folders=installed.values(), tmp_path=tmp_path)
    assert listed.returncode == 0, listed.stderr
    plugins = json.loads(listed.stdout)["plugins"]
    states = {(plugin["distribution"], plugin["group"]): plugin["state"] for plugin in plugins}
    assert states["acme-broken", "osiris.drivers"] == "broken"
    assert states["acme-future", "osiris.drivers"] == "incompatible"
    assert states["acme-twin", "osiris.drivers"] == "conflict"
    assert states["acme-osiris", "osiris.adapters"] == "ok"
    assert not (tmp_path / "future-imported").exists()


def test_a_plugins_command_is_one_of_osiris(installed, tmp_path):
    told = osiris("acme", folders=[installed["good"], installed["bad"]], tmp_path=tmp_path)
    assert (told.returncode, told.stdout) == (0, "acme: tables in SQLite files\n"), told.stderr
    assert "Say what the acme plugin is." in osiris("--help", folders=[installed["good"]], tmp_path=tmp_path).stdout
