"""A CSV file that is read and written again has the same values."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.csv_inference import DOUBLES, Misfit, infer
from osiris.drivers.filesystem.csv_text import to_text

settings.register_profile(
    "osiris", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("osiris")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["9007199254740993", None], pa.int64()),
        (["1", "2", None], pa.int64()),
        (["-9223372036854775808", "9223372036854775807"], pa.int64()),
        (["18446744073709551616", "1"], pa.decimal128(38, 0)),
        (["007", "008"], pa.string()),
        (["1", "007"], pa.string()),
        (["00501"], pa.string()),
        (["+420123"], pa.string()),
        (["1e5"], pa.string()),
        (["0x10"], pa.string()),
        (["-0"], pa.float64()),
        (["10.10", "5.00"], pa.decimal128(18, 2)),
        (["123456789012345678.123456789"], pa.decimal128(38, 9)),
        (["0.00000001", "0.00000000"], pa.decimal128(18, 8)),
        (["99999999999999999.10"], pa.decimal128(38, 2)),
        (["10.10", "5.5"], pa.string()),
        (["2.5", "5.0", "0.25"], pa.float64()),
        (["2.5", "5", "0.25"], pa.float64()),
        (["1.0", "1e-05", "1e+16"], pa.float64()),
        (["2.5", "5", "12345678901234", "1e-05"], pa.float64()),
        (["-0.00"], pa.string()),
        ([".5"], pa.string()),
        (["-.5", "00.5"], pa.string()),
        (["NA", "null", "None"], pa.string()),
        (["nan", "inf"], pa.string()),
        (["true", "false"], pa.bool_()),
        (["True", "False"], pa.string()),
        (["true", "1"], pa.string()),
        (["2024-01-31"], pa.date32()),
        (["2024-01-31", "2024-02-30"], pa.string()),
        (["2024-01-31 00:00:00"], pa.timestamp("us")),
        (["2024-01-31 00:00:00.000", "2024-01-31 10:00:00.123"], pa.timestamp("us")),
        (["2024-01-31 10:00:00.123456789"], pa.timestamp("ns")),
        (["2024-01-31 10:00:00", "2024-01-31 10:00:00.500000"], pa.timestamp("us")),
        (["2024-01-31T10:00:00"], pa.string()),
        (["2024-01-31 10:00"], pa.string()),
        (["12:30:00"], pa.string()),
        (["", "1"], pa.string()),
        ([None, None], pa.string()),
    ],
)
def test_a_type_is_guessed_only_where_every_text_comes_back(step, values, kind):
    table = pa.table({"n": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, pa.string())})
    original = step.write("csv", table, "in.csv").read_bytes()
    data = step.read("csv", "in.csv")
    assert data.schema.field("v").type == kind
    assert step.write("csv", data, "out.csv").read_bytes() == original


_CELLS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-(10**20), 10**20).map(lambda number: f"{number}.{abs(number) % 100:02d}"),
    st.floats().map(repr),
    st.dates().map(str),
    st.datetimes().map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.sampled_from(
        ["", "NA", "null", "-0", "007", "+1", "0x1F", "1e5", '"', '""', ",", "\n", "\r\n", "#", " ", "nan"]
    ),
)


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_TABLES = st.tuples(st.integers(1, 4), st.integers(0, 12)).flatmap(
    lambda size: st.tuples(
        st.lists(_NAMES, min_size=size[0], max_size=size[0]),
        st.lists(st.lists(_CELLS, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]),
    )
)


@settings(max_examples=60)
@given(
    table=_TABLES,
    delimiter=st.sampled_from([",", ";", "\t", "|", "-", "a"]),
    quoting=st.sampled_from(["minimal", "all", "nonnumeric"]),
    newline=st.sampled_from(["lf", "crlf"]),
)
def test_any_table_of_texts_comes_back(step, table, delimiter, quoting, newline):
    names, columns = table
    form = {"delimiter": delimiter, "quoting": quoting, "newline": newline}
    texts = pa.table([pa.array(column, pa.string()) for column in columns], names=names)
    first = step.write("csv", texts, "a.csv", **form).read_bytes()
    read = step.read("csv", "a.csv", delimiter=delimiter)
    assert read.schema.names == names
    texts = step.read("csv", "a.csv", delimiter=delimiter, infer=False).table()
    assert [column.to_pylist() for column in texts.columns] == columns
    # What was guessed is written as it was: in quotes only where text needs them.
    again = step.write("csv", read, "b.csv", **form).read_bytes()
    if quoting != "nonnumeric":  # numbers that were text are numbers now, and lose their quotes
        assert again == first
    reread = step.read("csv", "b.csv", delimiter=delimiter, infer=False).table()
    assert [column.to_pylist() for column in reread.columns] == columns


_KINDS = {
    "integers": st.integers(-(2**65), 2**65).map(str),
    "decimals": st.integers(-(10**18), 10**18).map(lambda number: f"{number // 7}.{abs(number) % 1000:03d}"),
    "odd decimals": st.from_regex(r"-?[0-9]{0,4}\.[0-9]{2}", fullmatch=True),
    "floats": st.floats().map(repr),
    "odd integers": st.from_regex(r"[-+]?0?[0-9]{1,19}|0x[0-9A-F]{1,8}", fullmatch=True),
    "dates": st.one_of(st.dates().map(str), st.from_regex(r"[0-9]{4}-?[01][0-9]-?[0-3][0-9]", fullmatch=True)),
    "datetimes": st.one_of(
        st.datetimes().map(str),
        st.from_regex(
            r"20[0-9]{2}-[01][0-9]-[0-3][0-9][ T][012][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?Z?", fullmatch=True
        ),
    ),
    "booleans": st.sampled_from(["true", "false", "True", "1", "0", "t", "FALSE"]),
}


@pytest.mark.parametrize("kind", _KINDS)
@given(data=st.data())
def test_a_guessed_type_gives_each_text_back_or_refuses_it(kind, data):
    texts = pa.array(data.draw(st.lists(st.one_of(st.none(), _KINDS[kind]), max_size=20)), pa.string())
    exact = infer(texts[: data.draw(st.integers(0, 20))])
    good = len(texts)
    try:
        exact.convert(texts)
    except Misfit as misfit:
        good = misfit.index
    values = exact.convert(texts[:good])
    assert values.type == exact.type
    assert to_text(values, form=exact.form).to_pylist() == texts[:good].to_pylist()
    if good < len(texts):
        with pytest.raises(Misfit):
            exact.convert(texts[good : good + 1])


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**60), 2**60).map(float)), max_size=10))
def test_doubles_are_written_as_python_does(values):
    texts = to_text(pa.array(values, pa.float64())).to_pylist()
    assert texts == [None if value is None else repr(value) for value in values]


@settings(max_examples=300)
@given(
    st.one_of(st.floats(), st.integers(-(10**17), 10**17).map(float)),
    st.sampled_from(["{!r}", "{:.1f}", "{:.2f}", "{:g}", "{:e}"]),
)
def test_a_double_is_guessed_exactly_where_python_would_write_the_same(value, form):
    text = form.format(value)
    try:
        DOUBLES.convert(pa.array([text], pa.string()))
        taken = True
    except Misfit:
        taken = False
    assert taken == (repr(float(text)) == text)


def test_header_order_duplicates_and_odd_names_are_kept(step):
    source = 'z,a,a,"x,y","",é\n1,2,3,4,5,6\n'
    step.file("in.csv", source)
    assert step.write("csv", step.read("csv", "in.csv"), "out.csv").read_text() == source.replace(',""', ",")


def test_null_and_empty_text_are_told_apart(step):
    step.file("in.csv", 'a,b\n,""\n"",\n')
    data = step.read("csv", "in.csv")
    assert data.table().to_pydict() == {"a": [None, ""], "b": ["", None]}
    assert step.write("csv", data, "out.csv").read_text() == 'a,b\n,""\n"",\n'


def test_rows_of_null_in_the_only_column_are_kept(step):
    step.file("in.csv", "a\n1\n\n2\n\n")
    data = step.read("csv", "in.csv")
    assert data.table().to_pydict() == {"a": [1, None, 2, None]}
    assert step.write("csv", data, "out.csv").read_text() == "a\n1\n\n2\n\n"


WRITTEN = [
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([Decimal("10.10")], pa.decimal128(38, 2)), "10.10"),
    (pa.array([Decimal("0E-9")], pa.decimal128(38, 9)), "0.000000000"),
    (pa.array([Decimal(2**126)], pa.decimal128(38, 0)), "85070591730234615865843651857942052864"),
    (pa.array([Decimal("-0.1")], pa.decimal256(76, 10)), "-0.1000000000"),
    (pa.array([Decimal("12E2")], pa.decimal128(9, -2)), "1200"),
    (pa.array([0.1], pa.float64()), "0.1"),
    (pa.array([0.1], pa.float32()), "0.1"),
    (pa.array([float(2**27)], pa.float32()), "134217728.0"),
    (pa.array([1e-5], pa.float32()), "0.00001"),
    (pa.array([1e10], pa.float64()), "10000000000.0"),
    (pa.array([1234567890123.5], pa.float64()), "1234567890123.5"),
    (pa.array([3.0], pa.float64()), "3.0"),
    (pa.array([1e16], pa.float64()), "1e+16"),
    (pa.array([1e-7], pa.float64()), "1e-07"),
    (pa.array([-0.0], pa.float64()), "-0.0"),
    (pa.array([float("nan")], pa.float64()), "nan"),
    (pa.array([float("-inf")], pa.float64()), "-inf"),
    (pa.array([True]), "true"),
    (pa.array([date(2024, 1, 31)]), "2024-01-31"),
    (pa.array([datetime(2024, 1, 31)], pa.timestamp("us")), "2024-01-31 00:00:00"),
    (pa.array([datetime(2024, 1, 31, 1, 2, 3, 4)], pa.timestamp("us")), "2024-01-31 01:02:03.000004"),
    (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
    (pa.array([datetime(2024, 7, 1, 12, tzinfo=UTC)], pa.timestamp("us", "UTC")), "2024-07-01 12:00:00+00:00"),
    (pa.array([datetime(2024, 7, 1, 12, tzinfo=UTC)], pa.timestamp("s", "Europe/Prague")), "2024-07-01 14:00:00+02:00"),
    (pa.array([datetime(2024, 7, 1, 12, tzinfo=UTC)], pa.timestamp("s", "-03:30")), "2024-07-01 08:30:00-03:30"),
    (pa.array([time(12, 30)], pa.time64("us")), "12:30:00"),
    (pa.array([timedelta(days=1, milliseconds=61500)], pa.duration("ms")), "86461.500"),
    (pa.array([b"\x00\xff"]), "00ff"),
    (pa.array([[1, None]], pa.list_(pa.int64())), '"[1,null]"'),
    (
        pa.array([{"a": Decimal("1.10"), "b": 'x"'}], pa.struct([("a", pa.decimal128(9, 2)), ("b", pa.string())])),
        '"{""a"":1.10,""b"":""x\\""""}"',
    ),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '"{""k"":1}"'),
    (pa.array(["x"]).dictionary_encode(), "x"),
    (pa.array([""]), '""'),
    (pa.array([None], pa.null()), ""),
]


