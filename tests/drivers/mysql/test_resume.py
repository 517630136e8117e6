"""``osiris run --resume`` after SIGKILL: whatever the moment, every row is in the table once."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from osiris.core.session import SessionInfo, list_sessions

OSIRIS = Path(sys.executable).with_name("osiris")
SEED = os.environ.get("OSIRIS_TEST_SEED") or os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(4)
ROWS = 30_000


def command(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OSIRIS", "_OSIRIS"))}
    story = (folder / "story.txt").open("ab")
    with story:
        return subprocess.Popen([OSIRIS, "run", *arguments], cwd=folder, env=kept, stdout=story, stderr=story)


def sessions(folder: Path) -> list[SessionInfo]:
    root = folder / ".osiris" / "runs"
    return list(list_sessions(root)) if root.exists() else []


def write_project(folder: Path, database: Any, config: dict[str, Any]) -> None:
    (folder / "osiris_connections.yaml").write_text(json.dumps({"connections": {"mysql": {"main": database.options}}}))
    numbers = pa.array(range(ROWS), pa.int64())
    pq.write_table(pa.table({"id": numbers, "text": numbers.cast(pa.string())}), folder / "rows.parquet")
    steps = [
        {"id": "read", "driver": "filesystem.parquet_extractor", "config": {"path": "rows.parquet"}},
        {
            "id": "write",
            "driver": "mysql.writer",
            "config": {"connection": "@mysql.main", "table": "t", **config},
            "inputs": {"df": "${read.df}"},
        },
    ]
    (folder / "pipeline.yaml").write_text(json.dumps({"version": "1.0.0", "name": "load", "steps": steps}))


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_no_row_is_lost_or_doubled(tmp_path: Path, database: Any, mode: str) -> None:
    chance = random.Random(f"{SEED}-{mode}")
    print(f"seed {SEED}")
    write_project(tmp_path, database, {"write_mode": mode})
    table = "CREATE TABLE t (id BIGINT, text VARCHAR(20))"
    database.execute(table)
    begun = time.monotonic()
    assert command(tmp_path).wait(120) == 0
    whole = time.monotonic() - begun
    for _ in range(2):
        known = {session.id for session in sessions(tmp_path)}
        database.execute("DROP TABLE t")
        database.execute(table)
        database.execute("INSERT INTO t VALUES (-1, 'before')")
        for delay in [*(chance.uniform(0.3, 1.0) * whole for _ in range(3)), 120]:
            begun_ones = [session for session in sessions(tmp_path) if session.id not in known]
            if any(session.status == "success" for session in begun_ones):
                break  # killed when all was done
            running = command(tmp_path, *(["--resume", "last"] if begun_ones else []))
            killer = threading.Timer(delay, running.send_signal, [signal.SIGKILL])
            killer.start()
            code = running.wait()
            killer.cancel()
            killer.join()
            assert code in (0, -signal.SIGKILL), (tmp_path / "story.txt").read_text()
        rows, different, low, high = database.execute("SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id) FROM t")[0]
        before = 1 if mode == "append" else 0
        assert (rows, different, low, high) == (ROWS + before, ROWS + before, -before, ROWS - 1)
        left = database.execute("SHOW TABLES LIKE '\\_osiris\\_%'")
        assert left == [("_osiris_commits",)]
