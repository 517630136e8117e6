"""A program: append to a DuckDB file, at the same moment as others that were started for it.

Usage: ``one_of_many.py FOLDER NUMBER``; prints a line, waits for one, and writes as the run ``run-NUMBER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.writer import Writer
from osiris.testing import RecordingStepContext


def main(folder: Path, number: int) -> None:
    ctx = RecordingStepContext(folder, session_id=f"run-{number}")
    rows = pa.table({"id": pa.array([number] * 100, pa.int64())})
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        try:
            Writer().run("save", {"database": "x.duckdb", "table": "t"}, {"df": Dataset.of(rows)}, ctx)
        except DriverError as error:
            if error.code != "duckdb.locked":
                raise
        else:
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
