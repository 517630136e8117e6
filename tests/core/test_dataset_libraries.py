"""Dataset and pandas, polars, duckdb: given and taken without a changed value."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.dataset import Dataset
from osiris.core.errors import DatasetError

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")

EXACT = pa.table(
    {
        "n": pa.array([9007199254740993, None, -(2**63)], pa.int64()),
        "u": pa.array([2**64 - 1, None, 0], pa.uint64()),
        "d": pa.array([Decimal("123456789012345678.123456789"), None, Decimal("0.100000000")], pa.decimal128(38, 9)),
        "s": pa.array(["NA", None, ""], pa.string()),
        "b": pa.array([True, None, False]),
        "t": pa.array([1, None, -1], pa.timestamp("us")),
        "z": pa.array([1, None, -1], pa.timestamp("us", "UTC")),
        "x": pa.array([b"\xff", None, b""], pa.binary()),
    }
)


def rows(data):
    return Dataset.of(data).table().to_pylist()


def test_pandas_gets_and_gives_exact_values():
    frame = Dataset.of(EXACT).to_pandas()
    assert frame["n"][0] == 9007199254740993
    assert frame["n"][1] is pd.NA
    assert str(frame["n"].dtype).startswith("int64[")
    assert frame["d"][0] == Decimal("123456789012345678.123456789")
    assert rows(frame) == EXACT.to_pylist()
    frame["n"] = frame["n"] + 1
    assert rows(frame)[0]["n"] == 9007199254740994


def test_nan_and_null_of_arrow_columns_stay_apart():
    table = pa.table({"a": pa.array([float("nan"), None, 1.5])})
    assert str(rows(Dataset.of(table).to_pandas())) == "[{'a': nan}, {'a': None}, {'a': 1.5}]"


@pytest.mark.parametrize(
    ("make", "library"),
    [(pl.DataFrame, "polars"), (lambda data: duckdb.from_arrow(pa.table(data)), "duckdb"), (pa.table, "pyarrow")],
)
def test_the_capsule_interface_both_ways(make, library):
    dataset = Dataset.of(EXACT)
    taken = make(dataset)
    assert rows(taken) == EXACT.to_pylist()


def test_a_capsule_can_be_taken_from_a_stream_only_once():
    dataset = Dataset.of(EXACT.to_reader())
    assert pl.DataFrame(dataset).height == 3
    with pytest.raises(DatasetError, match="read already"):
        pa.table(dataset)


def test_a_requested_schema_is_honoured():
    dataset = Dataset.of({"a": [1, 2]})
    reader = pa.RecordBatchReader.from_stream(dataset, schema=pa.schema([("a", pa.int32())]))
    assert reader.schema.types == [pa.int32()]
    assert reader.read_all().to_pylist() == [{"a": 1}, {"a": 2}]


def test_polars_texts_and_categories_are_plain():
    frame = pl.DataFrame({"s": ["x", None], "c": pl.Series(["u", "v"], dtype=pl.Categorical), "l": [["x"], []]})
    dataset = Dataset.of(frame)
    assert "view" not in str(dataset.schema)
    assert dataset.table().to_pylist() == [{"s": "x", "c": "u", "l": ["x"]}, {"s": None, "c": "v", "l": []}]


def test_frames_may_come_one_by_one():
    assert rows(pd.DataFrame({"a": [number]}) for number in range(3)) == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert rows(pl.DataFrame({"a": [number]}) for number in range(3)) == [{"a": 0}, {"a": 1}, {"a": 2}]
    texts = [pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": pd.Series([None], dtype=object)})]
    assert rows(iter(texts)) == [{"a": "x"}, {"a": None}]


@pytest.mark.parametrize("data", [pd.Series([1], name="a"), pl.Series("a", [1]), pl.LazyFrame({"a": [1]})])
def test_what_is_nearly_a_frame_is_told(data):
    with pytest.raises(DatasetError) as caught:
        Dataset.of(data)
    assert caught.value.code == "dataset.not_tabular"
    assert type(data).__name__ in caught.value.message


# --- pandas' own ways


def test_the_keys_of_a_group_are_data():
    frame = pd.DataFrame({"k": ["a", "a", "b"], "j": [1, 2, 2], "v": [1, 2, 3]})
    assert rows(frame.groupby("k").sum()) == [{"k": "a", "j": 3, "v": 3}, {"k": "b", "j": 2, "v": 3}]
    assert rows(frame.groupby(["k", "j"]).sum())[2] == {"k": "b", "j": 2, "v": 3}


def test_an_index_without_a_name_is_no_data():
    assert rows(pd.DataFrame({"a": [1, 2]}, index=[7, 8])) == [{"a": 1}, {"a": 2}]


def test_an_index_that_repeats_a_column_is_that_column():
    frame = pd.DataFrame({"k": [1, 2], "v": [3, 4]}).set_index("k", drop=False)
    assert rows(frame) == [{"k": 1, "v": 3}, {"k": 2, "v": 4}]
    assert list(frame.columns) == ["k", "v"]


def test_an_index_that_contradicts_a_column_is_refused():
    with pytest.raises(DatasetError, match="'k'") as caught:
        Dataset.of(pd.DataFrame({"k": [1, 2]}, index=pd.Index([5, 6], name="k")))
    assert caught.value.code == "dataset.index_clash"


def test_notes_of_pandas_in_a_file_do_not_hide_a_column():
    table = pa.Table.from_pandas(pd.DataFrame({"v": [1, 2]}, index=pd.Index([5, 6], name="k")))
    frame = Dataset.of(table).to_pandas()
    assert list(frame.columns) == ["v", "k"]
    assert rows(frame) == [{"v": 1, "k": 5}, {"v": 2, "k": 6}]


def test_columns_of_one_name_and_names_that_are_no_text():
    table = pa.table([[1], ["x"]], names=["a", "a"])
    again = Dataset.of(Dataset.of(table).to_pandas()).table()
    assert again.column_names == ["a", "a"]
    assert [column.to_pylist() for column in again.columns] == [[1], ["x"]]
    assert Dataset.of(pd.DataFrame([[1, 2, 3]], columns=[0, "0", ("a", 1)])).schema.names == ["0", "0", "('a', 1)"]


def test_python_objects_in_a_frame_are_looked_at():
    nanosecond = pd.Timestamp("2026-01-01T00:00:00.123456789")
    frame = pd.DataFrame(
        {
            "n": pd.Series([2**53 + 1, None], dtype=object),
            "s": pd.Series(["x", float("nan")], dtype=object),
            "t": pd.Series([nanosecond, pd.NaT], dtype=object),
            "d": [Decimal("1.10"), None],
        }
    )
    table = Dataset.of(frame).table()
    assert table.schema.types[2] == pa.timestamp("ns")
    assert table["n"].to_pylist() == [2**53 + 1, None]
    assert table["s"].to_pylist() == ["x", None]
    assert table["t"][0].value == nanosecond.value
    assert table["d"].to_pylist() == [Decimal("1.10"), None]


@pytest.mark.parametrize(
    "values",
    [
        [1, "x"],
        [True, 2],
        [2**53 + 1, 0.5],
        [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-01", tz="UTC")],
        [pd.Timestamp("2026-01-01").date(), pd.Timestamp("2026-01-01T05:00")],
        [Decimal("Infinity"), Decimal(1)],
        [1j],
    ],
    ids=repr,
)
def test_python_objects_without_an_exact_type_are_refused(values):
    with pytest.raises(DatasetError) as caught:
        Dataset.of(pd.DataFrame({"price": pd.Series(values, dtype=object)}))
    assert caught.value.code == "dataset.no_exact_type"
    assert "'price' of df" in caught.value.message


@pytest.mark.parametrize("kind", ["complex128", "Sparse[int64]"])
def test_pandas_types_without_an_arrow_form_are_refused(kind):
    with pytest.raises(DatasetError) as caught:
        Dataset.of(pd.DataFrame({"a": pd.Series([0, 1], dtype=kind)}))
    assert caught.value.code == "dataset.no_exact_type"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int8"),
        ([1, None], "Int64"),
        ([2**64 - 1], "uint64"),
        ([0.1], "float32"),
        ([True, None], "boolean"),
        (["x", None], "string"),
        (["x", None], "category"),
        ([pd.Timestamp("2026-01-01T00:00:00.123456789")], "datetime64[ns]"),
        ([pd.Timestamp("2026-01-01", tz="Europe/Prague")], "datetime64[us, Europe/Prague]"),
        ([pd.Timedelta(nanoseconds=5)], "timedelta64[ns]"),
    ],
)
def test_pandas_types_survive(values, kind):
    series = pd.Series(values, dtype=kind)
    again = Dataset.of(pd.DataFrame({"a": series})).to_pandas()["a"]
    assert [None if pd.isna(value) else value for value in again] == [
        None if pd.isna(value) else value for value in series
    ]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.text(),
            st.none() | st.booleans(),
            st.none() | st.decimals(places=9, min_value=-(10**18), max_value=10**18, allow_nan=False),
            st.none() | st.floats(allow_nan=False),
        ),
        min_size=1,
    )
)
def test_any_rows_survive_every_library(data):
    schema = pa.schema(
        [("n", pa.int64()), ("s", pa.string()), ("b", pa.bool_()), ("d", pa.decimal128(38, 9)), ("f", pa.float64())]
    )
    table = pa.table([list(column) for column in zip(*data, strict=True)], schema=schema)
    expected = table.to_pylist()
    assert rows(Dataset.of(table).to_pandas()) == expected
    assert rows(pl.DataFrame(Dataset.of(table))) == expected
    assert rows(duckdb.from_arrow(pa.table(Dataset.of(table)))) == expected


PERIODS, INTERVALS = pd.period_range("2020-01", periods=2, freq="M"), pd.interval_range(0, 2)


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"a": PERIODS}),
        pd.DataFrame({"a": INTERVALS}),
        pd.DataFrame({"b": [1, 2]}, index=PERIODS.rename("a")),
        {"b": [1, 2], "a": pd.Series(PERIODS)},
        pa.table({"a": pa.array(pd.Series(PERIODS))}),
        iter([pd.DataFrame({"a": PERIODS})]),
        pl.DataFrame({"a": [object()]}),
        iter([pl.DataFrame({"a": [object()]})]),
    ],
    ids=["periods", "intervals", "index", "column", "arrow", "batches", "objects", "batches of objects"],
)
def test_what_arrow_would_make_numbers_of_is_refused(data):
    with pytest.raises(DatasetError, match="column 'a' of out") as caught:
        Dataset.of(data, name="out").table()
    assert caught.value.code == "dataset.no_exact_type"
    assert "out['a']" in caught.value.hint


def test_types_that_mean_what_they_hold_are_kept():
    kinds = {"arrow.json": pa.json_(), "arrow.uuid": pa.uuid(), "arrow.bool8": pa.bool8()}
    held = {"arrow.json": "{}", "arrow.uuid": b"0" * 16, "arrow.bool8": 1}
    columns = {
        name: pa.ExtensionArray.from_storage(kind, pa.array([held[name]], kind.storage_type))
        for name, kind in kinds.items()
    }
    assert Dataset.of(pa.table(columns)).schema.types == list(kinds.values())
