"""Peak memory of streaming jobs: it must not grow with the rows."""

from __future__ import annotations

from benchmarks.harness import Benchmark, Row, osiris, run, scratch
from benchmarks.orders import make_orders

SIZES = (2_000_000, 10_000_000)
FULL_SIZES = (2_000_000, 20_000_000)
LIMIT_MB = 250.0

COPY = """\
version: "1.0.0"
name: copy
steps:
  - id: read
    driver: filesystem.csv_extractor
    config: {{path: {orders}}}
  - id: write
    driver: filesystem.csv_writer
    config: {{path: copy.csv}}
    inputs: {{df: "${{read.df}}"}}
"""

SQL = """\
version: "1.0.0"
name: sql
steps:
  - id: orders
    driver: filesystem.csv_extractor
    config: {{path: {orders}}}
  - id: sums
    driver: duckdb.processor
    config:
      query: select product, channel, sum(quantity * amount::decimal(12, 2)) as revenue from orders group by all
      memory_limit: 100MB
    inputs: {{orders: "${{orders.df}}"}}
  - id: write
    driver: filesystem.csv_writer
    config: {{path: sums.csv}}
    inputs: {{df: "${{sums.df}}"}}
"""


def measure(full: bool) -> list[Row]:
    """The peak of whole processes at both sizes, and how much of it comes from the rows."""
    jobs = {"read -> write": COPY, "read -> SQL (memory_limit 100 MB)": SQL}
    sizes = FULL_SIZES if full else SIZES
    peaks: dict[tuple[str, int], float] = {}
    with scratch() as folder:
        for size in sizes:
            orders = make_orders(folder, size)
            for job, pipeline in jobs.items():
                (folder / "pipeline.yaml").write_text(pipeline.format(orders=orders.name), encoding="utf-8")
                peaks[job, size] = run(osiris("run", folder / "pipeline.yaml"), folder=folder).peak_mb
            orders.unlink()
    small, large = sizes
    rows = []
    for job in jobs:
        rows += [
            Row(what=f"{job}, {size:,} rows", measured=peaks[job, size], unit="MB", budget=LIMIT_MB) for size in sizes
        ]
        growth = Row(what=f"{job}, growth", measured=peaks[job, large], floor=peaks[job, small], unit="MB", budget=1.1)
        rows.append(growth)
    return rows


BENCHMARK = Benchmark(title="peak memory of streaming jobs", measure=measure)
