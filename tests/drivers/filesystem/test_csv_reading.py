"""Options of csv_extractor, and what it says of files that are not as they should be."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from osiris.core.errors import RunCancelledError


def rows(data):
    return [list(row.values()) for row in data.table().to_pylist()]


@pytest.mark.parametrize(
    ("content", "config", "expected"),
    [
        ("a\tb\n1\t2\n", {"delimiter": "\\t"}, [[1, 2]]),
        ("a;b\n1;2,5\n", {"delimiter": ";"}, [[1, "2,5"]]),
        ("a,b\n1,2\n", {"columns": ["b", "a"]}, [[2, 1]]),
        ("a,b\n1,2\n", {"columns": "b"}, [[2]]),
        ("x\ny\na,b\n1,2\n", {"skip_rows": 2}, [[1, 2]]),
        ("x\r\na,b\r\n1,2\r\n", {"skip_rows": 1}, [[1, 2]]),
        ('"x\n",y\na,b\n1,2\n', {"header": 1}, [[1, 2]]),
        ("a,b\n1,2\n3,4\n", {"limit": 1}, [[1, 2]]),
        ("a,b\n1,2\n", {"limit": 0}, []),
        ("1,2\n3,4\n", {"header": False}, [[1, 2], [3, 4]]),
        ("1,2\n3,4\n", {"header": None, "names": ["x", "y"]}, [[1, 2], [3, 4]]),
        ("#c\na,b\n1,2\n#x,y,z\n3,#4\n", {"comment": "#"}, [[1, "2"], [3, "#4"]]),
        ('a,b\n"x\n#y",1\n#z\n', {"comment": "#"}, [["x\n#y", 1]]),
        ("a,b\n\n1,2\n\n\n", {}, [[1, 2]]),
        ("\n\na,b\n1,2\n", {}, [[1, 2]]),
        ("a,b\n\n1,2\n", {"skip_blank_lines": False}, [[None, None], [1, 2]]),
        ("a\n\n1\n", {"skip_blank_lines": True}, [[1]]),
        ('a,b\nNA,x\n"NA",y\n', {"na_values": "NA"}, [[None, "x"], ["NA", "y"]]),
        ('a,b\n,""\n', {"empty_as_null": "always"}, [[None, None]]),
        ('a,b\n,""\n', {"empty_as_null": "never"}, [["", ""]]),
        ("a,b\n'1,5',2\n", {"quote": "'"}, [["1,5", 2]]),
        ('a,b\n"1,2\n', {"quote": ""}, [['"1', 2]]),
        ("a,b\nx\\,y,2\n", {"escape": "\\"}, [["x,y", 2]]),
        ("a,b\n007,1\n", {"types": {"a": "integer"}}, [[7, 1]]),
        ("a,b\n007,1\n", {"dtype": "string"}, [["007", "1"]]),
        ("a,b\n007,1\n", {"infer": False}, [["007", "1"]]),
        ("a\n +5 \n", {"types": {"a": "integer"}}, [[5]]),
        ("a\n10.1\n5\n", {"types": {"a": "decimal(9,2)"}}, [[Decimal("10.10")], [Decimal("5.00")]]),
        ("a\n1e5\n", {"types": {"a": "number"}}, [[100000.0]]),
        ("a\nYes\n0\n", {"types": {"a": "boolean"}}, [[True], [False]]),
        ("a\n12:30\n", {"types": {"a": "time"}}, [[time(12, 30)]]),
        ("a\n00ff\n", {"types": {"a": "binary"}}, [[b"\x00\xff"]]),
        ("a\n2024-01-31T10:00:00.5\n", {"types": {"a": "timestamp"}}, [[datetime(2024, 1, 31, 10, 0, 0, 500000)]]),
        ("a\n2024-01-31T10:00:00+02:00\n", {"types": {"a": "timestamp_tz"}}, [[datetime(2024, 1, 31, 8, tzinfo=UTC)]]),
        ("a\n2024-01-31\n", {"parse_dates": ["a"]}, [[date(2024, 1, 31)]]),
        ("a\n2024-01-31T10:00:00Z\n", {"parse_dates": "a"}, [[datetime(2024, 1, 31, 10, tzinfo=UTC)]]),
        ("a\n2024-01-31T10:00:00\n", {"parse_dates": ["a"]}, [[datetime(2024, 1, 31, 10)]]),
        ("a,b\n", {}, []),
        ("a,b", {}, []),
        ("a,b\n1,2", {}, [[1, 2]]),
        ('a,b\n1,"x"', {}, [[1, "x"]]),
        ("a,b\r1,2\r", {}, [[1, 2]]),
    ],
)
def test_options(step, content, config, expected):
    step.file("in.csv", content)
    assert rows(step.read("csv", "in.csv", **config)) == expected


def test_names_of_columns_without_header(step):
    step.file("in.csv", "1,2\n")
    assert step.read("csv", "in.csv", header=False).schema.names == ["column_1", "column_2"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1250", "iso-8859-2", "shift_jis"]
)
def test_encodings(step, encoding):
    text = "a,b\n1,příliš\n" if encoding != "shift_jis" else "a,b\n1,日本\n"
    step.file("in.csv", text.encode(encoding))
    expected = text.splitlines()[1].split(",")[1]
    assert rows(step.read("csv", "in.csv", encoding=encoding)) == [[1, expected]]
    if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert rows(step.read("csv", "in.csv")) == [[1, expected]]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-7", "gb18030"])
def test_a_mark_is_taken_off_whatever_the_encoding(step, encoding):
    step.file("in.csv", "\ufeffa,b\n1,\ufeff\n".encode(encoding))
    assert step.read("csv", "in.csv", encoding=encoding).table().to_pydict() == {"a": [1], "b": ["\ufeff"]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_an_order_of_bytes_that_nothing_says(step, raises, encoding):
    step.file("in.csv", "a,b\n1,é\n".encode(f"{encoding}-le"))
    error = raises("filesystem.encoding", step.read, "csv", "in.csv", encoding=encoding)
    assert f"{encoding}-le" in error.hint
    raises("filesystem.encoding", step.read, "jsonl", "in.csv", encoding=encoding)


def test_bytes_that_are_not_ascii(step, raises):
    step.file("in.csv", "a,b\n1,é\n")
    raises("filesystem.encoding", step.read, "csv", "in.csv", encoding="ascii")
    step.file("plain.csv", "a,b\n1,e\n")
    assert rows(step.read("csv", "plain.csv", encoding="ascii")) == [[1, "e"]]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_compression(step, suffix, compress):
    packed = compress(b"a,b\n" + b"1,x\n" * 100_000) + compress(b"2,y\n")
    step.file(f"in.csv{suffix}", packed)
    step.file("plain", packed)
    table = step.read("csv", f"in.csv{suffix}").table()
    assert (table.num_rows, table["b"][-1].as_py()) == (100_001, "y")
    name = {".gz": "gz", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}[suffix]
    assert step.read("csv", "plain", compression=name).table() == table


def test_a_damaged_compressed_file(step, raises):
    whole = gzip.compress(os.urandom(200_000).hex().encode())
    step.file("cut.csv.gz", whole[:50_000])
    step.file("wrong.csv.gz", b"a,b\n1,2\n")
    step.file("wrong.csv.zst", b"a,b\n1,2\n")
    step.file("wrong.csv.bz2", b"a,b\n1,2\n")
    for name in ("cut.csv.gz", "wrong.csv.gz", "wrong.csv.zst", "wrong.csv.bz2"):
        raises("filesystem.corrupt", step.read, "csv", name)


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_whatever_stands_behind_a_member_is_a_member_or_an_error(step, raises, suffix, compress):
    first, second = compress(b"a,b\n1,x\n"), compress(b"2,y\n" * 50_000)
    damaged = second[:30] + bytes(byte ^ 255 for byte in second[30:40]) + second[40:]
    for rest in (b"garbage", b"\1", damaged, second[:-9], second[1:], second + b"\0garbage"):
        step.file(f"in.csv{suffix}", first + rest)
        raises("filesystem.corrupt", step.read, "csv", f"in.csv{suffix}")


def test_the_padding_of_xz_means_nothing(step, raises):
    members = [lzma.compress(b"a,b\n1,x\n"), lzma.compress(b"2,y\n")]
    for padding in (4, 8, 1 << 17):
        step.file("in.csv.xz", (bytes(padding)).join(members) + bytes(padding))
        assert rows(step.read("csv", "in.csv.xz")) == [[1, "x"], [2, "y"]]
    for padding in (1, 6):
        step.file("in.csv.xz", (bytes(padding)).join(members))
        raises("filesystem.corrupt", step.read, "csv", "in.csv.xz")


def test_files_stream_one_after_another(step):
    step.file("data/2.csv", "a,b\n3,z\n")
    step.file("data/1.csv", "a,b\n1,x\n2,y\n")
    assert rows(step.read("csv", "data/*.csv")) == [[1, "x"], [2, "y"], [3, "z"]]
    assert rows(step.read("csv", ["data/2.csv", "data/1.csv"], limit=2)) == [[3, "z"], [1, "x"]]


def test_a_literal_name_goes_before_a_glob(step):
    step.file("data[1].csv", "a\n1\n")
    assert rows(step.read("csv", "data[1].csv")) == [[1]]


def test_a_later_file_of_another_kind(step, raises):
    step.file("1.csv", "a,b\n1,2\n")
    step.file("2.csv", "a,c\n1,2\n")
    error = raises("filesystem.csv_header_mismatch", step.read, "csv", ["1.csv", "2.csv"])
    assert "1.csv" in error.message
    assert "2.csv" in error.message
    assert "'c' added" in error.message


def test_relative_paths_begin_at_the_connection(step):
    step.file("data/in.csv", "a\n1\n")
    step.connection = {"base_dir": "data"}
    assert rows(step.read("csv", "in.csv")) == [[1]]


def test_no_path_leads_out_of_the_connection(step, raises):
    path = step.file("data/in.csv", "a\n1\n")
    step.file("other/in.csv", "a\n2\n")
    for base in ("data", str(path.parent), f"file://{path.parent}/"):
        step.connection = {"base_dir": base}
        for inside in ("in.csv", str(path), f"file://{path}"):
            assert rows(step.read("csv", inside)) == [[1]]
        for outside in (
            "../other/in.csv",
            "x/../in.csv",
            str(step.base_dir / "other/in.csv"),
            f"file://{step.base_dir}/other/in.csv",
            f"{path.parent}/../other/in.csv",
            f"{path.parent}-2/in.csv",
            "memory://bucket/in.csv",
        ):
            error = raises("filesystem.outside_base", step.read, "csv", outside)
            assert error.facts["path"] == outside
    step.connection = {"base_dir": "memory://bucket/a"}
    for outside in ("memory://bucket/b.csv", "memory://bucket/ab/c.csv", "../b.csv", str(path), f"file://{path}"):
        raises("filesystem.outside_base", step.read, "csv", outside)


def test_urls(step):
    step.write("csv", pa.table({"a": [1, 2]}), "memory://bucket/x/in.csv")
    assert rows(step.read("csv", "memory://bucket/x/*.csv")) == [[1], [2]]
    step.connection = {"base_dir": "memory://bucket"}
    assert rows(step.read("csv", "x/in.csv")) == [[1], [2]]
    step.connection = None
    path = step.file("in.csv", "a\n1\n")
    assert rows(step.read("csv", f"file://{path}")) == [[1]]


def test_a_path_with_a_nul(step, raises):
    raises("filesystem.invalid_path", step.read, "csv", "a\0b")
    raises("filesystem.invalid_path", step.write, "csv", pa.table({"a": [1]}), "a\0b")
    raises("filesystem.invalid_path", step.read, "parquet", "a\0b")


def test_missing_files(step, raises):
    step.file("orders.csv", "a\n1\n")
    error = raises("filesystem.not_found", step.read, "csv", "order.csv")
    assert "orders.csv" in error.hint
    raises("filesystem.not_found", step.read, "csv", "*.txt")
    raises("filesystem.not_found", step.read, "csv", "memory://nowhere/x.csv")
    raises("filesystem.is_directory", step.read, "csv", ".")
    raises("filesystem.unknown_scheme", step.read, "csv", "nosuch://x/y.csv")
    raises("filesystem.not_a_directory", step.read, "csv", "orders.csv/x")


def test_a_store_that_is_down(step, raises):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"ftp://127.0.0.1:{nobody.getsockname()[1]}/x.csv"
        for call in ((step.read, "csv", url), (step.write, "csv", pa.table({"a": [1]}), url)):
            error = raises("filesystem.remote", *call)
            assert url in error.message
            assert error.retryable


def test_a_scheme_whose_package_is_missing(step, raises):
    pytest.importorskip("fsspec")
    try:
        import s3fs  # noqa: F401
    except ImportError:
        error = raises("filesystem.missing_extra", step.read, "csv", "s3://bucket/x.csv")
        assert "osiris-driver-filesystem[s3]" in error.hint


def test_a_file_that_may_not_be_read(tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="osiris-"))  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    path = folder / "in.csv"
    path.write_text("a\n1\n")
    path.chmod(0)
    script = """
