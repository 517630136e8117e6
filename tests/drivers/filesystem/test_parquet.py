"""Parquet files and partitioned folders."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TABLE = pa.table(
    {
        "year": pa.array([2023, 2024, None, 2023], pa.int64()),
        "code": ["007", "a/b=c", None, ""],
        "amount": pa.array([Decimal("1.10"), None, Decimal("-2.00"), Decimal("0.01")], pa.decimal128(18, 2)),
    }
)


def by_amount(table):
    return sorted(table.to_pylist(), key=lambda row: str(row["amount"]))


def test_every_type_comes_back(step):
    table = pa.table(
        {
            "u": pa.array([2**64 - 1], pa.uint64()),
            "d": pa.array([Decimal("1.5")], pa.decimal256(50, 2)),
            "s": pa.array([1], pa.timestamp("s")),
            "ns": pa.array([1], pa.timestamp("ns", "Europe/Prague")),
            "t": pa.array([1], pa.time64("ns")),
            "n": pa.array([{"a": [1, None]}], pa.struct([("a", pa.list_(pa.int32()))])),
            "b": pa.array([b"\x00"], pa.large_binary()),
            "c": pa.array(["x"]).dictionary_encode(),
            "f": pa.array([0.1], pa.float32()),
            "dur": pa.array([5], pa.duration("ms")),
        }
    )
    step.write("parquet", table, "out.parquet")
    read = step.read("parquet", "out.parquet").table()
    assert read.to_pylist() == table.to_pylist()
    assert read.schema.field("s").type == pa.timestamp("ms")  # Parquet has no seconds
    assert read.drop(["s", "n"]).schema.equals(table.drop(["s", "n"]).schema)
    step.write("parquet", table, "out.parquet", write_mode="append")
    assert step.read("parquet", "out.parquet").table().to_pylist() == table.to_pylist() * 2


def test_a_type_that_parquet_lacks(step, raises):
    table = pa.table({"x": pa.array([pa.MonthDayNano([1, 2, 3])])})
    raises("filesystem.parquet_type", step.write, "parquet", table, "out.parquet")
    assert step.files() == []


def test_row_groups_are_as_large_as_asked(step):
    batches = pa.table({"a": range(1000)}).to_batches(max_chunksize=30)
    path = step.write(
        "parquet", pa.Table.from_batches(batches), "out.parquet", row_group_size=100, compression="snappy"
    )
    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [100] * 10
    assert metadata.row_group(0).column(0).compression == "SNAPPY"


def dictionaries(path):
    """Of each column, by its path in the file, whether it was written with a dictionary."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = (group.column(index) for index in range(group.num_columns))
    return {column.path_in_schema: "RLE_DICTIONARY" in column.encodings for column in columns}


