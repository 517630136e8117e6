"""Whole runs of the command over Postgres, and what is known before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from osiris.core.manifest import manifest_from_dict
from osiris.core.planning import make_plan
from osiris.drivers.supabase.plugin import osiris_check_plan

pytestmark = pytest.mark.service

OSIRIS = Path(sys.executable).with_name("osiris")
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "supabase"


def osiris(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OSIRIS, *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example"))


def test_the_example_runs(database, folder, password):
    given = {"SUPABASE_DSN": database.dsn(password=""), "SUPABASE_DB_PASSWORD": password}
    for _ in range(2):  # an upsert: the second time nothing is new
        done = osiris(folder, "run", "pipeline.yaml", "--json", **given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["status"] == "success"
        assert (folder / "out" / "open.csv").read_text() == "id,customer,amount\n2,Bea,7.25\n3,Cleo,99.99\n"
    assert database.execute("select count(*) from orders") == [(3,)]
    assert database.execute("select count(*) from _osiris_commits") == [(2,)]
    said = "".join(path.read_text(errors="replace") for path in (folder / ".osiris").rglob("*") if path.is_file())
    assert password not in said + done.stdout + done.stderr


def test_an_unreachable_server_fails_the_run(folder):
    given = {"SUPABASE_DSN": "postgresql://postgres@127.0.0.1:1/postgres", "SUPABASE_DB_PASSWORD": "not-a-secret"}
    done = osiris(folder, "run", "pipeline.yaml", **given)
    assert done.returncode == 5
    assert "127.0.0.1:1/postgres cannot be reached" in done.stderr
    assert "not-a-secret" not in done.stdout + done.stderr


def read_one(folder: Path, database, table: str, **connection: str) -> subprocess.CompletedProcess[str]:
    """``osiris run`` of a table into a file, on a narrow terminal."""
    main = {"pg_dsn": "${DSN}", "password": "${DB_PASSWORD}"}
    (folder / "osiris_connections.yaml").write_text(json.dumps({"connections": {"supabase": {"main": main}}}))
    read = {"connection": "@supabase.main", "table": table}
    steps = [
        {"id": "read", "driver": "supabase.extractor", "config": read},
        {
            "id": "save",
            "driver": "filesystem.csv_writer",
            "config": {"path": "out.csv"},
            "inputs": {"df": "${read.df}"},
        },
    ]
    (folder / "pipeline.yaml").write_text(json.dumps({"version": "1.0.0", "name": "p", "steps": steps}))
    return osiris(folder, "run", "pipeline.yaml", COLUMNS="60", **connection)


def test_what_goes_wrong_is_told_on_the_terminal(database, tmp_path, password):
    database.execute(
        "create table orders (id int primary key); insert into orders values (1);"
        "alter table orders enable row level security; grant select on orders to dashboard;"
        "grant usage on schema public to dashboard"
    )
    dsn = database.dsn(password="")
    done = read_one(tmp_path, database, "orders", DSN=dsn, DB_PASSWORD="not-the-right-one")
    assert done.returncode == 5
    assert "error: step 'read': " in done.stderr
    assert 'password authentication failed for user "postgres"' in done.stderr
    assert "hint: check user and password in pg_dsn" in done.stderr
    done = read_one(tmp_path, database, "ordrs", DSN=dsn, DB_PASSWORD=password)
    assert done.returncode == 5
    assert "there is no table public.ordrs" in done.stderr
    assert "did you mean 'public.orders'?" in done.stderr
    done = read_one(tmp_path, database, "orders", DSN=database.dsn(user="dashboard", password=""), DB_PASSWORD=password)
    assert done.returncode == 0
    assert "warning: step 'read': public.orders gave 0 rows to the role dashboard: row-level security" in done.stderr
    kept = "".join(path.read_text(errors="replace") for path in (tmp_path / ".osiris").rglob("*") if path.is_file())
    assert "not-the-right-one" not in kept
    assert password not in kept


def test_the_connection_is_tested_from_the_command_line(database, folder, password):
    given = {"SUPABASE_DSN": database.dsn(password=""), "SUPABASE_DB_PASSWORD": password}
    done = osiris(folder, "connections", "test", "@supabase.main", **given)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_imports_neither_pandas_nor_the_other_transport(database, tmp_path):
    code = (
        "import sys\n"
        "from osiris.core.engine import make_step_context\n"
        "from osiris.core.execution_adapter import ExecutionContext\n"
        "from osiris.drivers.supabase.extractor import SupabaseExtractor\n"
        "from osiris.drivers.supabase.writer import SupabaseWriter\n"
        "ctx = make_step_context(ExecutionContext('s', sys.argv[1]), 'step', connection={'pg_dsn': sys.argv[2]})\n"
        "query = 'select 1 as id, array[1,2] as xs, 1.5::numeric(5,2) as n, now() as at, true as ok, null::bytea b'\n"
        "given = {'connection': '@supabase'}\n"
        "df = SupabaseExtractor().run('step', {**given, 'query': query}, {}, ctx)['df']\n"
        "config = {**given, 'table': 't', 'write_mode': 'upsert', 'primary_key': 'id', 'create_if_missing': True}\n"
        "SupabaseWriter().run('step', config, {'df': df}, ctx)\n"
        "print(sorted({'pandas', 'httpx'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), database.dsn()], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    assert database.execute("select count(*) from t") == [(1,)]


def plan(config, driver="supabase.writer"):
    steps = [{"id": "save", "driver": driver, "config": config}]
    if driver == "supabase.writer":
        read = {"connection": {"pg_dsn": "${X}"}, "table": "t"}
        steps.insert(0, {"id": "read", "driver": "supabase.extractor", "config": read})
        steps[1]["inputs"] = {"df": "${read.df}"}
    else:
        save = {"path": "x.csv"}
        steps.append({"id": "out", "driver": "filesystem.csv_writer", "config": save, "inputs": {"df": "${save.df}"}})
    return make_plan(manifest_from_dict({"version": "1.0.0", "name": "p", "steps": steps}), checks=[osiris_check_plan])


REST = {"url": "https://x.supabase.co", "key": "${KEY}"}


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_what_rest_cannot_do_atomically_is_said_in_the_plan(mode):
    config = {"table": "t", "write_mode": mode, "primary_key": "id"}
    for over_rest in ({"connection": REST}, {"connection": "@supabase.main", "transport": "rest"}):
        (warning,) = plan({**config, **over_rest}).warnings
        assert (warning.code, warning.severity) == ("supabase.not_atomic", "warning")
        assert warning.path == "steps[1].config"
    assert plan({**config, "connection": {"pg_dsn": "${X}"}}).warnings == ()


NAMED = {
    "rest": {"url": "https://x.supabase.co", "key": "${KEY}"},
    "both": {"url": "https://x.supabase.co", "key": "${KEY}", "pg_dsn": "${DSN}"},
    "postgres": {"pg_dsn": "${DSN}"},
}


def planned(folder: Path, driver: str, **config: object) -> subprocess.CompletedProcess[str]:
    """``osiris plan`` of one step of ``driver`` and one that goes with it, connections in their own file."""
    (folder / "osiris_connections.yaml").write_text(json.dumps({"connections": {"supabase": NAMED}}))
    (folder / "rows.csv").write_text("id\n1\n")
    read = {"driver": "filesystem.csv_extractor", "config": {"path": "rows.csv"}}
    save = {"driver": "filesystem.csv_writer", "config": {"path": "out.csv"}}
    if driver == "supabase.writer":
        save = {"driver": driver, "config": {"table": "t", **config}}
    else:
        read = {"driver": driver, "config": config}
    steps = [{"id": "read", **read}, {"id": "save", **save, "inputs": {"df": "${read.df}"}}]
    (folder / "pipeline.yaml").write_text(json.dumps({"version": "1.0.0", "name": "p", "steps": steps}))
    return osiris(folder, "plan", "pipeline.yaml", COLUMNS="60")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"connection": "@supabase.rest"}, "append over REST is not one transaction"),
        ({"connection": "@supabase.rest", "write_mode": "replace"}, "replace over REST is not one transaction"),
        ({"connection": "@supabase.both", "transport": "rest"}, "append over REST is not one transaction"),
        ({"connection": "@supabase.both"}, None),
        ({"connection": "@supabase.postgres", "create_if_missing": True}, None),
    ],
)
def test_plan_says_what_a_named_connection_cannot_do_atomically(tmp_path, config, told):
    done = planned(tmp_path, "supabase.writer", **config)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert (told in said) if told else ("not one transaction" not in said), said


@pytest.mark.parametrize(
    ("driver", "config", "told"),
    [
        ("supabase.writer", {"connection": "@supabase.rest", "create_if_missing": True}, "create_if_missing needs"),
        ("supabase.writer", {"connection": "@supabase.rest", "transport": "postgres"}, "needs pg_dsn"),
        ("supabase.writer", {"connection": "@supabase.postgres", "transport": "rest"}, "needs url and a key"),
        ("supabase.extractor", {"connection": "@supabase.rest", "query": "select 1"}, "query needs Postgres"),
    ],
)
def test_plan_refuses_what_a_named_connection_cannot_do(tmp_path, driver, config, told):
    done = planned(tmp_path, driver, **config)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 3, said
    assert told in said


@pytest.mark.parametrize(
    ("driver", "config", "told"),
    [
        ("supabase.writer", {"table": "t", "transport": "rest", "create_if_missing": True}, "create_if_missing"),
        ("supabase.writer", {"table": "t", "write_mode": "upsert"}, "primary_key"),
        ("supabase.extractor", {"query": "select 1", "transport": "rest"}, "needs transport postgres"),
        ("supabase.extractor", {"query": "select 1", "table": "t"}, "either"),
        ("supabase.extractor", {"query": "select 1", "order": "id"}, "put them into the query"),
        ("supabase.extractor", {"table": "t", "filters": [{"column": "a", "op": "in", "value": 1}]}, "list"),
        ("supabase.extractor", {"table": "t", "filters": [{"column": "a", "value": None}]}, "op `is`"),
    ],
)
def test_what_cannot_be_is_refused_at_planning(driver, config, told):
    from osiris.core.errors import PlanError

    with pytest.raises(PlanError) as caught:
        plan({"connection": REST, **config}, driver)
    assert told in " ".join(problem.message for problem in caught.value.problems)


@pytest.mark.parametrize(
    "connection", [{"url": "https://x.supabase.co"}, {"key": "${K}"}, {"pg_dsn": "${X}", "nope": 1}]
)
def test_a_connection_that_cannot_be_used_is_refused_at_planning(connection):
    from osiris.core.errors import PlanError

    with pytest.raises(PlanError) as caught:
        plan({"connection": connection, "table": "t"})
    assert {problem.code for problem in caught.value.problems} == {"plan.connection"}