import os, sys
from pathlib import Path
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.locations import Location
from osiris.drivers.filesystem.csv_layout import CsvLayout
from osiris.drivers.filesystem.csv_reader import CsvReader
if os.geteuid() == 0:
    os.setuid(65534)
try:
    CsvReader(Location(sys.argv[1], sys.argv[1]), CsvLayout())
except DriverError as error:
    print(error.code)
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    shutil.rmtree(folder)
    assert done.stdout.strip() == "filesystem.permission_denied"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file(step, raises, content):
    step.file("in.csv", content)
    raises("filesystem.csv_empty", step.read, "csv", "in.csv")
    raises("filesystem.csv_empty", step.read, "csv", "in.csv", header=False)
    assert step.read("csv", "in.csv", header=False, names=["a", "b"]).table().to_pydict() == {"a": [], "b": []}


def test_rows_of_other_lengths(step, raises):
    step.file("short.csv", 'a,b\n1,"x\ny"\n2\n')
    error = raises("filesystem.csv_ragged_row", step.read, "csv", "short.csv")
    assert (error.facts["line"], error.facts["expected"], error.facts["found"]) == (4, 2, 1)
    step.file("long.csv", "a,b\n" + "1,2\n" * 100_000 + "1,2,3\n")
    assert raises("filesystem.csv_ragged_row", step.read, "csv", "long.csv").facts["line"] == 100_002


