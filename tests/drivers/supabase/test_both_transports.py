"""One table of types: what comes over Postgres and over REST, and that both write back exactly what was there."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest

pytestmark = pytest.mark.service

UTC_STAMP = pa.timestamp("us", "UTC")

# PostgreSQL's type: values as SQL, the Arrow type over Postgres (and over REST where that is another), Python values.
TYPES = {
    "smallint": (["-32768", "32767"], pa.int16(), [-32768, 32767]),
    "integer": (["-2147483648", "2147483647"], pa.int32(), [-(2**31), 2**31 - 1]),
    "bigint": (["9007199254740993", "-9223372036854775808"], pa.int64(), [2**53 + 1, -(2**63)]),
    "numeric(20, 4)": (
        ["1234567890123456.7891", "-0.0001"],
        (pa.decimal128(20, 4), pa.decimal128(38, 4)),
        [Decimal("1234567890123456.7891"), Decimal("-0.0001")],
    ),
    "real": (["1.1", "'-Infinity'"], pa.float32(), [1.100000023841858, float("-inf")]),
    "double precision": (["1e300", "5e-324", "0.1"], pa.float64(), [1e300, 5e-324, 0.1]),
    "boolean": (["true", "false"], pa.bool_(), [True, False]),
    "text": (["''", "'NULL'", "E'a\"b\\\\c\\n\\t\\u2028é'"], pa.string(), ["", "NULL", 'a"b\\c\n\t\u2028é']),
    "varchar(5)": (["'007'"], pa.string(), ["007"]),
    "char(4)": (["'ab'"], pa.string(), ["ab  "]),
    "date": (["'0001-01-01'", "'9999-12-31'"], pa.date32(), [date(1, 1, 1), date(9999, 12, 31)]),
    "timestamp": (
        ["'2024-02-29 23:59:59.999999'", "'2024-01-01'"],
        pa.timestamp("us"),
        [datetime(2024, 2, 29, 23, 59, 59, 999999), datetime(2024, 1, 1)],
    ),
    "timestamptz": (
        ["'2024-01-01 12:00+05:30'", "'1850-01-01 00:00+00'"],
        UTC_STAMP,
        [datetime(2024, 1, 1, 6, 30, tzinfo=UTC), datetime(1850, 1, 1, tzinfo=UTC)],
    ),
    "time": (["'23:59:59.999999'", "'00:00'"], pa.time64("us"), [time(23, 59, 59, 999999), time(0)]),
    "timetz": (["'12:00+02'"], pa.string(), ["12:00:00+02"]),
    "interval": (["'1 day 02:00'"], pa.string(), ["1 day 02:00:00"]),
    "uuid": (["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], pa.string(), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    "bytea": (["'\\x00ff5c'", "''"], pa.binary(), [b"\x00\xff\\", b""]),
    "json": (['\'{"a": 1,  "b":1.10}\'', "'[]'"], pa.string(), ['{"a": 1,  "b":1.10}', "[]"]),
    "jsonb": (["'{\"b\": 12345678901234567.10}'"], pa.string(), ['{"b": 12345678901234567.10}']),
    "mood": (["'happy'"], pa.string(), ["happy"]),
    "inet": (["'10.0.0.0/8'"], pa.string(), ["10.0.0.0/8"]),
    "int4range": (["'[1,5)'"], pa.string(), ["[1,5)"]),
    "integer[]": (["'{1,null,3}'", "'{}'"], pa.list_(pa.int32()), [[1, None, 3], []]),
    "text[]": (['\'{"a,b",null,"NULL",""}\''], pa.list_(pa.string()), [["a,b", None, "NULL", ""]]),
    "numeric[]": (["'{1.10,2}'"], pa.list_(pa.string()), [["1.10", "2"]]),
    "uuid[]": (
        ["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"],
        pa.list_(pa.string()),
        [["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]],
    ),
    "timestamptz[]": (["'{2024-01-01 00:00+02}'"], pa.list_(UTC_STAMP), [[datetime(2023, 12, 31, 22, tzinfo=UTC)]]),
    "numeric": (
        ["12345678901234567.123456789", "1", "'NaN'"],
        pa.string(),
        ["12345678901234567.123456789", "1", "NaN"],
    ),
}


@pytest.fixture
def both(rest):
    """A table with a column for each type, filled, a NULL in each; an empty one beside it."""
    columns = ", ".join(f'"c {name}" {name}' for name in TYPES)
    rest.project.make(
        "create type mood as enum ('sad', 'happy');"
        f"create table given (id int primary key, {columns}); create table copied (like given including all)"
    )
    for number in range(3):
        values = [sql[number] if number < len(sql) else "null" for sql, _, _ in TYPES.values()]
        rest.project.execute(f"insert into given values ({number}, {', '.join(values)})")
    return rest


def context(rest):
    return rest.context(pg_dsn=rest.project.dsn)


@pytest.mark.parametrize("transport", ["postgres", "rest"])
def test_every_type_is_read_exactly(both, transport):
    table = both.read("given", ctx=context(both), transport=transport, order="id")
    at = ("postgres", "rest").index(transport)
    for name, (_, kind, values) in TYPES.items():
        column = table[f"c {name}"]
        assert column.type == (kind[at] if isinstance(kind, tuple) else kind), name
        assert column.to_pylist() == [*values, None, None][:3], name


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
@pytest.mark.parametrize("writing", ["postgres", "rest"])
@pytest.mark.parametrize("reading", ["postgres", "rest"])
def test_a_table_goes_through_unchanged(both, reading, writing, mode):
    key = {"primary_key": "id"} if mode == "upsert" else {}
    rows = both.read("given", ctx=context(both), transport=reading)
    both.write("copied", rows, ctx=context(both), transport=writing, write_mode=mode, **key)
    # As text: the same document in json may be written in two ways, and here it has to be the same one.
    differing = both.project.execute(
        "(select g::text from given g except select c::text from copied c)"
        " union all (select c::text from copied c except select g::text from given g)"
    )
    assert differing == []


def test_filters_orders_and_limits_give_the_same_rows(both):
    both.project.execute(
        'insert into given (id, "c text", "c integer") select i, \'n\' || i % 7, i % 5 from generate_series(10, 400) i'
    )
    for config in (
        {"filters": [{"column": "c text", "op": "in", "value": ["n1", "n,2"]}], "order": ["c integer desc", "id"]},
        {"filters": [{"column": "c integer", "op": "is", "value": None}], "order": "id"},
        {"filters": [{"column": "c text", "op": "like", "value": "n_"}], "order": ["c text", "id desc"], "limit": 50},
        {"filters": [{"column": "id", "op": "gte", "value": 390}], "columns": ["c integer", "id"], "order": "id"},
        {"order": [{"column": "c integer", "nulls": "first"}, {"column": "id", "descending": True}], "columns": "id"},
    ):
        one, other = (both.read("given", ctx=context(both), transport=way, **config) for way in ("postgres", "rest"))
        assert one.num_rows > 0
        assert one.to_pydict().keys() == other.to_pydict().keys()
        for name in one.column_names:
            assert one[name].to_pylist() == other[name].to_pylist(), (config, name)


def test_auto_takes_postgres_where_there_is_a_dsn(both):
    both.project.gateway.requests.clear()
    both.read("given", ctx=context(both), transport="auto")
    assert both.project.gateway.requests == []
    both.read("given", ctx=both.context(), transport="auto")
    assert both.project.gateway.requests != []
