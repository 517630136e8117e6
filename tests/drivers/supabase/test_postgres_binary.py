"""Rows in binary form: the values that the server reads from their text, and text where there is no such form."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.supabase.postgres_binary import to_field
from osiris.drivers.supabase.postgres_types import make_type
from osiris.drivers.supabase.writer import SupabaseWriter

pytestmark = pytest.mark.service

STAMPS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
IDS = st.uuids().map(str)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def decimals(digits: int, places: int) -> st.SearchStrategy[Decimal]:
    most = 10**digits - 1
    return st.integers(-most, most).map(lambda number: Decimal(number).scaleb(-places))


# A column of the table: the Arrow type that is written, and what may be in it.
COLUMNS = {
    "bool": (pa.bool_(), st.booleans()),
    "int2": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "int4": (pa.int64(), st.integers(-(2**31), 2**31 - 1)),
    "int8": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "float4": (pa.float32(), st.floats(width=32)),
    "float8": (pa.float64(), st.floats()),
    "numeric(9,0)": (pa.int32(), st.integers(-(10**9) + 1, 10**9 - 1)),
    "numeric(1,1)": (pa.decimal128(1, 1), decimals(1, 1)),
    "numeric(12,2)": (pa.decimal128(12, 2), decimals(12, 2)),
    "numeric(18,18)": (pa.decimal128(18, 18), decimals(18, 18)),
    "numeric(38,6)": (pa.decimal128(30, 5), decimals(18, 5)),
    "numeric": (pa.decimal128(18, 7), decimals(18, 7)),
    "date": (pa.date32(), st.dates()),
    "time": (pa.time64("us"), st.times()),
    "timestamp": (pa.timestamp("us"), STAMPS),
    "timestamptz": (pa.timestamp("us", "UTC"), STAMPS.map(lambda stamp: stamp.replace(tzinfo=UTC))),
    "text": (pa.string(), WORDS),
    "varchar(20)": (pa.large_string(), WORDS),
    "char(20)": (pa.dictionary(pa.int32(), pa.string()), WORDS),
    "bytea": (pa.binary(), st.binary(max_size=20)),
    "uuid": (pa.string(), IDS),
    "jsonb": (pa.string(), st.sampled_from(['{"a": [1, null]}', "12.50", '"é"'])),
    "json": (pa.string(), st.sampled_from(['{"a":  1}', "null"])),
    "mood": (pa.string(), st.sampled_from(["sad", "happy"])),
}
ROWS = st.lists(st.tuples(*(st.none() | values for _, values in COLUMNS.values())), min_size=1, max_size=12)
NAMES = [f"c {name}" for name in COLUMNS]


@pytest.fixture(scope="module")
def tables(postgres):
    """Two tables with all columns; the second also has one that has no binary form."""
    name = postgres.make_database()
    columns = ", ".join(f'"c {name}" {name}' for name in COLUMNS)
    with postgres.connect(name, user="postgres") as session:
        session.execute("create type mood as enum ('sad', 'happy')")
        session.execute(f"create table as_binary (at int, {columns})")
        session.execute(f"create table as_text (at int, {columns}, span interval)")
        yield session, {"pg_dsn": postgres.dsn(name)}
    postgres.drop_database(name)


def table_of(rows) -> pa.Table:
    kinds = [kind for kind, _ in COLUMNS.values()]
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    return pa.table([pa.array(range(len(rows)), pa.int32()), *arrays], names=["at", *NAMES])


def write(context, table: str, data: pa.Table, **config) -> None:
    writer = SupabaseWriter()
    given_config = {"connection": "@supabase", "table": table, "commit_marker": False, **config}
    try:
        writer.run("step", given_config, {"df": Dataset.of(data)}, context)
    finally:
        writer.close()


@pytest.fixture
def step(ctx, tables):
    ctx.connection = tables[1]
    return ctx


@settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, cut=st.integers(0, 3))
def test_binary_rows_are_those_of_their_text(tables, step, rows, cut):
    session, _ = tables
    data = table_of(rows).slice(min(cut, len(rows) - 1))
    for column, name in zip(data.columns[1:], COLUMNS, strict=True):
        bare = name.partition("(")[0].replace("char", "bpchar").replace("varbp", "var")
        kind = make_type(bare, kind="e" if name == "mood" else "b")
        assert to_field(column.combine_chunks(), kind) is not None, name
    session.execute("truncate as_binary, as_text")
    write(step, "as_binary", data, write_mode="replace")
    spans = pa.array(["1 day"] * data.num_rows, pa.string())
    write(step, "as_text", data.append_column("span", spans), write_mode="replace")
    columns = ", ".join(f'"{name}"::text' for name in ["at", *NAMES])
    one, other = (
        session.execute(f"select {columns} from {name} order by at").fetchall() for name in ("as_binary", "as_text")
    )
    assert one == other
    assert len(one) == data.num_rows


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int4", pa.array([1, 2**31], pa.int64())),
        ("int8", pa.array([2**63], pa.uint64())),
        ("numeric", pa.array([Decimal(10**20)], pa.decimal128(21, 0))),
        ("numeric", pa.array([-(2**63)], pa.int64())),
        ("numeric", pa.array([Decimal("0.5")], pa.decimal128(25, 20))),
        ("numeric", pa.array([0.5], pa.float64())),
        ("float8", pa.array([0.5], pa.float32())),
        ("uuid", pa.array(["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"], pa.string())),
        ("uuid", pa.array(["a0eebc99+9c0b-4ef8-bb6d-6bb9bd380a11"], pa.string())),
        ("uuid", pa.array(["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380axx"], pa.string())),
        ("uuid", pa.array([b"short"], pa.binary())),
        ("text", pa.array(["a\0b"], pa.string())),
        ("date", pa.array(["2024-01-01"], pa.string())),
        ("int4", pa.array(["1"], pa.string())),
        ("inet", pa.array(["10.0.0.1"], pa.string())),
    ],
)
def test_what_has_no_binary_form_goes_as_text(kind, values):
    assert to_field(values, make_type(kind)) is None


def test_a_load_changes_to_text_where_it_has_to(database, ctx):
    database.execute("create table t (id bigint primary key, x uuid)")
    plain, braced = str(uuid.UUID(int=1)), f"{{{uuid.UUID(int=2)}}}"
    schema = pa.schema({"id": pa.int64(), "x": pa.string()})

    def batches(last):
        for number, text in enumerate((plain, None, braced, plain)):
            yield pa.record_batch([pa.array([number], pa.int64()), pa.array([text], pa.string())], schema=schema)
        yield pa.record_batch([pa.array([last], pa.int64()), pa.array([None], pa.string())], schema=schema)

    for mode in ("append", "replace", "upsert"):
        write(ctx, "t", Dataset.from_batches(schema, batches(9)), write_mode=mode, primary_key="id")
        rows = database.execute("select id, x::text from t order by id")
        assert rows == [(0, plain), (1, None), (2, braced[1:-1]), (3, plain), (9, None)]
        database.execute("truncate t")
    with pytest.raises(DriverError) as caught:
        write(ctx, "t", Dataset.from_batches(schema, batches(2)))
    assert (caught.value.code, caught.value.facts["row"]) == ("supabase.duplicate_key", 5)


@pytest.mark.parametrize(
    ("kind", "values", "code", "row"),
    [
        ("varchar(3)", pa.array(["abc", "abcd"], pa.string()), "supabase.value_too_long", 2),
        ("mood", pa.array(["sad", None, "glad"], pa.string()), "supabase.bad_value", 3),
        ("json", pa.array(["1", "{"], pa.string()), "supabase.bad_value", 2),
        ("jsonb", pa.array(["{}", "{"], pa.string()), "supabase.bad_value", 2),
        ("numeric(4,2)", pa.array([Decimal("99.99"), Decimal(100)], pa.decimal128(9, 2)), "supabase.out_of_range", 2),
        ("int not null", pa.array([1, None, 2], pa.int32()), "supabase.not_null", 2),
        ("int4", pa.array([1, 2**31], pa.int64()), "supabase.out_of_range", 2),
        ("few", pa.array([1, 2, 11], pa.int32()), "supabase.check_constraint", 3),
    ],
)  # fmt: skip
def test_what_the_server_refuses_in_binary_is_told_with_row_and_column(database, ctx, kind, values, code, row):
    database.execute(
        "create type mood as enum ('sad', 'happy'); create domain few as int check (value < 10);"
        f"create table t (x {kind})"
    )
    with pytest.raises(DriverError) as caught:
        write(ctx, "t", pa.table({"x": values}))
    assert (caught.value.code, caught.value.facts.get("row")) == (code, row)
    if code not in ("supabase.check_constraint",):
        assert caught.value.facts.get("column") == "x"


@pytest.mark.parametrize("on_conflict", ["update", "ignore"])
@pytest.mark.parametrize(
    "keys",
    [
        [(1, 1), (1, 2), (2, 1), (3, 1)],
        [(1, 1), (1, 2), (1, 2), (3, 1)],
        [(2, 1), (1, 2), (1, 1), (2, 1)],
        [(1, 2), (1, 1), (2, 1), (2, 2)],
    ],
)
def test_upsert_of_keys_in_any_order(database, ctx, keys, on_conflict):
    database.execute("create table t (a int, b bigint, x text, primary key (a, b)); insert into t values (1, 2, 'old')")
    expected = {(1, 2): "old"}
    for at, key in enumerate(keys):
        if on_conflict == "update" or key not in expected:
            expected[key] = str(at)
    schema = pa.schema({"x": pa.string(), "b": pa.int64(), "a": pa.int32()})

    def batches():
        for at, (a, b) in enumerate(keys):
            yield pa.record_batch(
                [pa.array([str(at)], pa.string()), pa.array([b], pa.int64()), pa.array([a], pa.int32())], schema=schema
            )

    write(ctx, "t", Dataset.from_batches(schema, batches()), write_mode="upsert", primary_key=["a", "b"],
          on_conflict=on_conflict)  # fmt: skip
    assert {(a, b): x for a, b, x in database.execute("select a, b, x from t")} == expected


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("date", pa.array([date(2024, 1, 2), date(2024, 1, 1), date(2024, 1, 2)], pa.date32())),
        ("timestamptz", pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC"))),
        ("text", pa.array(["b", "a", "b"], pa.string())),
        ("time", pa.array([time(1), time(2), time(1)], pa.time64("us"))),
        ("numeric", pa.array([Decimal("1.0"), Decimal("2.0"), Decimal("1.0")], pa.decimal128(5, 1))),
    ],
)
def test_upsert_of_keys_that_are_there_twice(database, ctx, kind, keys):
    database.execute(f"create table t (k {kind} primary key, n int)")
    data = pa.table({"k": keys, "n": pa.array(range(len(keys)), pa.int32())})
    write(ctx, "t", data, write_mode="upsert", primary_key="k")
    different = len(set(keys.to_pylist()))
    assert database.execute("select count(*), max(n) from t") == [(different, len(keys) - 1)]
