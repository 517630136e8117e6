"""What the extractor reads: tables, queries, parameters, partitions, one state of the database; nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from osiris.core.errors import DriverError
from osiris.drivers.mysql import library, reading
from osiris.drivers.mysql.config import ExtractorConfig
from osiris.drivers.mysql.extractor import MySqlExtractor
from osiris.drivers.mysql.packets import read_rows
from osiris.drivers.mysql.selection import divide

PROTOCOLS = pytest.mark.parametrize("protocol", ["binary", "text"])


@contextmanager
def opened(ctx, **config) -> Iterator[Any]:
    """The extractor's output, unread."""
    driver = MySqlExtractor()
    try:
        yield driver.run("read", config, {}, ctx)["df"]
    finally:
        driver.close()


def read(ctx, **config) -> pa.Table:
    with opened(ctx, **config) as dataset:
        return dataset.table()


def refused(ctx, **config) -> DriverError:
    with pytest.raises(DriverError) as caught:
        read(ctx, **config)
    return caught.value


@pytest.fixture
def numbers(database):
    """A table ``n`` of 10,000 rows: ``id`` from 1, ``v`` a text."""
    database.execute("CREATE TABLE n (id INT PRIMARY KEY, v VARCHAR(20), k INT)")
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO n VALUES (%s, %s, %s)", [(i, f"v{i}", i % 10 or None) for i in range(1, 10001)])


@PROTOCOLS
def test_a_table(ctx, numbers, protocol):
    table = read(ctx, table="n", columns=["v", "id"], where="id > ? AND v LIKE 'v%'", params=[9998], protocol=protocol)
    assert table.to_pylist() == [{"v": "v9999", "id": 9999}, {"v": "v10000", "id": 10000}]
    told = ctx.told("mysql_read")
    assert told["protocol"] == protocol
    assert told["snapshot"] == "one"
    assert told["time_zone"] == "+00:00"
    assert "STRICT_TRANS_TABLES" in told["sql_mode"]


def test_a_table_of_another_database(ctx, numbers, database):
    ctx.connection = {key: value for key, value in ctx.connection.items() if key != "database"}
    assert read(ctx, table=f"{database.name}.n", limit=3).num_rows == 3


@PROTOCOLS
def test_the_order_of_a_query_is_kept(ctx, numbers, protocol):
    table = read(ctx, query="SELECT id FROM n ORDER BY id DESC", limit=5, protocol=protocol)
    assert table["id"].to_pylist() == [10000, 9999, 9998, 9997, 9996]


@PROTOCOLS
@pytest.mark.parametrize("query", ["SELECT id FROM n", "SELECT id FROM n LIMIT 7", "SELECT id FROM n LIMIT 1000;\n"])
def test_a_limit_holds_whatever_the_query_says(ctx, numbers, protocol, query):
    assert read(ctx, query=query, limit=4, protocol=protocol).num_rows == 4
    assert read(ctx, query=query, limit=0, protocol=protocol).num_rows == 0


@PROTOCOLS
def test_params_are_values_whatever_is_in_them(ctx, database, protocol):
    database.execute("CREATE TABLE t (a TEXT)")
    evil = ["'; DROP TABLE t; -- ", "\\' OR 1=1 #", "%s %(a)s ? %", 'x"`', "a\nb\0c", "🐎", "", "\\"]
    for text in evil:
        database.execute("INSERT INTO t VALUES (%s)", [text])
    for text in evil:
        table = read(ctx, query="SELECT a, ? AS b FROM t WHERE a = ?", params=[text, text], protocol=protocol)
        assert table.to_pylist() == [{"a": text, "b": text}]
    assert read(ctx, table="t").num_rows == len(evil)


@PROTOCOLS
def test_params_of_every_kind(ctx, protocol):
    params = [True, None, 2**63 - 1, -(2**63), 2**64 - 1, 0.1, "10.10", "2026-01-02"]
    marks = ", ".join(f"? AS p{number}" for number in range(len(params)))
    query = f"SELECT {marks}, '?' AS mark, DATE '2026-01-02' = ? AS same -- ?"
    (row,) = read(ctx, query=query, params=[*params, "2026-01-02"], protocol=protocol).to_pylist()
    found = [value.decode() if isinstance(value, bytes) else value for value in row.values()]
    assert found[:5] == [1, None, 2**63 - 1, -(2**63), 2**64 - 1]
    assert [Decimal(str(found[5])), *found[6:]] == [Decimal("0.1"), "10.10", "2026-01-02", "?", 1]


@PROTOCOLS
@pytest.mark.parametrize("params", [[], [1, 2]])
def test_as_many_params_as_marks(ctx, protocol, params):
    error = refused(ctx, query="SELECT ? AS a", params=params, protocol=protocol)
    assert error.code in {"mysql.statement", "mysql.syntax"}


