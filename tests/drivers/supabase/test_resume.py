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

pytestmark = pytest.mark.service

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


def wait_for_the_killed(database: Any) -> None:
    """A server notices a client's end when it next has something to say."""
    others = (
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and backend_type = 'client backend'"
    )
    deadline = time.monotonic() + 120
    while database.execute(others) != [(0,)]:
        assert time.monotonic() < deadline, "a killed client's session still runs"


def write_project(folder: Path, dsn: str, password: str, config: dict[str, Any]) -> None:
    (folder / ".env").write_text(f"DSN={dsn}\nPASSWORD={password}\n")
    main = {"pg_dsn": "${DSN}", "password": "${PASSWORD}"}
    (folder / "osiris_connections.yaml").write_text(json.dumps({"connections": {"supabase": {"main": main}}}))
    numbers = pa.array(range(ROWS), pa.int64())
    pq.write_table(pa.table({"id": numbers, "text": numbers.cast(pa.string())}), folder / "rows.parquet")
    steps = [
        {"id": "read", "driver": "filesystem.parquet_extractor", "config": {"path": "rows.parquet"}},
        {
            "id": "write",
            "driver": "supabase.writer",
            "config": {"connection": "@supabase.main", "table": "t", **config},
            "inputs": {"df": "${read.df}"},
        },
    ]
    (folder / "pipeline.yaml").write_text(json.dumps({"version": "1.0.0", "name": "load", "steps": steps}))


# In the table before: a row that no input has, and for upsert one whose key an input row has.
BEFORE = {"append": ["(-1, 'before')"], "replace": ["(-1, 'before')"], "upsert": ["(-1, 'before')", "(7, 'before')"]}
KEPT = {"append": 1, "replace": 0, "upsert": 1}


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_no_row_is_lost_or_doubled(tmp_path: Path, database: Any, password: str, mode: str) -> None:
    chance = random.Random(f"{SEED}-{mode}")
    print(f"seed {SEED}")
    config = {"write_mode": mode, **({"primary_key": "id"} if mode == "upsert" else {})}
    write_project(tmp_path, database.dsn(password=""), password, config)
    # Without a key, rows that were written twice would be there twice.
    table = f"create table t (id bigint{' primary key' if mode == 'upsert' else ''}, text text)"
    database.execute(table)
    begun = time.monotonic()
    assert command(tmp_path).wait(300) == 0, (tmp_path / "story.txt").read_text()
    whole = time.monotonic() - begun
    for _ in range(2):
        known = {session.id for session in sessions(tmp_path)}
        database.execute("drop table t")
        database.execute(table)
        database.execute(f"insert into t values {', '.join(BEFORE[mode])}")
        for delay in [*(chance.uniform(0.3, 1.0) * whole for _ in range(3)), 300]:
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
        wait_for_the_killed(database)
        found = database.execute(
            "select count(*), count(distinct id), min(id), max(id), count(*) filter (where text = 'before') from t"
        )
        kept = KEPT[mode]
        assert found == [(ROWS + kept, ROWS + kept, -kept, ROWS - 1, kept)]
        left = "select c.relname from pg_class c where c.relname like '%osiris%' and c.relkind = 'r'"
        assert database.execute(left) == [("_osiris_commits",)]
