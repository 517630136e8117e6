"""MySQL -> CSV and Parquet over one and two connections, beside connectorx and dlt, where installed.

dlt in three ways: with the backend that it takes when nobody chooses (SQLAlchemy), and with those on pyarrow and on
connectorx. The first is the one that is judged by. Both that are its own take minutes here, and run once; they read the
table only with a callback, because a DOUBLE comes to them as a decimal and is too long for that. On connectorx, dlt to
Parquet is connectorx and little more: half of its time is less than connectorx needs.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Benchmark, Command, Row, Sample, alternate, osiris, python, run, scratch

SIZES = (200_000, 2_000_000)
ROUNDS = {200_000: 5, 2_000_000: 3}
JUDGED = 2_000_000
FORMATS = ("csv", "parquet")
BUDGETS = {1: 1.6, 2: 1.15}
"""By connections, beside connectorx with one."""
LIMIT_MB = 250.0

# Ten mixed columns: a key, NULLs, a decimal, a double, texts with quotes, line breaks and unicode, microseconds, JSON.
TABLE = """
create table mixed (
    id bigint primary key, quantity int, amount decimal(12, 2) not null, score double not null,
    name varchar(60) not null, note varchar(120), created_at datetime(6) not null, day date not null,
    active boolean, extra json
) default charset utf8mb4
"""
ROWS = """
insert into mixed
select seq,
       if(seq % 7 = 0, null, seq * 37 % 100000),
       round((seq * 7919 % 100000000) / 100 - 500000, 2),
       sqrt(seq) * 1.2345678901,
       concat('Kunde "', conv(seq * 2654435761 % 4294967296, 10, 36), '", Brňo ', seq % 97),
       if(seq % 5 = 0, null, concat('line ', seq, if(seq % 11 = 0, '\n', ', '), if(seq % 13 = 0, 'žluť 🐎', 'plain'))),
       timestamp('2020-01-01') + interval (seq * 7919 % 100000000000) microsecond + interval seq % 1500 day,
       date('2015-01-01') + interval seq % 4000 day,
       if(seq % 3 = 0, null, seq % 2),
       if(seq % 4 = 0, null, json_object('k', seq, 'tags', json_array('a', 'b"c')))
from seq_1_to_{rows}
"""
PIPELINE = """\
version: "1.0.0"
name: mysql-read
steps:
  - id: read
    driver: mysql.extractor
    config: {{connection: "@mysql.bench", table: mixed, partition_by: id, partitions: {connections}}}
  - id: write
    driver: filesystem.{format}_writer
    config: {{path: osiris{connections}.{format}}}
    inputs: {{df: "${{read.df}}"}}
"""
CONNECTION = """\
connections:
  mysql:
    bench: {{host: 127.0.0.1, port: {port}, user: root, database: bench}}
"""
CONNECTORX = """\
import connectorx
query = "select * from mixed"
reader = connectorx.read_sql("mysql://root@127.0.0.1:{port}/bench", query, return_type="arrow_stream", batch_size=65536)
"""
WRITERS = {
    "csv": "import pyarrow.csv as files\nwriter = files.CSVWriter('connectorx.csv', reader.schema)\n",
    "parquet": "import pyarrow.parquet as files\nwriter = files.ParquetWriter('connectorx.parquet', reader.schema)\n",
}
WRITE = "for batch in reader: writer.write_batch(batch)\nwriter.close()\n"
DLT = """\
import dlt
from dlt.sources.sql_database import sql_table
from sqlalchemy.types import Float
def adapt(table):
    for column in table.columns:
        if isinstance(column.type, Float):
            column.type = Float(53, asdecimal=False)
    return table
