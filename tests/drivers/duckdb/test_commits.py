"""duckdb.writer knows what it has committed: once per session, whatever kills it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.files import DatabaseFile
from osiris.drivers.duckdb.writer import Writer

PROGRAM = Path(__file__).with_name("killed_writer.py")
ONE_OF_MANY = PROGRAM.with_name("one_of_many.py")
ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "name": pa.array(["a", None], pa.string())})
CONFIG = {"database": "x.duckdb", "table": "t"}


def write(ctx: Any, data: Any = ROWS, **options: Any) -> None:
    Writer().run(ctx.step_id, {**CONFIG, **options}, {"df": Dataset.of(data)}, ctx)


def committed(ctx: Any, **options: Any) -> Any:
    return Writer().committed(ctx.step_id, {**CONFIG, **options}, ctx)


def rows(ctx: Any, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(ctx.base_dir / "x.duckdb")) as connection:
        return connection.execute(sql).fetchall()


def files(ctx: Any) -> list[str]:
    return sorted(path.name for path in ctx.base_dir.iterdir() if path.name != "tmp")


MODES = [{"write_mode": "append"}, {"write_mode": "replace"}, {"write_mode": "upsert", "primary_key": "id"}]


@pytest.mark.parametrize("options", MODES, ids=lambda options: options["write_mode"])
@pytest.mark.parametrize("table", ["t", "sales.t"])
def test_the_marker_goes_with_the_rows(ctx: Any, options: Any, table: str) -> None:
    options = {**options, "table": table}
    assert committed(ctx, **options) is None
    assert files(ctx) == []  # asking does not make the file
    write(ctx, **options)
    assert committed(ctx, **options) == {"rows": 2, "location": f"{ctx.base_dir / 'x.duckdb'}:{table}"}
    assert committed(ctx.but(session_id="other"), **options) is None
    assert committed(ctx.but(step_id="other"), **options) is None
    schema = "sales" if "." in table else "main"
    assert rows(ctx, f"SELECT session_id, step_id, rows, committed_at <= now() FROM {schema}._osiris_commits") == [
        ("run", "step", 2, True)
    ]
    key = rows(ctx, "SELECT constraint_column_names FROM duckdb_constraints() WHERE table_name = '_osiris_commits'")
    assert (["session_id", "step_id"],) in key


def test_append_refuses_a_second_time_in_one_session(ctx: Any) -> None:
    write(ctx)
    with pytest.raises(DriverError) as caught:
        write(ctx)
    assert (caught.value.code, caught.value.retryable) == ("duckdb.already_written", False)
    assert len(rows(ctx, "FROM t")) == 2
    write(ctx.but(session_id="next"))
    assert len(rows(ctx, "FROM t")) == 4
    assert rows(ctx, "SELECT session_id FROM _osiris_commits ORDER BY 1") == [("next",), (ctx.session_id,)]


@pytest.mark.parametrize("options", MODES[1:], ids=lambda options: options["write_mode"])
def test_the_other_modes_give_the_same_again(ctx: Any, options: Any) -> None:
    write(ctx, **options)
    write(ctx, ROWS.slice(0, 1), **options)
    assert len(rows(ctx, "FROM t")) == (1 if options["write_mode"] == "replace" else 2)
    assert rows(ctx, "SELECT rows FROM _osiris_commits") == [(1,)]


@pytest.mark.parametrize("options", MODES, ids=lambda options: options["write_mode"])
def test_a_failure_leaves_no_marker(ctx: Any, options: Any) -> None:
    write(ctx.but(session_id="earlier"), **options)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        raise ValueError("upstream")

    with pytest.raises(ValueError, match="upstream"):
        write(ctx, Dataset.from_batches(ROWS.schema, batches()), **options)
    assert committed(ctx, **options) is None
    assert rows(ctx, "SELECT session_id FROM _osiris_commits") == [("earlier",)]
    write(ctx, **options)
    assert committed(ctx, **options)["rows"] == 2


def test_without_a_marker(ctx: Any) -> None:
    for _ in range(2):
        write(ctx, commit_marker=False)
    assert committed(ctx, commit_marker=False) is None
    assert rows(ctx, "SELECT table_name FROM duckdb_tables()") == [("t",)]


def test_no_table_is_made_where_the_target_is_missing(ctx: Any) -> None:
    rows(ctx, "CREATE TABLE other (id BIGINT)")
    with pytest.raises(DriverError) as caught:
        write(ctx, create_if_missing=False, table="no_schema.t")
    assert caught.value.code == "duckdb.table_not_found"
    assert rows(ctx, "SELECT table_name FROM duckdb_tables()") == [("other",)]


@pytest.mark.parametrize("mine", ["TABLE _osiris_commits (mine BIGINT)", "VIEW _osiris_commits AS SELECT 1 AS rows"])
@pytest.mark.parametrize("options", MODES, ids=lambda options: options["write_mode"])
def test_something_else_of_that_name(ctx: Any, mine: str, options: Any) -> None:
    rows(ctx, f"CREATE {mine}")
    with pytest.raises(DriverError) as caught:
        write(ctx, **options)
    assert caught.value.code == "duckdb.commit_marker"
    assert "commit_marker: false" in (caught.value.hint or "")
    write(ctx, commit_marker=False, **options)
    assert len(rows(ctx, "FROM t")) == 2


def test_asking_while_another_step_reads_the_file(ctx: Any) -> None:
    write(ctx)
    reading = DatabaseFile.of("x.duckdb", ctx).open(ctx)
    assert committed(ctx)["rows"] == 2
    reading.close()


# -- killed ---------------------------------------------------------------------------------------------


def killed(ctx: Any, point: str) -> None:
    done = subprocess.run([sys.executable, str(PROGRAM), str(ctx.base_dir), point], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("exists", [False, True])
def test_killed_in_the_middle_of_its_input(ctx: Any, exists: bool) -> None:
    if exists:
        write(ctx.but(session_id="earlier"))
    killed(ctx, "input")
    ctx = ctx.but(session_id="run-0", step_id="save")
    assert committed(ctx) is None
    write(ctx)
    assert len(rows(ctx, "FROM t")) == (4 if exists else 2)
    assert files(ctx) == ["x.duckdb"]


def test_killed_after_the_commit_with_the_log_still_there(ctx: Any) -> None:
    killed(ctx, "committed")
    assert files(ctx) == ["x.duckdb", "x.duckdb.wal"]
    ctx = ctx.but(session_id="run-0", step_id="save")
    assert committed(ctx)["rows"] == 1000
    assert files(ctx) == ["x.duckdb"]  # the log was folded in
    assert rows(ctx, "SELECT count(*) FROM t") == [(1000,)]


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_killed_while_the_file_was_made(ctx: Any, size: int) -> None:
    rows(ctx, "SELECT 1")
    path = ctx.base_dir / "x.duckdb"
    path.write_bytes(path.read_bytes()[:size])
    assert committed(ctx) is None
    write(ctx)
    assert len(rows(ctx, "FROM t")) == 2


def test_what_is_no_database_stays(ctx: Any) -> None:
    path = ctx.base_dir / "x.duckdb"
    path.write_text("somebody's notes")
    with pytest.raises(DriverError) as caught:
        committed(ctx)
    assert caught.value.code == "duckdb.not_a_database"
    assert path.read_text() == "somebody's notes"


def test_what_was_spilled_goes(ctx: Any) -> None:
    write(ctx)
    spilled = ctx.base_dir / "x.duckdb.tmp"
    spilled.mkdir()
    (spilled / "duckdb_temp_99999999_0_storage_DEFAULT-0.tmp").write_bytes(b"x")
    assert committed(ctx)["rows"] == 2
    assert files(ctx) == ["x.duckdb"]


def test_killed_at_random(ctx: Any) -> None:
    seed = random.randrange(10**6)
    print("seed:", seed)
    chance = random.Random(seed)
    for kill in range(4):
        folder = ctx.base_dir / f"kill-{kill}"
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), "never"], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0, 0.3))
            child.kill()
            ended = [0, *map(int, child.stdout.read().split())]
        for number in range(len(ended) + 1):
            own = ctx.but(base_dir=folder, session_id=f"run-{number}", step_id="save")
            facts = committed(own)
            if number in ended:
                assert facts["rows"] == 1000
            if facts is None:
                many = pa.concat_tables([ROWS] * 500)
                write(own, many)
        own = ctx.but(base_dir=folder)
        assert rows(own, "SELECT count(*) FROM t") == [(1000 * (len(ended) + 1),)]
        assert [path.name for path in folder.iterdir()] == ["x.duckdb"]


@pytest.mark.parametrize("attempt", range(6))
def test_processes_that_create_a_file_at_the_same_moment_lose_nothing(tmp_path: Path, attempt: int) -> None:
    """DuckDB makes a new file over one that another process has made since it looked."""
    children = [
        subprocess.Popen(
            [sys.executable, str(ONE_OF_MANY), str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=120)
    assert [child.returncode for child in children] == [0] * 4
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".duckdb", ".tmp", ".wal")] == ["x.duckdb"]
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        found = connection.execute("SELECT id, count(*) FROM t GROUP BY id ORDER BY id").fetchall()
    assert found == [(number, 100) for number in range(4)]
