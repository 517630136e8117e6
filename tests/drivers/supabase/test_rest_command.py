"""The command line over REST: what a user sees who has only a URL and a key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from supabase_gateway import PUBLISHABLE_KEY, SECRET_KEY

pytestmark = pytest.mark.service

PIPELINE = """\
version: "1.0.0"
name: copy
steps:
  - id: orders
    driver: supabase.extractor
    config: {connection: "@supabase.main", table: orders}
  - id: save
    driver: supabase.writer
    config: {connection: "@supabase.main", table: copies, write_mode: upsert, primary_key: id}
    inputs: {df: "${orders.df}"}
"""
CONNECTIONS = 'connections: {{supabase: {{main: {{url: "{url}", key: "${{SUPABASE_KEY}}"}}}}}}\n'


def run(folder: Path, *arguments: str, key: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "osiris", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "", "SUPABASE_KEY": key},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(rest, tmp_path):
    rest.project.make(
        "create table orders (id bigint primary key, amount numeric(12, 2));"
        "create table copies (like orders including all)"
    )
    rest.project.execute("insert into orders select i, i / 4.0 from generate_series(1, 2500) i")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "osiris_connections.yaml").write_text(
        CONNECTIONS.format(url=rest.project.gateway.url), encoding="utf-8"
    )
    return tmp_path


def test_a_run_copies_a_table(rest, folder):
    done = run(folder, "run", "pipeline.yaml", "--json", key=SECRET_KEY)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total_rows"] == 2500
    assert rest.project.execute("select count(*) from (table orders intersect table copies) x") == [(2500,)]
    assert SECRET_KEY not in done.stdout + done.stderr
    written = [path for path in (folder / ".osiris").rglob("*") if path.is_file()]
    assert written
    assert not any(SECRET_KEY.encode() in path.read_bytes() for path in written)


def test_a_wrong_key_is_two_lines_and_exit_5(folder):
    done = run(folder, "run", "pipeline.yaml", key="sb_secret_wrong")
    assert done.returncode == 5
    assert "table public.orders: Invalid API key [HTTP 401]" in done.stderr
    assert "copy it again from the project's API settings" in done.stderr
    assert "Traceback" not in done.stderr
    assert "sb_secret_wrong" not in done.stdout + done.stderr


def test_an_unreachable_server_fails_the_run(folder, rest):
    from supabase_gateway import SupabaseGateway

    with SupabaseGateway(rest.project.postgrest.url) as gone:
        (folder / "osiris_connections.yaml").write_text(CONNECTIONS.format(url=gone.url), encoding="utf-8")
    done = run(folder, "run", "pipeline.yaml", "--json", key=SECRET_KEY)
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["code"] == "supabase.unreachable"


def test_a_check_tells_of_the_role(folder):
    done = run(folder, "connections", "test", "@supabase.main", "--json", key=PUBLISHABLE_KEY)
    assert done.returncode == 0, done.stderr + done.stdout
    assert '"anon"' in done.stdout
