"""CSV -> DuckDB SQL -> CSV, beside the same SQL in a process that imports only duckdb."""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness import Benchmark, Row, alternate, osiris, python, run, scratch
from benchmarks.orders import make_orders

BUDGETS = {200_000: None, 2_000_000: 1.8, 20_000_000: 1.2}
ROUNDS = {200_000: 7, 2_000_000: 5, 20_000_000: 5}

QUERY = """\
select country, channel, strftime(ordered_at, '%Y-%m') as month, count(*) as orders,
       sum(quantity * amount::decimal(12, 2)) as revenue, count(discount) as discounted
from orders join customers using (customer_id)
where status <> 'returned' group by all order by all"""

PIPELINE = """\
version: "1.0.0"
name: csv-sql-csv
steps:
  - id: orders
    driver: filesystem.csv_extractor
    config: {{path: {orders}}}
  - id: customers
    driver: filesystem.csv_extractor
    config: {{path: customers.csv}}
  - id: sums
    driver: duckdb.processor
    config:
      query: |
{query}
    inputs: {{orders: "${{orders.df}}", customers: "${{customers.df}}"}}
  - id: save
    driver: filesystem.csv_writer
    config: {{path: osiris.csv}}
    inputs: {{df: "${{sums.df}}"}}
"""

PLAIN = """\
import duckdb
duckdb.execute("create view orders as from read_csv('{orders}')")
duckdb.execute("create view customers as from read_csv('customers.csv')")
duckdb.execute('''copy ({query}) to 'plain.csv' (header)''')
"""


def measure(full: bool) -> list[Row]:
    """Whole processes, start-up included; the two outputs have to hold the same rows."""
    rows = []
    with scratch() as folder:
        for count in sorted(BUDGETS) if full else sorted(BUDGETS)[:2]:
            orders = make_orders(folder, count)
            pipeline = folder / "pipeline.yaml"
            query = "\n".join(f"        {line}" for line in QUERY.splitlines())
            pipeline.write_text(PIPELINE.format(orders=orders.name, query=query), encoding="utf-8")
            plain = PLAIN.format(orders=orders.name, query=QUERY)
            commands = {"plain": python("-c", plain), "osiris": osiris("run", pipeline)}
            taken = alternate(commands, rounds=ROUNDS[count], folder=folder)
            _compare(folder)
            rows.append(
                Row(
                    what=f"{count:>10,} rows",
                    measured=taken["osiris"].seconds,
                    floor=taken["plain"].seconds,
                    budget=BUDGETS[count],
                )
            )
            rows.append(
                Row(
                    what=f"{count:>10,} rows, peak memory",
                    measured=taken["osiris"].peak_mb,
                    floor=taken["plain"].peak_mb,
                    unit="MB",
                )
            )
            orders.unlink()
    return rows


def _compare(folder: Path) -> None:
    """Fast and wrong does not count."""
    check = (
        "import duckdb\n"
        "both = [\"from read_csv('%s.csv')\" % name for name in ('plain', 'osiris')]\n"
        "for a, b in (both, both[::-1]):\n"
        "    assert duckdb.sql(f'{a} except all {b}').fetchall() == []\n"
    )
    run(python("-c", check), folder=folder)


BENCHMARK = Benchmark(title="CSV -> SQL -> CSV, beside plain duckdb", measure=measure)
