"""JSON Lines: numbers exact, places in errors."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (['{"a":1}', '{"a":null}', '{"a":9007199254740993}'], pa.int64()),
        (['{"a":18446744073709551616}'], pa.decimal128(38, 0)),
        (['{"a":0.1}', '{"a":2.5}'], pa.float64()),
        (['{"a":12345678901234567.123456789}', '{"a":1.000000000}'], pa.decimal128(38, 9)),
        (['{"a":1e400}', '{"a":1}'], pa.string()),
        (['{"a":true}', '{"a":false}'], pa.bool_()),
        (['{"a":"2024-01-01"}', '{"a":"007"}', '{"a":""}'], pa.string()),
        (['{"a":1}', '{"a":"1"}', '{"a":[1.50]}'], pa.string()),
        (['{"a":[1,null]}', '{"a":[]}', '{"a":null}'], pa.list_(pa.int64())),
        (['{"a":{"x":1,"y":"z"}}', '{"a":null}'], pa.struct([("x", pa.int64()), ("y", pa.string())])),
        (['{"a":[{"k":1},{"k":"x"}]}'], pa.list_(pa.struct([("k", pa.string())]))),
        (['{"a":{}}'], pa.string()),
    ],
)
def test_values_come_back(step, lines, kind):
    step.file("in.jsonl", "\n".join(lines) + "\n")
    data = step.read("jsonl", "in.jsonl")
    assert data.schema.field("a").type == kind
    assert step.write("jsonl", data, "out.jsonl").read_text() == "\n".join(lines) + "\n"


_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=10),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)),
    max_leaves=6,
)


@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.fixed_dictionaries({"a": _JSON, "b": _JSON}), max_size=6),
    nested=st.sampled_from(["struct", "json"]),
)
def test_any_rows_come_back(step, rows, nested):
    step.file("in.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    out = step.write("jsonl", step.read("jsonl", "in.jsonl", nested=nested), "out.jsonl")
    assert [_plain(json.loads(line)) for line in out.read_text().split("\n")[:-1]] == [_plain(row) for row in rows]


def _plain(value):
    """Missing keys and null are one thing inside of structs."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None and _plain(item) != {}}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def test_keys_in_the_order_in_which_they_come(step):
    step.file("in.jsonl", '{"b":1}\n{"a":2,"b":3}\n\n{"c":4}\n')
    data = step.read("jsonl", "in.jsonl")
    assert data.table().to_pydict() == {"b": [1, 3, None], "a": [None, 2, None], "c": [None, None, 4]}
    assert step.write("jsonl", data, "out.jsonl", nulls="omit").read_text() == '{"b":1}\n{"b":3,"a":2}\n{"c":4}\n'


@pytest.mark.parametrize(
    ("text", "config", "expected"),
    [
        ('{"a":"007"}', {"types": {"a": "integer"}}, [7]),
        ('{"a":7}', {"types": "string"}, ["7"]),
        ('{"a":{"x":1.50}}', {"types": {"a": "string"}}, ['{"x":1.50}']),
        ('{"a":{"x":1.50}}', {"nested": "json"}, ['{"x":1.50}']),
        ('{"a":"x"}', {"infer": False}, ['"x"']),
        ('{"a":1.5}', {"types": {"a": "decimal(9,2)"}}, [Decimal("1.50")]),
        ('{"a":"2024-01-31"}', {"types": {"a": "date"}}, [date(2024, 1, 31)]),
        ('{"a":"2024-01-31T10:00:00Z"}', {"types": {"a": "timestamp_tz"}}, [datetime(2024, 1, 31, 10, tzinfo=UTC)]),
        ('{"a":true}', {"types": {"a": "boolean"}}, [True]),
        ('{"a":1}\n{"a":2}', {"limit": 1}, [1]),
        ('{"a":1,"b":2}', {"columns": ["a"]}, [1]),
    ],
)
def test_options(step, text, config, expected):
    step.file("in.jsonl", text)
    assert step.read("jsonl", "in.jsonl", **config).table()["a"].to_pylist() == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a":1}\n{"a":\n', 2),
        ('{"a":1}\n\n1\n', 3),
        ('{"a":1,"a":2}', 1),
        ('{"a":{"b":1,"b":2}}', 1),
        ('{"a":NaN}', 1),
        ('{"a":1} {"a":2}', 1),
        ('[{"a":1}]', 1),
        ('{\n"a":1}', 1),
        ("[" * 100_000, 1),
        ('{"a":' + "1" * 5000 + "}", 1),
    ],
)
def test_lines_that_are_no_objects(step, raises, text, line):
    step.file("in.jsonl", text)
    assert raises("filesystem.jsonl_invalid", step.read, "jsonl", "in.jsonl").facts["line"] == line


