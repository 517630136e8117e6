"""``logs.extractor``: one row for each line, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from acme_logs.config import ExtractorConfig
from osiris.core.driver import Driver, StepContext
from osiris.core.errors import DriverError

BATCH_ROWS = 10_000
LINE = re.compile(r'(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+)[^"]*" (\d{3}) (\d+|-)')
SCHEMA = pa.schema(
    {
        "host": pa.string(),
        "time": pa.timestamp("s", "UTC"),
        "method": pa.string(),
        "path": pa.string(),
        "status": pa.int16(),
        "bytes": pa.int64(),
    }
)

Row = tuple[str, datetime, str, str, int, int | None]


class Extractor(Driver):
    """Reads the file while the next step takes the rows: memory does not grow with its size."""

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any]:
        """The rows, as a stream that is read after this has returned."""
        options = ExtractorConfig.model_validate(config)
        path = ctx.resolve_path(options.path)
        if not path.is_file():
            raise DriverError(
                f"there is no log {path}",
                hint="check `path`; relative ones begin at the pipeline's folder",
                code="logs.not_found",
                path=str(path),
            )
        return {"df": pa.RecordBatchReader.from_batches(SCHEMA, self.batches(path, options.bad_lines, ctx))}

    def batches(self, path: Path, bad_lines: str, ctx: StepContext) -> Iterator[pa.RecordBatch]:
        """Batches of rows; says at the end how many there were."""
        total = 0
        with path.open(encoding="utf-8") as file:
            rows = read_rows(file, path, bad_lines)
            while chunk := list(islice(rows, BATCH_ROWS)):
                ctx.raise_if_cancelled()
                columns = zip(*chunk, strict=True)
                arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
                yield pa.record_batch(arrays, schema=SCHEMA)
                total += len(chunk)
        ctx.log_metric("rows_read", total, "rows")


def read_rows(lines: Iterable[str], path: Path, bad_lines: str) -> Iterator[Row]:
    """One row for each line that is in the format."""
    for number, line in enumerate(lines, 1):
        found = LINE.match(line)
        if found is not None:
            host, time, method, target, status, size = found.groups()
            at = datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z")
            yield host, at, method, target, int(status), None if size == "-" else int(size)
        elif bad_lines == "stop":
            raise DriverError(
                f"{path}, line {number} is not in the Common Log Format",
                hint="correct it, or set `bad_lines: skip`",
                code="logs.bad_line",
                path=str(path),
                line=number,
            )
