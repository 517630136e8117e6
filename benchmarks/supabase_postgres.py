"""The Supabase drivers over Postgres, beside what one would write by hand for the same job."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from benchmarks.harness import Benchmark, Row, python, run

ROWS = 200_000
FULL_ROWS = 2_000_000
ROUNDS = 3
BUDGET = 1.2

SOURCE = """
create table source (id bigint primary key, customer text, amount numeric(12,2), at timestamptz, note text, paid bool,
                     score float8, day date);
insert into source
select g, 'customer-' || g % 1000, (g * 7919 % 1000000) / 100.0, timestamptz '2024-01-01' + g * interval '1 second',
       case when g % 5 = 0 then null else 'some note, "quoted" ' || g end, g % 2 = 0, g / 7.0,
       date '2024-01-01' + g % 365
from generate_series(1, {rows}) g;
create table target (like source including all)
"""
JOBS = {
    "read": {"ADBC": "adbc", "psycopg rows": "psycopg"},
    "append": {"ADBC": "adbc", "psycopg rows": "psycopg"},
    "upsert, half of the keys there": {"ADBC": "adbc"},
    "replace": {"ADBC": "adbc"},
}


def measure(full: bool) -> list[Row]:
    """Each job by the driver and by hand, in turns; budget against ADBC."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "services"))
    from postgres_server import PostgresServer

    rows = FULL_ROWS if full else ROWS
    measured: list[Row] = []
    with PostgresServer() as server:
        dsn = server.dsn(server.make_database())
        with server.connect(dsn.rpartition("/")[2]) as admin:
            admin.execute("set role postgres")
            admin.execute(SOURCE.format(rows=rows))
        for job, others in JOBS.items():
            medians = _alternate(job.split(",")[0], ["driver", *others.values()], dsn, rows)
            for name, who in others.items():
                measured.append(
                    Row(
                        what=f"{job}, {rows:,} rows, beside {name}",
                        measured=medians["driver"],
                        floor=medians[who],
                        budget=BUDGET if who == "adbc" else None,
                    )
                )
    return measured


def _alternate(job: str, names: list[str], dsn: str, rows: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(ROUNDS):
        for name in names[:: 1 if number % 2 == 0 else -1]:
            if name == "psycopg" and number:
                continue  # several times slower, and not what is judged
            seconds, done = run(python("-m", "benchmarks.supabase_tasks", job, name, dsn)).stdout.split()
            if int(done) != rows:
                sys.exit(f"{job} by {name} handled {done} rows of {rows}")
            taken[name].append(float(seconds))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


BENCHMARK = Benchmark(title="the Supabase drivers over Postgres, beside the same by hand", measure=measure)