def test_bytes_that_are_not_text(step, raises):
    step.file("in.csv", b"a,b\n1,x\n2,caf\xe9\n")
    error = raises("filesystem.encoding", step.read, "csv", "in.csv")
    assert (error.facts["line"], error.facts["offset"]) == (3, 13)
    assert "encoding" in error.hint
    assert rows(step.read("csv", "in.csv", encoding="latin-1"))[1] == [2, "café"]
    step.file("header.csv", b"caf\xe9,b\n1,x\n")
    raises("filesystem.encoding", step.read, "csv", "header.csv")
    step.file("cut.csv", "a,b\n1,é\n".encode("utf-16")[:-1])
    raises("filesystem.encoding", step.read, "csv", "cut.csv")


def test_a_binary_file(step, raises):
    step.write("parquet", pa.table({"a": [1]}), "in.parquet")
    raises("filesystem.not_text", step.read, "csv", "in.parquet")
    step.file("nul.csv", b"a,b\nx\0y,1\n")
    assert rows(step.read("csv", "nul.csv", encoding="utf-8")) == [["x\0y", 1]]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("config", [{}, {"comment": "#"}])
def test_a_nul_far_down(step, raises, suffix, config):
    content = b"a,b\n" + b"1,x\n" * 1_000_000 + b"x\0y,1\n"
    step.file(f"in.csv{suffix}", gzip.compress(content, 1) if suffix else content)
    error = raises("filesystem.not_text", step.read, "csv", f"in.csv{suffix}", **config)
    assert error.facts["offset"] == content.index(b"\0")
    table = step.read("csv", f"in.csv{suffix}", encoding="utf-8", infer=False, **config).table()
    assert table["a"][-1].as_py() == "x\0y"


