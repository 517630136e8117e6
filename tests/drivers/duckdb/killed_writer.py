"""A program: append to a DuckDB file, and be killed at a point of the writer's way.

Usage: ``killed_writer.py FOLDER POINT [NUMBER]``, where POINT is ``input`` (in the middle of the rows), ``committed``
(after the commit, before the file is closed), or ``never``: write again and again in sessions ``run-0``, ``run-1``, ...
and print the number of each that has ended.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.drivers.duckdb.files import DatabaseFile
from osiris.drivers.duckdb.writer import Writer

TABLE = pa.table({"id": pa.array(range(1000), pa.int64()), "name": pa.array(["x"] * 1000, pa.string())})
CONFIG = {"database": "x.duckdb", "table": "t"}


class Step:
    """A step's context on a folder."""

    step_id, connection = "save", None

    def __init__(self, folder: Path, number: int = 0, *, dies: bool = False) -> None:
        self.base_dir = self.temp_dir = folder
        self.session_id = f"run-{number}"
        self._dies = dies

    def raise_if_cancelled(self) -> None:
        pass

    def on_cancel(self, callback: Any) -> Any:
        return nullcontext()

    def log_metric(self, metric: str, value: float, *args: Any, **tags: Any) -> None:
        if self._dies:
            os.kill(os.getpid(), signal.SIGKILL)

    def add_output(self, location: str, **facts: Any) -> None:
        pass

    def resolve_path(self, path: str | Path) -> Path:
        return self.base_dir / path


def main(folder: Path, point: str) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches(max_chunksize=100)
        if point == "input":
            os.kill(os.getpid(), signal.SIGKILL)

    number = 0
    while True:
        step: Any = Step(folder, number, dies=point == "committed")
        if point == "committed":  # a session beside it keeps the file open, so that its log is not folded in
            DatabaseFile.of("x.duckdb", step).open(step, write=True)
        Writer().run("save", CONFIG, {"df": Dataset.from_batches(TABLE.schema, batches())}, step)
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
