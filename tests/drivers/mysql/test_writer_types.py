"""Every Arrow type into MySQL, by both ways in, and what is refused because it would be changed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.mysql.writer import MySqlWriter

BOTH = pytest.mark.parametrize("bulk", ["load_data", "insert"])

NASTY = [
    "",
    " ",
    "plain",
    "\\",
    "\\N",
    "NULL",
    "'",
    '"',
    "''",
    "\t",
    "\n",
    "\r\n",
    "a\0b",
    "\x1a",
    "%s",
    "%",
    "`",
    "tab\tand\\backslash\\n",
    "žluťoučký",
    "漢字",
    "😀 and 👩‍👩‍👧",
    "\u200b",
    "\ufeff",
    "ends in a blank ",
    ";--",
    "\\'",
    "a,b",
    "x" * 70_000,
]
BYTES = [b"", b"\0", b"\\", b"'", b"\n\t", bytes(range(256)), b"\xff\xfe", b"\xf0\x9f\x98", b"x" * 70_000]


def write(ctx: Any, data: pa.Table, **config: Any) -> None:
    MySqlWriter().run(ctx.step_id, {"table": "t", **config}, {"df": Dataset.of(data)}, ctx)


def refused(ctx: Any, data: pa.Table, **config: Any) -> DriverError:
    with pytest.raises(DriverError) as caught:
        write(ctx, data, **config)
    return caught.value


def column(values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table({"n": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, kind)})


def ns(*values: int | None) -> list[int | None]:
    return list(values)


CASES: list[tuple[pa.DataType, list[Any], str, list[Any]]] = [
    (pa.bool_(), [True, False, None], "tinyint(1)", [1, 0, None]),
    (pa.int8(), [-128, 127, None], "tinyint(4)", [-128, 127, None]),
    (pa.int16(), [-(2**15), 2**15 - 1, None], "smallint(6)", [-(2**15), 2**15 - 1, None]),
    (pa.int32(), [-(2**31), 2**31 - 1, None], "int(11)", [-(2**31), 2**31 - 1, None]),
    (pa.int64(), [-(2**63), 2**63 - 1, 2**53 + 1, None], "bigint(20)", [-(2**63), 2**63 - 1, 2**53 + 1, None]),
    (pa.uint8(), [0, 255], "tinyint(3) unsigned", [0, 255]),
    (pa.uint16(), [0, 2**16 - 1], "smallint(5) unsigned", [0, 2**16 - 1]),
    (pa.uint32(), [0, 2**32 - 1], "int(10) unsigned", [0, 2**32 - 1]),
    (pa.uint64(), [0, 2**64 - 1], "bigint(20) unsigned", [0, 2**64 - 1]),
    (
        pa.float64(),
        [0.1, -1.7976931348623157e308, 5e-324, 1e22, 123456789.123456789, 1e-7, None],
        "double",
        [0.1, -1.7976931348623157e308, 5e-324, 1e22, 123456789.123456789, 1e-7, None],
    ),
    (
        pa.decimal128(12, 2),
        [Decimal("-1234567890.12"), Decimal("0.01"), None],
        "decimal(12,2)",
        [Decimal("-1234567890.12"), Decimal("0.01"), None],
    ),
    (
        pa.decimal128(38, 10),
        [Decimal("1234567890123456789012345678.1234567891"), Decimal("1E-10")],
        "decimal(38,10)",
        [Decimal("1234567890123456789012345678.1234567891"), Decimal("0.0000000001")],
    ),
    (
        pa.decimal256(65, 30),
        [Decimal("9" * 35 + "." + "9" * 30), -Decimal("0." + "0" * 29 + "1")],
        "decimal(65,30)",
        [Decimal("9" * 35 + "." + "9" * 30), -Decimal("0." + "0" * 29 + "1")],
    ),
    (pa.string(), [*NASTY, None], "longtext", [*NASTY, None]),
    (pa.large_string(), [*NASTY, None], "longtext", [*NASTY, None]),
    (pa.string_view(), [*NASTY, None], "longtext", [*NASTY, None]),
    (pa.binary(), [*BYTES, None], "longblob", [*BYTES, None]),
    (pa.large_binary(), [*BYTES, None], "longblob", [*BYTES, None]),
    (pa.binary_view(), [*BYTES, None], "longblob", [*BYTES, None]),
    (pa.binary(3), [b"\0\1\2", None], "longblob", [b"\0\1\2", None]),
    (
        pa.date32(),
        [date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31), None],
        "date",
        [date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31), None],
    ),
    (pa.date64(), [date(2026, 1, 31), None], "date", [date(2026, 1, 31), None]),
    (
        pa.timestamp("s"),
        [datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59), None],
        "datetime",
        [datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59), None],
    ),
    (
        pa.timestamp("ms"),
        [datetime(1969, 12, 31, 23, 59, 59, 999000)],
        "datetime(3)",
        [datetime(1969, 12, 31, 23, 59, 59, 999000)],
    ),
    (
        pa.timestamp("us"),
        [datetime(1000, 1, 1, 0, 0, 0, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)],
        "datetime(6)",
        [datetime(1000, 1, 1, 0, 0, 0, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)],
    ),
    (pa.timestamp("ns"), ns(-1_000, 1_000, 253_402_300_799), "datetime(6)", []),
    (
        pa.timestamp("us", "Europe/Prague"),
        [datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Prague")), None],
        "datetime(6)",
        [datetime(2026, 7, 1, 10), None],
    ),
    (pa.time32("s"), [3661, None], "time", [timedelta(seconds=3661), None]),
    (pa.time32("ms"), [86_399_999], "time(3)", [timedelta(milliseconds=86_399_999)]),
    (pa.time64("us"), [86_399_999_999], "time(6)", [timedelta(microseconds=86_399_999_999)]),
    (pa.time64("ns"), [86_399_999_999_000], "time(6)", [timedelta(microseconds=86_399_999_999)]),
    (
        pa.duration("s"),
        [-3_020_399, 3_020_399, 0, None],
        "time",
        [timedelta(seconds=-3_020_399), timedelta(seconds=3_020_399), timedelta(), None],
    ),
    (pa.duration("ms"), [-1, 1], "time(3)", [timedelta(milliseconds=-1), timedelta(milliseconds=1)]),
    (
        pa.duration("us"),
        [-3_020_399_000_000, -1],
        "time(6)",
        [timedelta(seconds=-3_020_399), timedelta(microseconds=-1)],
    ),
    (pa.duration("ns"), [1_000], "time(6)", [timedelta(microseconds=1)]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a", None], "longtext", ["a", "b", "a", None]),
    (pa.list_(pa.int64()), [[1, 2], [], None, [None]], "longtext", ["[1, 2]", "[]", None, "[null]"]),
    (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        [{"a": 1, "b": 'é\\"\n'}, None],
        "longtext",
        ['{"a": 1, "b": "é\\\\\\"\\n"}', None],
    ),
    (
        pa.list_(pa.struct([("d", pa.decimal128(20, 2))])),
        [[{"d": Decimal("12345678901234567.89")}]],
        "longtext",
        ['[{"d": "12345678901234567.89"}]'],
    ),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1)]], "longtext", ['[["a", 1]]']),
    (pa.null(), [None, None], "longtext", [None, None]),
]


@BOTH
@pytest.mark.parametrize("case", CASES, ids=[str(case[0]) for case in CASES])
def test_a_created_column_holds_every_value(ctx: Any, database: Any, bulk: str, case: Any) -> None:
    kind, values, ddl, stored = case
    if kind == pa.timestamp("ns"):
        values = [-1_000, 1_000]
        stored = [datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(1970, 1, 1, 0, 0, 0, 1)]
    table = column(values, kind)
    write(ctx, table, bulk=bulk, batch_rows=3)
    ((made,),) = database.execute(
        "SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND COLUMN_NAME = 'v'",
        [database.name],
    )
    assert made == ddl or made.split("(")[0] == ddl.split("(")[0]  # MySQL 8 shows no display widths
    assert [row[0] for row in database.execute("SELECT v FROM t ORDER BY n")] == stored


@BOTH
def test_float32_and_float16_keep_their_bits(ctx: Any, database: Any, bulk: str) -> None:
    values = [0.1, 3.4028234663852886e38, 1.401298464324817e-45, 16777216.0, -0.3]
    table = pa.table({"n": pa.array(range(5), pa.int64()), "v": pa.array(values, pa.float32())})
    write(ctx, table, bulk=bulk)
    found = database.execute("SELECT CAST(v AS DOUBLE) FROM t ORDER BY n")
    assert pa.array([row[0] for row in found], pa.float64()).cast(pa.float32()) == table["v"].chunk(0)


@BOTH
def test_slices_and_many_batches(ctx: Any, database: Any, bulk: str) -> None:
    whole = column([*NASTY, None] * 3, pa.string()).append_column(
        "b", pa.array([*BYTES, None] * 8 + [b"z"] * 7, pa.binary())
    )
    table = whole.slice(5, 60)
    write(ctx, pa.Table.from_batches(table.to_batches(max_chunksize=7)), bulk=bulk, batch_rows=13)
    assert database.execute("SELECT n, v, b FROM t ORDER BY n") == [tuple(row.values()) for row in table.to_pylist()]


EXISTING: list[tuple[str, pa.DataType, list[Any], list[Any]]] = [
    ("BIGINT", pa.string(), ["12", "-3", None], [12, -3, None]),
    ("INT", pa.decimal128(10, 2), [Decimal("12.00"), Decimal("-3.00")], [12, -3]),
    ("INT", pa.float64(), [12.0, -2147483648.0], [12, -2147483648]),
    ("BIGINT", pa.float64(), [1e18], [10**18]),
    ("DECIMAL(10,3)", pa.float64(), [0.125, 1e-3], [Decimal("0.125"), Decimal("0.001")]),
    ("DECIMAL(20,0)", pa.uint64(), [2**64 - 1], [Decimal(2**64 - 1)]),
    ("DECIMAL(10,2)", pa.string(), ["1.5", "-.25", "1e2"], [Decimal("1.50"), Decimal("-0.25"), Decimal("100.00")]),
    ("DOUBLE", pa.decimal128(10, 2), [Decimal("0.10")], [0.1]),
    ("DOUBLE", pa.int64(), [2**53], [float(2**53)]),
    ("BIT(1)", pa.bool_(), [True, False, None], [b"\1", b"\0", None]),
    ("BIT(64)", pa.uint64(), [2**64 - 1, 5], [b"\xff" * 8, b"\0" * 7 + b"\5"]),
    ("YEAR", pa.int32(), [1901, 2155, 0], [1901, 2155, 0]),
    ("ENUM('a','it''s','2')", pa.string(), ["a", "it's", "2", None], ["a", "it's", "2", None]),
    ("ENUM('a','b')", pa.dictionary(pa.int32(), pa.string()), ["b", "a"], ["b", "a"]),
    ("SET('x','y')", pa.string(), ["x,y", "", "y"], ["x,y", "", "y"]),
    ("DATE", pa.timestamp("us"), [datetime(2026, 1, 31)], [date(2026, 1, 31)]),
    ("DATE", pa.string(), ["2026-01-31"], [date(2026, 1, 31)]),
    ("DATETIME", pa.date32(), [date(2026, 1, 31)], [datetime(2026, 1, 31)]),
    ("DATETIME", pa.timestamp("us"), [datetime(2026, 1, 31, 1, 2, 3)], [datetime(2026, 1, 31, 1, 2, 3)]),
    (
        "DATETIME(3)",
        pa.string(),
        ["2026-01-31T01:02:03.456", "2026-01-31 01:02:03.4560"],
        [datetime(2026, 1, 31, 1, 2, 3, 456000)] * 2,
    ),
    (
        "TIMESTAMP(6) NULL",
        pa.timestamp("us", "America/New_York"),
        [datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("America/New_York")), None],
        [datetime(2026, 7, 1, 16), None],
    ),
    (
        "TIME(6)",
        pa.string(),
        ["-838:59:59", "01:02:03.000004"],
        [timedelta(seconds=-3_020_399), timedelta(seconds=3723, microseconds=4)],
    ),
    ("VARCHAR(40)", pa.int64(), [2**53 + 1], [str(2**53 + 1)]),
    ("VARCHAR(40)", pa.timestamp("us", "UTC"), [datetime(2026, 7, 1)], ["2026-07-01 00:00:00.000000+00:00"]),
    ("CHAR(5) CHARACTER SET latin1", pa.string(), ["ü€", "abc"], ["ü€", "abc"]),
    ("VARCHAR(9) CHARACTER SET utf16", pa.string(), ["ü😀\\\t"], ["ü😀\\\t"]),
    ("BINARY(4)", pa.binary(), [b"\0\\\n\xff"], [b"\0\\\n\xff"]),
    ("VARBINARY(9)", pa.string(), ["ü"], ["ü".encode()]),
    ("JSON", pa.string(), ['{"a": [1, "\\"\\n"]}', None], ['{"a": [1, "\\"\\n"]}', None]),
    ("GEOMETRY", pa.binary(), [b"\0\0\0\0\1\1\0\0\0" + b"\0" * 16, None], [b"\0\0\0\0\1\1\0\0\0" + b"\0" * 16, None]),
]


@BOTH
@pytest.mark.parametrize("case", EXISTING, ids=[f"{case[1]} into {case[0]}" for case in EXISTING])
def test_into_a_column_that_is_there(ctx: Any, database: Any, bulk: str, case: Any) -> None:
    ddl, kind, values, stored = case
    database.execute(f"CREATE TABLE t (n INT PRIMARY KEY, v {ddl})")
    write(ctx, column(values, kind), bulk=bulk)
    assert [row[0] for row in database.execute("SELECT v FROM t ORDER BY n")] == stored


MISFITS: list[tuple[str, pa.DataType, list[Any], str]] = [
    ("TINYINT", pa.int64(), [1, 128], "mysql.value_does_not_fit"),
    ("INT UNSIGNED", pa.int64(), [1, -1], "mysql.value_does_not_fit"),
    ("INT", pa.float64(), [1.0, 1.5], "mysql.value_does_not_fit"),
    ("INT", pa.decimal128(10, 2), [Decimal("1.00"), Decimal("1.50")], "mysql.value_does_not_fit"),
    ("INT", pa.string(), ["1", "12abc"], "mysql.value_does_not_fit"),
    ("INT", pa.string(), ["1", ""], "mysql.value_does_not_fit"),
    (
        "DECIMAL(6,2)",
        pa.decimal128(10, 3),
        [Decimal("1.250").quantize(Decimal("1.000")) * 0 + 1, Decimal("1.005")],
        "mysql.value_does_not_fit",
    ),
    ("DECIMAL(6,2)", pa.string(), ["1", "1.005"], "mysql.value_does_not_fit"),
    ("DECIMAL(6,2)", pa.int64(), [1, 10_000], "mysql.value_does_not_fit"),
    ("FLOAT", pa.float64(), [0.5, 0.1], "mysql.value_does_not_fit"),
    ("FLOAT", pa.float64(), [0.5, 1e300], "mysql.value_does_not_fit"),
    ("DOUBLE", pa.int64(), [1, 2**53 + 1], "mysql.value_does_not_fit"),
    ("DOUBLE", pa.float64(), [1.0, float("nan")], "mysql.value_does_not_fit"),
    ("DOUBLE", pa.float64(), [1.0, float("-inf")], "mysql.value_does_not_fit"),
    ("BIT(3)", pa.int32(), [7, 8], "mysql.value_does_not_fit"),
    ("BIT(3)", pa.int32(), [7, -1], "mysql.value_does_not_fit"),
    ("YEAR", pa.int32(), [1999, 70], "mysql.value_does_not_fit"),
    ("VARCHAR(3)", pa.string(), ["abc", "abcd"], "mysql.value_does_not_fit"),
    ("VARCHAR(3)", pa.string(), ["abc", "abc "], "mysql.value_does_not_fit"),
    ("CHAR(3)", pa.string(), ["a", "a "], "mysql.value_does_not_fit"),
    ("VARCHAR(9) CHARACTER SET latin1", pa.string(), ["ü", "漢"], "mysql.value_does_not_fit"),
    ("VARCHAR(9) CHARACTER SET utf8mb3", pa.string(), ["漢", "😀"], "mysql.value_does_not_fit"),
    ("TINYTEXT", pa.string(), ["ü", "x" * 256], "mysql.value_does_not_fit"),
    ("BINARY(3)", pa.binary(), [b"abc", b"ab"], "mysql.value_does_not_fit"),
    ("VARBINARY(3)", pa.binary(), [b"abc", b"abcd"], "mysql.value_does_not_fit"),
    ("ENUM('a','b')", pa.string(), ["a", "c"], "mysql.value_does_not_fit"),
    ("ENUM('a','b')", pa.string(), ["a", "2"], "mysql.value_does_not_fit"),
    ("ENUM('a','b')", pa.string(), ["a", "A"], "mysql.value_does_not_fit"),
    ("SET('a','b')", pa.string(), ["a,b", "a,c"], "mysql.value_does_not_fit"),
    ("DATE", pa.string(), ["2026-01-31", "2026-02-30"], "mysql.value_does_not_fit"),
    ("DATE", pa.string(), ["2026-01-31", "26-1-1"], "mysql.value_does_not_fit"),
    ("DATE", pa.timestamp("us"), [datetime(2026, 1, 31), datetime(2026, 1, 31, 1)], "mysql.value_does_not_fit"),
    (
        "DATETIME",
        pa.timestamp("us"),
        [datetime(2026, 1, 31), datetime(2026, 1, 31, 0, 0, 0, 1)],
        "mysql.value_does_not_fit",
    ),
    ("DATETIME(3)", pa.string(), ["2026-01-31 00:00:00.123", "2026-01-31 00:00:00.1234"], "mysql.value_does_not_fit"),
    ("DATETIME(6)", pa.timestamp("ns"), [1_000, 1_001], "mysql.value_does_not_fit"),
    ("DATETIME(6)", pa.timestamp("s"), [0, 10**12], "mysql.value_does_not_fit"),
    ("DATE", pa.date32(), [0, -800_000], "mysql.value_does_not_fit"),
    ("TIMESTAMP NULL", pa.timestamp("s"), [datetime(2026, 1, 1), datetime(1960, 1, 1)], "mysql.value_does_not_fit"),
    ("TIME", pa.duration("s"), [1, 3_020_400], "mysql.value_does_not_fit"),
    ("TIME", pa.string(), ["1:00:00", "839:00:00"], "mysql.value_does_not_fit"),
    ("INT NOT NULL", pa.int64(), [1, None], "mysql.null_value"),
    ("TIMESTAMP NOT NULL", pa.timestamp("s"), [datetime(2026, 1, 1), None], "mysql.null_value"),
    ("JSON", pa.list_(pa.float64()), [[1.0], [float("inf")]], "mysql.value_does_not_fit"),
]


@BOTH
@pytest.mark.parametrize("case", MISFITS, ids=[f"{case[2][1]!r:.40} into {case[0]}" for case in MISFITS])
def test_a_value_that_does_not_fit_is_an_error_with_its_row_and_column(
    ctx: Any, database: Any, bulk: str, case: Any
) -> None:
    ddl, kind, values, code = case
    database.execute(f"CREATE TABLE t (n INT PRIMARY KEY, v {ddl})")
    error = refused(ctx, column([values[0], values[1], values[0]], kind), bulk=bulk)
    assert error.code == code, error
    assert error.facts["row"] == 2
    assert error.facts["column"] == "v"
    assert error.hint
    assert database.execute("SELECT * FROM t") == []
    ctx.step_id = "masked"
    hidden = refused(ctx, column([values[0], values[1]], kind), bulk=bulk, show_values=False)
    assert (hidden.code, hidden.facts["row"], hidden.facts["column"]) == (code, 2, "v")
    if values[1] is not None and len(str(values[1])) > 2:
        assert str(values[1]) not in str(hidden)


@BOTH
def test_what_is_not_json_is_refused(ctx: Any, database: Any, bulk: str) -> None:
    database.execute("CREATE TABLE t (n INT PRIMARY KEY, v JSON)")
    error = refused(ctx, column(["1", "{bad"], pa.string()), bulk=bulk)
    assert error.facts["row"] == 2
    assert error.code in ("mysql.check_failed", "mysql.value_does_not_fit")


@pytest.mark.parametrize(
    ("ddl", "kind"),
    [
        ("INT", pa.date32()),
        ("DATE", pa.int64()),
        ("INT", pa.binary()),
        ("TEXT", pa.binary()),
        ("INT", pa.list_(pa.int64())),
        ("DATETIME", pa.time32("s")),
        ("TIME", pa.timestamp("s")),
        ("FLOAT", pa.decimal128(5, 2)),
        ("TEXT", pa.month_day_nano_interval()),
    ],
)
def test_types_that_do_not_belong_together_are_refused_before_anything_is_sent(
    ctx: Any, database: Any, ddl: str, kind: pa.DataType
) -> None:
    database.execute(f"CREATE TABLE t (n INT PRIMARY KEY, v {ddl})")
    error = refused(ctx, column([None], kind))
    assert error.code == "mysql.type_mismatch"
    assert "'v'" in str(error)


def test_a_zero_stays_a_zero_where_the_server_numbers_rows(ctx: Any, database: Any) -> None:
    database.execute("CREATE TABLE t (n INT AUTO_INCREMENT PRIMARY KEY, v TEXT)")
    write(ctx, column(["a", "b"], pa.string()))
    assert database.execute("SELECT * FROM t ORDER BY n") == [(0, "a"), (1, "b")]
