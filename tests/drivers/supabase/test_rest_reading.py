"""Reading over REST: every row once, every value exact, whatever the server cuts, hides or changes meanwhile."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from supabase_gateway import Fault, gets

from osiris.core.errors import DriverError, RunCancelledError

pytestmark = pytest.mark.service


def make_numbers(rest, rows, columns="", values=""):
    rest.project.make(f"create table numbers (id bigint primary key{columns})")
    rest.project.execute(f"insert into numbers select i{values} from generate_series(1, {rows}) i")


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("page_size", [1000, 5000, 700])
def test_a_server_that_cuts_pages_loses_no_rows(rest, page_size, parallel):
    make_numbers(rest, 3500)
    table = rest.read("numbers", page_size=page_size, parallel_pages=parallel)
    assert table["id"].to_pylist() == list(range(1, 3501))


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 2000])
def test_the_end_is_an_empty_page(rest, rows, parallel):
    make_numbers(rest, rows)
    assert rest.read("numbers", parallel_pages=parallel)["id"].to_pylist() == list(range(1, rows + 1))
    last = [request for request in rest.project.gateway.requests if gets(request)][-1]
    assert last.status == 200


def test_a_small_cap_is_learnt(rest):
    make_numbers(rest, 2500)
    rest.read("numbers", page_size=5000, parallel_pages=4)
    pages = [request for request in rest.project.gateway.requests if gets(request)]
    assert len(pages) < 20  # not four wasted requests for each page


def test_parallel_pages_are_under_way_together(rest):
    make_numbers(rest, 20000)
    rest.project.gateway.delay = 0.02
    rest.read("numbers", parallel_pages=4)
    assert rest.project.gateway.most_executing > 1


@pytest.mark.parametrize("parallel", [1, 4])
def test_rows_that_come_and_go_meanwhile_hide_no_others(rest, parallel):
    """Rows that are there from beginning to end are read once, whatever happens around them."""
    make_numbers(rest, 6000)

    def disturb():
        rest.project.execute("delete from numbers where id % 10 = 3 and id < 4000")
        rest.project.execute("insert into numbers select -i from generate_series(1, 50) i on conflict do nothing")
        rest.project.execute("insert into numbers select 9000 + i from generate_series(1, 10) i on conflict do nothing")

    rest.project.gateway.faults.append(Fault("call", action=disturb, fits=gets, skip=2))
    found = rest.read("numbers", parallel_pages=parallel)["id"].to_pylist()
    assert len(found) == len(set(found))
    assert found == sorted(found)
    assert set(range(1, 6001)) - set(found) <= {i for i in range(4000) if i % 10 == 3}


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_key_of_several_columns(rest, parallel):
    rest.project.make('create table pairs (b text, a int, "odd, name" int, primary key (a, b))')
    rest.project.execute(
        "insert into pairs select 'k\"\\(,' || j, i, i from generate_series(1, 60) i, generate_series(1, 50) j"
    )
    table = rest.read("pairs", parallel_pages=parallel, columns=["odd, name", "b"])
    assert table.column_names == ["odd, name", "b"]
    assert table.num_rows == 3000
    assert len(set(zip(*table.to_pydict().values(), strict=True))) == 3000


@pytest.mark.parametrize("order", ["rank", "rank desc", {"column": "rank", "nulls": "first"}, ["name desc", "rank"]])
@pytest.mark.parametrize("parallel", [1, 3])
def test_order_with_nulls_and_ties(rest, order, parallel):
    make_numbers(rest, 2600, ", rank int, name text", ", nullif(i % 7, 3), nullif('n' || i % 3, 'n1')")
    table = rest.read("numbers", order=order, page_size=500, parallel_pages=parallel, columns=["id", "rank", "name"])
    parts = {
        "rank": "rank, id",
        "rank desc": "rank desc, id",
        "['name desc', 'rank']": "name desc, rank, id",
    }
    wanted = rest.project.execute(f"select id from numbers order by {parts.get(str(order), 'rank nulls first, id')}")
    assert table["id"].to_pylist() == [number for (number,) in wanted]


@pytest.mark.parametrize("limit", [0, 1, 999, 1000, 1500, 4000])
def test_limit(rest, limit):
    make_numbers(rest, 3000)
    table = rest.read("numbers", limit=limit, parallel_pages=2)
    assert table["id"].to_pylist() == list(range(1, min(limit, 3000) + 1))


def test_filters_mean_what_they_mean_over_postgres(rest):
    rest.project.make("create table things (id int primary key, name text, flag boolean, at timestamptz)")
    rest.project.execute(
        "insert into things values (1, 'a,b', true, '2024-01-01+00'), (2, 'x*y', false, '2024-01-02+00'),"
        " (3, 'x-y', null, null), (4, 'null', true, null), (5, '', false, null), (6, '100%', true, null),"
        " (7, '\"q\\z', true, null), (8, 'X+Y&Z=1', true, null)"
    )

    def ids(column, op, value=None):
        table = rest.read("things", filters=[{"column": column, "op": op, "value": value}], columns="id")
        return table["id"].to_pylist()

    assert ids("name", "eq", "a,b") == [1]
    assert ids("name", "eq", "X+Y&Z=1") == [8]
    assert ids("name", "neq", "") == [1, 2, 3, 4, 6, 7, 8]
    assert ids("name", "in", ["a,b", "null", '"q\\z', ""]) == [1, 4, 5, 7]
    assert ids("name", "in", []) == []
    assert ids("name", "like", "x*y") == [2]  # over REST an asterisk would mean any text
    assert ids("name", "like", "x%y") == [2, 3]
    assert ids("name", "ilike", "X_Y") == [2, 3]
    assert ids("name", "ilike", "X\\*%") == [2]
    assert ids("flag", "is", None) == [3]
    assert ids("flag", "is", "not null") == [1, 2, 4, 5, 6, 7, 8]
    assert ids("flag", "is", False) == [2, 5]
    assert ids("at", "gte", datetime(2024, 1, 2, tzinfo=UTC)) == [2]
    assert ids("id", "gt", 6) == [7, 8]
    assert ids("id", "lte", 2) == [1, 2]


def test_two_filters_on_one_column(rest):
    make_numbers(rest, 50)
    wanted = [{"column": "id", "op": "gt", "value": 10}, {"column": "id", "op": "lt", "value": 13}]
    assert rest.read("numbers", filters=wanted)["id"].to_pylist() == [11, 12]


TYPES = """
create type mood as enum ('sad', 'happy');
create table types (
    id bigint primary key, i2 smallint, i4 integer, n2 numeric(30, 2), n numeric, f4 real, f8 double precision,
    flag boolean, t text, v varchar(20), c char(4), d date, ts timestamp, tz timestamptz, tm time, u uuid, b bytea,
    j json, jb jsonb, m mood, ints integer[], texts text[], numbers numeric[], times timestamptz[], i interval)