@pytest.mark.parametrize("tail", ['2,"x\n3,y\n', '2,"x', '2,"x""', '2,"x\n', '2,"'])
def test_a_quote_that_is_never_closed(step, raises, tail):
    step.file("in.csv", f'a,b\n1,"ok"\n{tail}')
    assert raises("filesystem.csv_open_quote", step.read, "csv", "in.csv").facts["line"] == 3


def test_values_longer_than_a_block(step):
    long = "x\n" * 800_000
    step.file("in.csv", f'a,b\n1,"{long}"\n2,y\n')
    assert rows(step.read("csv", "in.csv")) == [[1, long], [2, "y"]]
    step.file("late.csv", "a,b\n" + "0,z\n" * 100_000 + f'1,"{long}"\n')
    table = step.read("csv", "late.csv").table()
    assert (table.num_rows, table["b"][-1].as_py()) == (100_001, long)


def test_a_value_far_down_that_does_not_fit(step, raises):
    step.file("in.csv", "id,text\n" + '1,"two\nlines"\n' * 100_000 + "007,x\n")
    config = {"sample_rows": 1000}
    error = raises("filesystem.csv_type_mismatch", step.read, "csv", "in.csv", **config)
    assert error.facts == {
        "path": str(step.base_dir / "in.csv"),
        "line": 200_002,
        "column": "id",
        "value": "007",
        "type": "integer",
    }
    assert "types: {id: string}" in error.hint
    raises("filesystem.csv_type_mismatch", step.write, "csv", step.read("csv", "in.csv", **config), "out.csv")
    assert step.files() == ["in.csv"]
    copy = step.write("csv", step.read("csv", "in.csv", types={"id": "string"}), "out.csv")
    assert copy.read_bytes() == (step.base_dir / "in.csv").read_bytes()


