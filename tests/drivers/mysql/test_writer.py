"""The writer's modes against a real server, by both ways in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.mysql.writer import MySqlWriter

BOTH = pytest.mark.parametrize("bulk", ["load_data", "insert"])


def write(ctx: Any, data: Any, **config: Any) -> dict[str, Any]:
    """Write ``data`` to table ``t``; the facts of the output."""
    writer = MySqlWriter()
    try:
        assert writer.run(ctx.step_id, {"table": "t", **config}, {"df": Dataset.of(data)}, ctx) == {}
    finally:
        writer.close()
    return dict(ctx.outputs[-1][1])


def people(*rows: tuple[int, str | None]) -> pa.Table:
    return pa.table(
        {"id": pa.array([row[0] for row in rows], pa.int64()), "name": pa.array([row[1] for row in rows], pa.string())}
    )


@BOTH
def test_append_creates_the_table_and_adds_to_it(ctx: Any, database: Any, bulk: str) -> None:
    facts = write(ctx, people((1, "a"), (2, None)), bulk=bulk, primary_key="id")
    assert facts["rows"] == facts["rows_read"] == facts["rows_sent"] == facts["rows_present"] == 2
    ctx.step_id = "again"
    write(ctx, people((3, "")), bulk=bulk)
    assert database.execute("SELECT * FROM t ORDER BY id") == [(1, "a"), (2, None), (3, "")]
    assert ctx.told("mysql_write_path") == {
        "table": f"{database.name}.t",
        "path": bulk,
        "reason": "asked for",
    }
    assert ("rows_written", 1) in ctx.metrics
    assert database.execute("SELECT session_id, step_id, `rows` FROM _osiris_commits ORDER BY step_id") == [
        ("run", "again", 1),
        ("run", "step", 2),
    ]