table = sql_table("mysql+pymysql://root@127.0.0.1:{port}/bench", "mixed", backend="{backend}", {more})
destination = dlt.destinations.filesystem("dlt-out")
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir="dlt")
pipeline.run(table, loader_file_format="{format}", write_disposition="replace").raise_on_failed_jobs()
"""
ADAPTED = "table_adapter_callback=adapt"
BACKENDS = {
    "dlt": {"backend": "sqlalchemy", "more": ADAPTED},
    "dlt on pyarrow": {"backend": "pyarrow", "more": ADAPTED},
    "dlt on connectorx": {
        "backend": "connectorx",
        "more": "backend_kwargs={{'conn': 'mysql://root@127.0.0.1:{port}/bench'}}",
    },
}
SLOW = ("dlt", "dlt on pyarrow")
# connectorx gives decimals ten digits behind the point, and may give other types: what counts is the values.
COMPARE = """\
import duckdb
columns = "id, quantity, amount::decimal(12, 2), score, name, note, created_at::timestamp, day, active::int"
columns += ", extra::varchar"
names = [name + ".parquet" for name in {names!r}]
for a, b in [*zip(names, names[1:]), *zip(names[1:], names)]:
    more = duckdb.sql(f"select {{columns}} from '{{a}}' except all select {{columns}} from '{{b}}'").fetchall()
    assert more == [], (a, b)
"""


def measure(full: bool) -> list[Row]:
    """Whole processes, start-up included; files have to hold the same rows. Slow peers at 2 million only if full."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "services"))
    from mariadb_server import MariaDBServer

    measured: list[Row] = []
    settings = {"innodb_buffer_pool_size": "1G"}
    with scratch() as folder, MariaDBServer(folder / "server", settings) as server:
        (folder / "osiris_connections.yaml").write_text(CONNECTION.format(port=server.port), encoding="utf-8")
        for rows in SIZES:
            with closing(server.connect()) as admin, admin.cursor() as cursor:
                for statement in ("create or replace database bench", "use bench", TABLE, ROWS.format(rows=rows)):
                    cursor.execute(statement)
            for name in FORMATS:
                commands = _commands(server.port, name, folder)
                slow = {peer: commands.pop(peer) for peer in SLOW if peer in commands}
                taken = alternate(commands, rounds=ROUNDS[rows], folder=folder)
                if full or rows < JUDGED:
                    taken |= {peer: run(command, folder=folder) for peer, command in slow.items()}
                measured += _judge(rows, name, taken)
            _compare(folder)
    return measured


def _commands(port: int, kind: str, folder: Path) -> dict[str, Command]:
    commands: dict[str, Command] = {}
    if importlib.util.find_spec("connectorx") is not None:
        commands["connectorx"] = python("-c", CONNECTORX.format(port=port) + WRITERS[kind] + WRITE)
    for connections in BUDGETS:
        pipeline = folder / f"{kind}{connections}.yaml"
        pipeline.write_text(PIPELINE.format(format=kind, connections=connections), encoding="utf-8")
        commands[f"osiris{connections}"] = osiris("run", pipeline)
    if all(importlib.util.find_spec(module) for module in ("dlt", "sqlalchemy", "connectorx")):
        for peer, how in BACKENDS.items():
            more = how["more"].format(port=port)
            commands[peer] = python("-c", DLT.format(port=port, format=kind, backend=how["backend"], more=more))
    return commands


def _judge(rows: int, kind: str, taken: dict[str, Sample]) -> list[Row]:
    measured = []
    for connections, budget in BUDGETS.items():
        ours = taken[f"osiris{connections}"]
        what = f"{rows:>9,} rows to {kind:<7}, {connections} connection{'s' if connections > 1 else ''}"
        for name, most in (("connectorx", budget), ("dlt", 0.5), *((peer, None) for peer in BACKENDS if peer != "dlt")):
            if name in taken:
                measured.append(
                    Row(
                        what=f"{what}, beside {name}",
                        measured=ours.seconds,
                        floor=taken[name].seconds,
                        budget=most if rows == JUDGED else None,
                    )
                )
        measured.append(Row(what=f"{what}, peak memory", measured=ours.peak_mb, unit="MB", budget=LIMIT_MB))
    return measured


def _compare(folder: Path) -> None:
    """Fast and wrong does not count."""
    names = [name for name in ("connectorx", "osiris1", "osiris2") if (folder / f"{name}.parquet").exists()]
    run(python("-c", COMPARE.format(names=names)), folder=folder)


BENCHMARK = Benchmark(title="MySQL -> CSV and Parquet, beside connectorx", measure=measure)
