"""What a run costs that has nothing to do: three steps over three rows, beside importing pyarrow.

Over files alone, that is held to half a second where the import takes 0.16 s. SQL in between brings work: DuckDB has
to be imported and its first database opened, and a script that does it all by hand with the same libraries, and checks
nothing, takes half a second already. So that run is held to the script.
"""

from __future__ import annotations

from benchmarks.harness import Benchmark, Row, alternate, osiris, python, scratch

ROUNDS = 15
BUDGET = 0.5 / 0.16  # half a second on a machine where `import pyarrow` takes 0.16 s
BESIDE_BY_HAND = 1.2

FILES = """\
version: "1.0.0"
name: trivial-files
steps:
  - id: rows
    driver: filesystem.csv_extractor
    config: {path: rows.csv}
  - id: copy
    driver: filesystem.csv_writer
    config: {path: copy.csv}
    inputs: {df: "${rows.df}"}
  - id: lines
    driver: filesystem.jsonl_writer
    config: {path: lines.jsonl}
    inputs: {df: "${rows.df}"}
"""

SQL = """\
version: "1.0.0"
name: trivial-sql
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
        (folder / "files.yaml").write_text(FILES, encoding="utf-8")
        (folder / "sql.yaml").write_text(SQL, encoding="utf-8")
        taken = alternate(
            {
                "floor": python("-c", "import pyarrow"),
                "by hand": python("-c", BY_HAND, folder / "sql.yaml"),
                "files": osiris("run", folder / "files.yaml"),
                "sql": osiris("run", folder / "sql.yaml"),
            },
            rounds=ROUNDS,
            folder=folder,
        )
    floor, by_hand, files, sql = (taken[name].seconds for name in ("floor", "by hand", "files", "sql"))
    return [
        Row(what="osiris run, three steps over files", measured=files, floor=floor, budget=BUDGET),
        Row(what="with SQL between them, beside the same by hand", measured=sql, floor=by_hand, budget=BESIDE_BY_HAND),
        Row(what="  by hand (typer, pydantic, yaml, duckdb, pyarrow)", measured=by_hand, floor=floor),
        Row(what="  osiris run", measured=sql, floor=floor),
    ]


BENCHMARK = Benchmark(title="a run with nothing to do, beside python -c 'import pyarrow'", measure=measure)
