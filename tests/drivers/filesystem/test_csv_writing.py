"""Options of csv_writer."""

from __future__ import annotations

import csv
from decimal import Decimal

import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset

TABLE = pa.table(
    {
        "n": pa.array([1, None], pa.int64()),
        "d": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
        "t": pa.array(["x", ""]),
        "s": pa.array(["a,b", None]),
    }
)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, 'n,d,t,s\n1,1.50,x,"a,b"\n,,"",\n'),
        ({"header": False}, '1,1.50,x,"a,b"\n,,"",\n'),
        ({"delimiter": ";"}, 'n;d;t;s\n1;1.50;x;a,b\n;;"";\n'),
        ({"newline": "crlf"}, 'n,d,t,s\r\n1,1.50,x,"a,b"\r\n,,"",\r\n'),
        ({"quoting": "all"}, '"n","d","t","s"\n"1","1.50","x","a,b"\n,,"",\n'),
        ({"quoting": "nonnumeric"}, '"n","d","t","s"\n1,1.50,"x","a,b"\n,,"",\n'),
        ({"null_value": "NULL"}, 'n,d,t,s\n1,1.50,x,"a,b"\nNULL,NULL,,NULL\n'),
        ({"null_value": "x"}, 'n,d,t,s\n1,1.50,"x","a,b"\nx,x,,x\n'),
        ({"quoting": "none", "delimiter": "|", "null_value": "-"}, "n|d|t|s\n1|1.50|x|a,b\n-|-||-\n"),
        ({"delimiter": "."}, 'n.d.t.s\n1."1.50".x.a,b\n.."".\n'),
        ({"delimiter": "1"}, 'n1d1t1s\n"1"1"1.50"1x1a,b\n11""1\n'),
    ],
)
def test_options(step, config, text):
    assert step.write("csv", TABLE, "out.csv", **config).read_bytes().decode() == text


@pytest.mark.parametrize("value", ["a,b", "", 'a"b', "a\nb", "a\rb"])
def test_what_cannot_be_said_without_quotes(step, raises, value):
    raises("filesystem.csv_quoting", step.write, "csv", pa.table({"a": [value]}), "out.csv", quoting="none")
    raises("filesystem.csv_quoting", step.write, "csv", pa.table({value or ",": ["x"]}), "out.csv", quoting="none")
    assert step.files() == []


def test_null_value_comes_back(step):
    step.write("csv", TABLE, "out.csv", null_value="NA")
    assert step.read("csv", "out.csv", na_values="NA", empty_as_null="never").table().to_pydict() == TABLE.to_pydict()


def test_binary_as_base64(step):
    table = pa.table({"b": [b"\x00\xff"]})
    assert step.write("csv", table, "out.csv", binary="base64").read_text() == "b\nAP8=\n"


def test_no_columns_make_an_empty_file_and_take_no_rows(step, raises):
    assert step.write("csv", pa.table({}), "out.csv").read_bytes() == b""
    rows = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
    raises("filesystem.csv_no_columns", step.write, "csv", rows, "out.csv")


def test_batches_with_and_without_quotes(step):
    parts = [["plain"], ['with "quotes"', "ž,"], ["plain"]]
    schema = pa.schema([("a", pa.string())])
    batches = [pa.RecordBatch.from_pydict({"a": part}, schema=schema) for part in parts]
    text = step.write("csv", Dataset.from_batches(schema, batches), "out.csv").read_text()
    assert text == 'a\nplain\n"with ""quotes"""\n"ž,"\nplain\n'


@pytest.mark.parametrize("wide", ["", "y" * 300])
def test_one_large_batch_is_written_in_parts(step, wide):
    rows = [(number, f'say "{number}"' if number % 3 else "plain", wide) for number in range(100_000)]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, ["n", "s", "w"])
    path = step.write("csv", Dataset.from_batches(batch.schema, [batch]), "out.csv")
    with path.open(newline="") as file:
        header, *records = csv.reader(file)
    assert header == ["n", "s", "w"]
    assert records == [[str(number), text, more] for number, text, more in rows]


def test_two_columns_of_one_name(step):
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert step.write("csv", table, "out.csv").read_text() == "a,a\n1,2\n"


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_kind_of_text(step, kind):
    table = pa.table({"n": [1, 2, 3], "a": pa.array(["x,y", None, ""], pa.string()).cast(kind)})
    assert step.write("csv", table, "out.csv").read_text() == 'n,a\n1,"x,y"\n2,\n3,""\n'