def test_only_columns_whose_values_come_again_have_a_dictionary(step):
    rows = range(20_000)
    table = pa.table(
        {
            "unique": rows,
            "unique.text": [f"text {row}" for row in rows],
            "unique or null": [row if row % 3 else None for row in rows],
            "country": [["AT", "CZ"][row % 2] for row in rows],
            "thousands": [Decimal(row // 1000) for row in rows],
            "null": pa.nulls(20_000, pa.string()),
            "coded": pa.array([f"text {row}" for row in rows]).dictionary_encode(),
            "binary": [bytes([row % 7]) for row in rows],
        }
    )
    path = step.write("parquet", table, "out.parquet")
    assert dictionaries(path) == {
        "unique": False,
        "unique.text": False,
        "unique or null": False,
        "country": True,
        "thousands": True,
        "null": True,
        "coded": True,
        "binary": True,
    }
    assert step.read("parquet", "out.parquet").table().equals(table)


def test_nested_columns_have_dictionaries_beside_columns_that_have_none(step):
    rows = range(1000)
    nested = pa.struct([("a", pa.list_(pa.int32())), ("b.c", pa.map_(pa.string(), pa.float64()))])
    table = pa.table(
        {
            "first": rows,
            "nested": pa.array([{"a": [row, None], "b.c": [("k", row / 2)]} for row in rows], nested),
            "last": pa.array([f"{row:032x}" for row in rows]),
            "key": pa.array([row.to_bytes(16) for row in rows], pa.uuid()),
            "same": [1.5] * 1000,
        }
    )
    path = step.write("parquet", table, "out.parquet")
    found = dictionaries(path)
    assert found.pop("first") is found.pop("last") is found.pop("key") is False
    assert set(found.values()) == {True}, found
    assert step.read("parquet", "out.parquet").table().to_pylist() == table.to_pylist()


def test_the_first_rows_say_it_for_all_row_groups_of_a_file_and_of_a_partition(step):
    table = pa.table({"year": [2023, 2024] * 5000, "unique": range(10_000), "same": ["x"] * 10_000})
    step.write("parquet", table, "out", partition_by=["year"], row_group_size=1000)
    for path in (step.base_dir / "out").rglob("*.parquet"):
        assert pq.ParquetFile(path).num_row_groups == 5
        assert dictionaries(path) == {"unique": False, "same": True}


def test_columns_limit_and_number_of_rows(step):
    step.write("parquet", TABLE, "out.parquet")
    data = step.read("parquet", "out.parquet", columns=["amount", "year"], limit=3)
    assert (data.num_rows, data.schema.names) == (3, ["amount", "year"])
    assert data.table().equals(TABLE.select(["amount", "year"]).slice(0, 3))


def test_the_source_says_which_columns(step):
    path = step.write("parquet", TABLE, "out.parquet")
    source = step.read("parquet", "out.parquet", columns=["amount"]).source
    assert (source.format, source.paths, source.schema.names) == ("parquet", (str(path),), ["amount"])
    assert step.read("parquet", "out.parquet", limit=1).source is None


def test_files_that_differ(step, raises):
    step.write("parquet", TABLE, "1.parquet")
    step.write("parquet", TABLE.set_column(0, "year", TABLE["year"].cast(pa.string())), "2.parquet")
    error = raises("filesystem.parquet_schema_mismatch", step.read, "parquet", "*.parquet")
    assert error.message.startswith("column 'year' is string in ")
    step.write("parquet", TABLE.drop(["code"]), "2.parquet")
    assert (
        "'code' is missing in"
        in raises("filesystem.parquet_schema_mismatch", step.read, "parquet", "*.parquet").message
    )


def test_files_with_columns_in_another_order_are_one_table(step):
    step.write("parquet", TABLE, "1.parquet")
    step.write("parquet", TABLE.select(["amount", "code", "year"]), "2.parquet")
    table = step.read("parquet", "*.parquet").table()
    assert table.equals(pa.concat_tables([TABLE, TABLE]))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_files_that_are_not_parquet(step, raises, content):
    step.file("in.parquet", content)
    raises("filesystem.not_parquet", step.read, "parquet", "in.parquet")


def test_a_file_damaged_in_the_middle(step, raises):
    path = step.write("parquet", pa.table({"a": [str(n) * 9 for n in range(10_000)]}), "out.parquet")
    raw = bytearray(path.read_bytes())
    raw[200:1200] = bytes(1000)
    path.write_bytes(raw)
    raises("filesystem.not_parquet", step.read, "parquet", "out.parquet")


def test_names_that_stand_twice(step, raises):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), step.base_dir / "in.parquet")
    raises("filesystem.duplicate_columns", step.read, "parquet", "in.parquet")


def test_names_with_points(step):
    table = pa.table({"a.b": [1], "a": pa.array([{"b": 2}])})
    step.write("parquet", table, "out.parquet")
    assert step.read("parquet", "out.parquet").table().equals(table)
    assert step.read("parquet", "out.parquet", columns=["a.b"]).table().to_pydict() == {"a.b": [1]}


def test_partitions_come_back(step):
    step.write("parquet", TABLE, "out", partition_by=["year", "code"])
    table = step.read("parquet", "out").table()
    assert table.schema.field("year").type == pa.int64()
    assert by_amount(table.select(TABLE.schema.names)) == by_amount(TABLE)
    assert step.outputs[0][1]["rows"] == 4
    assert "out/year=2024/code=a%2Fb%3Dc/part-0.parquet" in step.files()
    one = step.read("parquet", "out/year=2023/*/*.parquet", partitioning="hive", columns=["year", "amount"]).table()
    assert one["year"].to_pylist() == [2023, 2023]


def test_partition_values_that_are_no_canonical_integers_stay_text(step):
    step.write("parquet", pa.table({"code": ["007", "8"], "a": [1, 2]}), "out", partition_by="code")
    table = step.read("parquet", "out").table()
    assert sorted(table["code"].to_pylist()) == ["007", "8"]


