"""What a run costs that has nothing to do: three steps over three rows, beside importing pyarrow."""

from __future__ import annotations

from benchmarks.harness import Benchmark, Row, alternate, osiris, python, scratch

ROUNDS = 9
BUDGET = 0.5 / 0.16  # half a second on a machine where `import pyarrow` takes 0.16 s

PIPELINE = """\
version: "1.0.0"
name: trivial
steps:
  - id: rows
    driver: filesystem.csv_extractor
    config: {path: rows.csv}
  - id: sums
    driver: duckdb.processor
    config: {query: "select name, sum(n) as n from rows group by 1"}
    inputs: {rows: "${rows.df}"}
  - id: save
    driver: filesystem.csv_writer
    config: {path: sums.csv}
    inputs: {df: "${sums.df}"}
"""


def measure(full: bool) -> list[Row]:
    """The run, and what its two libraries alone would take; the same whether full or not."""
    with scratch() as folder:
        (folder / "rows.csv").write_text("name,n\na,1\nb,2\na,3\n", encoding="utf-8")
        (folder / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
        taken = alternate(
            {
                "floor": python("-c", "import pyarrow"),
                "libraries": python("-c", "import pyarrow.csv, duckdb, pydantic, yaml"),
                "run": osiris("run", folder / "pipeline.yaml"),
            },
            rounds=ROUNDS,
        )
    floor = taken["floor"].seconds
    return [
        Row(what="osiris run, three steps", measured=taken["run"].seconds, floor=floor, budget=BUDGET),
        Row(what="importing what it uses", measured=taken["libraries"].seconds, floor=floor),
    ]


BENCHMARK = Benchmark(title="a run with nothing to do, beside python -c 'import pyarrow'", measure=measure)
