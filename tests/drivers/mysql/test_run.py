"""``osiris run`` and ``osiris connections test`` with a real server: what its reader would do."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from osiris.drivers.mysql.config import MySqlConnection

OSIRIS = Path(sys.executable).with_name("osiris")
SECRET = "c4n4ry-Geheim"

PIPELINE = """\
version: "1.0.0"
name: orders
params: {{since: {{type: string, default: "2026-01-02"}}}}
steps:
  - id: read
    driver: mysql.extractor
    config:
      connection: "@mysql.shop"
      query: select id, amount, note, at from orders where at >= ? order by id
      params: ["${{params.since}}"]
  - id: write
    driver: filesystem.{format}_writer
    config: {{path: out/orders.{format}}}
    inputs: {{df: "${{read.df}}"}}
"""


@pytest.fixture
def project(tmp_path, database, server):
    """A folder with connections, and a table to read; gives a function that runs ``osiris``."""
    database.execute(
        "CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, amount DECIMAL(20,2), note TEXT, at DATETIME)"
    )
    database.execute(
        "INSERT INTO orders VALUES (1, 1.10, 'a', '2026-01-01'), (2, NULL, NULL, '2026-01-02'),"
        " (18446744073709551615, 123456789012345678.10, 'č \"x\"\\n,', '2026-01-03 04:05:06')"
    )
    user = database.name.replace("osiris_test", "u")
    database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{SECRET}'")
    database.execute(f"GRANT SELECT ON `{database.name}`.* TO '{user}'@'%'")
    known = dict(server.options)
    place = {"url": known["url"]} if "url" in known else {"host": known["host"], "port": known["port"]}
    shop = {**place, "user": user, "password": "${SHOP_PASSWORD}", "database": database.name}
    (tmp_path / "osiris_connections.yaml").write_text(json.dumps({"connections": {"mysql": {"shop": shop}}}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OSIRIS", "_OSIRIS"))}

    def run(*arguments: str, password: str = SECRET) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [OSIRIS, *arguments],
            cwd=tmp_path,
            env={**kept, "SHOP_PASSWORD": password, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    for name in ("csv", "parquet"):
        (tmp_path / f"{name}.yaml").write_text(PIPELINE.format(format=name))
    return run


def test_to_csv(project, tmp_path):
    done = project("run", "csv.yaml")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "orders.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"id": "2", "amount": "", "note": "", "at": "2026-01-02 00:00:00"},
        {
            "id": "18446744073709551615",
            "amount": "123456789012345678.10",
            "note": 'č "x"\n,',
            "at": "2026-01-03 04:05:06",
        },
    ]


def test_to_parquet(project, tmp_path):
    done = project("run", "parquet.yaml", "--param", "since=2026-01-01", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total_rows"] == 3
    table = pq.read_table(tmp_path / "out" / "orders.parquet")
    assert [str(kind) for kind in table.schema.types] == ["uint64", "decimal128(20, 2)", "string", "timestamp[us]"]
    assert table["id"].to_pylist() == [1, 2, 2**64 - 1]


def test_the_events_tell_how_it_was_read(project, tmp_path):
    assert project("run", "csv.yaml").returncode == 0
    (events,) = tmp_path.glob(".osiris/runs/*/events.jsonl")
    (told,) = [
        event for line in events.read_text().splitlines() if (event := json.loads(line))["event"] == "mysql_read"
    ]
    assert (told["step_id"], told["protocol"], told["snapshot"]) == ("read", "binary", "one")


def test_a_wrong_password_is_two_lines(project, tmp_path):
    wrong = SECRET + "-wrong"
    begun = time.monotonic()
    done = project("run", "csv.yaml", password=wrong)
    seconds = time.monotonic() - begun
    assert done.returncode == 5
    assert done.stderr.count("error: ") == 1
    lines = done.stderr[done.stderr.index("error: ") :].strip().splitlines()
    assert len(lines) <= 3, "what, what to do, and where the session is"
    assert "Access denied" in done.stderr
    assert "check user and password" in done.stderr
    assert "Traceback" not in done.stderr
    written = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    for text in (done.stdout, done.stderr, written):
        assert wrong not in text
        assert SECRET not in text
    assert not (tmp_path / "out" / "orders.csv").exists()
    assert seconds < 30, "a login that fails does not wait"


def test_a_missing_password_is_told_before_anything_runs(project, tmp_path):
    done = project("run", "csv.yaml", password="")
    assert done.returncode == 3
    assert "SHOP_PASSWORD" in done.stderr


def test_connections_test(project):
    done = project("connections", "test", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["connections"]
    assert told["facts"]["server"] in {"MariaDB", "MySQL"}
    assert told["facts"]["rights"] == ["SELECT"]
    assert SECRET not in done.stdout


def test_a_connection_that_does_not_work(project):
    done = project("connections", "test", password="wrong-one")
    assert done.returncode == 5
    assert "wrong-one" not in done.stdout + done.stderr


def test_the_example(database, tmp_path, server):
    """``examples/mysql``, twice: the second time changes nothing."""
    folder = shutil.copytree(Path(__file__).parents[3] / "examples" / "mysql", tmp_path / "example")
    database.execute("CREATE TABLE orders (customer_id INT, created_at DATETIME, amount DECIMAL(12,2))")
    database.execute("INSERT INTO orders VALUES (7, '2026-01-02 03:04:05', 1.10), (7, '2026-01-02', 2.20)")
    database.execute("INSERT INTO orders VALUES (8, '2026-02-01', 0.05), (8, '2025-12-31', 100)")
    user = database.name.replace("osiris_test", "u")
    database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'a password'")
    database.execute(f"GRANT ALL ON `{database.name}`.* TO '{user}'@'%'")
    known = MySqlConnection.model_validate(dict(server.options))
    place = {"SHOP_HOST": known.host, "SHOP_PORT": str(known.port), "SHOP_DATABASE": database.name}
    for _ in range(2):
        done = subprocess.run(
            [OSIRIS, "run", "pipeline.yaml"],
            cwd=folder,
            env={**os.environ, **place, "SHOP_USER": user, "SHOP_PASSWORD": "a password"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    rows = database.execute("SELECT customer_id, CAST(day AS CHAR), CAST(total AS CHAR) FROM daily_totals ORDER BY 1")
    assert rows == [(7, "2026-01-02", "3.30"), (8, "2026-02-01", "0.05")]


def test_pandas_is_not_imported(database, tmp_path, server):
    """It would take longer than all the rest."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from conftest import make_context
from osiris.drivers.mysql.extractor import MySqlExtractor
ctx = make_context(Path({str(tmp_path)!r}))
ctx.connection = {dict(database.options)!r}
driver = MySqlExtractor()
for protocol in ("binary", "text"):
    query = "SELECT 1 a, 'x' b, DATE '2026-01-01' c, 1.5 d, NULL e, TIME '01:00:00' f"
    table = driver.run("read", {{"query": query, "protocol": protocol}}, {{}}, ctx)["df"].table()
    assert table.num_rows == 1
driver.close()
assert "pandas" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
