"""The Supabase drivers over Postgres, beside what one would write by hand for the same job."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.harness import Benchmark, Row, python, run

ROWS = 200_000
FULL_ROWS = 1_000_000
ROUNDS, FULL_ROUNDS = 5, 3
TASKS = "benchmarks.supabase_tasks"
BUDGET = 1.2

SOURCE = """
create table source (id bigint primary key, customer text, amount numeric(12,2), at timestamptz, note text, paid bool,
                     score float8, day date);
insert into source
select g, 'customer-' || g % 1000, (g::bigint * 7919 % 1000000) / 100.0,
       timestamptz '2024-01-01' + g * interval '1 second',
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

    rows, rounds = (FULL_ROWS, FULL_ROUNDS) if full else (ROWS, ROUNDS)
    measured: list[Row] = []
    with PostgresServer() as server:
        dsn = server.dsn(server.make_database())
        with server.connect(dsn.rpartition("/")[2]) as admin:
            admin.execute("set role postgres")
            admin.execute(SOURCE.format(rows=rows))
        for job, others in JOBS.items():
            medians = _alternate(job.split(",")[0], ["driver", *others.values()], dsn, rounds)
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


def _alternate(job: str, names: list[str], dsn: str, rounds: int) -> dict[str, float]:
    # psycopg row by row is several times slower, and not what is judged: once is enough.
    judged = [name for name in names if name != "psycopg"]
    found: dict[str, float] = json.loads(run(python("-m", TASKS, job, dsn, str(rounds), *judged)).stdout)
    if "psycopg" in names:
        found |= json.loads(run(python("-m", TASKS, job, dsn, "1", "psycopg")).stdout)
    return found


BENCHMARK = Benchmark(title="the Supabase drivers over Postgres, beside the same by hand", measure=measure)
