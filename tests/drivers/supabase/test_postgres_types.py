"""Every type of PostgreSQL through the extractor: exact, or an error that says where."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal

import pyarrow as pa
import pytest

from osiris.core.errors import DriverError
from osiris.drivers.supabase.extractor import SupabaseExtractor

pytestmark = pytest.mark.service

UTC = zoneinfo.ZoneInfo("UTC")

# PostgreSQL's type, a value as SQL, the Arrow type, the value in Python
READ = [
    ("bool", "true", pa.bool_(), True),
    ("int2", "-32768", pa.int16(), -32768),
    ("int4", "2147483647", pa.int32(), 2147483647),
    ("int8", "9223372036854775807", pa.int64(), 9223372036854775807),
    ("int8", "9007199254740993", pa.int64(), 9007199254740993),
    ("oid", "4294967295", pa.int64(), 4294967295),
    ("float4", "'0.1'", pa.float32(), 0.10000000149011612),
    ("float8", "0.1", pa.float64(), 0.1),
    ("float8", "'5e-324'", pa.float64(), 5e-324),
    ("float8", "'-Infinity'", pa.float64(), float("-inf")),
    ("numeric(12,2)", "12.50", pa.decimal128(12, 2), Decimal("12.50")),
    ("numeric(38,10)", "1234567890123456789012345678.0123456789", pa.decimal128(38, 10),
     Decimal("1234567890123456789012345678.0123456789")),
    ("numeric(76,38)", "1.00000000000000000000000000000000000001", pa.decimal256(76, 38),
     Decimal("1.00000000000000000000000000000000000001")),
    ("numeric(5,-2)", "12345", pa.decimal128(7, 0), Decimal("12300")),
    ("numeric(2,4)", "0.0012", pa.decimal128(4, 4), Decimal("0.0012")),
    ("numeric(100,2)", "1.50", pa.string(), "1.50"),
    ("numeric", "12345678901234567.123456789", pa.string(), "12345678901234567.123456789"),
    ("numeric", "'NaN'", pa.string(), "NaN"),
    ("numeric", "'Infinity'", pa.string(), "Infinity"),
    ("money", "12.34", pa.decimal128(21, 2), Decimal("12.34")),
    ("text", "'žluťoučký 🐎 \"x\", \\.\n\r\t'", pa.string(), "žluťoučký 🐎 \"x\", \\.\n\r\t"),
    ("text", "''", pa.string(), ""),
    ("varchar(5)", "'abc'", pa.string(), "abc"),
    ("char(5)", "'abc'", pa.string(), "abc  "),
    ("name", "'abc'", pa.string(), "abc"),
    ("bytea", "'\\x00ff0a'", pa.binary(), b"\x00\xff\n"),
    ("bytea", "''", pa.binary(), b""),
    ("date", "'2024-02-29'", pa.date32(), dt.date(2024, 2, 29)),
    ("date", "'0001-01-01'", pa.date32(), dt.date(1, 1, 1)),
    ("date", "'9999-12-31'", pa.date32(), dt.date(9999, 12, 31)),
    ("time", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("timetz", "'10:20:30+02'", pa.string(), "10:20:30+02"),
    ("timestamp", "'2024-01-31 10:20:30.000001'", pa.timestamp("us"), dt.datetime(2024, 1, 31, 10, 20, 30, 1)),
    ("timestamptz", "'2024-07-01 10:20:30.5+02'", pa.timestamp("us", "UTC"),
     dt.datetime(2024, 7, 1, 8, 20, 30, 500000, UTC)),
    ("interval", "'1 year 2 days 03:04:05.678'", pa.string(), "1 year 2 days 03:04:05.678"),
    ("json", "'{\"b\":1, \"a\":[1,2]}'", pa.string(), '{"b":1, "a":[1,2]}'),
    ("jsonb", "'{\"b\":1, \"a\":12345678901234567890.5}'", pa.string(), '{"a": 12345678901234567890.5, "b": 1}'),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet", "'192.168.0.1/24'", pa.string(), "192.168.0.1/24"),
    ("macaddr", "'08:00:2b:01:02:03'", pa.string(), "08:00:2b:01:02:03"),
    ("bit(3)", "B'101'", pa.string(), "101"),
    ("xml", "'<a>1</a>'", pa.string(), "<a>1</a>"),
    ("point", "'(1,2)'", pa.string(), "(1,2)"),
    ("tsvector", "'a b'", pa.string(), "'a' 'b'"),
    ("int4range", "'[1,5)'", pa.string(), "[1,5)"),
    ("mood", "'happy'", pa.string(), "happy"),
    ("euros", "1.50", pa.decimal128(9, 2), Decimal("1.50")),
    ("pair", "row(1,'x y')", pa.string(), '(1,"x y")'),
    ("int4[]", "'{1,NULL,3}'", pa.list_(pa.int32()), [1, None, 3]),
    ("int4[]", "'{}'", pa.list_(pa.int32()), []),
    ("text[]", "array['a,b', '', 'NULL', '\"x\"', null]", pa.list_(pa.string()), ["a,b", "", "NULL", '"x"', None]),
    ("numeric(10,2)[]", "'{1.50,2}'", pa.list_(pa.decimal128(10, 2)), [Decimal("1.50"), Decimal("2.00")]),
    ("bool[]", "'{t,f,NULL}'", pa.list_(pa.bool_()), [True, False, None]),
    ("time[]", "'{10:20:30}'", pa.list_(pa.time64("us")), [dt.time(10, 20, 30)]),
    ("float8[]", "'{0.1,NaN}'", pa.list_(pa.float64()), [0.1, float("nan")]),
    ("timestamptz[]", "'{2024-01-01 00:00:00+00}'", pa.list_(pa.timestamp("us", "UTC")),
     [dt.datetime(2024, 1, 1, tzinfo=UTC)]),
    ("bytea[]", "array['\\x00ff'::bytea, '', null]", pa.list_(pa.binary()), [b"\x00\xff", b"", None]),
    ("mood[]", "'{happy}'", pa.list_(pa.string()), ["happy"]),
    ("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", pa.list_(pa.string()),
     ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
]  # fmt: skip


@pytest.fixture
def made(database):
    database.execute(
        "create type mood as enum ('sad', 'happy'); create domain euros as numeric(9,2) check (value >= 0);"
        "create type pair as (a int, b text)"
    )
    return database


def read(ctx, **config) -> pa.Table:
    extractor = SupabaseExtractor()
    try:
        return extractor.run("step", {"connection": "@supabase", **config}, {}, ctx)["df"].table()
    finally:
        extractor.close()


def test_every_type_is_read_exactly(made, ctx):
    columns = ", ".join(f"c{at} {kind}" for at, (kind, *_) in enumerate(READ))
    values = ", ".join(value for _, value, *_ in READ)
    made.execute(f"create table t ({columns}); insert into t values ({values}); insert into t default values")
    table = read(ctx, table="t")
    for at, (kind, _, arrow, value) in enumerate(READ):
        assert table.schema.field(at).type == arrow, kind
        first, second = table.column(at).to_pylist()
        assert repr(first) == repr(value), kind
        assert second is None, kind


def test_a_query_gives_the_same_types(made, ctx):
    items = ", ".join(f"({value})::{kind} as c{at}" for at, (kind, value, *_) in enumerate(READ))
    table = read(ctx, query=f"select {items} -- the end\n;")
    for at, (kind, _, arrow, value) in enumerate(READ):
        assert table.schema.field(at).type == arrow, kind
        assert repr(table.column(at).to_pylist()[0]) == repr(value), kind


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "'infinity'"),
        ("date", "'0044-03-15 BC'"),
        ("date", "'10000-01-01'"),
        ("timestamp", "'-infinity'"),
        ("timestamptz", "'infinity'"),
        ("timestamptz", "'0044-03-15 12:00:00+00 BC'"),
        ("timestamp", "'10000-01-01 00:00:00'"),
        ("time", "'24:00:00'"),
        ("numeric(5,2)", "'NaN'"),
        ("numeric(50,2)", "'NaN'"),
        ("int4[]", "'{{1,2},{3,4}}'"),
        ("date[]", "'{infinity}'"),
    ],
)
def test_what_arrow_cannot_hold_is_an_error_with_its_place(database, ctx, kind, value):
    database.execute(f"create table t (id int, x {kind}); insert into t values (1, null), (2, null), (3, {value})")
    with pytest.raises(DriverError) as caught:
        read(ctx, table="t", order="id")
    error = caught.value
    assert error.code == "supabase.value_not_representable"
    assert (error.facts["column"], error.facts["row"]) == ("x", 3)
    assert "x::text" in error.hint
    assert read(ctx, query="select x::text from t").column(0).to_pylist()[2] is not None


def test_one_column_tells_null_from_the_empty_text(database, ctx):
    database.execute("create table t (id serial, x text); insert into t (x) values (''), (null), ('a'), (null)")
    assert read(ctx, table="t", columns="x", order="id").column(0).to_pylist() == ["", None, "a", None]