@pytest.mark.parametrize(("values", "text"), WRITTEN, ids=lambda value: str(getattr(value, "type", "")) or None)
def test_each_type_has_one_exact_text(step, values, text):
    table = pa.table({"n": pa.array([1], pa.int64()), "v": values})
    assert step.write("csv", table, "out.csv").read_text() == f"n,v\n1,{text}\n"


def test_sliced_columns_are_written_as_seen(step):
    nested = pa.array([[1], [2, 3], None, [4]], pa.list_(pa.int64()))
    texts = pa.array(["x", 'a"b', "", None])
    table = pa.table({"l": nested, "t": texts}).slice(1)
    assert step.write("csv", table, "out.csv").read_text() == 'l,t\n"[2,3]","a""b"\n,""\n[4],\n'


def test_a_date_without_text_is_refused_and_nothing_is_written(step, raises):
    table = pa.table({"when": pa.array([2**62], pa.timestamp("us"))})
    raises("filesystem.no_text", step.write, "csv", table, "out.csv")
    assert step.files() == []


_ODD_MOMENTS = [2**63 - 1, -(2**63), 2**31 - 1, -(2**31), -1, 1, 86_400, 86_400_000, 86_400 * 10**6, 86_400 * 10**9]
_MOMENTS = [
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Europe/Prague")),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
]


