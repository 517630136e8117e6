"""One job over Postgres: by the Supabase drivers, and by hand with ADBC or psycopg, in turns within one process.

``python -m benchmarks.supabase_tasks JOB DSN ROUNDS WHO...`` prints the median seconds of each, as JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from osiris.core.cancellation import Cancellation

SQL = "select id, customer, amount, at, note, paid, score, day from"
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "customer": pa.string(),
        "amount": pa.decimal128(12, 2),
        "at": pa.timestamp("us", "UTC"),
        "note": pa.string(),
        "paid": pa.bool_(),
        "score": pa.float64(),
        "day": pa.date32(),
    }
)


class _Step:
    """What a step's context gives that these drivers use; a session of its own each time, as each run has."""

    step_id = "step"
    cancelled = False

    def __init__(self, dsn: str) -> None:
        self.session_id = uuid.uuid4().hex
        self.connection = {"pg_dsn": dsn}
        self._cancellation = Cancellation()
        self.on_cancel = self._cancellation.on_cancel
        self.raise_if_cancelled = self._cancellation.raise_if_requested

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        """Nobody listens."""

    def add_output(self, location: str, **facts: Any) -> None:
        """Nobody listens."""


def _step(dsn: str) -> Any:
    return _Step(dsn)


def read_driver(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """``supabase.extractor``."""
    from osiris.drivers.supabase.extractor import SupabaseExtractor

    config = {"connection": "@supabase", "table": "source"}
    output = SupabaseExtractor().run("step", config, {}, _step(dsn))["df"]
    return sum(batch.num_rows for batch in output.batches())


def read_adbc(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """ADBC's C++ to Arrow; a numeric stays text, infinity becomes a wrong date."""
    from adbc_driver_manager import AdbcConnection, AdbcStatement
    from adbc_driver_postgresql import connect

    with connect(dsn) as database, AdbcConnection(database) as connection, AdbcStatement(connection) as statement:
        statement.set_sql_query(f"{SQL} source")
        handle, _ = statement.execute_query()
        return sum(batch.num_rows for batch in pa.RecordBatchReader._import_from_c(handle.address))


def read_psycopg(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """By psycopg's COPY, rows as tuples of Python."""
    import psycopg

    sql = f"copy ({SQL} source) to stdout (format binary)"
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(sql) as copy:
        copy.set_types(["int8", "text", "numeric", "timestamptz", "text", "bool", "float8", "date"])
        return sum(1 for _ in copy.rows())


def append_driver(dsn: str, rows: list[pa.RecordBatch], **config: Any) -> int:
    """``supabase.writer``."""
    from osiris.core.dataset import Dataset
    from osiris.drivers.supabase.writer import SupabaseWriter

    given = {"connection": "@supabase", "table": "target", **config}
    SupabaseWriter().run("step", given, {"df": Dataset.from_batches(SCHEMA, rows)}, _step(dsn))
    return _rows(rows)


def append_adbc(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """ADBC's ingest from Arrow, where every column's type happens to be the table's."""
    from adbc_driver_manager import AdbcConnection, AdbcStatement
    from adbc_driver_postgresql import connect

    with connect(dsn) as database, AdbcConnection(database) as connection, AdbcStatement(connection) as statement:
        statement.set_options(**{"adbc.ingest.target_table": "target", "adbc.ingest.mode": "adbc.ingest.mode.append"})
        statement.bind_stream(pa.RecordBatchReader.from_batches(SCHEMA, rows))
        statement.execute_update()
    return _rows(rows)


def append_psycopg(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """By psycopg's COPY, row by row."""
    import psycopg

    sql = "copy target from stdin"
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(sql) as copy:
        for batch in rows:
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                copy.write_row(row)
    return _rows(rows)


def upsert_driver(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """``supabase.writer`` with ``write_mode: upsert``."""
    return append_driver(dsn, rows, write_mode="upsert", primary_key="id")


def replace_driver(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """``supabase.writer`` with ``write_mode: replace``."""
    return append_driver(dsn, rows, write_mode="replace")


def upsert_adbc(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """ADBC's ingest into a temporary table, then ``INSERT ... ON CONFLICT``."""
    return _staged(dsn, rows, "on conflict (id) do update set customer = excluded.customer, amount = excluded.amount,"
                   " at = excluded.at, note = excluded.note, paid = excluded.paid, score = excluded.score,"
                   " day = excluded.day")  # fmt: skip


def replace_adbc(dsn: str, rows: list[pa.RecordBatch]) -> int:
    """ADBC's ingest into a temporary table, then ``DELETE`` and ``INSERT``."""
    return _staged(dsn, rows, "", "delete from target")


def _staged(dsn: str, rows: list[pa.RecordBatch], conflict: str, before: str = "") -> int:
    from adbc_driver_manager import AdbcConnection, AdbcStatement
    from adbc_driver_postgresql import connect

    with connect(dsn) as database, AdbcConnection(database) as connection:
        connection.set_autocommit(False)
        with AdbcStatement(connection) as statement:
            statement.set_options(
                **{
                    "adbc.ingest.target_table": "stage",
                    "adbc.ingest.mode": "adbc.ingest.mode.create",
                    "adbc.ingest.temporary": "true",
                }
            )
            statement.bind_stream(pa.RecordBatchReader.from_batches(SCHEMA, rows))
            statement.execute_update()
        for sql in filter(None, (before, f"insert into target {SQL} stage {conflict}")):
            with AdbcStatement(connection) as statement:
                statement.set_sql_query(sql)
                statement.execute_update()
        connection.commit()
    return _rows(rows)


def _rows(rows: list[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in rows)


TASKS: dict[str, Callable[[str, list[pa.RecordBatch]], int]] = {
    f"{job} {who}": globals()[f"{job}_{who}"]
    for job, who in (
        ("read", "driver"), ("read", "adbc"), ("read", "psycopg"),
        ("append", "driver"), ("append", "adbc"), ("append", "psycopg"),
        ("upsert", "driver"), ("upsert", "adbc"), ("replace", "driver"), ("replace", "adbc"),
    )
}  # fmt: skip


def main() -> None:
    """Do the job by each in turns; a first round, which imports, is not timed."""
    job, dsn, rounds, *names = sys.argv[1:]
    import psycopg

    rows: list[pa.RecordBatch] = []
    if job != "read":
        from osiris.drivers.supabase.extractor import SupabaseExtractor

        config = {"connection": "@supabase", "table": "source"}
        rows = list(SupabaseExtractor().run("step", config, {}, _step(dsn))["df"].batches())
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(int(rounds) + 1):
        for name in names[:: 1 if number % 2 == 0 else -1]:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("truncate target")
                if job in ("upsert", "replace"):
                    connection.execute(f"insert into target {SQL} source where id % 2 = 0")
                connection.execute("vacuum analyze target")
            begin = time.perf_counter()
            done = TASKS[f"{job} {name}"](dsn, rows)
            if number:
                taken[name].append(time.perf_counter() - begin)
            with psycopg.connect(dsn) as connection:
                ((there,),) = connection.execute(f"select count(*) from {'source' if job == 'read' else 'target'}")
            if done != there:
                sys.exit(f"{job} by {name} handled {done} rows of {there}")
    print(json.dumps({name: statistics.median(seconds) for name, seconds in taken.items()}))


if __name__ == "__main__":
    main()
