"""Supabase over REST, read and written, beside loops over the ``postgrest`` client as people write them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Benchmark, Row, alternate, osiris, python, run, scratch

if TYPE_CHECKING:
    from supabase_project import SupabaseProject

SIZES = {False: 50_000, True: 200_000}
DELAYS = {"": 0.0, " + 30 ms a request": 0.030}
ROUNDS = 3
BUDGET = 1.2

TABLE = "(id bigint primary key, name text, amount numeric(12, 2), made timestamptz, paid boolean)"
FILL = """insert into orders select i, 'customer ' || i, (i * 7 % 100000) / 100.0,
timestamptz '2024-01-01 00:00+00' + i * interval '1 second', i % 3 = 0 from generate_series(1, {rows}) i"""

READ = """\
version: "1.0.0"
name: read
steps:
  - id: orders
    driver: supabase.extractor
    config: {{connection: "@supabase.main", table: orders, parallel_pages: {parallel}}}
  - id: save
    driver: filesystem.parquet_writer
    config: {{path: orders.parquet}}
    inputs: {{df: "${{orders.df}}"}}
"""
WRITE = """\
version: "1.0.0"
name: write
steps:
  - id: orders
    driver: filesystem.parquet_extractor
    config: {{path: orders.parquet}}
  - id: save
    driver: supabase.writer
    config:
      connection: "@supabase.main"
      table: target
      write_mode: upsert
      primary_key: id
      parallel_batches: {parallel}
    inputs: {{df: "${{orders.df}}"}}
"""

CLIENT = """
import pyarrow as pa, pyarrow.parquet as pq
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from postgrest import SyncPostgrestClient
client = SyncPostgrestClient("{url}/rest/v1", headers={{"apikey": "{key}", "Authorization": "Bearer {key}"}})
"""
# Exact, as the driver is: the amount as text, then a decimal.
PLAIN_READ = (
    CLIENT
    + """
select = "id, name, amount::text, made, paid"
rows, last = [], 0
while True:
    page = client.from_("orders").select(select).order("id").gt("id", last).limit(1000).execute().data
    if not page:
        break
    rows += page
    last = page[-1]["id"]
"""
)
PARALLEL_READ = (
    CLIENT
    + """
select = "id, name, amount::text, made, paid"
def page(start):
    return client.from_("orders").select(select).order("id").range(start, start + 999).execute().data
with ThreadPoolExecutor(4) as pool:
    rows = [row for found in pool.map(page, range(0, {rows}, 1000)) for row in found]
"""
)
SAVE = """
table = pa.Table.from_pylist(rows)
table = table.set_column(2, "amount", table["amount"].cast(pa.decimal128(38, 2)))
table = table.set_column(3, "made", table["made"].cast(pa.timestamp("us", "UTC")))
pq.write_table(table, "plain.parquet")
"""
LOAD = (
    CLIENT
    + """
table = pq.read_table("orders.parquet")
table = table.set_column(2, "amount", table["amount"].cast(pa.string()))
table = table.set_column(3, "made", table["made"].cast(pa.string()))
rows = table.to_pylist()
def send(start):
    client.from_("target").upsert(rows[start:start + 1000], on_conflict="id", returning="minimal").execute()
"""
)
PLAIN_WRITE = LOAD + "for start in range(0, len(rows), 1000): send(start)"
PARALLEL_WRITE = LOAD + "with ThreadPoolExecutor(4) as pool: list(pool.map(send, range(0, len(rows), 1000)))"


def measure(full: bool) -> list[Row]:
    """Whole processes, start-up included; what was read and written has to be equal."""
    count = SIZES[full]
    rows = []
    with scratch() as folder, _project(folder, count) as project:
        _describe(folder, project)
        facts = {"url": project.gateway.url, "key": _key(), "rows": count}
        for suffix, delay in DELAYS.items():
            project.gateway.delay = delay
            for parallel, plain in ((1, PLAIN_READ), (4, PARALLEL_READ)):
                taken = _compare(folder, READ.format(parallel=parallel), (plain + SAVE).format(**facts))
                _same_files(folder)
                rows.append(_row(f"read {count:,}, {parallel} under way{suffix}", taken))
            for parallel, plain in ((1, PLAIN_WRITE), (4, PARALLEL_WRITE)):
                project.execute("truncate target")
                taken = _compare(folder, WRITE.format(parallel=parallel), plain.format(**facts))
                _same_tables(project)
                rows.append(_row(f"write {count:,}, {parallel} under way{suffix}", taken))
            project.gateway.requests.clear()
    return rows


def _row(what: str, taken: tuple[float, float]) -> Row:
    measured, floor = taken
    return Row(what=what, measured=measured, floor=floor, budget=BUDGET)


def _compare(folder: Path, pipeline: str, plain: str) -> tuple[float, float]:
    (folder / "pipeline.yaml").write_text(pipeline, encoding="utf-8")
    commands = {"plain": python("-c", plain), "osiris": osiris("run", folder / "pipeline.yaml")}
    taken = alternate(commands, rounds=ROUNDS, folder=folder)
    return taken["osiris"].seconds, taken["plain"].seconds


def _describe(folder: Path, project: SupabaseProject) -> None:
    text = f'connections: {{supabase: {{main: {{url: "{project.gateway.url}", key: "${{SUPABASE_KEY}}"}}}}}}\n'
    (folder / "osiris_connections.yaml").write_text(text, encoding="utf-8")
    (folder / ".env").write_text(f"SUPABASE_KEY={_key()}\n", encoding="utf-8")


def _key() -> str:
    from supabase_gateway import SECRET_KEY

    return str(SECRET_KEY)


@contextmanager
def _project(folder: Path, rows: int) -> Iterator[SupabaseProject]:
    """The servers of the tests, with as many rows."""
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "services"))
    from postgres_server import PostgresServer
    from supabase_project import SupabaseProject

    with PostgresServer() as server, SupabaseProject(server, folder / "postgrest") as project:
        project.make(f"create table orders {TABLE}; create table target {TABLE}")
        project.execute(FILL.format(rows=rows))
        project.execute("analyze orders")
        yield project


def _same_files(folder: Path) -> None:
    """Fast and wrong does not count."""
    check = (
        "import pyarrow.parquet as pq\n"
        "one, other = (pq.read_table(name).sort_by('id') for name in ('orders.parquet', 'plain.parquet'))\n"
        "assert one.num_rows and one.equals(other.cast(one.schema))\n"
    )
    run(python("-c", check), folder=folder)


def _same_tables(project: SupabaseProject) -> None:
    differing = project.execute("select count(*) from (table orders except table target) x")
    counts = project.execute("select (select count(*) from orders) = (select count(*) from target)")
    if differing != [(0,)] or counts != [(True,)]:
        sys.exit("what was written is not what was read")


BENCHMARK = Benchmark(title="Supabase over REST, beside the postgrest client", measure=measure)
"""Both sides talk to the same gateway, which delays every request by the same time."""