def test_values_and_keys_that_come_late(step, raises):
    step.file("in.jsonl", '{"a":1}\n' * 100_000 + '{"a":1.5}\n')
    error = raises("filesystem.jsonl_type_mismatch", step.read, "jsonl", "in.jsonl", sample_rows=10)
    assert (error.facts["line"], error.facts["column"], error.facts["value"]) == (100_001, "a", "1.5")
    step.file("in.jsonl", '{"a":1}\n' * 100_000 + '{"b":1}\n')
    assert (
        raises("filesystem.jsonl_unknown_key", step.read, "jsonl", "in.jsonl", sample_rows=10).facts["line"] == 100_001
    )
    assert step.read("jsonl", "in.jsonl", types={"b": "integer"}).table()["b"][-1].as_py() == 1
    assert step.read("jsonl", "in.jsonl", columns=["a"]).table()["a"].null_count == 1
    assert step.read("jsonl", "in.jsonl", sample_rows=200_000).table()["b"][-1].as_py() == 1


def test_late_values_inside_of_structs_and_lists(step, raises):
    for good, bad in (
        ('{"a":{"x":1}}', '{"a":{"y":1}}'),
        ('{"a":[[1]]}', '{"a":[[1],["x"]]}'),
        ('{"a":[1]}', '{"a":1}'),
    ):
        step.file("in.jsonl", f"{good}\n{good}\n{bad}\n")
        error = raises("filesystem.jsonl_type_mismatch", step.read, "jsonl", "in.jsonl", sample_rows=2)
        assert error.facts["line"] == 3


def test_bytes_that_are_not_text(step, raises):
    step.file("in.jsonl", b'{"a":1}\n{"a":"\xff"}\n')
    assert raises("filesystem.encoding", step.read, "jsonl", "in.jsonl").facts["line"] == 2
    assert step.read("jsonl", "in.jsonl", encoding="latin-1").table()["a"].to_pylist() == ["1", '"ÿ"']


def test_unknown_columns_and_empty_files(step, raises):
    step.file("in.jsonl", '{"amount":1}')
    assert "'amount'" in raises("filesystem.unknown_column", step.read, "jsonl", "in.jsonl", columns=["amuont"]).hint
    step.file("empty.jsonl", "")
    assert step.read("jsonl", "empty.jsonl").table().num_rows == 0
    assert step.read("jsonl", "empty.jsonl", types={"a": "date"}).schema.names == ["a"]


def test_files_one_after_another_and_compressed(step):
    step.write("jsonl", pa.table({"a": [1]}), "1.jsonl.gz")
    step.write("jsonl", pa.table({"a": [2]}), "2.jsonl.zst")
    assert step.read("jsonl", ["1.jsonl.gz", "2.jsonl.zst"]).table()["a"].to_pylist() == [1, 2]


WRITTEN = [
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([Decimal("12345678901234567890.10")], pa.decimal128(38, 2)), "12345678901234567890.10"),
    (pa.array([0.1], pa.float64()), "0.1"),
    (pa.array([1e16], pa.float64()), "1e+16"),
    (pa.array([datetime(2024, 1, 31)], pa.timestamp("us")), '"2024-01-31T00:00:00"'),
    (pa.array([datetime(2024, 7, 1, tzinfo=UTC)], pa.timestamp("us", "Europe/Prague")), '"2024-07-01T02:00:00+02:00"'),
    (pa.array([date(2024, 1, 31)]), '"2024-01-31"'),
    (pa.array([time(1, 2, 3)]), '"01:02:03"'),
    (pa.array([b"\x00\xff"]), '"AP8="'),
    (pa.array(['a"\n\x1f\u2028é']), '"a\\"\\n\\u001f\u2028é"'),
    (pa.array([None], pa.null()), "null"),
    (pa.array([[("k", Decimal("1.0"))]], pa.map_(pa.string(), pa.decimal128(9, 1))), '{"k":1.0}'),
    (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), '[[1,"x"]]'),
]


