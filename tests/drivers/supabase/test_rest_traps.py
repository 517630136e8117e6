"""What people fall into with Supabase's REST, one by one: first that the trap is there, then that the driver avoids it.

Asked directly, over HTTP, PostgREST behaves as described; where a newer one no longer does, its test says so.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from decimal import Decimal
from urllib.parse import quote

import pyarrow as pa
import pytest
from supabase_gateway import SECRET_KEY, Fault, gets, posts

from osiris.core.errors import DriverError

pytestmark = pytest.mark.service


def ask(rest, path, body=None, **headers):
    """Status and content of one plain request."""
    asked = urllib.request.Request(
        f"{rest.project.gateway.url}/rest/v1/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"apikey": SECRET_KEY, "Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def make_numbers(rest, rows):
    rest.project.make("create table numbers (id bigint primary key, v text default 'given')")
    rest.project.execute(f"insert into numbers select i from generate_series(1, {rows}) i")


def test_1_the_server_cuts_answers_silently(rest):
    make_numbers(rest, 1200)
    status, rows = ask(rest, "numbers?limit=5000")
    assert (status, len(rows)) == (200, 1000)
    assert rest.read("numbers", page_size=5000).num_rows == 1200


def test_2_past_the_end_is_an_empty_page_or_an_error(rest):
    make_numbers(rest, 1000)
    assert ask(rest, "numbers?offset=1000") == (200, [])
    status, told = ask(rest, "numbers?offset=2000", Prefer="count=exact")
    assert (status, told["code"]) == (416, "PGRST103")
    assert rest.read("numbers").num_rows == 1000


def test_3_row_level_security_hides_on_read_and_refuses_on_write(rest):
    make_numbers(rest, 5)
    rest.project.execute("alter table numbers enable row level security")
    ctx = rest.context(secret=False)
    assert rest.read("numbers", ctx=ctx, order="id").num_rows == 0
    assert [data["code"] for event, data in ctx.events] == ["supabase.rows_hidden"]
    with pytest.raises(DriverError) as caught:
        rest.write("numbers", pa.table({"id": [9]}), secret=False)
    assert caught.value.code == "supabase.forbidden"
    assert caught.value.facts["sqlstate"] == "42501"
    assert "anon" in (caught.value.hint or "")


def test_4_a_missing_table_and_a_missing_column(rest):
    make_numbers(rest, 1)
    assert ask(rest, "nowhere?limit=1")[1]["code"] == "PGRST205"
    for work in (lambda: rest.read("nowhere"), lambda: rest.write("nowhere", pa.table({"id": [1]}))):
        with pytest.raises(DriverError, match=r"public\.nowhere") as caught:
            work()
        assert caught.value.code == "supabase.no_table"
    assert ask(rest, "numbers?select=nope")[1]["code"] == "42703"
    assert ask(rest, "numbers?columns=nope", [{"nope": 1}])[1]["code"] == "PGRST204"
    with pytest.raises(DriverError) as caught:
        rest.read("numbers", columns="nope")
    assert caught.value.code == "supabase.no_column"
    for secret, code in ((True, "supabase.columns_differ"), (False, "supabase.no_column")):
        with pytest.raises(DriverError, match="nope") as caught:
            rest.write("numbers", pa.table({"nope": [1]}), secret=secret)
        assert caught.value.code == code


@pytest.mark.parametrize("body", [b"{}", b'{"code":"42P01","message":"relation does not exist"}'])
def test_4_a_missing_table_as_older_versions_say_it(rest, body):
    rest.project.gateway.faults.append(Fault("status", status=404, body=body, times=50))
    with pytest.raises(DriverError) as caught:
        rest.read("nowhere")
    assert caught.value.code == "supabase.no_table"


def test_5_the_schema_cache_lags_behind_a_new_table(rest):
    make_numbers(rest, 1)
    rest.project.execute("create table fresh (id bigint primary key)")  # and no wait for PostgREST
    rest.write("fresh", pa.table({"id": [1]}))
    assert rest.project.execute("select count(*) from fresh") == [(1,)]
    rest.project.execute("create table fresher (id int primary key)")
    assert rest.read("fresher").schema.field("id").type == pa.int32()  # described, not guessed


def test_6_the_status_decides_not_the_body(rest):
    make_numbers(rest, 1)
    html = b"<html>bad gateway</html>"
    for status, code, retryable in (
        (401, "access_denied", False),
        (402, "quota_exceeded", False),
        (403, "forbidden", False),
        (406, "not_acceptable", False),
        (414, "too_large", False),
        (429, "rate_limited", True),
        (502, "server_error", True),
        (540, "paused", False),
    ):
        rest.project.gateway.faults.append(Fault("status", status=status, body=html, times=99, fits=gets))
        headers = {"Retry-After": "3600"} if retryable else {}  # too long to wait for: it is told at once
        rest.project.gateway.faults[0].headers = headers
        with pytest.raises(DriverError) as caught:
            rest.read("numbers")
        rest.project.gateway.faults.clear()
        assert (caught.value.code, caught.value.retryable) == (f"supabase.{code}", retryable)
        assert caught.value.facts["status"] == status
        assert caught.value.hint


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 522, 544])
def test_7_writes_are_repeated_where_that_is_safe(rest, status):
    make_numbers(rest, 1)
    rest.project.gateway.faults.append(Fault("status", status=status, times=2, fits=posts))
    rest.write("numbers", pa.table({"id": [1, 2]}), write_mode="upsert", primary_key="id")
    assert rest.project.execute("select count(*) from numbers") == [(2,)]


def test_8_a_lost_answer_is_not_a_lost_insert(rest):
    make_numbers(rest, 1)
    rest.project.make("create table loose (v text)")
    rest.project.gateway.faults.append(Fault("drop_after", fits=posts))
    rest.write("numbers", pa.table({"id": [2, 3]}))
    assert rest.project.execute("select count(*) from numbers") == [(3,)]
    rest.project.gateway.faults.append(Fault("drop_after", fits=posts))
    with pytest.raises(DriverError) as caught:
        rest.write("loose", pa.table({"v": ["a", "b"]}))
    assert caught.value.code == "supabase.answer_lost"
    assert rest.project.execute("select count(*) from loose") == [(2,)]


def test_9_a_request_is_a_transaction_and_a_load_is_not(rest):
    make_numbers(rest, 0)
    ask(rest, "numbers", [{"id": 77}], Prefer="tx=rollback")
    assert rest.project.execute("select id from numbers") == [(77,)]  # there is no dry run
    with pytest.raises(DriverError, match="2 rows of this step are in the table"):
        rest.write("numbers", pa.table({"id": [1, 2, 3, 77, 5]}), batch_size=2)
    assert rest.project.execute("select id from numbers order by id") == [(1,), (2,), (77,)]


def test_10_numbers_are_exact_both_ways(rest):
    rest.project.make("create table exact (id bigint primary key, n numeric, f float8)")
    exact = Decimal("12345678901234567.123456789")
    rows = pa.table({"id": [2**53 + 1], "n": pa.array([exact]), "f": [float("nan")]})
    rest.write("exact", rows)
    _, told = ask(rest, "exact")
    assert told[0]["n"] != exact  # what json.loads makes of it
    (row,) = rest.read("exact").to_pylist()
    assert (row["id"], row["n"], str(row["f"])) == (2**53 + 1, exact, "nan")
    assert rest.project.execute("select n from exact") == [(exact,)]


def test_11_duplicate_keys_and_differing_key_sets_within_a_request(rest):
    make_numbers(rest, 0)
    twice = [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}]
    status, told = ask(rest, "numbers?on_conflict=id", twice, Prefer="resolution=merge-duplicates")
    assert (status, told["code"]) == (400, "21000")
    rest.write("numbers", pa.Table.from_pylist(twice), write_mode="upsert", primary_key="id")
    assert rest.project.execute("select v from numbers") == [("b",)]
    ask(rest, f"numbers?columns={quote('id,v')}", [{"id": 8}, {"id": 9, "v": "x"}])
    assert rest.project.execute("select v from numbers where id = 8") == [(None,)]  # not the default
    rest.write("numbers", pa.table({"id": [10]}))
    assert rest.project.execute("select v from numbers where id = 10") == [("given",)]


def test_no_update_or_delete_without_a_filter(rest):
    """Hosted Supabase refuses it; replace never asks for it."""
    make_numbers(rest, 10)
    asked = urllib.request.Request(
        f"{rest.project.gateway.url}/rest/v1/numbers", headers={"apikey": SECRET_KEY}, method="DELETE"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=120)
    assert json.loads(refused.value.read())["message"] == "DELETE requires a WHERE clause"
    rest.write("numbers", pa.table({"id": pa.array([], pa.int64())}), write_mode="replace")
    assert rest.project.execute("select count(*) from numbers") == [(0,)]


def test_a_key_does_not_cross_a_network_in_clear(rest):
    with pytest.raises(DriverError) as caught:
        rest.read("numbers", ctx=rest.context(url="http://db.example.test"))
    assert caught.value.code == "supabase.insecure_url"


def test_a_url_that_is_something_else(rest):
    with pytest.raises(DriverError) as caught:
        rest.read("numbers", ctx=rest.context(url=f"{rest.project.gateway.url}/auth"))
    assert caught.value.code == "supabase.wrong_url"