def test_percent_signs_mean_themselves(ctx):
    assert read(ctx, query="SELECT 'a%b' LIKE '%' AS a, 7 % 4 AS b").to_pylist() == [{"a": 1, "b": 3}]


@PROTOCOLS
@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("INSERT INTO n VALUES (0, 'x', 0)", {"mysql.not_a_query", "mysql.syntax", "mysql.read_only"}),
        ("DELETE FROM n", {"mysql.not_a_query", "mysql.syntax", "mysql.read_only"}),
        ("DROP TABLE n", {"mysql.not_a_query", "mysql.syntax", "mysql.read_only"}),
        ("SELECT 1; DELETE FROM n", {"mysql.syntax"}),
        ("SELECT delete_all()", {"mysql.read_only"}),
        ("SELECT 1 INTO OUTFILE '{folder}/out'", {"mysql.not_a_query", "mysql.syntax"}),
        ("SELECT 1) AS a; DELETE FROM n; SELECT * FROM (SELECT 1", {"mysql.syntax"}),
    ],
)
def test_nothing_can_be_written(ctx, numbers, database, protocol, query, codes, tmp_path):
    database.execute("SET GLOBAL log_bin_trust_function_creators = 1")
    database.execute("CREATE FUNCTION delete_all() RETURNS INT BEGIN DELETE FROM n; RETURN 1; END")
    tmp_path.chmod(0o777)
    error = refused(ctx, query=query.format(folder=tmp_path), protocol=protocol)
    assert error.code in codes
    assert database.execute("SELECT COUNT(*) FROM n") == [(10000,)]
    assert not (tmp_path / "out").exists()


def test_the_transaction_itself_is_read_only(ctx, numbers):
    """Not only the query: whatever a session would be asked to do."""
    driver = MySqlExtractor()
    dataset = driver.run("read", {"table": "n"}, {}, ctx)["df"]
    list(dataset.batches())
    (session,) = driver._sessions
    with pytest.raises(DriverError) as caught:
        session.execute("INSERT INTO n VALUES (0, 'x', 0)")
    assert caught.value.code == "mysql.read_only"
    session.execute("COMMIT")
    with pytest.raises(DriverError):
        session.execute("INSERT INTO n VALUES (0, 'x', 0)")
    driver.close()


@PROTOCOLS
def test_an_empty_table_has_its_columns(ctx, database, protocol):
    database.execute("CREATE TABLE t (a INT, b TEXT)")
    table = read(ctx, table="t", protocol=protocol)
    assert table.num_rows == 0
    assert table.schema == pa.schema([("a", pa.int32()), ("b", pa.string())])


@PROTOCOLS
def test_a_table_of_300_columns(ctx, database, protocol):
    database.execute(f"CREATE TABLE t ({', '.join(f'c{n} INT' for n in range(300))})")
    values = [None if n % 7 == 0 else n for n in range(300)]
    database.execute(f"INSERT INTO t VALUES ({', '.join(['%s'] * 300)}), ({', '.join(['%s'] * 300)})", values + values)
    table = read(ctx, table="t", protocol=protocol)
    assert [list(row.values()) for row in table.to_pylist()] == [values, values]


@PROTOCOLS
def test_rows_of_20_megabytes(ctx, database, protocol):
    """More than one packet of the wire protocol, and more than one block."""
    sizes = [20_000_000, 3, 0xFFFFFF - 15, 5_000_000, 0xFFFFFF - 16, 0xFFFFFF - 14, 2 << 20, 1]
    database.execute("CREATE TABLE t (n INT PRIMARY KEY, a LONGBLOB, b INT)")
    for number, size in enumerate(sizes):
        database.execute(f"INSERT INTO t VALUES ({number}, REPEAT(CHAR({65 + number}), {size}), {number})")
    seen = []
    with opened(ctx, query="SELECT a, b FROM t ORDER BY n", protocol=protocol) as dataset:
        for batch in dataset.batches():
            for text, number in zip(batch["a"], batch["b"].to_pylist(), strict=True):
                seen.append(number)
                assert text.as_py() == bytes([65 + number]) * sizes[number]
    assert seen == list(range(len(sizes)))


def test_rows_come_as_they_are_read(ctx, database):
    """Memory does not hold the result: batches are of bounded size."""
    database.execute("CREATE TABLE t (a VARCHAR(100))")
    database.execute("INSERT INTO t SELECT REPEAT('x', 100) FROM seq_1_to_200000")
    sizes = [batch.nbytes for batch in batches_of(ctx, table="t")]
    assert len(sizes) > 8
    assert max(sizes) < 4_000_000


def batches_of(ctx, **config) -> list[pa.RecordBatch]:
    with opened(ctx, **config) as dataset:
        return list(dataset.batches())


