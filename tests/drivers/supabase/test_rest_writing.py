"""Writing over REST: every value exact, nothing twice, nothing lost, the target never emptied."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from supabase_gateway import Fault, Request, posts

from osiris.core.errors import DriverError

pytestmark = pytest.mark.service


def rows_of(start, end, value="v"):
    return pa.table({"id": pa.array(range(start, end + 1)), "v": pa.array([value] * (end + 1 - start))})


def make_target(rest, key=True):
    rest.project.make(f"create table target (id bigint{' primary key' if key else ''}, v text default 'given')")


def stored(rest):
    return rest.project.execute("select id, v from target order by id, v")


def sent(rest) -> list[Request]:
    return [request for request in rest.project.gateway.requests if posts(request)]


def test_append_in_batches_of_rows_and_bytes(rest):
    make_target(rest)
    rest.write("target", rows_of(1, 2500))
    assert [len(json.loads(request.body)) for request in sent(rest)] == [1000, 1000, 500]
    assert all("return=minimal" in request.headers["prefer"] for request in sent(rest))
    rest.project.gateway.requests.clear()
    rest.write("target", rows_of(3001, 3100, "x" * 1000), batch_bytes=20_000)
    assert all(len(request.body) <= 20_000 for request in sent(rest))
    assert len(sent(rest)) == 6
    assert len(stored(rest)) == 2600


def test_append_tells_what_it_wrote_and_that_it_is_not_atomic(rest):
    make_target(rest)
    ctx = rest.write("target", rows_of(1, 10))
    assert ctx.outputs == [("public.target", {"rows": 10, "transport": "rest"})]
    assert ("rows_written", 10) in ctx.metrics
    assert [data["code"] for event, data in ctx.events if event == "warning"] == ["supabase.not_atomic"]


def test_columns_that_the_input_lacks_get_their_default(rest):
    make_target(rest)
    rest.write("target", pa.table({"id": [1, 2]}))
    rest.write("target", pa.table({"id": [3], "v": pa.array([None], pa.string())}))
    assert stored(rest) == [(1, "given"), (2, "given"), (3, None)]


def test_upsert_updates_or_leaves(rest):
    make_target(rest)
    rest.write("target", rows_of(1, 3, "old"))
    rest.write("target", rows_of(3, 4, "new"), write_mode="upsert", primary_key="id")
    assert stored(rest) == [(1, "old"), (2, "old"), (3, "new"), (4, "new")]
    rest.write("target", rows_of(4, 5, "newer"), write_mode="upsert", primary_key="id", on_conflict="ignore")
    assert stored(rest) == [(1, "old"), (2, "old"), (3, "new"), (4, "new"), (5, "newer")]


@pytest.mark.parametrize(("on_conflict", "kept"), [("update", "last"), ("ignore", "first")])
@pytest.mark.parametrize("batch_size", [2, 1000])
@pytest.mark.parametrize("parallel", [1, 4])
def test_the_same_key_twice_in_the_input(rest, on_conflict, kept, batch_size, parallel):
    """Within one request PostgreSQL would refuse it; the result is as if the rows came one by one."""
    make_target(rest)
    rows = pa.table({"id": [1, 2, 1, 3, 1, 2], "v": ["first", "first", "middle", "only", "last", "last"]})
    options = {"batch_size": batch_size, "parallel_batches": parallel, "on_conflict": on_conflict}
    rest.write("target", rows, write_mode="upsert", primary_key="id", **options)
    assert stored(rest) == [(1, kept), (2, kept), (3, "only")]


def test_keys_that_only_the_database_finds_equal(rest):
    rest.project.make("create table target (id numeric primary key, v text)")
    rows = pa.table({"id": pa.array(["1", "1.0", "2", "1.00"]), "v": ["a", "b", "c", "d"]})
    rest.write("target", rows, write_mode="upsert", primary_key="id")
    assert rest.project.execute("select v from target order by id") == [("d",), ("c",)]


def test_replace_puts_new_rows_in_before_old_ones_go(rest):
    make_target(rest)
    rest.project.execute("insert into target select i, 'old' from generate_series(1, 2500) i")
    seen = []

    def look():
        seen.append(rest.project.execute("select count(*) filter (where v = 'new'), count(*) from target")[0])

    rest.project.gateway.faults.append(Fault("call", action=look, fits=lambda request: request.method == "DELETE"))
    ctx = rest.write("target", rows_of(2401, 3600, "new"), write_mode="replace")
    assert stored(rest) == [(number, "new") for number in range(2401, 3601)]
    assert seen == [(1200, 3600)]
    assert ctx.outputs[0][1]["removed"] == 2400
    (warning,) = [data for event, data in ctx.events if event == "warning"]
    assert "old" in warning["message"]


def test_replace_compares_keys_as_the_server_writes_them(rest):
    """A key that reads otherwise here and there must not be taken for an old row."""
    rest.project.make(
        'create table target (at timestamptz, "a,b" numeric(10, 3), c char(5), primary key (at, "a,b", c))'
    )
    rest.project.execute("insert into target values ('2020-01-01', 1, 'x')")
    rows = pa.table(
        {
            "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "America/New_York")),
            "a,b": pa.array(["1.5"]),
            "c": pa.array(['"\\']),
        }
    )
    rest.write("target", rows, write_mode="replace")
    assert rest.project.execute('select "a,b"::text, c::text from target') == [("1.500", '"\\')]


def test_replace_with_nothing_leaves_nothing(rest):
    make_target(rest)
    rest.project.execute("insert into target select i, 'old' from generate_series(1, 1500) i")
    rest.write("target", rows_of(1, 0), write_mode="replace")
    assert stored(rest) == []


def test_replace_that_fails_has_removed_nothing(rest):
    make_target(rest)
    rest.project.execute("insert into target select i, 'old' from generate_series(1, 10) i")
    rows = pa.table({"id": pa.array([11, 12, None], pa.int64()), "v": ["a", "b", "c"]})
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows, write_mode="replace", batch_size=1)
    assert caught.value.code == "supabase.not_null"
    assert len(stored(rest)) == 12


def test_replace_without_a_key_is_refused(rest):
    make_target(rest, key=False)
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows_of(1, 2), write_mode="replace")
    assert caught.value.code == "supabase.no_primary_key"


def test_replace_where_rows_are_hidden_removes_nothing(rest):
    make_target(rest)
    rest.project.execute("insert into target values (1, 'old')")
    rest.project.execute(
        "create function skip() returns trigger language plpgsql as $$ begin return null; end $$;"
        "create trigger t before insert on target for each row when (new.id = 7) execute function skip()"
    )
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows_of(6, 8), write_mode="replace")
    assert caught.value.code == "supabase.rows_hidden"
    assert (1, "old") in stored(rest)
    rest.project.execute("drop table target; drop function skip")


def test_a_body_that_is_too_large_is_halved(rest):
    make_target(rest)
    rest.project.gateway.max_body = 10_000
    rest.write("target", rows_of(1, 2000, "x" * 50))
    assert len(stored(rest)) == 2000
    refused = [request for request in sent(rest) if request.status == 413]
    assert 0 < len(refused) < 8  # what was learnt is not tried again


def test_a_row_that_is_too_large_is_named(rest):
    make_target(rest)
    rest.project.gateway.max_body = 10_000
    rows = pa.table({"id": [1, 2, 3], "v": ["a", "x" * 20_000, "c"]})
    with pytest.raises(DriverError, match="rows 2 to 2") as caught:
        rest.write("target", rows)
    assert caught.value.code == "supabase.too_large"
    assert stored(rest) == [(1, "a")]


def test_every_arrow_type_exactly(rest):
    rest.project.make(
        "create table types (id bigint primary key, u numeric, f4 real, f8 double precision,"
        " flag boolean, t text,"
        " ts timestamp, tz timestamptz, d date, tm time, b bytea, n numeric(38, 9), j json, jb jsonb,"
        " ints int[], texts text[],"
        " s jsonb, i interval, m jsonb, dict text, nothing text)"
    )
    # 'json' keeps what it was given; so does a struct written into jsonb.
    values = {
        "id": pa.array([2**63 - 1, 1], pa.int64()),
        "u": pa.array([2**64 - 1, None], pa.uint64()),
        "f4": pa.array([1.1, float("nan")], pa.float32()),
        "f8": pa.array([5e-324, float("-inf")], pa.float64()),
        "flag": pa.array([True, None]),
        "t": pa.array(['a"b\\c\n\r\t\x01\x1fé\u2028', "null"]),
        "ts": pa.array([datetime(2024, 2, 29, 23, 59, 59, 999999), None], pa.timestamp("us")),
        "tz": pa.array([datetime(2024, 1, 1, 12, tzinfo=UTC), None], pa.timestamp("ns", "Asia/Kolkata")),
        "d": pa.array([date(1, 1, 1), None], pa.date32()),
        "tm": pa.array([time(23, 59, 59, 999999), None], pa.time64("us")),
        "b": pa.array([b"\x00\xff\\", None], pa.binary()),
        "n": pa.array([Decimal("12345678901234567890123456789.123456789"), None], pa.decimal128(38, 9)),
        "j": pa.array(['{"a": 1,  "b":1.10}', None]),
        "jb": pa.array(['[1, "x"]', None]),
        "ints": pa.array([[1, None, 3], None], pa.list_(pa.int32())),
        "texts": pa.array([['a,"b', None, "NULL"], []], pa.list_(pa.string())),
        "s": pa.array(
            [{"x": 1, "y": [Decimal("1.10")]}, None], pa.struct({"x": pa.int8(), "y": pa.list_(pa.decimal128(5, 2))})
        ),
        "i": pa.array([timedelta(days=1, microseconds=1), None], pa.duration("us")),
        "m": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        "dict": pa.array(["a", None]).dictionary_encode(),
        "nothing": pa.nulls(2),
    }
    rest.write("types", pa.table(values))
    first = dict(
        zip(
            values,
            rest.project.execute(
                "select id, u, f4, f8, flag, t, ts, tz at time zone 'UTC', d, tm, b, n, j::text, jb::text, ints, texts,"
                " s::text, i::text, m::text, dict, nothing from types where id > 1"
            )[0],
            strict=True,
        )
    )
    assert first == {
        "id": 2**63 - 1, "u": 2**64 - 1, "f4": pytest.approx(1.1, rel=1e-7), "f8": 5e-324, "flag": True,
        "t": 'a"b\\c\n\r\t\x01\x1fé\u2028', "ts": datetime(2024, 2, 29, 23, 59, 59, 999999),
        "tz": datetime(2024, 1, 1, 12), "d": date(1, 1, 1), "tm": time(23, 59, 59, 999999), "b": b"\x00\xff\\",
        "n": Decimal("12345678901234567890123456789.123456789"), "j": '{"a": 1,  "b":1.10}', "jb": '[1, "x"]',
        "ints": [1, None, 3], "texts": ['a,"b', None, "NULL"], "s": '{"x": 1, "y": [1.10]}', "i": "24:00:00.000001",
        "m": '{"k": "v"}', "dict": "a", "nothing": None,
    }  # fmt: skip
    ((nan, infinite, text, texts),) = rest.project.execute(
        "select f4::text, f8::text, t, texts from types where id = 1"
    )
    assert (nan, infinite, text, texts) == ("NaN", "-Infinity", "null", [])


@pytest.mark.parametrize(
    ("column", "value", "kind", "told"),
    [
        ("j", '{"a": 1', pa.string(), "which is no JSON"),
        ("j", '1},{"id":5', pa.string(), "which is no JSON"),
        ("j", "NaN", pa.string(), "which is no JSON"),
        ("j", "null", pa.string(), "would become NULL"),
        ("j", float("nan"), pa.float64(), "which JSON has no word for"),
        ("at", 1, pa.timestamp("ns"), "finer than the microseconds"),
    ],
)
def test_a_value_without_an_exact_form_is_refused_with_its_row(rest, column, value, kind, told):
    rest.project.make("create table target (id int primary key, j jsonb, at timestamp)")
    rows = pa.table({"id": pa.array([1, 2], pa.int32()), column: pa.array([None, value], kind)})
    with pytest.raises(DriverError, match=told) as caught:
        rest.write("target", rows)
    assert caught.value.code == "supabase.bad_value"
    assert caught.value.facts["row"] == 2
    assert rest.project.execute("select count(*) from target") == [(0,)]


@pytest.mark.parametrize(
    ("type", "value", "kind", "told"),
    [
        ("timestamp", datetime(2024, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC"), "in a time zone"),
        ("date", datetime(2024, 1, 1, 12), pa.timestamp("us"), "no date"),
        ("time", datetime(2024, 1, 1, 12), pa.timestamp("us"), "no time of day"),
        ("real", 1 / 3, pa.float64(), "no real"),
        ("real", 1e300, pa.float64(), "no real"),
        ("real", 2**24 + 1, pa.int64(), "no real"),
        ("double precision", 2**53 + 1, pa.int64(), "no double precision"),
        ("double precision", Decimal("0.1000000000000000000001"), pa.decimal128(38, 22), "no double precision"),
    ],
)
def test_a_value_that_the_database_would_change_is_refused(rest, type, value, kind, told):
    rest.project.make(f"create table target (id int primary key, v {type})")
    with pytest.raises(DriverError, match=told) as caught:
        rest.write("target", pa.table({"id": [1, 2], "v": pa.array([None, value], kind)}))
    assert caught.value.code == "supabase.bad_value"
    assert caught.value.facts["row"] == 2
    assert rest.project.execute("select count(*) from target") == [(0,)]


@pytest.mark.parametrize("secret", [True, False])
def test_timestamps_without_a_zone_are_utc(rest, secret):
    """The server of these tests lives in Prague."""
    rest.project.make("create table target (id int primary key, tz timestamptz, ts timestamp, d date)")
    noon = datetime(2024, 7, 1, 12)
    rows = {"id": [1], "tz": [noon], "ts": [noon], "d": pa.array([datetime(2024, 7, 1)], pa.timestamp("us"))}
    rest.write("target", pa.table(rows), secret=secret)
    wanted = [(noon, noon, date(2024, 7, 1))]
    assert rest.project.execute("select tz at time zone 'UTC', ts, d from target") == wanted


def test_decimals_that_a_float_shows_as_they_are(rest):
    rest.project.make("create table target (id int primary key, f4 real, f8 double precision)")
    values = pa.array([Decimal("0.10"), Decimal("-12.50")], pa.decimal128(10, 2))
    rest.write("target", pa.table({"id": [1, 2], "f4": values, "f8": values}))
    wanted = [("0.1", "0.1"), ("-12.5", "-12.5")]
    assert rest.project.execute("select f4::text, f8::text from target order by id") == wanted


def test_columns_are_matched_by_name_and_strangers_refused(rest):
    make_target(rest)
    rest.write("target", pa.table({"v": ["a"], "id": [1]}))
    assert stored(rest) == [(1, "a")]
    for rows in (pa.table({"id": [1], "V": ["a"]}), pa.Table.from_arrays([pa.array([1])] * 2, ["id", "id"])):
        with pytest.raises(DriverError) as caught:
            rest.write("target", rows)
        assert caught.value.code == "supabase.columns_differ"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (pa.table({"id": [1], "v": ["again"]}), "supabase.duplicate_key"),
        (pa.table({"id": pa.array([None], pa.int64())}), "supabase.not_null"),
        (pa.table({"id": ["no number"]}), "supabase.bad_value"),
        (pa.table({"id": pa.array([2**64 - 1], pa.uint64())}), "supabase.out_of_range"),
        (pa.table({"id": [5], "v": ["a\0b"]}), "supabase.bad_text"),
        (pa.table({"id": [5], "parent": [99]}), "supabase.foreign_key"),
        (pa.table({"id": [-1]}), "supabase.check_constraint"),
    ],
)
def test_what_the_database_refuses_is_an_error_that_tells_what_to_do(rest, rows, code):
    rest.project.make(
        "create table target (id bigint primary key check (id > 0), v text, parent bigint references target)"
    )
    rest.project.execute("insert into target values (1, 'there')")
    with pytest.raises(DriverError, match=r"rows 1 to 1 of table public\.target") as caught:
        rest.write("target", rows)
    assert caught.value.code == code
    assert caught.value.hint
    assert not caught.value.retryable
    assert rest.project.execute("select count(*) from target") == [(1,)]


def test_upsert_on_columns_without_a_unique_index(rest):
    make_target(rest)
    with pytest.raises(DriverError) as caught:
        rest.write("target", rows_of(1, 2), write_mode="upsert", primary_key="v")
    assert caught.value.code == "supabase.no_unique_index"


def test_without_a_description_a_publishable_key_writes_too(rest):
    make_target(rest)
    rest.write("target", rows_of(1, 1500), secret=False)
    rest.write("target", rows_of(1000, 1600, "new"), secret=False, write_mode="upsert", primary_key="id")
    assert rest.project.execute("select count(*), count(*) filter (where v = 'new') from target") == [(1600, 601)]


def test_parallel_batches_are_under_way_together(rest):
    make_target(rest)
    rest.project.gateway.delay = 0.02
    rest.write("target", rows_of(1, 8000), batch_size=500, parallel_batches=4)
    assert rest.project.gateway.most_executing > 1
    assert len(stored(rest)) == 8000


def test_a_failing_batch_tells_how_many_rows_are_there(rest):
    make_target(rest)
    rest.project.execute("insert into target values (2500, 'there')")
    with pytest.raises(DriverError, match="2,000 rows of this step are in the table") as caught:
        rest.write("target", rows_of(1, 4000))
    assert caught.value.facts["rows_written"] == 2000
    assert len(stored(rest)) == 2001


def test_names_that_need_quotes(rest):
    rest.project.make('create table "odd table" ("a b" int, "c,d" text, "e""f\\" text, primary key ("a b", "c,d"))')
    names = ["a b", "c,d", 'e"f\\']
    rows = pa.Table.from_arrays([pa.array([1, 2]), pa.array(["x", "y"]), pa.array(["1", "2"])], names)
    rest.write('"odd table"', rows)
    rest.write('"odd table"', rows.slice(1), write_mode="replace")
    assert rest.read('"odd table"').to_pylist() == rows.slice(1).to_pylist()


def test_another_schema_must_be_exposed(rest):
    make_target(rest)
    with pytest.raises(DriverError) as caught:
        rest.write("hidden.target", rows_of(1, 2))
    assert caught.value.code == "supabase.no_schema"
    with pytest.raises(DriverError) as caught:
        rest.read("target", ctx=rest.context(schema="hidden"))
    assert caught.value.code == "supabase.no_schema"
