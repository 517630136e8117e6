"""Dataset: every form it takes, every value as it was, and what it refuses rather than change."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.dataset import Dataset, FileSource
from osiris.core.errors import DatasetError
from osiris.core.python_values import to_array

TABLE = pa.table({"n": pa.array([1, None, 2**63 - 1, -(2**63)]), "s": ["a", "", None, "ž"]})


def rows(data):
    return Dataset.of(data).table().to_pylist()


def refused(data, code, match=None):
    with pytest.raises(DatasetError, match=match) as caught:
        Dataset.of(data).table()
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


# --- forms


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: TABLE.to_batches()[0],
        lambda: TABLE.to_reader(),
        lambda: Dataset.from_table(TABLE),
        lambda: Dataset.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=1)),
        lambda: TABLE.to_pylist(),
        lambda: tuple(TABLE.to_pylist()),
        lambda: iter(TABLE.to_pylist()),
        lambda: (row for row in TABLE.to_pylist()),
        lambda: TABLE.to_pydict(),
        lambda: {name: TABLE[name] for name in TABLE.column_names},
        lambda: iter(TABLE.to_batches(max_chunksize=2)),
        lambda: iter([TABLE.slice(0, 1), TABLE.slice(1)]),
        lambda: iter([TABLE.slice(0, 1).to_pydict(), TABLE.slice(1).to_pydict()]),
        lambda: iter([TABLE.slice(0, 2).to_pylist(), TABLE.slice(2).to_pylist()]),
    ],
)
def test_every_form_gives_the_same_rows(make):
    dataset = Dataset.of(make())
    assert dataset.schema.names == ["n", "s"]
    assert dataset.schema.types == [pa.int64(), pa.string()]
    assert dataset.table().to_pylist() == TABLE.to_pylist()


def test_a_dataset_is_itself():
    dataset = Dataset.from_table(TABLE)
    assert Dataset.of(dataset) is dataset


def test_in_memory_data_can_be_read_again_and_knows_its_rows():
    dataset = Dataset.of(TABLE)
    assert (dataset.replayable, dataset.num_rows, dataset.in_memory) == (True, 4, True)
    assert sum(batch.num_rows for batch in dataset.batches()) == 4
    assert dataset.table().equals(dataset.table())


@pytest.mark.parametrize("read", [Dataset.batches, Dataset.reader, Dataset.table, pa.table, Dataset.to_pandas])
def test_a_stream_is_read_once(read):
    dataset = Dataset.of(TABLE.to_reader())
    assert (dataset.replayable, dataset.num_rows) == (False, None)
    assert sum(batch.num_rows for batch in dataset.batches()) == 4
    with pytest.raises(DatasetError, match="read already") as caught:
        read(dataset)
    assert caught.value.code == "dataset.consumed"


def test_a_half_read_stream_is_read_too():
    dataset = Dataset.of(iter(TABLE.to_batches(max_chunksize=1)))
    next(dataset.batches())
    with pytest.raises(DatasetError, match="read already"):
        dataset.table()


def test_table_keeps_the_rows_of_a_stream():
    dataset = Dataset.of(TABLE.to_reader())
    assert dataset.table().equals(TABLE)
    assert (dataset.replayable, dataset.num_rows) == (True, 4)
    assert dataset.table().equals(TABLE)
    assert dataset.reader().read_all().equals(TABLE)


def test_nothing_is_pulled_before_it_is_wanted_beyond_the_first_batch():
    pulled = []

    def batches():
        for number in range(3):
            pulled.append(number)
            yield {"n": [number]}

    dataset = Dataset.of(batches())
    assert pulled == [0]
    reading = dataset.batches()
    next(reading)
    assert pulled == [0]
    next(reading)
    assert pulled == [0, 1]


def test_close_ends_a_generator_once():
    closed = []

    def batches():
        try:
            yield TABLE
            yield TABLE
        finally:
            closed.append(True)

    dataset = Dataset.of(batches())
    next(dataset.batches())
    dataset.close()
    dataset.close()
    assert closed == [True]


def test_what_a_generator_raises_is_what_the_reader_sees():
    def batches():
        yield TABLE
        raise PermissionError("no more")

    with pytest.raises(PermissionError):
        Dataset.of(batches()).table()


def test_observed_sees_what_passes_and_what_is_reported():
    seen, reported = [], []

    def count(batches):
        for batch in batches:
            seen.append(batch.num_rows)
            yield batch

    source = FileSource(format="csv", paths=("/x",), schema=TABLE.schema)
    inner = Dataset(lambda: iter(TABLE.to_batches()), TABLE.schema, source=source)
    dataset = inner.observed(count, lambda rows, size: reported.append((rows, size)))
    assert dataset.source is source
    dataset.report(4, 99)
    assert dataset.table().num_rows == 4
    assert (seen, reported) == ([4], [(4, 99)])
    inner.report(1)  # nobody listens there


def test_repr_has_no_rows_of_data():
    assert repr(Dataset.of(TABLE)) == "Dataset(4 rows, columns=['n', 's'], replayable=True)"
    assert "?" in repr(Dataset.of(TABLE.to_reader()))


# --- edges


@pytest.mark.parametrize("data", [[], {}, [{}], iter([]), pa.table({})])
def test_no_columns(data):
    dataset = Dataset.of(data)
    assert dataset.schema.names == []
    assert dataset.table().num_columns == 0


def test_rows_without_columns_are_counted():
    assert Dataset.of(TABLE.select([])).num_rows == 4


@pytest.mark.parametrize(
    "data", [TABLE.slice(0, 0), TABLE.slice(0, 0).to_reader(), iter([TABLE.slice(0, 0)]), TABLE.schema.empty_table()]
)
def test_no_rows_still_have_types(data):
    dataset = Dataset.of(data)
    assert dataset.schema.equals(TABLE.schema)
    assert dataset.table().num_rows == 0


def test_two_columns_of_one_name_are_both_kept():
    table = pa.table([[1, 2], ["a", "b"]], names=["x", "x"])
    dataset = Dataset.of(iter([table, table]))
    assert dataset.schema.names == ["x", "x"]
    assert dataset.table().column(1).to_pylist() == ["a", "b"] * 2


@pytest.mark.parametrize(
    "data", [None, 3, "abc", b"abc", object(), range(3), {1, 2}, [1, 2], iter("ab"), [[1]], {"a": 1}]
)
def test_what_is_not_tabular_is_told(data):
    with pytest.raises(DatasetError) as caught:
        Dataset.of(data, name="out")
    assert caught.value.code in ("dataset.not_tabular", "dataset.no_exact_type")
    assert "out" in caught.value.message


def test_a_text_is_no_column():
    refused({"a": "xyz"}, "dataset.no_exact_type", "'a'")
    assert "as many values" in refused({"a": [1, 2], "b": [1]}, "dataset.no_exact_type", "'b' 1").hint


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (pa.string_view(), pa.large_string()),
        (pa.binary_view(), pa.large_binary()),
        (pa.list_(pa.string_view()), pa.list_(pa.large_string())),
        (pa.large_list(pa.list_(pa.string_view())), pa.large_list(pa.list_(pa.large_string()))),
        (pa.struct([("x", pa.string_view())]), pa.struct([("x", pa.large_string())])),
        (pa.map_(pa.string(), pa.string_view()), pa.map_(pa.string(), pa.large_string())),
    ],
)
@pytest.mark.parametrize("form", [lambda t: t, pa.Table.to_reader, lambda t: iter(t.to_batches()), lambda t: iter([t])])
def test_views_become_plain(kind, plain, form):
    dataset = Dataset.of(form(pa.table({"a": pa.nulls(2, kind), "n": [1, 2]})))
    assert dataset.schema.types == [plain, pa.int64()]
    assert dataset.table().schema.types == [plain, pa.int64()]


# --- rows of Python values


def test_a_key_that_comes_late_is_a_column():
    assert rows([{"a": 1}, {"b": "x"}, {"a": 2, "b": "y"}]) == [
        {"a": 1, "b": None},
        {"a": None, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_a_generator_of_rows_may_be_long_and_leave_keys_out():
    many = [{"a": 1, "b": "x", "d": 0.5}] * 10_000 + [{"b": "y", "a": 2}, {"d": 3}]
    assert rows(iter(many))[-3:] == [
        {"a": 1, "b": "x", "d": 0.5},
        {"a": 2, "b": "y", "d": None},
        {"a": None, "b": None, "d": 3.0},
    ]


def test_rows_and_tables_keep_their_order():
    mixed = [{"n": 1, "s": "a"}, TABLE.slice(0, 1), {"n": 2, "s": "b"}, TABLE.slice(1, 1)]
    assert [row["n"] for row in rows(iter(mixed))] == [1, 1, 2, None]


def test_rows_may_hold_lists_and_mappings():
    data = [{"id": 1, "tags": ["x"], "at": {"k": 1}}, {"id": 2, "tags": [], "at": None}]
    assert rows(iter(data)) == rows(data) == data


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"a": [1]}, {"a": ["x"]}, "'a' was int64 and is string"),
        ({"a": [1]}, {"b": [1]}, r"columns \['a'\] became \['b'\]"),
        ({"a": [1]}, {"a": [1.5]}, "'a' was int64 and is double"),
        ({"a": [1]}, {"a": [True]}, "'a' was int64 and is bool"),
        ({"a": ["1"]}, {"a": [1]}, "'a' was string and is int64"),
        ({"a": [0.5]}, {"a": [2**53 + 1]}, "'a' was double and is int64"),
        ({"a": [None]}, {"a": [1]}, "'a' was null and is int64"),
        ({"a": [Decimal("1.5")]}, {"a": [Decimal("10.25")]}, r"'a' was decimal128\(2, 1\)"),
        ({"a": [1]}, {"a": [1], "b": [1]}, r"columns \['a'\] became \['a', 'b'\]"),
        ({"a": [1], "b": [1]}, {"a": [1]}, r"columns \['a', 'b'\] became \['a'\]"),
    ],
)
def test_a_batch_that_changes_the_columns_is_refused(first, second, told):
    refused(iter([first, second]), "dataset.schema_changed", told)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": [1], "b": ["x"]}, {"b": ["y"], "a": [2]}, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ({"a": ["x"]}, {"a": [None]}, [{"a": "x"}, {"a": None}]),
        ({"a": [0.5]}, {"a": [2]}, [{"a": 0.5}, {"a": 2.0}]),
        ({"a": [Decimal("10.25")]}, {"a": [Decimal("1.5")]}, [{"a": Decimal("10.25")}, {"a": Decimal("1.50")}]),
    ],
)
def test_a_batch_that_only_needs_arranging_is_arranged(first, second, expected):
    assert rows(iter([first, second])) == expected


EXACT = [
    [1, None, 2**63 - 1],
    [2**64 - 1, 0],
    [1, 0.5, None],
    [True, None],
    ["", None, "\n", "ž", "𝄞\0"],
    [b"", None, b"\xff"],
    [Decimal("10.10"), None, Decimal("-123456789012345678.123456789")],
    [Decimal("1E+30"), Decimal("1E-10"), 7],
    [Decimal(10) ** 50, Decimal("-0.5")],
    [dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
    [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None],
    [dt.datetime(2026, 3, 29, 2, 30, tzinfo=dt.UTC), None],
    [dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Prague"), fold=fold) for fold in (0, 1)],
    [dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=h))) for h in (-5, 5)],
    [dt.time(23, 59, 59, 999999), dt.time(0), None],
    [dt.timedelta(days=-1, microseconds=1), None],
    [[1, 2], None, []],
    [{"a": 1}, {"a": None}],
]


@pytest.mark.parametrize("values", EXACT, ids=repr)
def test_python_values_come_back_as_they_were(values):
    array = to_array(values)
    array.validate(full=True)
    assert array.to_pylist() == values


def test_a_named_time_zone_is_kept_and_others_are_utc():
    prague = [dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Prague"))]
    fixed = [dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))]
    assert to_array(prague).type == pa.timestamp("us", "Europe/Prague")
    assert to_array(fixed).type == pa.timestamp("us", "UTC")
    assert to_array(prague + fixed).type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    "values",
    [
        [1, "x"],
        [1, True],
        [0.5, 2**53 + 1],
        [0.5, 10**400],
        [0.5, Decimal("0.5")],
        ["x", b"x"],
        [2**64],
        [-1, 2**63],
        [Decimal("NaN")],
        [Decimal("Infinity"), Decimal(1)],
        [Decimal("1E+80")],
        ["\ud800"],
        [dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, 5)],
        [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],
        [dt.time(1, tzinfo=dt.UTC)],
        [1, [1]],
        pytest.param([object()], id="object"),
    ],
    ids=repr,
)
def test_values_without_an_exact_type_are_refused(values):
    error = refused([{"ok": 1, "price": value} for value in values], "dataset.no_exact_type")
    assert "'price' of df" in error.message


_columns = st.one_of(
    *(
        st.lists(st.none() | kind, min_size=3, max_size=3)
        for kind in (
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.booleans(),
            st.text(),
            st.binary(),
            st.dates(),
            st.datetimes(),
            st.datetimes(timezones=st.just(dt.UTC)),
            st.times(),
            st.timedeltas(dt.timedelta(days=-100_000_000), dt.timedelta(days=100_000_000)),
            st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20),
        )
    )
)
# A NUL ends a name on its way through the C interface.
_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
_tables = st.dictionaries(_names, _columns, min_size=1, max_size=4)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(_tables)
def test_columns_and_rows_round_trip(columns):
    expected = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assert rows(columns) == expected
    assert rows(expected) == expected
    assert rows(iter(expected)) == expected
    assert rows(Dataset.of(expected).reader()) == expected
    again = pa.table(Dataset.of(columns))
    assert again.to_pylist() == expected
