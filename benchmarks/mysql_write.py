"""Parquet -> MySQL, beside LOAD DATA LOCAL INFILE from a file that is ready, and (small) dlt where it is installed."""

from __future__ import annotations

import importlib.util
import statistics
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Benchmark, Row, Sample, osiris, python, run, scratch

BUDGETS = {200_000: None, 1_000_000: 1.5}
ROUNDS = {200_000: 5, 1_000_000: 3}
LIMIT_MB = 250.0

# Ten mixed columns: a key, NULLs, a decimal, a double, texts with quotes and line breaks, microseconds, JSON.
ROWS = """
copy (
    select i + 1 as id,
           case when hash(i, 0) % 10 > 0 then (hash(i, 1) % 100000)::int end as n,
           ((hash(i, 2) % 1000000000)::decimal(12, 2) / 100)::decimal(12, 2) as amount,
           (hash(i, 3) % 1000000000)::double / 777 as score,
           'name ' || md5(i::varchar) as name,
           case when i % 7 = 0 then 'it''s "quoted"' || chr(10) || 'and \\ odd' else 'plain žluť ' || i end as note,
           timestamp '2024-01-01' + to_microseconds((hash(i, 4) % 100000000000000)::bigint) as at,
           date '2020-01-01' + (hash(i, 5) % 2000)::int as day,
           i % 3 = 0 as paid,
           case when i % 5 > 0 then '{{"a": ' || i || '}}' end as more
    from range({rows}) numbers(i)
) to 'rows.parquet'
"""
TABLE = """(
    id bigint primary key, n int, amount decimal(12, 2), score double, name varchar(60), note varchar(80),
    at datetime(6), day date, paid boolean, more json
) default charset utf8mb4"""

# What LOAD DATA reads by default, so that the file needs no options.
READY = """\
import pyarrow.parquet as parquet
from osiris.drivers.mysql.rendering import as_load_text, to_text
with open("rows.txt", "wb") as file:
    for batch in parquet.ParquetFile("rows.parquet").iter_batches():
        file.write(as_load_text([to_text(column) for column in batch.columns]))
"""
CONNECT = """\
import pymysql
where = {{"host": "127.0.0.1", "port": {port}, "user": "root", "database": "bench", "charset": "utf8mb4"}}
connection = pymysql.connect(local_infile=True, **where)
cursor = connection.cursor()
"""
LOAD = """\
cursor.execute("load data local infile 'rows.txt' into table plain character set utf8mb4")
connection.commit()
"""
DLT = """\
import dlt, pyarrow.parquet as parquet

def rows():
    for batch in parquet.ParquetFile("rows.parquet").iter_batches():
        yield batch

destination = dlt.destinations.sqlalchemy("mysql+pymysql://root@127.0.0.1:{port}/bench?charset=utf8mb4")
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir="dlt")
pipeline.run(rows(), table_name="dlt", write_disposition="append").raise_on_failed_jobs()
"""
PIPELINE = """\
version: "1.0.0"
name: parquet-mysql
steps:
  - id: read
    driver: filesystem.parquet_extractor
    config: {path: rows.parquet}
  - id: write
    driver: mysql.writer
    config: {connection: "@mysql.bench", table: osiris, create_if_missing: false}
    inputs: {df: "${read.df}"}
"""
CONNECTION = """\
connections:
  mysql:
    bench: {{host: 127.0.0.1, port: {port}, user: root, database: bench}}
"""
COMPARE = """\
values = "concat_ws('|', id, n, amount, score, name, note, at, day, paid, more)"
for table in ("plain", "osiris"):
    cursor.execute(f"select count(*), bit_xor(crc32({values})), count(n), count(more) from {table}")
    print(cursor.fetchall())
"""


def measure(full: bool) -> list[Row]:
    """Whole processes, start-up included, into empty tables of one make; the tables have to hold the same rows."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "services"))
    from mariadb_server import MariaDBServer

    measured: list[Row] = []
    peaks: dict[int, float] = {}
    with scratch() as folder, MariaDBServer(folder / "server", {"local_infile": 1}) as server:
        with closing(server.connect()) as admin, admin.cursor() as cursor:
            cursor.execute("create database bench character set utf8mb4")
        (folder / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
        (folder / "osiris_connections.yaml").write_text(CONNECTION.format(port=server.port), encoding="utf-8")
        for rows, budget in BUDGETS.items():
            run(python("-c", "import duckdb, sys; duckdb.execute(sys.argv[1])", ROWS.format(rows=rows)), folder=folder)
            run(python("-c", READY), folder=folder)
            taken = _alternate(server.port, rows, folder)
            peaks[rows] = taken["osiris"].peak_mb
            measured += [
                Row(
                    what=f"{rows:>9,} rows, beside {'LOAD DATA' if name == 'plain' else name}",
                    measured=taken["osiris"].seconds,
                    floor=taken[name].seconds,
                    budget=budget if name == "plain" else None,
                )
                for name in ("plain", "dlt")
                if name in taken
            ]
            measured.append(Row(what=f"{rows:>9,} rows, peak memory", measured=peaks[rows], unit="MB", budget=LIMIT_MB))
    return measured


def _alternate(port: int, rows: int, folder: Path) -> dict[str, Sample]:
    """The medians of each, in turns; the tables are made anew between the rounds, which nobody pays for."""
    connect = CONNECT.format(port=port)
    commands = {"plain": python("-c", connect + LOAD), "osiris": osiris("run", "pipeline.yaml")}
    if (
        rows == min(BUDGETS)
        and importlib.util.find_spec("dlt") is not None
        and importlib.util.find_spec("sqlalchemy") is not None
    ):
        commands["dlt"] = python("-c", DLT.format(port=port))
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(ROUNDS[rows]):
        for name in list(commands)[:: 1 if number % 2 == 0 else -1]:
            if name == "dlt" and number:
                continue  # several times slower, and not what is judged
            anew = [f"drop table if exists {name}", *([f"create table {name} {TABLE}"] if name != "dlt" else [])]
            run(python("-c", f"{connect}for statement in {anew!r}: cursor.execute(statement)"))
            samples[name].append(run(commands[name], folder=folder))
        plain, ours = run(python("-c", connect + COMPARE)).stdout.splitlines()
        if plain != ours:
            sys.exit(f"the tables differ: {plain} by LOAD DATA, {ours} by osiris")
    return {
        name: Sample(
            seconds=statistics.median(sample.seconds for sample in taken),
            peak_mb=statistics.median(sample.peak_mb for sample in taken),
            stdout="",
        )
        for name, taken in samples.items()
    }


BENCHMARK = Benchmark(title="Parquet -> MySQL, beside LOAD DATA LOCAL INFILE", measure=measure)
