"""The kill test: a run is killed at random, resumed, killed again; its outputs are those of an undisturbed run.

``OSIRIS_KILL_ROUNDS`` says how often (default 20), ``OSIRIS_KILL_SEED`` repeats what a failure printed.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from osiris.core.session import list_sessions

ROUNDS = int(os.environ.get("OSIRIS_KILL_ROUNDS", "20"))
# All workers of one pytest-xdist run must have the same.
SEED = os.environ.get("OSIRIS_KILL_SEED") or os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(4)
MARK = "OSIRIS_KILL_MARK"
PATIENCE = 90.0

APPENDING = """\
version: "1.0.0"
name: appending
steps:
  - {id: orders, driver: filesystem.csv_extractor, config: {path: data/orders.csv}}
  - {id: customers, driver: filesystem.parquet_extractor, config: {path: data/customers.parquet}}
  - {id: slowly, driver: slow.pass, config: {rows: 200, pause: 0.02}, inputs: {df: "${orders.df}"}}
  - id: joined
    driver: duckdb.processor
    config: {query: "select o.id, o.amount, c.name from orders o join customers c on c.id = o.customer order by o.id"}
    inputs: {orders: "${slowly.df}", customers: "${customers.df}"}
  - {id: again, driver: slow.pass, config: {rows: 200, pause: 0.01}, inputs: {df: "${joined.df}"}}
  - id: totals
    driver: duckdb.processor
    config: {query: "select name, sum(amount) as total, count(*) as n from joined group by name order by name"}
    inputs: {joined: "${joined.df}"}
  - {id: save, driver: filesystem.csv_writer, config: {path: out/joined.csv}, inputs: {df: "${again.df}"}}
  - id: log
    driver: filesystem.csv_writer
    config: {path: out/log.csv, write_mode: append}
    inputs: {df: "${joined.df}"}
  - {id: keep, driver: filesystem.parquet_writer, config: {path: out/totals.parquet}, inputs: {df: "${totals.df}"}}
  - id: parts
    driver: filesystem.parquet_writer
    config: {path: out/parts, partition_by: name, write_mode: append}
    inputs: {df: "${joined.df}"}
  - id: table
    driver: duckdb.writer
    config: {database: out/shop.duckdb, table: lines, write_mode: append}
    inputs: {df: "${again.df}"}
  - id: sums
    driver: duckdb.writer
    config: {database: out/shop.duckdb, table: sums, write_mode: append}
    inputs: {df: "${totals.df}"}
    needs: [table]
"""
REWRITING = """\
version: "1.0.0"
name: rewriting
steps:
  - {id: orders, driver: filesystem.csv_extractor, config: {path: data/orders.csv}}
  - {id: slowly, driver: slow.pass, config: {rows: 200, pause: 0.02}, inputs: {df: "${orders.df}"}}
  - {id: lines, driver: filesystem.jsonl_writer, config: {path: out/lines.jsonl.gz}, inputs: {df: "${slowly.df}"}}
  - id: parts
    driver: filesystem.parquet_writer
    config: {path: out/parts, partition_by: customer}
    inputs: {df: "${slowly.df}"}
  - id: once
    driver: filesystem.parquet_writer
    config: {path: out/once/orders.parquet, write_mode: fail}
    inputs: {df: "${slowly.df}"}
  - id: upsert
    driver: duckdb.writer
    config: {database: out/shop.duckdb, table: orders, write_mode: upsert, primary_key: id}
    inputs: {df: "${slowly.df}"}
  - id: back
    driver: duckdb.extractor
    config: {database: out/shop.duckdb, query: "select customer, count(*) as n from orders group by 1 order by 1"}
    needs: [upsert]
  - {id: again, driver: slow.pass, config: {rows: 1, pause: 0.02}, inputs: {df: "${back.df}"}}
  - id: counts
    driver: duckdb.writer
    config: {database: out/shop.duckdb, table: mart.counts, write_mode: replace}
    inputs: {df: "${again.df}"}
  - id: tell
    driver: filesystem.jsonl_writer
    config: {path: out/counts.jsonl, write_mode: append}
    inputs: {df: "${again.df}"}