def test_what_would_be_another_partition_is_refused(step, raises):
    write = (step.write, "parquet")
    text = pa.table({"code": [None, "__HIVE_DEFAULT_PARTITION__"], "a": [1, 2]})
    raises("filesystem.partition_name", *write, text, "out", partition_by="code")
    raises("filesystem.partition_name", *write, pa.table({".code": ["x"], "a": [1]}), "out", partition_by=".code")
    assert step.files() == []
    table = pa.table({"a": [1], "_code": ["x"]})
    step.write("parquet", table, "out", partition_by="_code")
    assert step.read("parquet", "out").table().equals(table)


def test_no_rows_make_partitions_that_can_be_read(step):
    step.write("parquet", TABLE.slice(0, 0), "out", partition_by=["year", "code"])
    table = step.read("parquet", "out").table()
    assert (table.num_rows, sorted(table.schema.names)) == (0, sorted(TABLE.schema.names))
    for _ in range(2):
        step.write("parquet", TABLE, "out", partition_by=["year", "code"], write_mode="append")
        assert by_amount(step.read("parquet", "out").table().select(TABLE.schema.names)) == by_amount(TABLE)
        step.write("parquet", TABLE.slice(0, 0), "out", partition_by=["year", "code"], write_mode="append")
        assert len(step.files()) == 5
        step.write("parquet", TABLE.slice(0, 0), "out", partition_by=["year", "code"])
    (step.base_dir / "empty").mkdir()
    step.write("parquet", TABLE.slice(0, 0), "empty", partition_by="year", write_mode="append")
    assert step.read("parquet", "empty").table().num_rows == 0


def test_overwriting_partitions_replaces_all_of_them(step, failing):
    step.write("parquet", TABLE, "out", partition_by="year")
    with pytest.raises(ValueError, match="upstream"):
        step.write("parquet", failing(TABLE, ValueError("upstream")), "out", partition_by="year")
    assert step.read("parquet", "out").num_rows == 4
    step.write("parquet", TABLE.slice(0, 1), "out", partition_by="year")
    assert step.files() == ["out/year=2023/part-0.parquet"]


def test_appending_partitions(step):
    step.write("parquet", TABLE, "out", partition_by="year", write_mode="append")
    step.step_id = "again"
    step.write("parquet", TABLE, "out", partition_by="year", write_mode="append")
    assert step.read("parquet", "out").num_rows == 8


def test_partitions_that_cannot_be_written(step, raises):
    step.write("parquet", TABLE, "out", partition_by="year")
    write = [step.write, "parquet", TABLE, "out"]
    raises("filesystem.exists", *write, partition_by="year", write_mode="fail")
    raises("filesystem.is_directory", *write)
    raises("filesystem.unknown_column", *write, partition_by="yaer")
    raises("filesystem.no_columns_left", step.write, "parquet", TABLE.select(["year"]), "x", partition_by="year")
    many = pa.table({"id": range(1500), "a": range(1500)})
    raises("filesystem.too_many_partitions", step.write, "parquet", many, "many", partition_by="id")
    step.file("out/notes.txt", "mine")
    error = raises("filesystem.foreign_files", *write, partition_by="year")
    assert "notes.txt" in error.message
    raises("filesystem.local_only", step.write, "parquet", TABLE, "memory://x/out", partition_by="year")
    step.file("file", "x")
    raises("filesystem.not_a_directory", step.write, "parquet", TABLE, "file", partition_by="year")
    assert not [name for name in step.files() if ".tmp" in name or ".old" in name]


def test_folders_without_parquet_or_with_mixed_partitions(step, raises):
    step.file("empty/x.txt", "")
    raises("filesystem.not_found", step.read, "parquet", "empty")
    step.write("parquet", TABLE, "mixed/a.parquet")
    step.write("parquet", TABLE, "mixed/k=1/a.parquet")
    raises("filesystem.mixed_partitions", step.read, "parquet", "mixed")
    assert step.read("parquet", "mixed", partitioning="none").num_rows == 8


def test_a_home_folder_is_safe(step, raises):
    Path(step.base_dir / "home/k=1").mkdir(parents=True)
    step.file("home/k=1/letter.odt", "dear")
    raises("filesystem.foreign_files", step.write, "parquet", TABLE, "home", partition_by="year")
    assert step.files() == ["home/k=1/letter.odt"]