@pytest.mark.parametrize("kind", _MOMENTS, ids=str)
def test_every_moment_has_a_text_or_is_refused(kind):
    storage = pa.int32() if kind.bit_width == 32 else pa.int64()
    for value in _ODD_MOMENTS:
        if not -(2 ** (kind.bit_width - 1)) <= value < 2 ** (kind.bit_width - 1):
            continue
        array = pa.array([value, None], storage).view(kind)
        try:
            texts = [to_text(array)[0].as_py(), to_text(pa.ListArray.from_arrays([0, 2], array))[0].as_py()]
        except DriverError:
            continue
        assert not any("<" in text for text in texts)


class _Period(pa.ExtensionType):
    """As pandas has it: months since 1970, stored as numbers."""

    def __init__(self):
        super().__init__(pa.int64(), "test.period")

    def __arrow_ext_serialize__(self):
        return b"M"

    def __hash__(self):
        return 1


@pytest.mark.parametrize("nested", [False, True])
def test_an_unknown_extension_type_is_not_written_as_what_it_is_stored_as(step, raises, nested):
    array = pa.ExtensionArray.from_storage(_Period(), pa.array([648, None], pa.int64()))
    table = pa.table({"month": pa.StructArray.from_arrays([array], ["m"]) if nested else array})
    for kind in ("csv", "jsonl"):
        error = raises("filesystem.no_text", step.write, kind, table, "out")
        assert "'month'" in error.message
        assert error.facts["type"] == "test.period"
    assert step.files() == []
    field = pq.read_schema(step.write("parquet", table, "out.parquet")).field("month")
    field = field.type.field(0) if nested else field
    assert field.metadata[b"ARROW:extension:name"] == b"test.period"  # for those who know it


