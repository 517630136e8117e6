"""The writer's modes against a real server, by both ways in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.mysql.writer import MySqlWriter
from osiris.drivers.mysql.writer_config import MySqlWriterConfig

BOTH = pytest.mark.parametrize("bulk", ["load_data", "insert"])
NUMBERS = iter(range(10**9))


def write(ctx: Any, data: Any, **config: Any) -> dict[str, Any]:
    """Write ``data`` to table ``t`` as a step of its own; the facts of the output."""
    ctx.step_id = f"step-{next(NUMBERS)}"
    writer = MySqlWriter()
    try:
        assert writer.run(ctx.step_id, {"table": "t", **config}, {"df": Dataset.of(data)}, ctx) == {}
    finally:
        writer.close()
    return dict(ctx.outputs[-1][1])


def refused(ctx: Any, data: Any, **config: Any) -> DriverError:
    with pytest.raises(DriverError) as caught:
        write(ctx, data, **config)
    return caught.value


def people(*rows: tuple[int | None, str | None]) -> pa.Table:
    return pa.table(
        {"id": pa.array([row[0] for row in rows], pa.int64()), "name": pa.array([row[1] for row in rows], pa.string())}
    )


def leftovers(database: Any) -> list[str]:
    """Tables of ours but the commits."""
    return [name for (name,) in database.execute("SHOW TABLES LIKE '\\_osiris\\_%%'") if name != "_osiris_commits"]


@BOTH
def test_append_creates_the_table_and_adds_to_it(ctx: Any, database: Any, bulk: str) -> None:
    facts = write(ctx, people((1, "a"), (2, None)), bulk=bulk, primary_key="id")
    assert facts["rows"] == facts["rows_read"] == facts["rows_sent"] == facts["rows_present"] == 2
    assert leftovers(database) == []
    write(ctx, people((3, "")), bulk=bulk)
    assert database.execute("SELECT * FROM t ORDER BY id") == [(1, "a"), (2, None), (3, "")]
    assert ctx.told("mysql_write_path") == {"table": "t", "path": bulk, "reason": "asked for"}
    assert ("rows_written", 1) in ctx.metrics
    assert ctx.outputs[-1][0].endswith(f"/{database.name}.t")


def test_auto_takes_load_data_where_the_server_allows_it(ctx: Any, database: Any) -> None:
    write(ctx, people((1, "a")))
    assert ctx.told("mysql_write_path")["path"] == "load_data"


@BOTH
def test_replace_keeps_the_make_of_the_table(ctx: Any, database: Any, bulk: str) -> None:
    database.execute(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20) DEFAULT 'x', extra INT DEFAULT 7, UNIQUE KEY u (name),"
        " CHECK (id > 0)) COMMENT 'ours'"
    )
    database.execute("INSERT INTO t VALUES (1, 'old', 1)")
    write(ctx, people((2, "new"), (3, "b")), bulk=bulk, write_mode="replace")
    assert database.execute("SELECT * FROM t ORDER BY id") == [(2, "new", 7), (3, "b", 7)]
    ((_, made),) = database.execute("SHOW CREATE TABLE t")
    for part in ("PRIMARY KEY", "UNIQUE KEY `u`", "DEFAULT 7", "CHECK", "COMMENT='ours'"):
        assert part in made
    assert leftovers(database) == []


@BOTH
def test_empty_input_creates_replaces_and_truncates(ctx: Any, database: Any, bulk: str) -> None:
    assert write(ctx, people(), bulk=bulk)["rows"] == 0
    assert database.execute("SELECT COUNT(*) FROM t") == [(0,)]
    for mode in ("replace", "truncate"):
        database.execute("REPLACE INTO t VALUES (1, 'a')")
        write(ctx, people(), bulk=bulk, write_mode=mode)
        assert database.execute("SELECT COUNT(*) FROM t") == [(0,)]
    write(ctx, people(), bulk=bulk, write_mode="upsert", primary_key="id")


@BOTH
def test_truncate_replaces_the_rows_of_the_same_table(ctx: Any, database: Any, bulk: str) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
    database.execute("INSERT INTO t VALUES (1, 'old'), (9, 'older')")
    write(ctx, people((1, "new")), bulk=bulk, write_mode="truncate")
    assert database.execute("SELECT * FROM t") == [(1, "new")]
    refused(ctx, people((2, "a"), (2, "b")), bulk=bulk, write_mode="truncate")
    assert database.execute("SELECT * FROM t") == [(1, "new")]


@BOTH
def test_upsert_updates_ignores_or_refuses(ctx: Any, database: Any, bulk: str) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20), extra INT DEFAULT 7)")
    database.execute("INSERT INTO t VALUES (1, 'old', 1), (2, 'kept', 2)")
    given = people((1, "new"), (3, "c"), (4, None))
    facts = write(ctx, given, bulk=bulk, write_mode="upsert", primary_key="id")
    assert (facts["inserted"], facts["updated"], facts["rows"], facts["rows_present"]) == (2, 1, 3, 3)
    expected = [(1, "new", 1), (2, "kept", 2), (3, "c", 7), (4, None, 7)]
    assert database.execute("SELECT * FROM t ORDER BY id") == expected
    facts = write(
        ctx, people((1, "x"), (5, "e")), bulk=bulk, write_mode="upsert", primary_key="id", on_conflict="ignore"
    )
    assert (facts["inserted"], facts["ignored"], facts["rows"]) == (1, 1, 1)
    assert database.execute("SELECT * FROM t ORDER BY id") == [*expected, (5, "e", 7)]
    error = refused(
        ctx, people((6, "x"), (5, "f")), bulk=bulk, write_mode="upsert", primary_key="id", on_conflict="error"
    )
    assert error.code == "mysql.duplicate_key"
    assert error.facts["row"] == 2
    assert "id=5" in str(error)
    assert database.execute("SELECT * FROM t ORDER BY id") == [*expected, (5, "e", 7)]


@pytest.mark.parametrize(("on_conflict", "kept"), [("update", "last"), ("ignore", "first")])
@BOTH
def test_rows_of_one_key_count_as_if_they_came_one_after_the_other(
    ctx: Any, database: Any, bulk: str, on_conflict: str, kept: str
) -> None:
    database.execute("CREATE TABLE t (id BIGINT, name VARCHAR(20), PRIMARY KEY (id))")
    given = people((1, "first"), (2, "b"), (1, "middle"), (1, "last"))
    facts = write(ctx, given, bulk=bulk, write_mode="upsert", primary_key="id", on_conflict=on_conflict, batch_rows=2)
    assert facts["repeated"] == 2
    assert facts["rows"] == 2
    assert database.execute("SELECT * FROM t ORDER BY id") == [(1, kept), (2, "b")]
    error = refused(ctx, people((7, "x"), (8, "y"), (7, "z")), bulk=bulk, write_mode="upsert", primary_key="id",
                    on_conflict="error")  # fmt: skip
    assert (error.code, error.facts["row"]) == ("mysql.duplicate_key", 3)


def test_upsert_creates_the_table_with_its_key_and_case_counts_there(ctx: Any, database: Any) -> None:
    data = pa.table({"code": pa.array(["a", "A", "á"], pa.string()), "n": pa.array([1, 2, 3], pa.int32())})
    write(ctx, data, write_mode="upsert", primary_key="code")
    write(ctx, data, write_mode="upsert", primary_key="code")
    assert sorted(database.execute("SELECT * FROM t")) == [("A", 2), ("a", 1), ("á", 3)]


def test_upsert_never_updates_the_row_that_another_unique_key_finds(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20) UNIQUE)")
    database.execute("INSERT INTO t VALUES (1, 'taken')")
    error = refused(ctx, people((2, "taken")), write_mode="upsert", primary_key="id")
    assert error.code == "mysql.duplicate_key"
    assert database.execute("SELECT * FROM t") == [(1, "taken")]
    hidden = refused(ctx, people((2, "taken")), write_mode="upsert", primary_key="id", show_values=False)
    assert "taken" not in str(hidden)


def test_upsert_of_some_columns_leaves_the_others(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20), sum INT NULL)")
    database.execute("INSERT INTO t VALUES (1, 'old', 5)")
    write(ctx, people((1, "new")), write_mode="upsert", primary_key="id")
    assert database.execute("SELECT * FROM t") == [(1, "new", 5)]


@BOTH
def test_upsert_refuses_rows_without_a_key(ctx: Any, database: Any, bulk: str) -> None:
    error = refused(ctx, people((1, "a"), (None, "b")), bulk=bulk, write_mode="upsert", primary_key="id")
    assert (error.code, error.facts["row"], error.facts["column"]) == ("mysql.null_value", 2, "id")


@BOTH
def test_columns_are_matched_by_name_and_may_be_called_differently(ctx: Any, database: Any, bulk: str) -> None:
    database.execute("CREATE TABLE t (`a b` VARCHAR(9), `na``me` INT, `ID` BIGINT)")
    data = pa.table(
        {"id": pa.array([1], pa.int64()), "x": pa.array([5], pa.int32()), "a b": pa.array(["z"], pa.string())}
    )
    write(ctx, data, bulk=bulk, columns={"x": "na`me"})
    assert database.execute("SELECT * FROM t") == [("z", 5, 1)]


@pytest.mark.parametrize(
    ("columns", "config", "words"),
    [
        ("id BIGINT, nam TEXT", {}, "the table lacks 'name'"),
        ("id BIGINT, name TEXT, more INT NOT NULL", {}, "the input lacks 'more'"),
        ("id BIGINT, name TEXT", {"columns": {"nme": "name"}}, "no column 'nme'"),
        ("id BIGINT, name TEXT", {"columns": {"name": "ID"}}, "cannot tell apart"),
        ("id BIGINT, name TEXT", {"write_mode": "upsert", "primary_key": "key"}, "no column 'key'"),
        ("id BIGINT, name TEXT AS (CONCAT(id, 'x')) STORED", {}, "computes 'name' itself"),
    ],
)
def test_columns_that_do_not_match_are_refused(
    ctx: Any, database: Any, columns: str, config: dict[str, Any], words: str
) -> None:
    database.execute(f"CREATE TABLE t ({columns})")
    error = refused(ctx, people((1, "a")), **config)
    assert error.code == "mysql.columns_differ"
    assert words in str(error)
    assert error.hint


def test_a_table_that_is_not_there(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE orders (id INT)")
    error = refused(ctx, people((1, "a")), table="oders", create_if_missing=False)
    assert error.code == "mysql.unknown_table"
    assert "'orders'" in str(error.hint)


@pytest.mark.parametrize(
    "config",
    [
        {"write_mode": "upsert"},
        {"on_conflict": "ignore"},
        {"columns": {"a": "x", "b": "x"}},
        {"batch_rows": 0},
        {"write_mode": "merge"},
        {"primary_key": []},
        {"tabel": "x"},
    ],
)
def test_options_that_make_no_sense(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MySqlWriterConfig.model_validate({"table": "t", **config})


def test_batch_size_means_batch_rows() -> None:
    assert MySqlWriterConfig.model_validate({"table": "t", "batch_size": 7}).batch_rows == 7


@BOTH
@pytest.mark.parametrize("mode", ["append", "replace", "truncate"])
def test_a_key_that_is_there_twice_is_an_error_with_row_and_key(ctx: Any, database: Any, bulk: str, mode: str) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20), UNIQUE KEY by_name (name))")
    rows = [(number, f"n{number}") for number in range(1, 12_001)]
    rows[11_000] = (11_001, "n7")
    error = refused(ctx, people(*rows), bulk=bulk, write_mode=mode, batch_rows=5_000)
    assert error.code == "mysql.duplicate_key"
    assert error.facts["row"] == 11_001
    assert error.facts["key"] == "by_name"
    assert "name='n7'" in str(error)
    hidden = refused(ctx, people((1, "secret"), (2, "secret")), bulk=bulk, write_mode=mode, show_values=False)
    assert "secret" not in str(hidden)
    assert hidden.facts["row"] == 2
    assert hidden.__suppress_context__ or hidden.__context__ is None
    assert database.execute("SELECT COUNT(*) FROM t") == [(0,)]
    assert leftovers(database) == []


@BOTH
def test_foreign_keys_and_checks_and_triggers_name_the_row(ctx: Any, database: Any, bulk: str) -> None:
    database.execute("CREATE TABLE parent (id BIGINT PRIMARY KEY)")
    database.execute("INSERT INTO parent VALUES (1), (2)")
    database.execute(
        "CREATE TABLE t (id BIGINT, name VARCHAR(20), CONSTRAINT to_parent FOREIGN KEY (id) REFERENCES parent (id),"
        " CONSTRAINT short CHECK (CHAR_LENGTH(name) < 4))"
    )
    error = refused(ctx, people((1, "a"), (2, "b"), (3, "c")), bulk=bulk)
    assert (error.code, error.facts["row"]) == ("mysql.foreign_key", 3)
    assert "to_parent" in str(error)
    error = refused(ctx, people((1, "a"), (2, "toolong")), bulk=bulk)
    assert (error.code, error.facts["row"]) == ("mysql.check_failed", 2)
    database.execute(
        "CREATE TRIGGER guard BEFORE INSERT ON t FOR EACH ROW IF NEW.name = 'bad' THEN"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no bad names'; END IF"
    )
    error = refused(ctx, people((1, "a"), (2, "bad")), bulk=bulk)
    assert error.facts["row"] == 2
    assert "no bad names" in str(error)
    assert "no bad names" not in str(refused(ctx, people((1, "bad")), bulk=bulk, show_values=False))
    assert database.execute("SELECT * FROM t") == []


def test_replace_keeps_foreign_keys_and_grants(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE parent (a BIGINT, b VARCHAR(20), PRIMARY KEY (a, b))")
    database.execute("INSERT INTO parent VALUES (1, 'x')")
    database.execute(
        "CREATE TABLE t (id BIGINT, name VARCHAR(20), CONSTRAINT mine FOREIGN KEY (id, name) REFERENCES parent (a, b)"
        " ON DELETE CASCADE)"
    )
    user = f"{database.name}_reader"
    database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'p'")
    try:
        database.execute(f"GRANT SELECT ON {database.name}.t TO '{user}'@'%'")
        write(ctx, people((1, "x")), write_mode="replace")
        assert refused(ctx, people((2, "y")), write_mode="replace").code == "mysql.foreign_key"
        write(ctx, people((1, "x"), (1, "x")), write_mode="replace")
        assert f"`{database.name}`.`t`" in str(database.execute(f"SHOW GRANTS FOR '{user}'@'%'"))
        database.execute("DELETE FROM parent")
        assert database.execute("SELECT * FROM t") == []
        assert leftovers(database) == []
    finally:
        database.execute(f"DROP USER '{user}'@'%'")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TABLE child (id BIGINT, FOREIGN KEY (id) REFERENCES t (id))", "child"),
        ("CREATE TRIGGER guard BEFORE INSERT ON t FOR EACH ROW SET NEW.name = 'x'", "guard"),
    ],
)
def test_replace_refuses_what_would_not_come_along(ctx: Any, database: Any, statement: str, words: str) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
    database.execute(statement)
    error = refused(ctx, people((1, "a")), write_mode="replace")
    assert error.code == "mysql.replace_refused"
    assert words in str(error)
    assert "truncate" in str(error.hint)


def test_truncate_refuses_to_change_other_tables(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
    database.execute("CREATE TABLE child (id BIGINT, FOREIGN KEY (id) REFERENCES t (id) ON DELETE CASCADE)")
    error = refused(ctx, people((1, "a")), write_mode="truncate")
    assert error.code == "mysql.truncate_refused"
    assert "child" in str(error)


@pytest.mark.parametrize("mode", ["append", "replace", "truncate", "upsert"])
def test_engines_that_cannot_undo_and_views_are_refused(ctx: Any, database: Any, mode: str) -> None:
    key = {"primary_key": "id"} if mode == "upsert" else {}
    database.execute("CREATE TABLE t (id BIGINT, name TEXT) ENGINE=MyISAM")
    error = refused(ctx, people((1, "a")), write_mode=mode, **key)
    assert error.code == "mysql.not_transactional"
    assert "InnoDB" in str(error.hint)
    database.execute("CREATE VIEW v AS SELECT * FROM t")
    assert refused(ctx, people((1, "a")), table="v", write_mode=mode, **key).code in (
        "mysql.not_a_table",
        "mysql.replace_refused",
    )


def test_a_second_run_of_a_committed_step_writes_nothing(ctx: Any, database: Any) -> None:
    for mode in ("append", "replace"):
        ctx.session_id = f"run-{mode}"
        config = {"table": "t", "write_mode": mode}
        assert MySqlWriter().committed("s", config, ctx) is None
        ctx.step_id = "s"
        MySqlWriter().run("s", config, {"df": Dataset.of(people((1, "a"), (2, "b")))}, ctx)
        facts = MySqlWriter().committed("s", config, ctx)
        assert facts is not None
        assert facts["rows"] == 2
        assert facts["location"].endswith(".t")
        MySqlWriter().run("s", config, {"df": Dataset.of(people((3, "c")))}, ctx)
        assert ctx.told("mysql_already_written")["rows"] == 2
        assert database.execute("SELECT COUNT(*) FROM t") == [(2,)]
        ctx.step_id = "other"
        assert MySqlWriter().committed("other", config, ctx) is None


def test_without_the_marker_there_is_no_table_of_ours(ctx: Any, database: Any) -> None:
    write(ctx, people((1, "a")), commit_marker=False)
    write(ctx, people((1, "a")), commit_marker=False, write_mode="replace")
    assert database.execute("SHOW TABLES") == [("t",)]
    assert MySqlWriter().committed("s", {"table": "t", "commit_marker": False}, ctx) is None


def test_a_user_who_may_not_create_tables_is_told_what_to_do(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE t (id BIGINT, name TEXT)")
    user = f"{database.name}_w"
    database.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'p'")
    try:
        database.execute(f"GRANT SELECT, INSERT, UPDATE ON {database.name}.* TO '{user}'@'%'")
        ctx.connection = {**database.options, "user": user, "password": "p"}
        error = refused(ctx, people((1, "a")))
        assert error.code == "mysql.not_allowed"
        assert "commit_marker: false" in str(error.hint)
        write(ctx, people((1, "a")), commit_marker=False)
        assert database.execute("SELECT COUNT(*) FROM t") == [(1,)]
    finally:
        database.execute(f"DROP USER '{user}'@'%'")


def test_the_table_of_another_database(ctx: Any, database: Any) -> None:
    ctx.connection = {key: value for key, value in database.options.items() if key != "database"}
    write(ctx, people((1, "a")), table=f"{database.name}.`odd.name`")
    assert database.execute("SELECT COUNT(*) FROM `odd.name`") == [(1,)]
    assert refused(ctx, people((1, "a")), table="nowhere").code == "mysql.no_database"


@BOTH
def test_300_columns(ctx: Any, database: Any, bulk: str) -> None:
    data = pa.table({f"c{number}": pa.array([number, None] * 700, pa.int64()) for number in range(300)})
    write(ctx, data, bulk=bulk)
    assert database.execute("SELECT SUM(c0), SUM(c299), COUNT(*) FROM t") == [(Decimal(0), Decimal(299 * 700), 1400)]


@BOTH
def test_rows_of_20_mb(ctx: Any, database: Any, bulk: str) -> None:
    big = "ž\\'\n" * 4_000_000
    data = pa.table(
        {"n": pa.array([1, 2], pa.int64()), "text": pa.array([big, "x"], pa.string()),
         "bytes": pa.array([b"\0\xff" * 1_000_000, None], pa.binary())}
    )  # fmt: skip
    write(ctx, data, bulk=bulk)
    rows = database.execute("SELECT MD5(text) = MD5(%s), CHAR_LENGTH(text), LENGTH(bytes) FROM t ORDER BY n", [big])
    assert rows == [(1, 16_000_000, 2_000_000), (0, 1, None)]


@BOTH
def test_one_column_of_empty_texts(ctx: Any, database: Any, bulk: str) -> None:
    write(ctx, pa.table({"v": pa.array(["", None, ""], pa.string())}), bulk=bulk)
    assert database.execute("SELECT v FROM t ORDER BY v") == [(None,), ("",), ("",)]


def test_readers_never_see_an_empty_or_half_table_during_replace(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
    database.execute("INSERT INTO t SELECT seq, 'old' FROM seq_1_to_3000")
    seen: set[tuple[Any, ...]] = set()
    ready, done = threading.Event(), threading.Event()

    def read() -> None:
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            while not done.is_set():
                cursor.execute("SELECT COUNT(*), MIN(name), MAX(name) FROM t")
                seen.update(cursor.fetchall())
                ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert ready.wait(30)
        for name in ("a", "b", "c"):
            write(ctx, people(*[(number, name) for number in range(5_000)]), write_mode="replace", batch_rows=500)
    finally:
        done.set()
        reader.join()
    assert seen <= {(3000, "old", "old"), *((5000, name, name) for name in "abc")}
    assert (3000, "old", "old") in seen


def test_two_steps_that_append_to_one_new_table(ctx: Any, database: Any) -> None:
    def meanwhile() -> Iterator[pa.RecordBatch]:
        yield from people((1, "a")).to_batches()
        database.execute("CREATE TABLE t (id BIGINT, name TEXT)")

    ctx.step_id = "late"
    data = Dataset.from_batches(people().schema, meanwhile())
    with pytest.raises(DriverError) as caught:
        MySqlWriter().run("late", {"table": "t"}, {"df": data}, ctx)
    assert caught.value.code == "mysql.table_exists"
    assert caught.value.retryable
    assert leftovers(database) == []
    assert MySqlWriter().committed("late", {"table": "t"}, ctx) is None


def test_arrow_types_that_mysql_does_not_have(ctx: Any, database: Any) -> None:
    data = pa.table({"v": pa.nulls(1, pa.month_day_nano_interval())})
    error = refused(ctx, data)
    assert error.code == "mysql.no_mysql_type"
    assert database.execute("SHOW TABLES LIKE 't'") == []