@pytest.mark.parametrize("block", [4096, 5000, 65536])
def test_blocks_may_end_anywhere(block):
    """Rows of all sizes, in pieces of all sizes, against the obvious way."""
    rows = [
        bytes([0]) + bytes(number % 251 for number in range(size)) for size in [*range(1, 300, 3), 4090, 9000, 70000]
    ]
    wire = b"".join(len(row).to_bytes(3, "little") + bytes([n % 256]) + row for n, row in enumerate(rows))
    wire += b"\x05\x00\x00\x00\xfe\x00\x00\x22\x00"
    for step in (1, 7, 4096, len(wire)):
        at = 0

        def receive(room: memoryview, step: int = step) -> int:
            nonlocal at
            piece = wire[at : at + min(step, len(room))]
            assert piece, "it reads on after the end"
            room[: len(piece)] = piece
            at += len(piece)
            return len(piece)

        found = []
        for part in read_rows(receive, block):
            found += [bytes(part.content[start : start + 40]) for start in part.starts]
        assert len(found) == len(rows)
        for row, seen in zip(rows, found, strict=True):
            assert seen[: len(row)] == row[:40]


# Partitions


@PROTOCOLS
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_partitions_give_every_row_once(ctx, numbers, parts, protocol):
    table = read(ctx, table="n", partition_by="id", partitions=parts, protocol=protocol)
    assert sorted(table["id"].to_pylist()) == list(range(1, 10001))
    told = ctx.told("mysql_read")
    assert told["connections"] == parts
    assert told["snapshot"] == "one"
    assert told["lock"] == "FLUSH TABLES WITH READ LOCK"


def test_partitions_of_a_query_with_params_and_nulls(ctx, numbers):
    query = "SELECT id, k FROM n WHERE id > ? ORDER BY id"
    table = read(ctx, query=query, params=[5000], partition_by="k", partitions=4)
    assert sorted(table["id"].to_pylist()) == list(range(5001, 10001))
    assert table["k"].null_count == 500


@pytest.mark.parametrize(
    ("ddl", "literals"),
    [
        ("BIGINT UNSIGNED", ["0", "1", str(2**64 - 1), "NULL"]),
        ("DATE", ["'1000-01-01'", "'2026-01-01'", "'9999-12-31'", "NULL"]),
        ("DATETIME(6)", ["'1000-01-01'", "'2026-01-01 12:00:00.000001'", "'9999-12-31 23:59:59.999999'"]),
        ("TIMESTAMP NULL", ["'1970-01-02'", "'2026-01-01'", "'2038-01-01'", "NULL"]),
        ("DECIMAL(20,4)", ["-5.5", "0", "0.0001", "7777777.7"]),
        ("DOUBLE", ["-1e10", "0.5", "1e10"]),
        ("INT", ["5", "5", "5"]),
        ("INT", ["NULL"]),
        ("INT", []),
    ],
)
def test_what_may_divide_rows(ctx, database, ddl, literals):
    database.execute(f"CREATE TABLE t (k {ddl}, n INT)")
    for number, literal in enumerate(literals):
        database.execute(f"INSERT INTO t VALUES ({literal}, {number})")
    table = read(ctx, table="t", partition_by="k", partitions=3)
    assert sorted(table["n"].to_pylist()) == list(range(len(literals)))


def test_texts_divide_nothing(ctx, numbers):
    error = refused(ctx, table="n", partition_by="v", partitions=2)
    assert error.code == "mysql.bad_partition"


@pytest.mark.parametrize("parts", range(1, 12))
def test_ranges_have_no_gap_and_do_not_overlap(parts):
    conditions = divide("k", 1, 10, parts)
    for value in [None, -5, *range(1, 11), 99]:
        fitting = [c for c in conditions if holds(c.sql, c.values, value)]
        assert len(fitting) == 1, value


def holds(sql: str, cuts: tuple[int, ...], value: int | None) -> bool:
    if "IS NULL" in sql:
        return value is None or value < cuts[0]
    if sql == "TRUE":
        return True
    if value is None:
        return False
    return cuts[0] <= value < (cuts[1] if len(cuts) == 2 else value + 1)


def test_without_rights_to_lock_the_promise_is_weaker_and_told(ctx, numbers, database):
    user = limited_user(database, "SELECT")
    ctx.connection = {**ctx.connection, **user}
    table = read(ctx, table="n", partition_by="id", partitions=2)
    assert table.num_rows == 10000
    told = ctx.told("mysql_read")
    assert told["snapshot"] == "several"
    assert told["lock"] is None
    assert told["spread_ms"] >= 0


def test_a_lock_of_the_table_is_enough(ctx, numbers, database):
    ctx.connection = {**ctx.connection, **limited_user(database, "SELECT, LOCK TABLES")}
    assert read(ctx, table="n", partition_by="id", partitions=2).num_rows == 10000
    told = ctx.told("mysql_read")
    assert told["snapshot"] == "one"
    assert told["lock"].startswith("LOCK TABLES `n`")