"""


def test_every_type_exactly(rest):
    rest.project.make(TYPES)
    rest.project.execute(
        "insert into types values (9007199254740993, -32768, 2147483647, 12345678901234567.12,"
        " 12345678901234567.123456789, 1.1, 1e300, true, E'a\"b\\\\c\\nd', 'é', 'ab', '0001-01-01',"
        " '2024-02-29 23:59:59.999999',"
        " '1850-06-01 12:00+00', '23:59:59.5', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff',"
        ' \'{"a": 1,  "b": 1.10}\','
        " '{\"b\": 12345678901234567.10}', 'happy', '{1,null,3}', '{\"a,b\",null,\"NULL\"}', '{1.10,2}',"
        " '{2024-01-01 00:00+02}', '1 day 02:00')"
    )
    rest.project.execute("insert into types (id, f8, f4) values (1, 'NaN', '-Infinity')")
    table = rest.read("types")
    nulls, row = table.to_pylist()
    assert row == {
        "id": 9007199254740993, "i2": -32768, "i4": 2147483647, "n2": Decimal("12345678901234567.12"),
        "n": Decimal("12345678901234567.123456789"), "f4": pytest.approx(1.1, rel=1e-7), "f8": 1e300, "flag": True,
        "t": 'a"b\\c\nd', "v": "é", "c": "ab  ", "d": date(1, 1, 1), "ts": datetime(2024, 2, 29, 23, 59, 59, 999999),
        "tz": datetime(1850, 6, 1, 12, tzinfo=UTC), "tm": time(23, 59, 59, 500000),
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "b": b"\x00\xff", "j": '{"a": 1,  "b": 1.10}',
        "jb": '{"b": 12345678901234567.10}', "m": "happy", "ints": [1, None, 3], "texts": ["a,b", None, "NULL"],
        "numbers": ["1.10", "2"], "times": [datetime(2023, 12, 31, 22, tzinfo=UTC)], "i": "1 day 02:00:00",
    }  # fmt: skip
    assert str(nulls["f8"]) == "nan"
    assert nulls["f4"] == float("-inf")
    assert all(value is None for name, value in nulls.items() if name not in ("id", "f4", "f8"))
    assert table.schema.field("n2").type == pa.decimal128(38, 2)
    assert table.schema.field("tz").type == pa.timestamp("us", "UTC")
    assert table.schema.field("i2").type == pa.int16()


def test_a_decimal_that_begins_with_nulls_has_its_scale(rest):
    make_numbers(rest, 3000, ", price numeric(20, 4)", ", case when i > 2500 then i / 7.0 end")
    table = rest.read("numbers")
    assert table.schema.field("price").type == pa.decimal128(38, 4)
    wanted = rest.project.execute("select sum(price) from numbers")[0][0]
    assert sum(value for value in table["price"].to_pylist() if value is not None) == wanted


def test_a_value_that_no_type_holds_is_an_error_with_its_row(rest):
    make_numbers(rest, 1500, ", price numeric", ", case when i = 1200 then 'NaN' else 1.5 end")
    with pytest.raises(DriverError) as caught:
        rest.read("numbers")
    assert caught.value.code == "supabase.value_not_representable"
    assert "price of row 1,200 (id=1200) is 'NaN'" in caught.value.message
    assert caught.value.facts["column"] == "price"


def test_a_scale_that_grows_is_an_error_not_a_rounding(rest):
    make_numbers(rest, 1500, ", price numeric", ", case when i = 1300 then 1.2345 else 1.5 end")
    with pytest.raises(DriverError, match=r"price of row 1,300 \(id=1300\) is '1.2345'"):
        rest.read("numbers")


def test_without_a_description_types_are_told_from_the_first_rows(rest):
    """Hosted Supabase shows the schema to the secret key alone."""
    rest.project.make(
        "create table plain (id bigint primary key, big numeric, price numeric(12, 2), ratio float8, name text,"
        " flag boolean, tags text[],"
        " doc jsonb, late text, nothing int)"
    )
    rest.project.execute(
        "insert into plain select i, 1e20 + i, i / 4.0, case i when 2 then 'NaN' when 3 then 1e300 else i end,"
        " 'n' || i, i % 2 = 0, array['a', 'b'], '{\"a\": 1.10}',"
        " case when i > 1100 then 'x' end from generate_series(1, 1200) i"
    )
    table = rest.read("plain", secret=False, order="id")
    types = {field.name: field.type for field in table.schema}
    assert types == {
        "id": pa.int64(), "big": pa.decimal128(38, 0), "price": types["price"], "ratio": pa.float64(),
        "name": pa.string(), "flag": pa.bool_(), "tags": pa.string(), "doc": pa.string(), "late": pa.string(),
        "nothing": pa.string(),
    }  # fmt: skip
    assert pa.types.is_decimal(types["price"])
    last = table.slice(1199).to_pylist()[0]
    assert last["big"] == 10**20 + 1200
    assert (last["price"], last["ratio"], last["late"]) == (Decimal(300), 1200.0, "x")
    assert (last["tags"], last["doc"]) == ("{a,b}", '{"a": 1.10}')


def test_without_a_description_a_column_never_changes_its_type(rest):
    make_numbers(rest, 1500, ", ratio float8", ", case when i = 1400 then 1e300 else i end")
    with pytest.raises(DriverError) as caught:
        rest.read("numbers", secret=False, order="id")
    assert caught.value.code == "supabase.value_not_representable"
    assert "ratio of row 1,400 (id=1400)" in caught.value.message


def test_without_a_key_one_page_is_all_or_an_error(rest):
    rest.project.make("create table loose (a int, b text)")
    rest.project.execute("insert into loose select i, 'x' from generate_series(1, 900) i")
    assert rest.read("loose").num_rows == 900
    rest.project.execute("insert into loose select i, 'x' from generate_series(901, 1100) i")
    with pytest.raises(DriverError) as caught:
        rest.read("loose")
    assert caught.value.code == "supabase.no_order"
    assert rest.read("loose", order="a").num_rows == 1100
    assert rest.read("loose", limit=1000).num_rows == 1000


def test_an_order_that_is_not_unique_is_an_error_not_a_loss(rest):
    rest.project.make("create table loose (a int, b text)")
    rest.project.execute("insert into loose select i / 2, 'x' || i from generate_series(1, 3000) i")
    with pytest.raises(DriverError) as caught:
        rest.read("loose", order="a")
    assert caught.value.code == "supabase.order_not_unique"
    assert rest.read("loose", order=["a", "b"]).num_rows == 3000


def test_the_key_of_a_table_below_a_view_may_come_twice(rest):
    """The description shows a primary key for this view, though it gives each row twice."""
    make_numbers(rest, 1500)
    rest.project.make("create view doubled as select n.id from numbers n, generate_series(1, 2)")
    with pytest.raises(DriverError) as caught:
        rest.read("doubled")
    assert caught.value.code in ("supabase.no_order", "supabase.order_not_unique")


def test_row_level_security_that_hides_all_rows_is_told(rest):
    make_numbers(rest, 5)
    rest.project.execute("alter table numbers enable row level security")
    ctx = rest.context(secret=False)
    assert rest.read("numbers", ctx=ctx, order="id").num_rows == 0
    (warning,) = [data for event, data in ctx.events if event == "warning"]
    assert warning["code"] == "supabase.rows_hidden"
    assert "anon" in warning["message"]
    ctx = rest.context()
    assert rest.read("numbers", ctx=ctx).num_rows == 5
    rest.project.execute("delete from numbers")
    assert rest.read("numbers", ctx=ctx).num_rows == 0
    assert [event for event, _ in ctx.events] == []  # the secret key sees everything: there is nothing


def test_a_missing_column_is_named(rest):
    make_numbers(rest, 5)
    for secret in (True, False):
        with pytest.raises(DriverError, match="nope") as caught:
            rest.read("numbers", columns=["id", "nope"], order="id", secret=secret)
        assert caught.value.code == "supabase.no_column"


def test_memory_holds_pages_not_tables(rest):
    """While nobody takes the rows, no more pages are asked for than may be under way."""
    make_numbers(rest, 20000)
    ctx = rest.context()
    from osiris.drivers.supabase.extractor import SupabaseExtractor

    extractor = SupabaseExtractor()
    options = {"connection": "@supabase", "transport": "rest", "table": "numbers", "parallel_pages": 3}
    stream = extractor.run("s", options, {}, ctx)["df"]
    batches = stream.batches()
    next(batches)
    next(batches)
    batches.close()
    extractor.close()
    assert len([request for request in rest.project.gateway.requests if gets(request)]) <= 2 + 3


def test_a_stop_ends_a_request_under_way(rest):
    """The server would answer in five minutes; the reader does not wait for it."""
    make_numbers(rest, 5000)
    ctx = rest.context()
    import threading

    begun, go = threading.Event(), threading.Event()

    def hold():
        begun.set()
        go.wait(300)

    rest.project.gateway.faults.append(Fault("call", action=hold, fits=gets, skip=1))
    stopper = threading.Thread(target=lambda: (begun.wait(120), ctx.cancellation.request("interrupted")))
    stopper.start()
    try:
        with pytest.raises(RunCancelledError):
            rest.read("numbers", ctx=ctx)
    finally:
        go.set()
        stopper.join()


def test_check_tells_what_it_can(rest):
    from osiris.drivers.supabase.extractor import SupabaseExtractor

    make_numbers(rest, 1500)
    facts = SupabaseExtractor().check({"transport": "rest", "table": "numbers"}, rest.context())
    assert facts | {"latency_ms": 0, "tables": 0} == {
        "transport": "rest", "role": "service_role", "row_level_security": "bypassed", "latency_ms": 0,
        "server_version": "PostgREST 12.0.2", "tables": 0, "rows": 1500, "row_cap": 1000,
    }  # fmt: skip
    facts = SupabaseExtractor().check({"transport": "rest"}, rest.context())
    assert facts["row_cap"] == 1000  # known by the one table that is larger
    facts = SupabaseExtractor().check({"transport": "rest"}, rest.context(secret=False))
    assert facts.keys() == {"transport", "role", "row_level_security", "latency_ms"}
    assert facts["role"] == "anon"
    assert facts["row_level_security"] == "applies"
    with pytest.raises(DriverError) as caught:
        SupabaseExtractor().check({"transport": "rest"}, rest.context(key="wrong"))
    assert caught.value.code == "supabase.access_denied"
