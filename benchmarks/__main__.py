"""Run benchmarks and print the table: ``python -m benchmarks [NAME ...] [--full]``."""

from __future__ import annotations

import argparse
import sys

from benchmarks import (
    cold_start,
    csv_sql_csv,
    e2b_overhead,
    memory,
    mysql_read,
    mysql_write,
    noop_steps,
    supabase_postgres,
    supabase_rest,
    trivial_run,
)
from benchmarks.harness import table

BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module.BENCHMARK
    for module in (
        cold_start,
        trivial_run,
        noop_steps,
        csv_sql_csv,
        memory,
        mysql_read,
        mysql_write,
        supabase_postgres,
        supabase_rest,
        e2b_overhead,
    )
}


def main() -> int:
    """Run those that were asked for, all by default; 1 where a budget is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--full", action="store_true", help="the big sizes too (20 million rows; minutes, gigabytes)")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")

    rows = []
    for name in asked.names or BENCHMARKS:
        measured = BENCHMARKS[name].measure(asked.full)
        print(table(f"{name}: {BENCHMARKS[name].title}", measured), end="\n\n", flush=True)
        rows += measured
    over = [row for row in rows if not row.kept]
    judged = [row for row in rows if row.budget is not None]
    print(f"{len(judged) - len(over)} of {len(judged)} budgets kept")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