def limited_user(database, rights: str) -> dict[str, str]:
    name = database.name.replace("osiris_test", "u")
    database.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'")
    database.execute(f"GRANT {rights} ON `{database.name}`.* TO '{name}'@'%'")
    return {"user": name, "password": "pw"}


@pytest.mark.parametrize("parts", [1, 3])
def test_one_state_of_the_database_is_read_whatever_others_write(ctx, database, parts):
    """Two tables' worth of money, moved about all the time: the sum is always the same."""
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, amount INT NOT NULL)")
    database.execute("INSERT INTO t SELECT seq, 100 FROM seq_1_to_2000")
    stop, moved = threading.Event(), threading.Event()

    def move() -> None:
        with closing(database.connect(autocommit=False)) as connection, connection.cursor() as cursor:
            number = 0
            while not stop.is_set():
                number += 1
                cursor.execute("UPDATE t SET amount = amount - 1 WHERE id = %s", [number % 2000 + 1])
                cursor.execute("UPDATE t SET amount = amount + 1 WHERE id = %s", [(number * 7 + 1000) % 2000 + 1])
                cursor.execute("INSERT INTO t VALUES (%s, 5), (%s, -5)", [2000 + number * 2, 2001 + number * 2])
                connection.commit()
                moved.set()

    thread = threading.Thread(target=move)
    thread.start()
    try:
        assert moved.wait(30)
        for _ in range(5):
            table = read(ctx, table="t", partition_by="id" if parts > 1 else None, partitions=parts)
            assert sum(table["amount"].to_pylist()) == 200_000
            assert table.num_rows % 2 == 0
    finally:
        stop.set()
        thread.join()
    assert ctx.told("mysql_read")["snapshot"] == "one"


def test_a_partition_that_fails_stops_all(ctx, database):
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, d DATE)")
    database.execute("INSERT INTO t SELECT seq, '2026-01-01' FROM seq_1_to_100000")
    with database.connect(sql_mode="") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE t SET d = '0000-00-00' WHERE id = 99999")
    error = refused(ctx, table="t", partition_by="id", partitions=3)
    assert error.code == "mysql.zero_date"
    assert running(database) == []


def test_who_stops_reading_leaves_nothing_behind(ctx, numbers, database):
    database.execute("CREATE TABLE big ENGINE=Aria SELECT a.id, a.v FROM n a, n b LIMIT 1000000")
    for partitions in ({}, {"partition_by": "id", "partitions": 2}):
        with opened(ctx, table="big", **partitions) as dataset:
            batches = dataset.batches()
            next(batches)
            batches.close()
        assert running(database) == []
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("mysql-")]


def running(database) -> list[Any]:
    """Other sessions in this database; one that was killed may need a moment to go."""
    pause = threading.Event()
    for _ in range(500):
        rows = database.execute(
            "SELECT id, info FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()",
            [database.name],
        )
        if not rows:
            return []
        pause.wait(0.01)
    return rows


# Which way is taken


def test_a_server_that_prepares_nothing_is_read_as_text(ctx, numbers, database):
    before = dict(database.execute("SHOW GLOBAL VARIABLES LIKE 'max_prepared_stmt_count'"))
    database.execute("SET GLOBAL max_prepared_stmt_count = 0")
    try:
        assert read(ctx, table="n").num_rows == 10000
        assert ctx.told("mysql_read")["protocol"] == "text"
        error = refused(ctx, table="n", protocol="binary")
    finally:
        database.execute(f"SET GLOBAL max_prepared_stmt_count = {before['max_prepared_stmt_count']}")
    assert error.code == "mysql.too_many_statements"


def test_a_pymysql_without_the_inner_parts_is_enough(ctx, numbers, monkeypatch):
    assert library.HAS_PACKETS, "this PyMySQL lacks what reading packets needs"
    monkeypatch.setattr(reading, "HAS_PACKETS", False)
    assert read(ctx, table="n").num_rows == 10000
    assert ctx.told("mysql_read")["protocol"] == "text"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "give either `query` or `table`"),
        ({"query": "SELECT 1", "table": "t"}, "give either `query` or `table`"),
        ({"query": "SELECT 1", "where": "a"}, "`columns` and `where` go with `table`"),
        ({"table": "t", "partitions": 2}, "`partitions` needs `partition_by`"),
        ({"table": "t", "partitions": 2, "partition_by": "a", "limit": 3}, "exclude each other"),
        ({"table": "t", "limit": -1}, "greater than or equal to 0"),
        ({"table": "t", "wher": "a"}, "Extra inputs"),
    ],
)
def test_options_that_do_not_fit(config, told):
    with pytest.raises(ValidationError, match=told):
        ExtractorConfig.model_validate(config)