def test_lines_are_counted_with_comments_blank_lines_and_skipped_ones(step, raises):
    step.file("in.csv", "skip\n#c\na,b\n\n#c\n1,x\n\n2,y\nz,y\n")
    config = {"skip_rows": 1, "comment": "#", "types": {"a": "integer"}}
    assert raises("filesystem.csv_type_mismatch", step.read, "csv", "in.csv", **config).facts["line"] == 9


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", "integer"), ("1.5", "integer"), ("9223372036854775808", "integer"), ("1.005", "decimal(9,2)"),
     ("x", "number"),
     ("maybe", "boolean"), ("31.12.2024", "date"), ("2024-02-30", "date"), ("x", "timestamp"),
     ("2024-01-01 10:00:00", "timestamp_tz"), ("25:00", "time"), ("0g", "binary")],
)  # fmt: skip
def test_a_value_that_is_not_of_its_declared_type(step, raises, value, kind):
    step.file("in.csv", f"a,b\n,1\n{value},2\n")
    error = raises("filesystem.csv_type_mismatch", step.read, "csv", "in.csv", types={"a": kind})
    assert (error.facts["line"], error.facts["column"], error.facts["value"]) == (3, "a", value)


@pytest.mark.parametrize("option", ["columns", "types", "parse_dates"])
def test_a_column_that_is_not_there(step, raises, option):
    step.file("in.csv", "amount,b\n1,2\n")
    wanted = {"amuont": "string"} if option == "types" else ["amuont"]
    error = raises("filesystem.unknown_column", step.read, "csv", "in.csv", **{option: wanted})
    assert "did you mean 'amount'?" in error.hint


def test_names_must_be_as_many_as_columns(step, raises):
    step.file("in.csv", "1,2\n")
    raises("filesystem.csv_columns", step.read, "csv", "in.csv", header=False, names=["a"])


def test_the_source_says_what_another_reader_needs(step):
    path = step.file("in.csv", "a;b\n1;x\n")
    source = step.read("csv", "in.csv", delimiter=";", na_values=["NA"]).source
    assert source.paths == (str(path),)
    assert source.options == {
        "delimiter": ";", "quote": '"', "header": True, "compression": None, "null_values": ("", "NA")
    }  # fmt: skip
    assert source.inferred == {"a", "b"}


@pytest.mark.parametrize(
    ("content", "config"),
    [
        ("a,a\n1,2\n", {}),
        ("a\n1\n", {}),
        ("a,b\n2.5,1\n3,1\n", {}),
        ("a,b\n1,2\n", {"limit": 1}),
        ("a,b\n1,2\n", {"columns": ["a"]}),
        ("a,b\n1,2\n", {"comment": "#"}),
        ("a,b\n1,2\n", {"skip_rows": 1}),
        ("a,b\n1,2\n", {"quote": "'"}),
        ("a,b\n1,2\n", {"types": {"a": "number"}}),
        ("a,b\n1,2\n".encode("utf-16"), {}),
    ],
)
def test_no_source_where_another_reader_would_see_other_rows(step, content, config):
    step.file("in.csv", content)
    assert step.read("csv", "in.csv", **config).source is None


def test_cancelling_stops_between_batches(step):
    step.file("in.csv", "a,b\n" + "1,2\n" * 600_000)
    batches = step.read("csv", "in.csv").batches()
    next(batches)
    step.cancellation.request()
    with pytest.raises(RunCancelledError):
        next(batches)


def test_how_much_was_read_is_told(step):
    path = step.file("in.csv", "a,b\n1,2\n")
    step.read("csv", "in.csv").table()
    assert step.metrics == [("bytes_read", path.stat().st_size)]


def test_closing_an_unread_stream_closes_its_file(step):
    step.file("in.csv", "a,b\n" + "1,2\n" * 600_000)
    before = set(Path("/proc/self/fd").iterdir())
    data = step.read("csv", "in.csv")
    data.close()
    data.close()
    assert set(Path("/proc/self/fd").iterdir()) <= before
