"""What a run costs that has nothing to do: three steps over three rows, beside importing pyarrow.

And beside a script that does the same by hand with the same libraries: nobody who uses them gets below that.
"""

from __future__ import annotations

from benchmarks.harness import Benchmark, Row, alternate, osiris, python, scratch

ROUNDS = 15
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


BY_HAND = """\
from pathlib import Path
from typing import Annotated
import duckdb, pyarrow.csv, typer, yaml
from pydantic import BaseModel
class Step(BaseModel):
    id: str
    driver: str
    config: dict[str, str]
    inputs: dict[str, str] = {}
app = typer.Typer(rich_markup_mode=None)
@app.command()
def run(pipeline: Annotated[Path, typer.Argument()]):
    read, sums, write = [Step.model_validate(step) for step in yaml.safe_load(pipeline.read_text())["steps"]]
    rows = duckdb.connect().read_csv(read.config["path"])
    table = rows.query("rows", sums.config["query"]).to_arrow_table()
    pyarrow.csv.write_csv(table, write.config["path"])
app()
"""


def measure(full: bool) -> list[Row]:
    """The run, beside the floor and beside the same by hand; no difference whether full or not."""
    with scratch() as folder:
        (folder / "rows.csv").write_text("name,n\na,1\nb,2\na,3\n", encoding="utf-8")
        (folder / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
        taken = alternate(
            {
                "floor": python("-c", "import pyarrow"),
                "by hand": python("-c", BY_HAND, folder / "pipeline.yaml"),
                "run": osiris("run", folder / "pipeline.yaml"),
            },
            rounds=ROUNDS,
            folder=folder,
        )
    floor, by_hand, run = (taken[name].seconds for name in ("floor", "by hand", "run"))
    return [
        Row(what="osiris run, three steps", measured=run, floor=floor, budget=BUDGET),
        Row(what="the same by hand (typer, pydantic, yaml, duckdb, pyarrow)", measured=by_hand, floor=floor),
        Row(what="osiris run, beside the same by hand", measured=run, floor=by_hand),
    ]


BENCHMARK = Benchmark(title="a run with nothing to do, beside python -c 'import pyarrow'", measure=measure)
