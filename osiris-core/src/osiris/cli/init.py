"""``osiris init``: a project that runs at once."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from osiris.cli import terminal
from osiris.cli.options import read_path
from osiris.cli.terminal import clean, styled
from osiris.core.errors import UsageError

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[DIR]", parser=read_path, help="Where; made if missing.  [default: here]", show_default=False
        ),
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Create a project that runs at once.

    Writes a pipeline (CSV file, SQL, CSV file), sample data, and commented examples of the project's
    other files. Existing files are never overwritten unless --force is given.
    """
    existing = [name for name in FILES if (folder / name).exists() or (folder / name).is_symlink()]
    if existing and not force:
        raise UsageError(
            f"{_count(existing)} in {str(folder)!r} already: {', '.join(existing)}",
            hint="choose another folder, or overwrite them with --force",
            code="usage.exists",
            files=existing,
        )
    for name, text in FILES.items():
        _write(folder / name, text)
    if as_json:
        terminal.write_json({"status": "success", "project": str(folder.absolute()), "files": list(FILES)})
        return
    where = "this folder" if folder.absolute() == Path.cwd() else clean(folder)
    terminal.write(f"Created a project in {where}:")
    for name, what in DESCRIPTIONS.items():
        terminal.write(f"  {name:<24}{what}")
    run = "osiris run" if folder.absolute() == Path.cwd() else f"cd {shlex.quote(str(folder))} && osiris run"
    terminal.write()
    terminal.write(f"Next: {styled(clean(run), 'bold', stream=sys.stdout)}")


def _count(existing: list[str]) -> str:
    return "a file exists" if len(existing) == 1 else f"{len(existing)} files exist"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if path.name in PRIVATE else 0o666
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"{os.fspath(path)!r} cannot be written: {error.filename!r} is a file, not a folder",
            hint="choose another folder",
            code="usage.not_a_folder",
        ) from error
    except IsADirectoryError as error:
        raise UsageError(
            f"{os.fspath(path)!r} is a folder", hint="choose another folder", code="usage.folder"
        ) from error


DESCRIPTIONS = {
    "pipeline.yaml": "the pipeline",
    "data/orders.csv": "sample data it reads",
    "osiris.yaml": "marks this folder as a project",
    "osiris_connections.yaml": "databases and their secrets (an example, commented)",
    ".env.example": "how to give secrets: copy to .env",
    ".gitignore": "keeps runs, results and secrets out of git",
}

PIPELINE = """\
# Reads orders, adds them up by customer in SQL, writes the biggest spenders.
version: "1.0.0"
name: big-spenders

params:
  minimum:            # osiris run --param minimum=100
    type: integer
    default: 50

steps:
  - id: orders
    driver: filesystem.csv_extractor
    config:
      path: data/orders.csv

  - id: spenders
    driver: duckdb.processor
    config:
      query: |
        select customer, count(*) as orders, sum(amount) as total
        from orders
        group by customer
        having sum(amount) >= ${params.minimum}
        order by total desc
    inputs:
      orders: ${orders.df}

  - id: save
    driver: filesystem.csv_writer
    config:
      path: out/big_spenders.csv
    inputs:
      df: ${spenders.df}
"""

ORDERS = """\
order_id,customer,day,amount
1001,ada,2025-03-01,19.90
1002,grace,2025-03-01,120.00
1003,alan,2025-03-02,7.50
1004,ada,2025-03-03,64.00
1005,edsger,2025-03-03,31.25
1006,grace,2025-03-04,18.75
1007,barbara,2025-03-05,250.10
1008,alan,2025-03-06,22.00
1009,ada,2025-03-08,12.35
1010,edsger,2025-03-09,28.80
"""

PROJECT = """\
# Marks the root of an Osiris project: osiris_connections.yaml and .env are looked for beside this file, and
# runs are kept below .osiris/runs. Nothing has to be set here; what can be:
# adapters:
#   default: local                          # where pipelines run
#   fallback: [local]                       # where instead, if that place cannot be had
#   options: {local: {isolation: process}}  # as --adapter-option gives them
"""

CONNECTIONS = """\
# Databases that steps use by name, as in  config: {connection: "@duckdb.main"}.
# Secrets are references: ${NAME} (environment or .env), ${file:/run/secrets/name}.
# See them with 'osiris connections list', try them with 'osiris connections test'.
connections:
#  duckdb:
#    main:
#      default: true
#      path: data/warehouse.duckdb
#  mysql:
#    shop:
#      host: localhost
#      user: reader
#      password: ${MYSQL_PASSWORD}
#      database: shop
"""

ENV_EXAMPLE = """\
# Copy to .env, which git ignores, and fill in.
# MYSQL_PASSWORD=
"""

GITIGNORE = """\
.osiris/
out/
.env
"""

FILES = {
    "pipeline.yaml": PIPELINE,
    "data/orders.csv": ORDERS,
    "osiris.yaml": PROJECT,
    "osiris_connections.yaml": CONNECTIONS,
    ".env.example": ENV_EXAMPLE,
    ".gitignore": GITIGNORE,
}
"""Everything that is written: path in the project to text."""

PRIVATE = {"osiris_connections.yaml", ".env.example"}
"""For their owner only: where secrets may come to stand; a copy of ``.env.example`` keeps that."""