def test_an_extension_type_whose_values_are_stored_is_written(step):
    table = pa.table({"j": pa.array(['{"a":1}'], pa.json_()), "u": pa.array([bytes(16)], pa.uuid())})
    assert step.write("csv", table, "out.csv").read_text() == 'j,u\n"{""a"":1}",' + "00" * 16 + "\n"


def test_the_end_of_a_day_comes_back(step):
    whole_day = pa.array([86_400_000_000, 0], pa.int64()).view(pa.time64("us"))
    table = pa.table({"t": whole_day})
    assert step.write("csv", table, "out.csv").read_text() == "t\n24:00:00\n00:00:00\n"
    assert step.read("csv", "out.csv", types={"t": "time"}).table().equals(table)
    assert step.write("jsonl", table, "out.jsonl").read_text() == '{"t":"24:00:00"}\n{"t":"00:00:00"}\n'
    assert step.read("jsonl", "out.jsonl", types={"t": "time"}).table().equals(table)


def test_python_reads_what_was_written(step):
    rows = [["a", "b"], ["x,y", 'say "hi"'], ["line\nbreak", "tail "], ["\r", "'"]]
    table = pa.table({"a": [row[0] for row in rows[1:]], "b": [row[1] for row in rows[1:]]})
    text = step.write("csv", table, "out.csv").read_bytes().decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_a_stream_can_be_read_twice(step):
    step.file("in.csv", "a\n1\n2\n")
    data: Dataset = step.read("csv", "in.csv")
    assert [batch.num_rows for batch in data.batches()] == [batch.num_rows for batch in data.batches()] == [2]


def test_no_pandas_is_imported(tmp_path: Path):
    import subprocess
    import sys

    script = """
import sys
from pathlib import Path
from osiris.drivers.filesystem.csv_extractor import CsvExtractor
from osiris.drivers.filesystem.csv_writer import CsvWriter
from osiris.drivers.filesystem.jsonl_extractor import JsonlExtractor
from osiris.drivers.filesystem.jsonl_writer import JsonlWriter
from osiris.drivers.filesystem.parquet_extractor import ParquetExtractor
from osiris.drivers.filesystem.parquet_writer import ParquetWriter

class Step:
    step_id, session_id, connection = "s", "r", None
    def raise_if_cancelled(self): pass
    def log_metric(self, *args, **tags): pass
    def add_output(self, *args, **facts): pass
    def resolve_path(self, path): return Path(sys.argv[1]) / path

step = Step()
Path(sys.argv[1], "a.csv").write_text(
    'i,d,f,t,b,day,ts\\n1,1.50,0.1,"x,""y",true,2024-01-31,2024-01-31 10:00:00\\n,,1.0,,,,\\n-5,0.05,1e-07,,,,\\n')
data = CsvExtractor().run("s", {"path": "a.csv"}, {}, step)["df"]
CsvWriter().run("s", {"path": "b.csv"}, {"df": data}, step)
ParquetWriter().run("s", {"path": "a.parquet"}, {"df": data}, step)
JsonlWriter().run("s", {"path": "a.jsonl"}, ParquetExtractor().run("s", {"path": "a.parquet"}, {}, step), step)
lines = JsonlExtractor().run("s", {"path": "a.jsonl"}, {}, step)
ParquetWriter().run("s", {"path": "p", "partition_by": "b"}, lines, step)
list(ParquetExtractor().run("s", {"path": "p"}, {}, step)["df"].batches())
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