"""


def make_project(folder: Path, pipeline: str) -> Path:
    """The inputs, and what earlier runs have left where rows are appended."""
    (folder / "data").mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "pipeline.yaml").write_text(pipeline)
    lines = [f"{number},{number % 7},{number * 3}.50" for number in range(2000)]
    (folder / "data" / "orders.csv").write_text("\n".join(["id,customer,amount", *lines]) + "\n")
    names = pa.array([f"customer {number}" for number in range(7)], pa.string())
    customers = pa.table({"id": pa.array(range(7), pa.int64()), "name": names})
    pq.write_table(customers, folder / "data" / "customers.parquet")
    (folder / "out" / "log.csv").write_text("id,amount,name\n-1,0.00,of an earlier run\n")
    with duckdb.connect(str(folder / "out" / "shop.duckdb")) as connection:
        connection.execute("create table lines (id bigint, amount decimal(18, 2), name varchar)")
        connection.execute("insert into lines values (-1, 0.00, 'of an earlier run')")
        connection.execute("create table orders (id bigint, customer bigint, amount varchar)")
        connection.execute("insert into orders values (-1, -1, 'of an earlier run'), (5, 5, 'of an earlier run')")
    old = folder / "out" / "parts" / "customer=99"
    if pipeline is REWRITING:
        old.mkdir(parents=True)
        pq.write_table(customers, old / "part-0.parquet")
        (folder / "out" / "lines.jsonl.gz").write_bytes(b"of an earlier run")
        (folder / "out" / "counts.jsonl").write_text('{"customer":-1,"n":0}\n')
    return folder


@dataclass(frozen=True)
class Undisturbed:
    """What a run gives that nobody kills."""

    contents: dict[str, Any]
    session_files: set[str]
    total_rows: int
    begin: float
    """Seconds until the session was there."""
    duration: float


class Project:
    """A folder with the pipeline, and runs of it by the real command."""

    def __init__(self, folder: Path, packages: Path, pipeline: str, options: tuple[str, ...]) -> None:
        self.folder = make_project(folder, pipeline)
        self.mark = secrets.token_hex(8)
        self._packages = packages
        self._options = options
        self.log = folder / "log.txt"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """``osiris run`` in a process group of its own."""
        command = [sys.executable, "-m", "osiris.cli", "run", *arguments, *self._options]
        environment = {**os.environ, "PYTHONPATH": str(self._packages), MARK: self.mark}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(self._packages / "compiled")
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def sessions(self) -> list[Any]:
        root = self.folder / ".osiris" / "runs"
        return list(list_sessions(root)) if root.exists() else []

    def processes(self) -> list[int]:
        """Who runs for this project: it has the mark in its environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if f"{MARK}={self.mark}".encode() in environment:
                    found.append(int(entry.name))
        return found

    def contents(self) -> dict[str, Any]:
        """Every file below ``out``, by what is in it."""
        found: dict[str, Any] = {}
        for path in sorted((self.folder / "out").rglob("*")):
            name = str(path.relative_to(self.folder / "out"))
            if path.is_dir():
                found[name] = "a folder"
            elif path.suffix == ".parquet":  # appended parts carry the session's name
                key = name if path.parent.name == "out" else f"{path.parent.name}/part"
                found.setdefault(key, []).extend(pq.ParquetFile(path).read().to_pylist())
            elif path.suffix == ".duckdb":
                with duckdb.connect(str(path)) as connection:
                    tables = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
                    for schema, table in tables:
                        columns = "step_id, rows" if table == "_osiris_commits" else "*"
                        rows = connection.execute(f"select {columns} from {schema}.{table} order by all").fetchall()
                        found[f"{name}:{schema}.{table}"] = rows
            else:
                found[name] = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return found


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
    """Until another process did something: nobody tells us, so we look."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        pause.wait(0.05)
    return False


def files_of(session: Path) -> set[str]:
    return {str(path.relative_to(session)) for path in session.rglob("*")}


def check_events(session: Path) -> None:
    """Whole lines of JSON, numbered upwards."""
    for name in ("events.jsonl", "metrics.jsonl"):
        text = (session / name).read_text()
        assert text.endswith("\n"), name
        numbers = [json.loads(line)["seq"] for line in text.splitlines()]
        assert numbers == sorted(set(numbers)), name


@pytest.fixture(scope="module")
def packages(install: Callable[[str], Path]) -> Path:
    return install("slow")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Callable[..., Undisturbed]:
    known: dict[Any, Undisturbed] = {}

    def run(pipeline: str, options: tuple[str, ...]) -> Undisturbed:
        if (pipeline, options) not in known:
            project = Project(tmp_path_factory.mktemp("undisturbed") / "project", packages, pipeline, options)
            started = time.monotonic()
            child = project.start()
            assert wait_for(project.sessions)
            begin = time.monotonic() - started
            assert child.wait() == 0, project.log.read_text()
            duration = time.monotonic() - started
            (session,) = project.sessions()
            result = json.loads((session.dir / "result.json").read_text())
            contents = project.contents()
            known[pipeline, options] = Undisturbed(
                contents, files_of(session.dir), result["total_rows"], begin, duration
            )
        return known[pipeline, options]

    return run


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    seed = f"{SEED}/{request.node.callspec.params['number']}"
    print(f"OSIRIS_KILL_SEED={SEED} (round {seed})")
    return random.Random(seed)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_killed_and_resumed(
    number: int,
    chance: random.Random,
    tmp_path: Path,
    packages: Path,
    undisturbed: Callable[..., Undisturbed],
) -> None:
    isolated = ("--adapter-option", "isolation=process") if chance.random() < 0.4 else ()
    kept = chance.random() < 0.5
    pipeline = chance.choice([APPENDING, REWRITING])
    expected = undisturbed(pipeline, isolated)
    project = Project(tmp_path / "project", packages, pipeline, isolated)
    kills = chance.choice([1, 1, 2, 2, 3, 4])
    for _ in range(kills):
        arguments = take_up(project, kept)
        if arguments is None:
            break
        child = project.start(*arguments)
        delay = chance.uniform(0.5 * expected.begin, 1.05 * expected.duration)
        whole_group = chance.random() < 0.4
        print(f"{' '.join(arguments)} {' '.join(isolated)}: killed after {delay:.3f} s, {whole_group=}")
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            if whole_group:
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        code = child.wait()
        assert code in (0, -signal.SIGKILL), project.log.read_text()
        for session in project.sessions():
            assert session.status in ("interrupted", "success") if code else "success", session
            events = session.dir / "events.jsonl"
            for line in events.read_text().splitlines()[:-1] if events.exists() else ():
                json.loads(line)
    arguments = take_up(project, kept)
    if arguments is not None:
        assert project.start(*arguments).wait() == 0, project.log.read_text()

    assert wait_for(lambda: not project.processes()), "somebody was left behind"
    (session,) = project.sessions()
    assert session.status == "success"
    found = project.contents()
    assert set(found) == set(expected.contents)
    for name, content in expected.contents.items():
        assert found[name] == content, name
    assert files_of(session.dir) - expected.session_files == set()
    check_events(session.dir)
    assert json.loads((session.dir / "result.json").read_text())["total_rows"] == expected.total_rows


def take_up(project: Project, kept: bool) -> tuple[str, ...] | None:
    """How to go on: begin, or resume; None where nothing is left to do."""
    sessions = project.sessions()
    if not sessions:
        return ("pipeline.yaml", "--checkpoint") if kept else ("pipeline.yaml",)
    (session,) = sessions
    return None if session.status == "success" else ("--resume", "last")
