"""Every hook, implemented by an installed package and asked by the command, as its page says."""

from __future__ import annotations

import inspect
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from osiris.core import hookspecs

ROOT = Path(__file__).resolve().parents[2]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("osiris_")}
SECTIONS = re.findall(
    r"^### `(osiris_[^`]+)`\n(.*?)(?=^##)", (ROOT / "docs" / "plugins.md").read_text(), re.DOTALL | re.MULTILINE
)

PIPELINE = """
version: "1.0.0"
name: acme-copy
steps:
  - id: orders
    driver: acme.extractor
    config: {connection: "@acme.main", query: "select id, note from orders"}
  - id: save
    driver: acme.writer
    config: {connection: "@acme.main", table: copied}
    inputs: {df: "${orders.df}"}
"""


def test_the_page_has_every_hook_with_its_signature():
    said = {re.match(r"\w+", heading)[0]: heading for heading, _ in SECTIONS}
    assert said == {name: f"{name}{signature(hook)}" for name, hook in HOOKS.items()}


def signature(hook):
    return str(inspect.signature(hook)).replace("'", "")


@pytest.mark.parametrize(("heading", "text"), SECTIONS, ids=[heading.partition("(")[0] for heading, _ in SECTIONS])
def test_the_page_says_what_the_code_says(heading, text):
    told = " ".join((inspect.getdoc(HOOKS[heading.partition("(")[0]]) or "").replace("``", "`").split())
    assert told in " ".join(text.split())


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_the_sample_implements_it(name):
    plugin = (ROOT / "tests" / "plugins" / "good" / "acme" / "plugin.py").read_text()
    assert f"@hookimpl\ndef {name}(" in plugin
    if name not in ("osiris_drivers", "osiris_adapters"):
        (text,) = [text for heading, text in SECTIONS if heading.startswith(f"{name}(")]
        assert "```python file=good/acme/plugin.py\n" in text


@pytest.fixture
def shop(lab, sites):
    """A project with a pipeline of acme's, whose package is installed; the command in it."""
    with closing(sqlite3.connect(lab.folder / "shop.db")) as database, database:
        database.execute("create table orders (id integer, note text)")
        database.execute("insert into orders values (1, 'a'), (2, null)")
    lab.write("osiris.yaml", "")
    lab.write("pipeline.yaml", PIPELINE)
    lab.write("osiris_connections.yaml", "acme:\n  main: {path: shop.db, token: '${acme:token}'}\n")
    lab.write("vault/token", "s3cr3t-value\n")
    lab.env["PYTHONPATH"] = os.pathsep.join([str(sites["good"]), str(sites["bad"])])
    lab.env["ACME_VAULT"] = str(lab.folder / "vault")
    lab.env["ACME_FUTURE_IMPORTED"] = str(lab.folder / "future-imported")
    return lab


def test_a_sink_hears_the_run(shop):
    told = shop("run", "--json", ACME_AUDIT="audit.txt")
    assert told.code == 0, told.err
    heard = (shop.folder / "audit.txt").read_text().splitlines()
    session = Path(told.json()["session_dir"])
    events = [json.loads(line) for line in (session / "events.jsonl").read_text().splitlines()]
    assert heard == [f"{each['session_id']} {each['event']} {each.get('step_id', '')}".rstrip() for each in events]
    assert heard[-1].endswith(" run_complete")


def test_a_sink_that_cannot_be_made_does_not_stop_a_run(shop):
    told = shop("run", "--json", ACME_AUDIT="no/such/folder/audit.txt")
    assert told.code == 0, told.err
    assert told.json()["status"] == "success"


def test_hooks_that_answer_wrongly_are_warnings_once(shop):
    shop.write("wrong/wrong_osiris-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: wrong-osiris\nVersion: 1.0\n")
    shop.write("wrong/wrong_osiris-1.0.dist-info/entry_points.txt", "[osiris.plugins]\nwrong = wrong_osiris\n")
    shop.write(
        "wrong/wrong_osiris.py",
        """
        from osiris.core.hookspecs import hookimpl

        @hookimpl
        def osiris_event_sinks(context):
            return [5, None]

        @hookimpl
        def osiris_check_plan(plan):
            raise ValueError("no plan")
        """,
    )
    shop.env["PYTHONPATH"] += f"{os.pathsep}{shop.folder / 'wrong'}"
    told = shop("run")
    assert told.code == 0, told.err
    for said in ("hook osiris_event_sinks returned a int", "hook osiris_check_plan raised: ValueError: no plan"):
        assert told.err.count(said) == 1, told.err


def test_a_plan_check_refuses_with_file_line_and_column(shop):
    shop.write("osiris_connections.yaml", "acme:\n  main: {path: shop.db, read_only: true}\n")
    for command in ("validate", "run"):
        told = shop(command)
        assert told.code == 3
        assert (
            "pipeline.yaml:10:26: error: step 'save' writes to a connection that says read_only" in told.err + told.out
        )
        assert "hint: use another connection" in told.err + told.out
    with closing(sqlite3.connect(shop.folder / "shop.db")) as database:
        assert database.execute("select name from sqlite_master").fetchall() == [("orders",)]


def test_a_secret_resolver_is_asked_and_its_value_redacted(shop):
    plan = shop("plan")
    assert plan.code == 0, plan.err
    told = shop("run", "-v")
    assert told.code == 0, told.err
    left = [path for path in shop.folder.rglob("*") if path.is_file() and path.name != "token"]
    assert [path.name for path in left if b"s3cr3t-value" in path.read_bytes()] == []
    assert "s3cr3t-value" not in plan.out + plan.err + told.out + told.err


def test_a_secret_that_the_resolver_does_not_know(shop):
    (shop.folder / "vault" / "token").unlink()
    told = shop("run", "--json")
    assert told.code == 3
    error = told.json()["error"]
    assert (
        "osiris_connections.yaml:2:32: acme has no secret 'token'; needed by connection @acme.main" in error["message"]
    )


def test_a_command_is_one_of_osiris(shop):
    assert "  acme " in shop("--help").out
    assert shop("acme").out == "acme: tables in SQLite files\n"
    assert "Say what the acme plugin is." in shop("acme", "--help").out


def test_a_thread_that_a_module_begins_at_import_keeps_no_command_from_ending(shop):
    shop.write("busy/busy_osiris-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: busy-osiris\nVersion: 1.0\n")
    shop.write("busy/busy_osiris-1.0.dist-info/entry_points.txt", "[osiris.plugins]\nbusy = busy_osiris\n")
    shop.write("busy/busy_osiris.py", "import threading\nthreading.Thread(target=threading.Event().wait).start()\n")
    shop.env["PYTHONPATH"] += f"{os.pathsep}{shop.folder / 'busy'}"
    for arguments in (["run"], ["plan"], ["plugins", "check", "busy"], ["acme"], ["plan", "nothing.yaml"]):
        assert shop(*arguments).code in (0, 3)