@pytest.mark.parametrize(("values", "text"), WRITTEN, ids=lambda value: str(getattr(value, "type", "")) or None)
def test_each_type_has_one_exact_json(step, values, text):
    assert step.write("jsonl", pa.table({"v": values}), "out.jsonl").read_text() == f'{{"v":{text}}}\n'


def test_what_json_cannot_say(step, raises):
    table = pa.table({"v": [1.5, float("nan"), float("-inf")]})
    raises("filesystem.no_json", step.write, "jsonl", table, "out.jsonl")
    assert step.files() == []
    nulls = step.write("jsonl", table, "out.jsonl", non_finite="null").read_text()
    assert nulls == '{"v":1.5}\n{"v":null}\n{"v":null}\n'
    texts = step.write("jsonl", table, "out.jsonl", non_finite="string").read_text()
    assert texts == '{"v":1.5}\n{"v":"nan"}\n{"v":"-inf"}\n'
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    raises("filesystem.duplicate_columns", step.write, "jsonl", twice, "out.jsonl")


def test_decimals_and_bytes_in_other_forms(step):
    table = pa.table({"d": pa.array([Decimal("1.10")]), "b": [b"\xff"]})
    text = step.write("jsonl", table, "out.jsonl", decimals="string", binary="hex").read_text()
    assert text == '{"d":"1.10","b":"ff"}\n'


def test_rows_without_any_key_are_refused(step, raises):
    step.file("in.jsonl", "{}\n{}\n")
    raises("filesystem.jsonl_no_keys", step.read, "jsonl", "in.jsonl")
    assert step.read("jsonl", "in.jsonl", types={"a": "string"}).table().to_pydict() == {"a": [None, None]}
    step.file("mixed.jsonl", '{}\n{"a":1}\n')
    assert step.read("jsonl", "mixed.jsonl").table().to_pydict() == {"a": [None, 1]}
    step.file("empty.jsonl", "\n")
    assert step.read("jsonl", "empty.jsonl").table().num_rows == 0


@pytest.mark.parametrize(
    "line", ['{"a":"\\ud800"}', '{"\\uDFFF":1}', '{"a":{"b":["x\\ud83d"]}}', '{"a":1,"b":"\\ude00"}']
)
def test_half_of_a_character_is_refused_with_its_line(step, raises, line):
    step.file("in.jsonl", f'{{"a":"\\ud83d\\ude00"}}\n{line}\n')
    assert raises("filesystem.jsonl_invalid", step.read, "jsonl", "in.jsonl").facts["line"] == 2


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1e9999999999999999999999}',
        '{"a":-1e-9999999999999999999999}',
        '{"a":[1e5000000,0.1234567890123456789]}',
        '{"a":' + "[" * 900 + "]" * 900 + "}",
        '{"a":' + '{"b":[' * 400 + "1.50,2" + "]}" * 400 + "}",
    ],
    ids=lambda line: line[:20],
)
def test_numbers_and_nesting_beyond_arrow_come_back_as_they_are(step, line):
    content = f"{line}\n"
    step.file("in.jsonl", content)
    assert step.write("jsonl", step.read("jsonl", "in.jsonl"), "out.jsonl").read_text() == content


def test_numbers_beyond_those_of_the_sample_are_refused_with_their_line(step, raises):
    for first in ("0.5", "0.1234567890123456789"):
        for number in ("1e5000000", "1e9999999999999999999999"):
            step.file("in.jsonl", f'{{"a":{first}}}\n{{"a":{number}}}\n')
            error = raises("filesystem.jsonl_type_mismatch", step.read, "jsonl", "in.jsonl", sample_rows=1)
            assert (error.facts["line"], error.facts["value"]) == (2, number)
