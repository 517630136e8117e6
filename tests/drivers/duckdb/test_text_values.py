"""Texts that go into typed columns: each says the value that is stored, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.duckdb.text_values import says_the_same
from osiris.drivers.duckdb.writer import Writer

# Type: texts that it takes, texts that it does not.
TEXTS = {
    "INTEGER": (["7", "007", "+7", " 7 "], ["1.5", "7.0", "1e5", "0x1F", "1_000", "99999999999", ""]),
    "BIGNUM": (["123456789012345678901234567890123456789012345"], ["1.5"]),
    "DECIMAL(10,2)": (["1.1", "1.100", " 2 ", ".5", "+007.10"], ["1.005", "1e2", "123456789"]),
    "DOUBLE": (
        [
            "0.1",
            "0.10",
            "1e5",
            "1E+05",
            "-0.00",
            " 1.5 ",
            " 1e5 ",
            "7.",
            ".5",
            "5e-324",
            "nan",
            "-Infinity",
            "9007199254740992",
            "1152921504606846976",
            "12345678901.50000000",
            "000000000000000000.10",
        ],
        [
            "9007199254740993",
            "1152921504606846977",
            "0.1000000000000000055",
            "1.23456789012345678",
            "123456789012345678e-17",
            "1e400",
            "1e-400",
            " 1e-400",
            "1_000.5",
        ],
    ),
    "FLOAT": (["0.1", "16777216", "3.4028235e38", "1e-45"], ["16777217", "0.3333333333", "1e39"]),
    "BOOLEAN": (["true", "yes", "T", "1"], ["2"]),
    "DATE": (["2024-01-31"], ["2024-1-3", "2024-01-31 10:00:00", "2024-01-31T00:00:00Z"]),
    "TIMESTAMP": (
        ["2024-01-31", "2024-01-31T10:00", "2024-01-31 10:00:00.5", "2024-01-31 10:00:00.123456000", "infinity"],
        [
            "2024-01-31T10:00:00Z",
            "2024-01-31T10:00:00+05:00",
            "2024-01-31 10:00:00-08",
            "2024-01-31 10:00:00 UTC",
            "2024-01-31 10:00:00.123456789",
            "2024-01-31 10:00:00 Europe/Prague",
            "2024/01/31",
            "epoch",
        ],
    ),
    "TIMESTAMP_S": (["2024-01-31 10:00:00.000"], ["2024-01-31 10:00:00.5"]),
    "TIMESTAMP_MS": (["2024-01-31 10:00:00.1230"], ["2024-01-31 10:00:00.1234"]),
    "TIMESTAMP_NS": (["2024-01-31 10:00:00.123456789"], ["2024-01-31 10:00:00.1234567891", "3000-01-01"]),
    "TIMESTAMPTZ": (
        ["2024-01-31T10:00:00Z", "2024-01-31 10:00:00.5+05", "2024-01-31 10:00:00+05:30", "2024-01-31 10:00:00 UTC"],
        ["2024-01-31 10:00:00", "2024-01-31", "2024-01-31T10:00:00.1234567+05:00", "2024-01-31 10:00:00 Europe/Prague"],
    ),
    "TIME": (["10:00", "10:00:00.5"], ["10:00:00.123456789", "10:00:00+05", "2024-01-01 10:00:00", "25:00:00"]),
    "TIMETZ": (["10:00:00+05"], ["10:00:00", "10:00:00.1234567+05"]),
    "INTERVAL": (
        ["1 day", "-1 day", "0.5 seconds", "1 day 02:00", "1 month 1 day", "01:00:00.123456"],
        ["0.0000001 seconds", "1.5 days", "1 day 02:00:00.1234567"],
    ),
    "BLOB": (["abc", r"\xC3"], [r"a\x41", "ž"]),
    "UUID": (["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}"], ["x"]),
    "JSON": (['{"a": 1}'], ["x"]),
    "ENUM('a', 'it''s')": (["a", "it's"], ["A"]),
    "INTEGER[]": (["[1,2]", "[1, 2]", "[]", "[null, 3]", '["1"]'], ["[1.5, 2]", "[99999999999]", "1"]),
    "INTEGER[2]": (["[1,2]"], ["[1,2,3]", "[1.5,2]"]),
    "INTEGER[][]": (["[[1,2],[3]]"], ["[[1,2],[3.5]]"]),
    "VARCHAR[]": ([r'["a\"b"]', "[a, b]"], [r'["a\nb"]']),
    "STRUCT(x INTEGER)": (["{x: 1}", '{"x": 1}'], ["{x: 1.5}", "{x: 1, y: 2}"]),
    'STRUCT("a b" TIMESTAMP[])': (['{"a b": ["2024-01-31T10:00:00"]}'], ['{"a b": ["2024-01-31T10:00:00Z"]}']),
    "MAP(VARCHAR, STRUCT(z DOUBLE[]))": (["{a={z: [1, 2]}}"], ["{a={z: [1, 9007199254740993]}}"]),
    "MAP(INTEGER, INTEGER)": (["{7=1}"], ["{7=1, 007=2}", "{1=1.5}"]),
}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def takes(connection: duckdb.DuckDBPyConnection, kind: str, text: str) -> bool:
    (parsed,) = connection.sql(f"SELECT NULL::{kind}").types
    found = connection.execute(f"SELECT ({says_the_same('v', parsed)}) IS TRUE FROM (SELECT ?::VARCHAR AS v)", [text])
    row = found.fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize("kind", TEXTS)
def test_what_a_type_takes(connection: duckdb.DuckDBPyConnection, kind: str) -> None:
    accepted, refused = TEXTS[kind]
    assert [text for text in accepted if not takes(connection, kind, text)] == []
    assert [text for text in refused if takes(connection, kind, text)] == []


@given(st.from_regex(r"[+-]?[0-9]{1,20}([.][0-9]{0,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_a_double_takes_what_its_shortest_text_says(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    value = float(text)
    same = Decimal(repr(value)) == Decimal(text) or (text.strip("+-").isdigit() and int(text) == value)
    assert takes(connection, "DOUBLE", text) == same


@given(st.floats(allow_nan=False))
def test_a_double_takes_the_text_of_each_double(connection: duckdb.DuckDBPyConnection, value: float) -> None:
    assert takes(connection, "DOUBLE", repr(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("TIMESTAMP", "2024-01-31T10:00:00+05:00"),
        ("TIME", "10:00:00.123456789"),
        ("DOUBLE", "9007199254740993"),
        ("STRUCT(x INTEGER[])", "{x: [1.5]}"),
        ("BLOB", r"a\x41"),
    ],
)
def test_a_text_that_would_be_changed_is_refused(ctx: Any, kind: str, text: str) -> None:
    database = ctx.base_dir / "x.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE TABLE t (v {kind})")
    given = Dataset.of(pa.table({"v": pa.array([None, text], pa.string())}))
    with pytest.raises(DriverError) as caught:
        Writer().run("save", {"database": "x.duckdb", "table": "t"}, {"df": given}, ctx)
    assert caught.value.code == "duckdb.value_does_not_fit"
    assert "row 2: column 'v' holds " in str(caught.value)
    assert text in str(caught.value) or repr(text) in str(caught.value)
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("FROM t").fetchall() == []
